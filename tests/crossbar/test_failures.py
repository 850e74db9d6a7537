"""Wrong use is refused at the border, and the message names the argument, the place and the remedy."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.crossbar.problems import random_cells

G = random_cells((3, 4), seed=50)
V = np.array([0.1, -0.2, 0.3])
WIRES = {"r_word": 2.0, "r_bit": 1.0}
Wires, ConvergenceError = qs.crossbar.Wires, qs.crossbar.ConvergenceError


@pytest.fixture(autouse=True)
def as_users_run_it(x64: None) -> Iterator[None]:
    """Without the run-time check of annotations, which the tests have and users have not."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


def solve(g=G, v_in=V, wires=None, **options):
    return qs.crossbar.solve(g, v_in, Wires(**WIRES) if wires is None else wires, **options)


def effective(g=G, wires=None, **options):
    return qs.crossbar.effective_conductance(g, Wires(**WIRES) if wires is None else wires, **options)


# Elimination, the default of `effective_conductance`, has no steps to run out of.
LINE_BY_LINE: dict[str, Any] = {"solver": qs.crossbar.ConjugateGradient()}

both = pytest.mark.parametrize("call", [solve, effective])


def with_entry(array, place, value):
    array = array.copy()
    array[place] = value
    return array


@both
@pytest.mark.parametrize(("value", "shown"), [(-1e-6, "-1e-06"), (np.nan, "nan"), (-np.inf, "-inf")])
def test_bad_conductance_is_named(call, value, shown):
    message = (
        rf"^Argument `g` must be non-negative, but g\[1, 2\] = {shown} S\. "
        r"Use 0\.0 for an open cell and an infinity for a short\.$"
    )
    with pytest.raises(ValueError, match=message):
        call(with_entry(G, (1, 2), value))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bad_voltage_is_named(value):
    message = rf"^Argument `v_in` must be finite, but v_in\[2\] = {value} V\.$"
    with pytest.raises(ValueError, match=message):
        solve(v_in=with_entry(V, 2, value))
    with pytest.raises(ValueError, match=r"v_in\[1, 0\] = nan V"):
        solve(v_in=with_entry(np.stack([V, V]), (1, 0), np.nan))


def test_whole_numbers_become_real():
    np.testing.assert_array_equal(solve(v_in=np.ones(3, int)).i_out, solve(v_in=np.ones(3)).i_out)
    np.testing.assert_array_equal(effective(np.ones((3, 4), int)), effective(np.ones((3, 4))))


@pytest.mark.parametrize("call", [solve, effective])
def test_precision_that_is_lost_is_said(call):
    with jax.enable_x64(False), pytest.warns(UserWarning, match=r"`g` is float64, but JAX computes in float32 until"):
        call(np.asarray(G, np.float64), **({"v_in": V.astype(np.float32)} if call is solve else {}))


@both
@pytest.mark.parametrize("dtype", [np.complex128, np.float16, np.bool_])
def test_other_dtypes_are_refused(call, dtype):
    message = (
        rf"^Argument `g` must be a float32 or float64 array, but has dtype {np.dtype(dtype)}; "
        r"convert it first, e\.g\. `g = jnp\.asarray\(g, float\)`\.$"
    )
    with pytest.raises(ValueError, match=message):
        call(G.astype(dtype))


def test_voltages_of_other_dtypes_are_refused():
    with pytest.raises(ValueError, match="Argument `v_in` must be a float32 or float64 array, but has dtype bfloat"):
        qs.crossbar.solve(G, jnp.ones(3, jnp.bfloat16), Wires())


@both
def test_what_is_no_array_is_refused(call):
    with pytest.raises(ValueError, match="Argument `g` must be an array of real numbers, but "):
        call({"g": G})
    with pytest.raises(ValueError, match="Argument `g` must be an array of real numbers, but "):
        call("1 mS")


@pytest.mark.parametrize("shape", [(), (12,), (1, 3, 4)])
def test_array_must_have_two_axes(shape):
    message = (
        r"^Argument `g` must have shape \(wl, bl\), but has shape \(.*\); use `jax\.vmap` for a batch of arrays\.$"
    )
    with pytest.raises(ValueError, match=message):
        solve(np.resize(G, shape))


@pytest.mark.parametrize("shape", [(), (12,)])
def test_array_must_have_two_axes_or_more(shape):
    message = (
        r"^Argument `g` must have shape \(wl, bl\), or \(\*tiles, wl, bl\) for several arrays, but has shape \(.*\)\.$"
    )
    with pytest.raises(ValueError, match=message):
        effective(np.resize(G, shape))


@both
@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_array_must_not_be_empty(call, shape):
    with pytest.raises(ValueError, match=r"^Argument `g` must have at least one cell, but has shape \(.*0.*\)\.$"):
        call(np.zeros(shape))


@pytest.mark.parametrize("shape", [(), (4,), (3, 1), (2, 4)])
def test_voltages_must_fit_the_word_lines(shape):
    message = (
        r"^Argument `v_in` must have shape \(\*batch, wl\) with wl = 3, the word lines of `g` with shape \(3, 4\), "
        r"but has shape \(.*\)\.$"
    )
    with pytest.raises(ValueError, match=message):
        solve(v_in=np.zeros(shape))


def test_voltages_must_not_be_empty():
    with pytest.raises(ValueError, match=r"^Argument `v_in` must hold at least one vector, but has shape \(0, 3\)\.$"):
        solve(v_in=np.zeros((0, 3)))


@both
@pytest.mark.parametrize("wires", [1.0, (1.0, 1.0), {"r_word": 1.0}])
def test_wires_must_be_wires(call, wires):
    message = rf"^Argument `wires` must be a `Wires`, but is a {type(wires).__name__}; write e\.g\. `Wires\(r_word="
    with pytest.raises(ValueError, match=message):
        call(wires=wires)


wire = pytest.mark.parametrize("name", ["r_word", "r_bit", "r_driver", "r_sense"])


@wire
@pytest.mark.parametrize(("value", "shown"), [(-1.0, "-1"), (np.nan, "nan"), (np.inf, "inf")])
def test_bad_wire_is_named(name, value, shown):
    message = (
        rf"^Argument `{name}` must be non-negative and finite, but is {shown} ohm"
        r"(; to let one line float, give an array with an infinity for that line)?; use 0\.0 for an ideal wire\.$"
    )
    with pytest.raises(ValueError, match=message):
        Wires(**{name: value})
    with pytest.raises(ValueError, match=message):
        Wires(**{name: jnp.asarray(value)})


@wire
def test_wire_must_be_real(name):
    for dtype in (np.int32, np.complex128, np.float16):
        with pytest.raises(ValueError, match=rf"^Argument `{name}` must be a float32 or float64 array, but has dtype"):
            Wires(**{name: np.ones((), dtype)})
    words: Any = {name: "1 ohm"}
    with pytest.raises(ValueError, match=rf"^Argument `{name}` must be an array of real numbers, but "):
        Wires(**words)


def test_wires_take_numbers_of_any_kind():
    numbers = (1, 1.0, np.float32(1.0), np.float64(1.0), jnp.ones(()))
    assert [float(Wires(r_word=one).r_word) for one in numbers] == [1.0] * 5


@both
def test_a_tolerance_finer_than_the_precision_is_refused(call):
    with pytest.raises(
        ValueError, match=r"^Argument `rtol` must be at least .*e-.* in float.*, but is 1e-17; try float64\.$"
    ):
        call(rtol=1e-17)


@both
@pytest.mark.parametrize("rtol", [0.0, 1.0, -1e-3, 2, np.nan, np.inf])
def test_tolerance_must_be_a_fraction(call, rtol):
    with pytest.raises(ValueError, match=rf"^Argument `rtol` must lie between 0 and 1, but is {rtol}\.$"):
        call(rtol=rtol)


@both
@pytest.mark.parametrize("max_steps", [0, -3])
def test_at_least_one_step(call, max_steps):
    with pytest.raises(ValueError, match=rf"^Argument `max_steps` must be at least 1, but is {max_steps}\.$"):
        call(max_steps=max_steps)


def test_no_convergence_says_how_far_it_came():
    message = (
        r"^The iteration for the node voltages did not reach `rtol` within `max_steps`\. Raise `max_steps`, loosen "
        r"`rtol`, or compute in float64\. It took 2 steps to a relative residual of \d\.\de-\d\d\.$"
    )
    with pytest.raises(ConvergenceError, match=message):
        solve(max_steps=2)


def test_no_convergence_of_the_effective_conductance():
    with pytest.raises(ConvergenceError, match=r"did not reach `rtol` within `max_steps`\. Raise `max_steps`"):
        effective(max_steps=2, **LINE_BY_LINE)


def test_overflow_is_a_breakdown():
    """1e300 S at 1e300 V: valid numbers whose product is not."""
    with pytest.raises(ConvergenceError, match=r"met a NaN or infinite number.*Check the units"):
        solve(np.full((3, 4), 1e300), np.full(3, 1e300), Wires())


def test_a_refused_conductance_outranks_what_it_causes():
    with pytest.raises(ValueError, match="Argument `g`"):
        solve(with_entry(G, (0, 0), np.nan), with_entry(V, 0, np.nan), max_steps=1)


def test_an_error_is_one_of_the_kind_it_is():
    assert issubclass(ConvergenceError, RuntimeError)
    assert not issubclass(ConvergenceError, ValueError)


class TestWithoutThrow:
    """`throw=False`: a failure is in the result and in NaN, never in a plausible number."""

    results = qs.crossbar.RESULTS
    cases = pytest.mark.parametrize(
        ("change", "outcome", "message"),
        [
            ({"g": with_entry(G, (1, 2), -1e-6)}, "bad_conductance", "Argument `g` must be non-negative, but"),
            ({"g": with_entry(G, (1, 2), np.nan)}, "bad_conductance", "Use 0.0 for an open cell and an infinity"),
            ({"v_in": with_entry(V, 0, np.inf)}, "bad_voltage", "Argument `v_in` must be finite"),
            (
                {"g": np.full((3, 4), 1e300), "v_in": np.full(3, 1e300), "wires": Wires()},
                "breakdown",
                "met a NaN or infinite number",
            ),
        ],
        ids=["negative", "nan", "voltage", "overflow"],
    )

    @cases
    def test_solution_is_nan(self, change, outcome, message):
        sol = solve(**change, throw=False)
        assert sol.result == getattr(self.results, outcome)
        assert message in self.results[sol.result]
        for quantity in (sol.i_out, sol.i_in, sol.i_cell, sol.v_word, sol.v_bit, sol.v_cell, sol.stats.residual):
            assert np.all(np.isnan(quantity))

    @pytest.mark.parametrize("change", [{"g": with_entry(G, (1, 2), -1e-6)}, {"max_steps": 2, **LINE_BY_LINE}], ids=str)
    def test_effective_conductance_is_nan(self, change):
        assert np.all(np.isnan(effective(**change, throw=False)))

    def test_unconverged_solution_says_so(self):
        sol = solve(max_steps=2, throw=False)
        assert sol.result == self.results.max_steps_reached
        assert "Raise `max_steps`" in self.results[sol.result]
        assert sol.stats.iterations == 2
        assert 1e-13 < sol.stats.residual < 1

    def test_all_inputs_must_converge(self):
        """One at 0 V ends at once, and does not speak for the other."""
        sol = solve(v_in=np.stack([0 * V, V]), max_steps=2, throw=False)
        assert sol.result == self.results.max_steps_reached

    def test_success_says_so(self):
        sol = solve(throw=False)
        assert sol.result == self.results.successful
        assert self.results[sol.result] == "The solve reached its tolerance."
        np.testing.assert_array_equal(sol.i_out, solve().i_out)
        np.testing.assert_array_equal(partial(effective, throw=False)(), effective())


@pytest.mark.parametrize(
    ("law", "number", "message"),
    [
        (qs.crossbar.Series, -1.0, "Argument `r` must be non-negative (infinity is allowed), but is -1 ohm."),
        (qs.crossbar.Series, np.nan, "but is nan ohm."),
        (qs.crossbar.Sinh, np.inf, "Argument `k` must be finite, but is inf 1/V."),
        (qs.crossbar.Polynomial, np.array([1.0, np.nan]), "`coefficients` must be finite, but coefficients[1] = nan;"),
    ],
)
def test_numbers_of_a_law_are_checked(law, number, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        law(number)


def test_a_law_may_be_made_inside_a_trace_of_numbers_from_outside():
    r, k = jnp.full((3, 4), 1e3), jnp.full((3, 4), 2.0)
    for law in (lambda: qs.crossbar.Series(r), lambda: qs.crossbar.Sinh(k)):
        inside = jax.jit(lambda g, law=law: solve(g, law=law(), throw=False).i_out)(jnp.asarray(G))
        np.testing.assert_allclose(inside, solve(law=law()).i_out, rtol=1e-12)


class SaysLinear(qs.crossbar.AbstractLaw):
    """A law that is not what it says."""

    linear: ClassVar[bool] = True

    def current(self, g, v):
        return g[None] * v**2


class OfOneCell(qs.crossbar.AbstractLaw):
    """A law that forgets that there are many cells."""

    def current(self, g, v):
        return g[0, 0] * v[:1, 0, 0]


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (SaysLinear(), "says `linear = True`, but its current is not proportional to the voltage"),
        (OfOneCell(), r"one current for each of the cells of shape \(1, 3, 4\), but gives \(1,\)"),
        (qs.crossbar.Sinh(np.ones(3)), r"no currents for cells of shape \(3, 4\): its parameters `k` \(3,\)"),
    ],
    ids=["not linear", "not elementwise", "parameters of another array"],
)
def test_a_law_that_is_none_is_named(law, message):
    with pytest.raises(ValueError, match=message):
        solve(law=law)


@pytest.mark.slow  # four laws under five transforms
def test_numbers_that_a_law_closes_over_have_derivatives():
    def total(k, law):
        return jnp.sum(solve(law=law(k)).i_out)

    closed = jax.grad(total)(2.0, lambda k: qs.crossbar.Law(lambda g, v: g * v * (1 + k * v**2)))
    given = jax.grad(total)(2.0, lambda k: qs.crossbar.Law(lambda g, v, k: g * v * (1 + k * v**2), (k,)))
    assert closed == pytest.approx(float(given), rel=1e-12)


class TestPrint:
    """Values, not types; and nothing fails where there are none."""

    def test_wires_and_laws_show_their_values(self):
        assert str(Wires(1.0, 2.5e3)) == "Wires(r_word=1 ohm, r_bit=2.5 kohm, r_driver=0 ohm, r_sense=0 ohm)"
        assert "r_driver_far=[1 ohm, inf ohm]" in str(Wires(r_driver_far=np.array([1.0, np.inf])))
        assert str(qs.crossbar.Sinh(3.0)) == "Sinh(k=3 1/V)"
        assert str(qs.crossbar.Ohmic()) == "Ohmic()"

    def test_a_solution_shows_size_drop_residual_and_outcome(self):
        wires = Wires(r_word=np.array([1.0, 500.0]), r_bit=3.0)
        sol = qs.crossbar.solve(np.full((1, 2), 1e-3), np.ones(1), wires)
        drop = float(sol.v_word[0, 0] - sol.v_word[0, 1])
        assert f"Solution of 1 x 2 cells: largest drop {1e3 * drop:.3g} mV along a word line, 0 V along" in str(sol)
        assert re.search(r"residual \d\.\de-\d\d after \d steps\. The solve reached its tolerance\.", str(sol))
        assert "did not reach `rtol`" in str(solve(max_steps=2, throw=False))
        assert "nan V along a word line" in str(solve(with_entry(G, (0, 0), -1.0), throw=False))

    def test_what_is_not_known_is_left_out(self):
        shown = []

        def traced(g):
            sol = solve(g, np.stack([V, V]), throw=False)
            shown.extend([str(sol), str(Wires(g[0, 0]))])
            return sol

        shape = jax.eval_shape(traced, G)
        assert shown[0] == str(shape) == "<Solution of 3 x 4 cells, inputs (2,)>"
        assert "r_word=traced float64[]" in shown[1]
        assert str(jax.tree.map(lambda x: None, shape)) == "<Solution of unknown cells>"
