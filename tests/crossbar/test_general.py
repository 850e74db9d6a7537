"""Wires of every kind, cells of every law, any terminal voltages: against ngspice and against a nodal solve."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import qsynapse_jax as qs
from tests.crossbar.nodal import nodal_solve
from tests.unchecked import unchecked

GOLDEN = Path(__file__).parent.parent / "golden"
NONLINEAR = ["sinh_k1_16x16", "sinh_k3_16x16", "sinh_k5_24x12", "switch_1t1r_16x24"]
SHAPE = (7, 5)
rng = np.random.default_rng(7)


def log_uniform(low, high, shape):
    return np.exp(rng.uniform(np.log(low), np.log(high), shape))


G = log_uniform(1e-6, 1e-3, SHAPE)
V_IN, V_OUT = rng.uniform(-1, 1, SHAPE[0]), rng.uniform(-1, 1, SHAPE[1])
SEGMENTS = rng.uniform(0, 100, SHAPE)
SEGMENTS[2, 3] = 0.0  # one ideal segment
SEGMENTS[4, 1] = 1e7  # one that is almost broken
WIRES = {
    "tapered": {"r_word": rng.uniform(0, 100, SHAPE[1]), "r_bit": rng.uniform(0, 100, SHAPE[0])},
    "every segment its own": {"r_word": SEGMENTS, "r_bit": SEGMENTS[::-1, ::-1].copy()},
    "one line of its own": {"r_word": 10.0, "r_bit": SEGMENTS},
    "ends by line": {
        "r_word": 5.0,
        "r_driver": rng.uniform(0, 1e3, SHAPE[0]),
        "r_sense": rng.uniform(0, 1e3, SHAPE[1]),
    },
    "word lines driven from both ends": {"r_word": 50.0, "r_bit": 20.0, "r_driver": 3.0, "r_driver_far": 53.0},
    "bit lines sensed at both ends": {"r_word": 50.0, "r_bit": 20.0, "r_sense_far": rng.uniform(1, 100, SHAPE[1])},
    "all at once": {
        "r_word": SEGMENTS,
        "r_bit": rng.uniform(0, 100, SHAPE[0]),
        "r_driver": rng.uniform(0, 100, SHAPE[0]),
        "r_sense": 7.0,
        "r_driver_far": rng.uniform(1, 100, SHAPE[0]),
        "r_sense_far": 9.0,
    },
}


def with_opens(array, *places):
    array = np.array(array, float)
    for place in places:
        array[place] = np.inf
    return array


OPENS = {
    "a word line floats": {"r_word": 5.0, "r_bit": 2.0, "r_driver": with_opens(np.ones(7), 3)},
    "a bit line is not sensed": {"r_word": 5.0, "r_bit": 2.0, "r_sense": with_opens(np.ones(5), 0)},
    "only one line of each kind is connected": {
        "r_word": 5.0,
        "r_bit": 2.0,
        "r_driver": with_opens(np.ones(7), slice(1, None)),
        "r_sense": with_opens(np.ones(5), slice(0, 4)),
    },
    "lines are broken": {
        "r_word": with_opens(SEGMENTS, (0, 2), (3, 1), (3, 4), (6, 0)),
        "r_bit": with_opens(SEGMENTS, (1, 1), (5, 1), (6, 3)),
    },
    "a line is broken between its two ends": {
        "r_word": with_opens(SEGMENTS, (0, 2), (3, 1), (3, 4)),
        "r_bit": with_opens(np.ones(7), 2),
        "r_driver": 3.0,
        "r_driver_far": 53.0,
        "r_sense_far": 9.0,
    },
    "some lines are driven from the far end alone": {
        "r_word": 5.0,
        "r_bit": 2.0,
        "r_driver": with_opens(np.ones(7), 3, 5),
        "r_driver_far": with_opens(np.full(7, 20.0), 0, 3),
    },
}
WIRES |= OPENS
LAWS = {
    "Ohmic": qs.crossbar.Ohmic,
    "Series": lambda: qs.crossbar.Series(jnp.asarray(np.where(np.arange(35).reshape(SHAPE) % 3 == 0, 1e9, 2e3))),
    "Sinh": lambda: qs.crossbar.Sinh(3.0),
    "Sinh, k by cell": lambda: qs.crossbar.Sinh(jnp.linspace(0.0, 6.0, 35).reshape(SHAPE)),
    "Polynomial": lambda: qs.crossbar.Polynomial(jnp.asarray([0.1, 0.5])),
    "Law": lambda: qs.crossbar.Law(lambda g, v, v0: g * v0 * jnp.arctan(v / v0), (jnp.asarray(0.2),)),
}

# In every run; the others compile programs of their own.
BRIEF = (
    "sinh_k3_16x16",
    "switch_1t1r_16x24",
    "tapered",
    "all at once",
    "lines are broken",
    "a line is broken between its two ends",
)
x64 = pytest.mark.usefixtures("x64")


@x64
@pytest.mark.parametrize("dtype", [np.float64, pytest.param(np.float32, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in BRIEF else pytest.mark.slow) for n in NONLINEAR])
def test_ngspice(name, dtype):
    # 1e-9: ngspice meets Kirchhoff's law to 1e-11 only where cells are nonlinear.
    tolerance = {np.float64: 1e-9, np.float32: 1e-5}[dtype]
    case = np.load(GOLDEN / f"{name}.npz")
    g, v_in = case["conductance"].astype(dtype), case["voltage"].astype(dtype)
    wires = qs.crossbar.Wires(*(float(case[k]) for k in ("r_word_line", "r_bit_line", "r_source", "r_sense")))
    if str(case["cell"]) == "switch":
        by_line = np.where(case["select"], case["r_on"], case["r_off"])
        law = qs.crossbar.Series(jnp.asarray(np.repeat(by_line[:, None], g.shape[1], axis=1)))
    else:
        law = qs.crossbar.Sinh(float(case["k"]))
    sol = qs.crossbar.solve(g, v_in, wires, law=law)
    assert sol.i_out.dtype == dtype
    scale = np.abs(case["bit_line_current"]).max()
    np.testing.assert_allclose(sol.i_out, case["bit_line_current"], rtol=0, atol=tolerance * scale)
    np.testing.assert_allclose(sol.v_word, case["word_line_node_voltage"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(sol.v_bit, case["bit_line_node_voltage"], rtol=0, atol=tolerance)


@x64
@pytest.mark.parametrize("dtype", [np.float64, pytest.param(np.float32, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in BRIEF else pytest.mark.slow) for n in WIRES])
def test_wires_of_every_kind(name, dtype):
    rounded = {r: np.asarray(x, dtype) for r, x in WIRES[name].items()}
    g, v_in, v_out = (x.astype(dtype) for x in (G, V_IN, V_OUT))
    sol = qs.crossbar.solve(g, v_in, qs.crossbar.Wires(**rounded), v_out=v_out)
    expected = nodal_solve(g, v_in, **{r: x.astype(float) for r, x in rounded.items()}, v_out=v_out.astype(float))
    tolerance = {np.float64: 1e-9, np.float32: 1e-5}[dtype]
    scale = np.abs(expected.i_out).max()
    np.testing.assert_allclose(sol.i_out, expected.i_out, rtol=0, atol=tolerance * scale)
    np.testing.assert_allclose(sol.v_word, expected.v_word, rtol=0, atol=tolerance)
    np.testing.assert_allclose(sol.v_bit, expected.v_bit, rtol=0, atol=tolerance)
    for found, right in ((sol.i_word, expected.word_segment), (sol.i_bit, expected.bit_segment)):
        np.testing.assert_allclose(found, right, rtol=0, atol=tolerance * np.abs(right).max())


@x64
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == "lines are broken" else pytest.mark.slow) for n in WIRES]
)
def test_effective_conductance_behind_them(name):
    # Every wire at its full shape: fewer compilations.
    full = {"r_word": SHAPE, "r_bit": SHAPE, "r_driver": (7,), "r_sense": (5,)}
    far = {r: x for r, x in WIRES[name].items() if r.endswith("far")}
    given = {r: np.asarray(WIRES[name].get(r, 0.0)) for r in full}
    given["r_bit"] = given["r_bit"][:, None] if given["r_bit"].ndim == 1 else given["r_bit"]
    wires = qs.crossbar.Wires(**{r: np.array(np.broadcast_to(x, full[r])) for r, x in given.items()}, **far)
    g_eff = qs.crossbar.effective_conductance(G, wires)
    i_out = qs.crossbar.solve(G, V_IN, wires).i_out
    np.testing.assert_allclose(V_IN @ g_eff, i_out, rtol=0, atol=1e-11 * np.abs(i_out).max())


@x64
@pytest.mark.parametrize(
    "law", [pytest.param(law, marks=pytest.mark.slow if law in ("Sinh", "Polynomial", "Law") else []) for law in LAWS]
)
def test_the_operating_point_of_any_law_is_that_of_its_chords(law):
    """A linear array of cells i / v carries the same currents: an independent check of wires and law together."""
    wires = WIRES["all at once"]
    sol = qs.crossbar.solve(G, V_IN, qs.crossbar.Wires(**wires), v_out=V_OUT, law=LAWS[law]())
    np.testing.assert_allclose(sol.i_cell, LAWS[law]().current(jnp.asarray(G), sol.v_cell), rtol=1e-8, atol=1e-15)
    expected = nodal_solve(np.asarray(sol.i_cell / sol.v_cell), V_IN, **wires, v_out=V_OUT)
    np.testing.assert_allclose(sol.i_out, expected.i_out, rtol=0, atol=1e-9 * np.abs(expected.i_out).max())


@x64
@pytest.mark.slow  # the default run has test_gradients.py
@pytest.mark.parametrize("law", LAWS)
def test_derivatives_in_every_argument(law):
    # Conductances and currents in units of 1e-4, so that absolute and relative tolerances mean the same.
    def currents(g, v_in, v_out, wires, law):
        sol = qs.crossbar.solve(1e-4 * g, v_in, wires, v_out=v_out, law=law)
        return 1e4 * sol.i_out

    wires = qs.crossbar.Wires(**{**WIRES["all at once"], "r_word": np.clip(SEGMENTS, 1.0, 100.0)})
    arguments = (jnp.asarray(1e4 * G), jnp.asarray(V_IN), jnp.asarray(V_OUT), wires, LAWS[law]())
    if law == "Series":
        arguments = (*arguments[:-1], qs.crossbar.Series(jnp.full(SHAPE, 2e3)))
    tangent = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), arguments)
    weight = jnp.asarray(rng.normal(size=SHAPE[1]))

    @jax.jit
    def derivatives(arguments):
        """Forward and reverse mode in one program, which the differences use for its value."""
        value, slope = jax.jvp(lambda arguments: currents(*arguments), (arguments,), (tangent,))
        return value, slope, jax.vjp(lambda arguments: currents(*arguments), arguments)[1](weight)[0]

    _, slope, gradient = derivatives(arguments)
    step = 1e-5
    moved = [jax.tree.map(lambda x, dx, h=h: x + h * dx, arguments, tangent) for h in (step, -step)]
    up, down = (derivatives(a)[0] for a in moved)
    np.testing.assert_allclose((up - down) / (2 * step), slope, rtol=1e-5, atol=1e-5)
    along = sum(map(jnp.vdot, jax.tree.leaves(gradient), jax.tree.leaves(tangent)))
    np.testing.assert_allclose(along, jnp.vdot(weight, slope), rtol=1e-9)


@x64
@pytest.mark.slow
@pytest.mark.parametrize("name", ["lines are broken", "a line is broken between its two ends"])
def test_derivatives_beside_opens(name):
    def currents(g, v_in, v_out, resistances, k):
        # Infinities do not move; what is finite does.
        wires = qs.crossbar.Wires(
            **{r: jnp.where(np.isinf(OPENS[name][r]), np.inf, x) for r, x in resistances.items()}, opens=7
        )
        sol = qs.crossbar.solve(1e-4 * g, v_in, wires, v_out=v_out, law=qs.crossbar.Sinh(k))
        return 1e4 * sol.i_out, sol.v_word, 1e4 * qs.crossbar.effective_conductance(1e-4 * g, wires)

    finite = {r: jnp.where(np.isinf(x), 1.0, x) for r, x in OPENS[name].items()}
    finite |= {r: jnp.clip(finite[r], 1.0, 100.0) for r in ("r_word", "r_bit")}
    arguments = (jnp.asarray(1e4 * G), jnp.asarray(V_IN), jnp.asarray(V_OUT), finite, jnp.asarray(2.0))
    check_grads(jax.jit(currents), arguments, order=1, modes=("fwd", "rev"), atol=1e-5, rtol=1e-5)


@x64
def test_half_select_schemes_are_one_call():
    """V/2: the selected cell sees V, its neighbours on both lines V/2, the rest nothing."""
    v_in, v_out = np.full(SHAPE[0], 0.5), np.full(SHAPE[1], 0.5)
    v_in[2], v_out[3] = 1.0, 0.0
    v_cell = qs.crossbar.solve(G, v_in, qs.crossbar.Wires(), v_out=v_out).v_cell
    expected = np.zeros(SHAPE)
    expected[2, :], expected[:, 3], expected[2, 3] = 0.5, 0.5, 1.0
    np.testing.assert_allclose(v_cell, expected, atol=1e-15)
    drooped = qs.crossbar.solve(G, v_in, qs.crossbar.Wires(20.0, 20.0), v_out=v_out)
    linear = nodal_solve(G, v_in, 20.0, 20.0, v_out=v_out)
    np.testing.assert_allclose(drooped.v_cell, linear.v_word - linear.v_bit, atol=1e-12)


@pytest.mark.usefixtures("x32")
def test_newton_takes_few_linear_solves():
    g = log_uniform(1e-5, 1e-3, (128, 128)).astype(np.float32)
    v_in = rng.uniform(0, 1, 128).astype(np.float32)
    sol = qs.crossbar.solve(g, v_in, qs.crossbar.Wires(1.0, 1.0), law=qs.crossbar.Sinh(3.0))
    assert sol.stats.solves <= 6


@x64
@pytest.mark.parametrize("ends", [(0.0, 0.0), (100.0, 7.0)], ids=str)
@pytest.mark.parametrize("segments", [(1.0, 3.0), (0.0, 2.0), (0.0, 0.0)], ids=str)
@pytest.mark.parametrize(
    "shape",
    [(1, 1), (12, 9), pytest.param((1, 6), marks=pytest.mark.slow), pytest.param((5, 1), marks=pytest.mark.slow)],
    ids=str,
)
def test_both_solvers_agree(shape, segments, ends):
    g, v_in = log_uniform(1e-9, 1.0, shape), rng.uniform(-1, 1, shape[0])
    wires = qs.crossbar.Wires(*segments, *ends)
    plain, modal = (
        qs.crossbar.solve(g, v_in, wires, solver=s) for s in (qs.crossbar.ConjugateGradient(), qs.crossbar.Modal())
    )
    scale = np.abs(plain.i_out).max()
    np.testing.assert_allclose(modal.i_out, plain.i_out, rtol=0, atol=1e-10 * scale)
    assert modal.stats.residual < 1e-9


@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize(
    ("n", "r", "low", "high"),
    [pytest.param(512, 10.0, 1e-6, 1e-3, marks=pytest.mark.slow), (128, 400.0, 1e-3, 1.0001e-3)],
)
def test_severe_drop_converges_in_few_steps(n, r, low, high):
    """Arrays on which fixed-point iteration dies."""
    g, v_in = log_uniform(low, high, (n, n)), rng.uniform(0, 1, n)
    sol = qs.crossbar.solve(g.astype(np.float32), v_in.astype(np.float32), qs.crossbar.Wires(r, r))
    assert sol.stats.iterations <= 40
    with jax.enable_x64(True):
        exact = qs.crossbar.solve(g, v_in, qs.crossbar.Wires(r, r), solver=qs.crossbar.ConjugateGradient())
        np.testing.assert_allclose(sol.i_out, exact.i_out, rtol=0, atol=1e-5 * float(jnp.max(exact.i_out)))


@x64
@pytest.mark.slow
def test_wires_under_vmap_and_jit():
    resistances = jnp.asarray([0.0, 1.0, 30.0])

    broken = qs.crossbar.Wires(1.0, r_driver=with_opens(np.ones(7), 2))
    alone = qs.crossbar.solve(G, V_IN, broken).i_out
    np.testing.assert_allclose(jax.jit(lambda g: qs.crossbar.solve(g, V_IN, broken).i_out)(G), alone, rtol=1e-12)

    @jax.jit
    @jax.vmap
    def total(r):
        wires = qs.crossbar.Wires(r_word=r * jnp.ones(SHAPE), r_bit=r, r_driver_far=r + 1.0)
        return qs.crossbar.solve(G, V_IN, wires, law=qs.crossbar.Sinh(r)).i_out

    for r, found in zip(resistances, total(resistances), strict=True):
        wires = qs.crossbar.Wires(float(r), float(r), r_driver_far=float(r) + 1)
        expected = qs.crossbar.solve(G, V_IN, wires, law=qs.crossbar.Sinh(r)).i_out
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@x64
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wires": qs.crossbar.Wires(r_word=np.ones(3))}, r"`r_word` must be a scalar or have shape \(5,\) \(bl\)"),
        ({"wires": qs.crossbar.Wires(r_sense=np.ones(7))}, r"`r_sense` must be a scalar or have shape \(5,\)"),
        ({"v_out": np.zeros(7)}, r"`v_out` must have shape \(bl,\)"),
        ({"v_out": np.full(5, np.nan)}, r"`v_out` must be finite, but v_out\[0\] = nan"),
        ({"wires": qs.crossbar.Wires(r_driver=with_opens(np.ones(7), 2), opens=0)}, r"`Wires\(..., opens=n\)`"),
        ({"law": 3.0}, "`law` must be a law"),
        ({"solver": "magic"}, r"`solver` must be a solver, one of `Auto\(\)`.*but is 'magic'"),
    ],
)
def test_wrong_use_is_named(change, message):
    arguments = {"wires": qs.crossbar.Wires(1.0, 1.0), **change}
    with unchecked(), pytest.raises(ValueError, match=message):
        qs.crossbar.solve(G, V_IN, **arguments)


@x64
def test_both_ways_to_the_effective_conductance_agree_and_certify_each_other():
    """Several arrays at once, by elimination and by one solve a line; the certificate is small because it is true."""
    wires = qs.crossbar.Wires(r_word=np.minimum(SEGMENTS, 1e3), r_bit=20.0, r_sense=jnp.linspace(0.0, 9.0, 5))
    g = jnp.stack([jnp.asarray(G), 3 * jnp.asarray(G)])
    key = jax.random.key(3)
    eliminated = qs.crossbar.effective_conductance(g, wires, solver=qs.crossbar.Elimination())
    by_line = qs.crossbar.effective_conductance(g, wires, solver=qs.crossbar.ConjugateGradient())
    np.testing.assert_allclose(eliminated, by_line, rtol=0, atol=1e-12 * float(jnp.max(by_line)))
    assert 0 < qs.crossbar.certify(g, wires, eliminated, key) < 1e-11
    # A loose solve does not pass it, nor does the matrix of other wires.
    loose = qs.crossbar.effective_conductance(g, wires, solver=qs.crossbar.ConjugateGradient(), rtol=1e-2)
    assert qs.crossbar.certify(g, wires, loose, key) > 1e-6
    assert qs.crossbar.certify(g, wires, g, key) > 1e-3
    with unchecked(), pytest.raises(ValueError, match="`g_eff` must have the shape of `g`"):
        qs.crossbar.certify(g, wires, eliminated[0], key)


@x64
def test_one_bad_array_of_several_leaves_the_others_alone():
    g = np.stack([G, -G, 3 * G])
    wires = qs.crossbar.Wires(1.0, 1.0)
    with pytest.raises(ValueError, match=r"`g` must be non-negative, but g\[1, 0, 0\]"):
        qs.crossbar.effective_conductance(g, wires)
    g_eff = qs.crossbar.effective_conductance(g, wires, throw=False)
    assert np.all(np.isnan(g_eff[1]))
    np.testing.assert_allclose(g_eff[2], qs.crossbar.effective_conductance(3 * G, wires), rtol=1e-12)


@pytest.mark.usefixtures("x32")
@pytest.mark.slow
@pytest.mark.parametrize("law", [qs.crossbar.Ohmic, lambda: qs.crossbar.Sinh(3.0)], ids=["Ohmic", "Sinh"])
def test_many_inputs_are_solved_in_groups_and_none_is_lost(law):
    """40 inputs of 64 x 64 cells, more than a CPU takes at a time; the last group is not full."""
    g = log_uniform(1e-6, 1e-4, (64, 64)).astype(np.float32)
    v_in = rng.uniform(-1, 1, (40, 64)).astype(np.float32)
    wires = qs.crossbar.Wires(2.0, 3.0)
    together = qs.crossbar.solve(g, v_in, wires, law=law()).i_out
    apart = [qs.crossbar.solve(g, part, wires, law=law()).i_out for part in np.split(v_in, 2)]
    scale = np.abs(together).max()
    np.testing.assert_allclose(together, np.concatenate(apart), rtol=0, atol=1e-6 * scale)
    total = jax.grad(lambda v: jnp.sum(qs.crossbar.solve(g, v, wires, law=law()).i_out))
    np.testing.assert_allclose(total(v_in)[-1], total(v_in[-1:])[0], rtol=1e-4, atol=1e-5 * scale)


@x64
@pytest.mark.parametrize(
    ("wires", "what"),
    [
        ({"r_driver_far": 1.0}, r"lines connected at both ends \(`r_driver_far`\)"),
        ({"r_word": with_opens(np.ones(SHAPE), (1, 2))}, "open or very large resistances"),
        ({"r_bit": np.ones(SHAPE)}, r"segments that differ from line to line \(`r_bit`\)"),
    ],
    ids=str,
)
def test_a_solver_asked_for_by_name_solves_or_refuses(wires, what):
    wires = qs.crossbar.Wires(**wires)
    for function in (partial(qs.crossbar.solve, G, V_IN), partial(qs.crossbar.effective_conductance, G)):
        with unchecked(), pytest.raises(ValueError, match=f"`Modal` does not take {what}; use `Auto"):
            function(wires, solver=qs.crossbar.Modal())
