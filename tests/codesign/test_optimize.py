"""The search against answers that are known: closed forms, and a front that can be computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qsynapse_jax.cells import Differential, Ladder, Referenced, linearity
from qsynapse_jax.codesign import Bounded, binary_weighted, optimize, pareto_front
from qsynapse_jax.training import DivergedError

INFINITE = float("inf")
# bits, first resistor, r_on, r_off [ohm]; the last has an on/off ratio of 16 only.
SWITCHES = [(3, 80e3, 5e3, INFINITE), (5, 80e3, 5e3, 1e6), (4, 40e3, 5e3, 80e3)]


def plain(bits, r_first):
    return r_first * 2.0 ** jnp.arange(bits)


def rest_of(bits, r_first):
    """The branches below the first, free within a factor of 4."""
    start = plain(bits, r_first)[1:]
    return Bounded(start, start / 4, start * 4)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("bits", "r_first", "r_on", "r_off"), SWITCHES)
def test_binary_weighted_branches_halve_each_other_exactly(bits, r_first, r_on, r_off):
    r = np.asarray(binary_weighted(bits, r_first, r_on, r_off))
    step = 1 / (r + r_on) - 1 / (r + r_off)
    np.testing.assert_allclose(step * 2.0 ** np.arange(bits), step[0], rtol=1e-13)
    assert r[0] == pytest.approx(r_first, rel=1e-13)
    if r_off == INFINITE:
        np.testing.assert_allclose(r, 2.0 ** np.arange(bits) * (r_first + r_on) - r_on, rtol=1e-14)


@pytest.mark.parametrize(
    ("bits", "r_first", "r_on", "r_off"),
    [SWITCHES[2], *(pytest.param(*row, marks=pytest.mark.slow) for row in SWITCHES[:2])],
)
def test_descent_reaches_the_closed_form(bits, r_first, r_on, r_off):
    first = jnp.asarray([r_first])

    def ladder(rest):
        return Ladder(bits, None, r_on, r_off, jnp.concatenate([first, rest]))

    found = optimize(lambda rest: jnp.mean(linearity(Differential(ladder(rest))).inl ** 2), rest_of(bits, r_first))
    np.testing.assert_allclose(found.values, binary_weighted(bits, r_first, r_on, r_off)[1:], rtol=1e-3)
    worst = jax.jit(lambda rest: linearity(ladder(rest)).worst_inl)
    before = worst(plain(bits, r_first)[1:])
    assert float(worst(found.values)) < min(1e-3, float(before) / 100)


@pytest.mark.slow
def test_the_reference_is_found_with_the_resistors():
    """Weights on a line through zero at code 0: the reference must be the offset of the finite r_off."""
    code = jnp.arange(16)

    def cell(design):
        branches = jnp.concatenate([jnp.asarray([80e3]), design["rest"]])
        return Referenced(Ladder(4, None, 5e3, 1e6, branches), design["g_ref"])

    def off_the_line(design):
        weight = cell(design).decode(code)
        return jnp.mean((weight / weight[-1] - code / 15) ** 2)

    design = {"rest": rest_of(4, 80e3), "g_ref": Bounded(2e-6, 1e-7, 1e-4)}
    found = optimize(off_the_line, design, steps=800).values
    exact = binary_weighted(4, 80e3, 5e3, 1e6)
    np.testing.assert_allclose(found["rest"], exact[1:], rtol=1e-3)
    assert float(found["g_ref"]) == pytest.approx(float(jnp.sum(1 / (exact + 1e6))), rel=1e-3)


def test_random_objectives_get_a_new_key_every_step():
    target = 3.0

    def noisy(x, key):
        return (jnp.log(x / target) + 0.1 * jax.random.normal(key)) ** 2

    found = optimize(noisy, Bounded(1.0, 0.1, 10.0), key=jax.random.key(0), steps=600)
    assert float(found.values) == pytest.approx(target, rel=0.05)
    assert len(set(found.losses.tolist())) > 500


def test_one_compilation_and_true_progress():
    traces, calls = [], []

    def objective(x):
        traces.append(1)
        return jnp.sum(x**2)

    found = optimize(objective, Bounded(1.0, 0.1, 10.0), steps=7, on_step=lambda n, loss: calls.append((n, loss)))
    assert len(traces) == 1
    assert [n for n, _ in calls] == list(range(1, 8))
    np.testing.assert_allclose([loss for _, loss in calls], found.losses[:-1], rtol=1e-6)
    assert float(found.losses[-1]) == pytest.approx(float(found.values) ** 2, rel=1e-6)


def test_a_front_of_two_objectives_against_the_one_by_hand():
    """x + w/x is least at sqrt(w): every weighting has its own design, and none dominates another."""
    share = jnp.asarray([0.2, 0.5, 0.8])
    objectives = {"area": lambda d: d["x"], "power": lambda d: 1 / d["x"]}
    front = pareto_front(objectives, {"x": Bounded(1.0, 0.01, 100.0)}, jnp.stack([share, 1 - share], 1))
    np.testing.assert_allclose(front.values["x"], jnp.sqrt((1 - share) / share), rtol=1e-3)
    np.testing.assert_allclose(front.objectives["area"] * front.objectives["power"], jnp.ones(3), rtol=1e-5)
    assert front.efficient.all()


def test_a_dominated_design_is_not_efficient():
    # Weighting neither objective leaves the start, which the wish for both improves on.
    objectives = {"one": lambda d: 1 + d["x"], "two": lambda d: 1 + 2 * d["x"]}
    front = pareto_front(objectives, {"x": Bounded(1.0, 0.01, 100.0)}, jnp.asarray([[0.0, 0.0], [1.0, 1.0]]))
    assert front.efficient.tolist() == [False, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, 2.0, 1.0), "no value is feasible"),
        ((1.0, 1.0, 1.0), "no value is feasible"),
        ((3.0, 1.0, 2.0), "must lie within its bounds"),
        ((1.0, 0.0, 2.0), "`low` must be positive"),
        ((1.0, 0.5, INFINITE), "`high` must be positive and finite"),
        ((jnp.ones(3), jnp.ones(2), 2.0), "of the shape of `value`"),
    ],
)
def test_infeasible_bounds(arguments, message):
    with pytest.raises(ValueError, match=message):
        Bounded(*arguments)


def test_a_start_at_a_bound_can_leave_it():
    found = optimize(lambda x: (x - 2) ** 2, Bounded(1.0, 1.0, 4.0))
    assert float(found.values) == pytest.approx(2, rel=1e-3)
    assert float(Bounded(4.0, 1.0, 4.0).value) == pytest.approx(4, rel=2e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"design": {"x": jnp.ones(2)}}, "at least one `Bounded`"),
        ({"steps": 0}, "`steps` must be an integer of at least 1, but is 0"),
        ({"learning_rate": -1.0}, "`learning_rate` must be positive"),
        ({"objective": lambda d: jnp.ones(2) * d["x"]}, "must return a scalar"),
    ],
)
def test_wrong_use(change, message):
    arguments = {"objective": lambda d: d["x"], "design": {"x": Bounded(1.0, 0.5, 2.0)}, "steps": 3} | change
    with pytest.raises(ValueError, match=message):
        optimize(arguments.pop("objective"), arguments.pop("design"), **arguments)


def test_wrong_use_of_fronts_and_closed_forms():
    with pytest.raises(ValueError, match="must have shape \\(designs, 1\\)"):
        pareto_front({"x": lambda d: d["x"]}, {"x": Bounded(1.0, 0.5, 2.0)}, jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="must be above `r_on`"):
        binary_weighted(3, 1e4, 1e3, 1e3)


def test_an_objective_that_is_no_number_names_the_step_and_leaves_the_last_good_design():
    """Downhill of log(x - 1), which has no value from 1 on: the first step that gets there ends the search."""
    design = {"x": Bounded(2.0, 0.1, 10.0), "fixed": 3.0}
    with pytest.raises(DivergedError, match=r"^The objective became nan after \d+ steps; narrow the bounds") as caught:
        optimize(lambda d: jnp.log(d["x"] - 1) * d["fixed"], design, steps=50)
    good = caught.value.state
    assert good["fixed"] == 3.0
    assert 1 < float(good["x"].value) < 2
    assert not isinstance(caught.value, ValueError)
    with pytest.raises(DivergedError, match=r"became nan after 0 steps"):
        optimize(lambda d: jnp.log(-d["x"]), design, steps=3)
    with pytest.raises(DivergedError, match=r"became nan after \d+ steps"):
        pareto_front({"x": lambda d: jnp.sqrt(d["x"] - 1)}, design, jnp.ones((2, 1)), steps=50)
