"""Arrays whose lines do not simply cross: gated rows with source lines, and pairs interleaved on one bit line.

Each against nodal analysis of the circuit as it is drawn, element by element, and against ngspice.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.crossbar.nodal import network
from tests.crossbar.problems import random_cells, random_volts
from tests.crossbar.test_spice import assert_ngspice_agrees, needs_ngspice, ngspice, ngspice_currents
from tests.unchecked import unchecked

Wires, SourceLines, Series = qs.crossbar.Wires, qs.crossbar.SourceLines, qs.crossbar.Series
solve_gated, interleave = qs.crossbar.solve_gated, qs.crossbar.interleave
x64 = pytest.mark.usefixtures("x64")

SHAPE = (4, 3)
GATE = np.array([1.0, 0.0, 0.3, 1.0])
V_SOURCE, V_OUT = np.array([0.2, 0.3, 0.25]), np.array([0.0, 0.05, -0.1])
FAR_ENDS = {"r_driver_far": np.array([7.0, 2.0, 30.0]), "r_sense_far": np.array([4.0, 9.0, 1.0])}


def cells(shape=SHAPE, seed=1):
    return random_cells(shape, seed=seed)


def ohms(shape=SHAPE, seed=2, scale=50.0):
    """Every resistance of its own, some of them 0: segments of source and bit lines, their ends."""
    rng = np.random.default_rng(seed)
    segments = rng.uniform(0, scale, (2, *shape)) * (rng.random((2, *shape)) > 0.3)
    return (*segments, *rng.uniform(0, scale, (2, shape[1])))


def arguments(shape=SHAPE, *, at_sense=False, far=False, **options):
    source, bit, driver, sense = ohms(shape, **options)
    ends = FAR_ENDS if far else {"r_driver_far": None, "r_sense_far": None}
    wires = Wires(r_bit=bit, r_sense=sense, r_sense_far=ends["r_sense_far"])
    return wires, SourceLines(source, driver, ends["r_driver_far"], at_sense=at_sense)


def drawn(g, gate, wires, source, v_source, v_out):
    """The circuit of gated rows, element by element; `g` has a leading axis of 1, or of 2 for pairs.

    Voltages of the nodes of source lines and bit lines, currents of their segments and out of bit lines, all by cell.
    """
    signs, (n_word, n_bit) = (1.0, -1.0)[: len(g)], g.shape[1:]
    names, resistors, conductances, held = [], [], [], {}

    def wire(name, a, b, r):
        names.append(name)
        resistors.append((a, b, float(r)))

    r_source, r_bit = (np.broadcast_to(r, (n_word, n_bit)) for r in (source.r_source, wires.r_bit))
    r_driver, r_sense = np.broadcast_to(source.r_driver, n_bit), np.broadcast_to(wires.r_sense, n_bit)
    rows = range(n_word)
    order = list(reversed(rows)) if source.at_sense else list(rows)
    for j in range(n_bit):
        held["out", j] = v_out[j]
        for i in rows:
            below = ("bit", i + 1, j) if i + 1 < n_word else ("end", j)
            wire(("bit", i, j), ("bit", i, j), below, r_bit[i, j])
        wire(("sense", j), ("end", j), ("out", j), r_sense[j])
        if wires.r_sense_far is not None:
            wire(("sense far", j), ("bit", 0, j), ("out", j), wires.r_sense_far[j])
        for k, sign in enumerate(signs):
            held["in", k, j] = sign * v_source[j]
            wire(("driver", k, j), ("in", k, j), ("start", k, j), r_driver[j])
            before = ("start", k, j)
            for i in order:
                wire(("source", k, i, j), before, ("source", k, i, j), r_source[i, j])
                before = ("source", k, i, j)
            if source.r_driver_far is not None:
                wire(("driver far", k, j), ("in", k, j), before, source.r_driver_far[j])
            conductances += [(("source", k, i, j), ("bit", i, j), gate[i] * g[k, i, j]) for i in rows]
    volts, currents = network(resistors, conductances, held)
    flow = dict(zip(names, currents, strict=True))
    by_cell = [(i, k, j) for i in rows for k in range(len(g)) for j in range(n_bit)]
    shape = (n_word * len(g), n_bit)
    return {
        "v_word": np.reshape([volts["source", k, i, j] for i, k, j in by_cell], shape),
        "v_bit": np.reshape([volts["bit", i, j] for i, k, j in by_cell], shape),
        "i_word": np.reshape([flow["source", k, i, j] for i, k, j in by_cell], shape),
        "i_out": [flow["sense", j] + flow.get(("sense far", j), 0.0) for j in range(n_bit)],
        "i_in": [
            flow["driver", k, j] + flow.get(("driver far", k, j), 0.0) for k in range(len(g)) for j in range(n_bit)
        ],
        # Of pairs the segment belongs to the second cell.
        "i_bit": np.reshape([flow["bit", i, j] for i in rows for j in range(n_bit)], (n_word, n_bit)),
    }


def assert_as_drawn(sol, expected, rtol):
    pairs = len(sol.i_cell) // len(expected["i_bit"])
    found = {name: getattr(sol, name) for name in expected} | {"i_bit": sol.i_bit[pairs - 1 :: pairs]}
    for name, value in expected.items():
        scale = np.abs(expected["i_in"]).max() if name[0] == "i" else np.abs(V_SOURCE).max()
        np.testing.assert_allclose(found[name], value, rtol=0, atol=rtol * scale, err_msg=name)


@x64
def test_ideal_wires_multiply():
    gates, g = np.stack([GATE, 1 - GATE]), random_cells((2, *SHAPE), seed=3)
    single = solve_gated(g[0], gates, Wires(), SourceLines(), v_source=V_SOURCE)
    np.testing.assert_allclose(single.i_out, V_SOURCE * (gates @ g[0]), rtol=1e-15)
    pairs = solve_gated(g, gates, Wires(), SourceLines(), v_source=0.2)
    np.testing.assert_allclose(pairs.i_out, 0.2 * gates @ (g[0] - g[1]), rtol=1e-13)
    v_in = random_volts((2, 5, 4), seed=4)
    interleaved = qs.crossbar.solve(*interleave(g[0], g[1], v_in, Wires()))
    np.testing.assert_allclose(interleaved.i_out, v_in @ (g[0] - g[1]), rtol=1e-11, atol=1e-20)


CASES = {
    "above": {},
    "at the sense side, both ends": {"at_sense": True, "far": True},
    "above, both ends": {"far": True},
    "at the sense side": {"at_sense": True},
}
cases = pytest.mark.parametrize(
    "case", [name if k < 2 else pytest.param(name, marks=pytest.mark.slow) for k, name in enumerate(CASES)]
)
pairs_or_not = pytest.mark.parametrize("pairs", [1, 2], ids=["single", "pairs"])


@x64
@pairs_or_not
@cases
def test_gated_rows_are_the_circuit_that_is_drawn(case, pairs):
    wires, source = arguments(**CASES[case])
    g = random_cells((2, *SHAPE), seed=5)[:pairs]
    one = g if pairs == 2 else g[0]
    sol = solve_gated(one, GATE, wires, source, v_source=V_SOURCE, v_out=V_OUT)
    assert_as_drawn(sol, drawn(g, GATE, wires, source, V_SOURCE, V_OUT), 1e-12)
    assert sol.stats.residual < 1e-12
    assert abs(sol.stats.power_balance) < 1e-12


# One line, lines of one cell, and a drop that leaves the far cells a thousandth.
SIZES = [((1, 1), 50.0), ((1, 5), 50.0), ((5, 1), 50.0), ((20, 6), 2e4)]


@x64
@pytest.mark.slow
@pytest.mark.parametrize("at_sense", [False, True])
@pytest.mark.parametrize(("shape", "scale"), SIZES, ids=str)
def test_sizes_and_severe_drops(shape, scale, at_sense):
    wires, source = arguments(shape, at_sense=at_sense, scale=scale)
    g, gate = random_cells((1, *shape), seed=6), np.ones(shape[0])
    v_source, v_out = np.full(shape[1], 0.3), np.zeros(shape[1])
    sol = solve_gated(g[0], gate, wires, source, v_source=v_source)
    assert_as_drawn(sol, drawn(g, gate, wires, source, v_source, v_out), 1e-11)


@x64
@pytest.mark.slow
@pytest.mark.parametrize("rows", [100, 400])
@pytest.mark.parametrize("at_sense", [False, True])
def test_long_lines_with_equal_segments(rows, at_sense):
    """They are summed up in pieces, and as products."""
    shape, wires, source = (rows, 2), Wires(r_bit=2.0, r_sense=3.0), SourceLines(1.5, 4.0, at_sense=at_sense)
    g, gate = random_cells((1, *shape), seed=7), (np.arange(rows) % 3 > 0).astype(float)
    v_source, v_out = np.full(2, 0.3), np.zeros(2)
    sol = solve_gated(g[0], gate, wires, source, v_source=v_source)
    assert_as_drawn(sol, drawn(g, gate, wires, source, v_source, v_out), 1e-11)


@pytest.mark.usefixtures("x32")
def test_single_precision():
    wires, source = arguments(scale=1e3)
    g = random_cells((2, *SHAPE), seed=5)
    single = [x.astype(np.float32) for x in (g, GATE, V_SOURCE)]
    sol = solve_gated(single[0], single[1], wires, source, v_source=single[2])
    assert sol.i_out.dtype == jnp.float32
    assert_as_drawn(sol, drawn(g, GATE, wires, source, V_SOURCE, np.zeros(3)), 1e-5)


@x64
def test_what_lies_beyond_a_break_is_fed_from_the_bit_line_alone():
    wires, source = arguments()
    r = np.array(source.r_source)
    r[2, 1] = np.inf
    broken = SourceLines(r, source.r_driver)
    g = random_cells((1, *SHAPE), seed=5)
    sol = solve_gated(g[0], GATE, wires, broken, v_source=V_SOURCE)
    removed = drawn(g, GATE, wires, SourceLines(np.where(np.isinf(r), 1e14, r), source.r_driver), V_SOURCE, np.zeros(3))
    np.testing.assert_allclose(sol.i_out, removed["i_out"], rtol=1e-9)
    np.testing.assert_allclose(sol.i_word[2, 1], 0, atol=1e-18)


@x64
@ngspice
@needs_ngspice
@pairs_or_not
@pytest.mark.parametrize("name", ["ohmic", *(pytest.param(n, marks=pytest.mark.slow) for n in ("series", "sinh"))])
def test_ngspice_finds_the_currents_of_gated_rows(tmp_path, name, pairs):
    law = {"ohmic": qs.crossbar.Ohmic(), "series": Series(2e3), "sinh": qs.crossbar.Sinh(4.0)}[name]
    wires, source = arguments(at_sense=name == "ohmic", far=True)
    g = random_cells((2, *SHAPE), seed=8)
    g = g if pairs == 2 else g[0]
    expected = solve_gated(g, GATE, wires, source, v_source=V_SOURCE, law=law).i_out
    path = qs.crossbar.to_spice(g, V_SOURCE, wires, law, tmp_path / "a.cir", gate=GATE, source=source)
    assert_ngspice_agrees(ngspice_currents(path), expected)


@x64
@ngspice
@needs_ngspice
def test_ngspice_finds_the_currents_of_interleaved_pairs(tmp_path):
    g, v_in = random_cells((2, *SHAPE), seed=9), random_volts((4,), seed=10)
    pairs = interleave(g[0], g[1], v_in, Wires(5.0, 20.0, 3.0, 7.0))
    path = qs.crossbar.to_spice(*pairs, path=tmp_path / "a.cir")
    assert_ngspice_agrees(ngspice_currents(path), qs.crossbar.solve(*pairs).i_out)


@x64
def test_interleaved_pairs_share_a_node_and_one_segment():
    (g_pos, g_neg), v = random_cells((2, *SHAPE), seed=9), random_volts((4,), seed=10)
    r_word, r_bit, r_driver, r_sense = np.array([5.0, 1.0, 9.0]), np.array([20.0, 0.0, 7.0, 11.0]), V_SOURCE, 7.0
    r_driver = np.array([3.0, 0.0, 8.0, 1.0])
    resistors, conductances, held = [], [], {}
    for i in range(4):
        for sign, g in ((1.0, g_pos), (-1.0, g_neg)):
            held["in", sign, i] = sign * v[i]
            resistors.append((("in", sign, i), ("word", sign, i, -1), r_driver[i]))
            for j in range(3):
                resistors.append((("word", sign, i, j - 1), ("word", sign, i, j), r_word[j]))
                conductances.append((("word", sign, i, j), ("bit", i, j), g[i, j]))
    for j in range(3):
        held["out", j] = 0.0
        resistors += [(("bit", i, j), ("bit", i + 1, j), r_bit[i]) for i in range(4)]
        resistors.append((("bit", 4, j), ("out", j), r_sense))
    _, currents = network(resistors, conductances, held)
    expected = [i for (_, to, _), i in zip(resistors, currents, strict=True) if to[0] == "out"]
    pairs = interleave(g_pos, g_neg, v, Wires(r_word, r_bit, r_driver, r_sense))
    np.testing.assert_allclose(qs.crossbar.solve(*pairs).i_out, expected, rtol=1e-11)
    matrix = qs.crossbar.effective_conductance(pairs.g, pairs.wires)
    np.testing.assert_allclose(v @ (matrix[0::2] - matrix[1::2]), expected, rtol=1e-11)


@x64
def test_every_resistance_of_a_word_line_holds_for_both_of_a_pair():
    wires = Wires(np.arange(12.0).reshape(SHAPE), np.arange(12.0).reshape(SHAPE), GATE, 1.0, GATE, V_SOURCE, opens=3)
    found = interleave(cells(), cells(), np.ones(4), wires).wires
    assert found.opens == 6
    np.testing.assert_array_equal(found.r_word, np.repeat(wires.r_word, 2, 0))
    np.testing.assert_array_equal(found.r_bit[0::2], np.zeros(SHAPE))
    np.testing.assert_array_equal(found.r_bit[1::2], wires.r_bit)
    for name in ("r_driver", "r_driver_far"):
        np.testing.assert_array_equal(getattr(found, name), np.repeat(GATE, 2))
    assert found.r_sense == 1.0
    np.testing.assert_array_equal(found.r_sense_far, V_SOURCE)


@x64
@pytest.mark.slow
def test_bit_lines_drop_the_difference_alone():
    """And products are hardly better for it: both cells load the line."""
    rng = np.random.default_rng(0)
    weights = np.clip(rng.normal(0, 0.3, (64, 16)), -1, 1)
    g_pos, g_neg = (1e-6 + 99e-6 * (1 + sign * weights) / 2 for sign in (1, -1))
    v_in, wires = 0.2 * (rng.random((32, 64)) < 0.5), Wires(r_bit=10.0)
    plain = qs.crossbar.ConjugateGradient()  # the modal solver takes longer to compile
    apart = [qs.crossbar.solve(g, v_in, wires, solver=plain) for g in (g_pos, g_neg)]
    together = qs.crossbar.solve(*interleave(g_pos, g_neg, v_in, wires), solver=plain)
    ideal = v_in @ (g_pos - g_neg)
    volts = [float(np.abs(v).max()) for v in (apart[0].v_bit, together.v_bit)]
    error = [np.std(i - ideal) / np.std(ideal) for i in (apart[0].i_out - apart[1].i_out, together.i_out)]
    print(f"largest voltages {volts[0]:.3f} and {volts[1]:.3f} V, errors {error[0]:.3f} and {error[1]:.3f}")
    assert volts[1] < 0.3 * volts[0]
    assert abs(error[1] / error[0] - 1) < 0.1


# Conductances, gates, sources, resistances: in these units each matters about equally.
UNITS = (1e-3, 1.0, 1.0, 50.0, 50.0, 50.0, 50.0)
GRADIENT_AT = (
    random_cells(SHAPE, seed=12, low=1e-4) / 1e-3,
    np.array([[0.9, 0.0, 0.3, 0.8], [0.0, 0.0, 0.7, 0.9]]),
    V_SOURCE,
    *(r / 50.0 for r in ohms()),
)


def weighed(*at):
    """Every output of a solve, each with weights of its own."""
    g, gate, v_source, r_source, r_bit, r_driver, r_sense = (unit * x for unit, x in zip(UNITS, at, strict=True))
    wires, source = Wires(r_bit=r_bit, r_sense=r_sense), SourceLines(r_source, r_driver)
    sol = solve_gated(g, gate, wires, source, v_source=v_source)
    outputs = (1e3 * sol.i_out, 1e3 * sol.i_in, sol.v_word, sol.v_bit, 1e3 * sol.i_cell)
    return sum(jnp.sum(np.random.default_rng(k).normal(size=x.shape) * x) for k, x in enumerate(outputs))


@x64
def test_gradients_against_differences():
    slopes = [
        np.asarray(x) for x in jax.jit(jax.grad(weighed, argnums=tuple(range(7))))(*map(jnp.asarray, GRADIENT_AT))
    ]
    # What no input lets through has no part in anything, exactly.
    np.testing.assert_array_equal(slopes[0][1], 0)
    assert np.all(np.abs(slopes[0][[0, 2, 3]]) > 0)
    # One argument at a time, where it is not 0; then the gates that are, to one side.
    step, rng = 1e-5, np.random.default_rng(13)
    directions = [rng.normal(size=x.shape) * (x > 0) for x in GRADIENT_AT]
    directions.append(1.0 * (GRADIENT_AT[1] == 0))
    arguments = [*range(7), 1]
    offsets = [(-1, 0, 1)] * 7 + [(0, 1, 2)]
    points = [
        [x + (step * by * d if n == k else 0.0) for k, x in enumerate(GRADIENT_AT)]
        for n, d, steps in zip(arguments, directions, offsets, strict=True)
        for by in steps
    ]
    values = np.asarray(jax.jit(jax.vmap(weighed))(*map(np.stack, zip(*points, strict=True)))).reshape(-1, 3)
    coefficients = np.array([(-0.5, 0.0, 0.5)] * 7 + [(-1.5, 2.0, -0.5)])
    differences = np.sum(coefficients * values, axis=1) / step
    expected = np.array([np.sum(slopes[n] * d) for n, d in zip(arguments, directions, strict=True)])
    np.testing.assert_allclose(expected, differences, rtol=1e-7, atol=1e-7 * np.abs(expected).max())
    assert np.all(np.abs(expected) > 1e-3 * np.abs(expected).max())


@x64
def test_many_arrays_and_gates_at_once():
    g, gates = random_cells((3, *SHAPE), seed=14), np.random.default_rng(15).random((3, 5, 4)) < 0.5
    wires, source = arguments()
    at_once = jax.jit(jax.vmap(lambda g, gate: solve_gated(g, gate, wires, source, v_source=V_SOURCE).i_out))
    found = at_once(g, gates)
    one = solve_gated(g[1], gates[1], wires, source, v_source=np.tile(V_SOURCE, (5, 1)))
    assert "Solution of 4 x 3 cells, inputs (5,)" in repr(one)
    assert "along a source line" in repr(one)
    np.testing.assert_allclose(found[1], one.i_out, rtol=1e-11, atol=1e-18)
    np.testing.assert_allclose(np.sum(one.i_in, -1), np.sum(one.i_out, -1), rtol=1e-10, atol=1e-18)


@x64
def test_a_short_behind_a_closed_gate_is_none():
    g = cells()
    g[1, 0] = np.inf
    sol = solve_gated(g, GATE, Wires(), SourceLines(), v_source=V_SOURCE)
    np.testing.assert_allclose(sol.i_out, V_SOURCE * (GATE @ np.where(np.isinf(g), 0, g)), rtol=1e-14)
    with pytest.raises(ValueError, match="A path of 0 ohm joins two terminals"):
        solve_gated(g, np.ones(4), Wires(), SourceLines(), v_source=V_SOURCE)


WRONG = {
    "gate of another array": ({"gate": np.ones(3)}, r"`gate` must have shape \(\*batch, wl\) with wl = 4"),
    "gate above 1": ({"gate": 2 * GATE}, r"`gate` must lie between 0 \(off\) and 1.*`law=Series\(r\)`"),
    "negative gate": ({"gate": -GATE}, r"`gate` must lie between 0"),
    "NaN": ({"gate": np.nan * GATE}, r"`gate` must lie between 0"),
    "sources of another array": ({"v_source": np.ones(4)}, r"`v_source` must have shape \(bl,\) or .*batch of `gate`"),
    "NaN source": ({"v_source": np.nan * V_SOURCE}, r"`v_source` must be finite, but v_source\[0\] = nan V"),
    "terminals of another array": ({"v_out": np.ones(4)}, r"`v_out` must have shape \(bl,\)"),
    "modal": ({"solver": qs.crossbar.Modal()}, r"`Modal` does not take source lines.*use `Auto\(\)`"),
    "elimination": ({"solver": qs.crossbar.Elimination()}, r"`Elimination` does not take source lines"),
    "no source lines": ({"source": Wires()}, r"`source` must be `SourceLines`, but is a Wires"),
    "source lines of another array": (
        {"source": SourceLines(np.ones(3))},
        r"`r_source` must be a scalar or have shape",
    ),
    "three of a pair": ({"g": np.ones((3, *SHAPE))}, r"`g` must have shape \(wl, bl\)"),
    "negative cells": ({"g": -cells()}, r"`g` must be non-negative, but g\[0, 0\]"),
    "parameters of another array": ({"law": Series(np.ones(5))}, "`Series`, has no currents for cells of shape"),
}


@x64
@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_named(case):
    change, message = WRONG[case]
    given = {"g": cells(), "gate": GATE, "wires": Wires(), "source": SourceLines(), "v_source": V_SOURCE, **change}
    with unchecked(), pytest.raises(ValueError, match=message):
        solve_gated(**given)


@x64
def test_wrong_gates_that_are_traced():
    solve = lambda gate, throw: solve_gated(  # noqa: E731
        cells(), gate, Wires(), SourceLines(), v_source=V_SOURCE, throw=throw
    )
    with pytest.raises(RuntimeError, match="`gate` must lie between 0"):
        jax.block_until_ready(jax.jit(solve, static_argnums=1)(2 * GATE, True))
    sol = solve(2 * GATE, False)
    assert "`gate` must lie" in qs.crossbar.RESULTS[sol.result]
    assert np.all(np.isnan(sol.i_out))


@x64
def test_wrong_pairs_and_netlists(tmp_path):
    with unchecked(), pytest.raises(ValueError, match=r"`g_neg` must have the shape of `g_pos`, \(4, 3\)"):
        interleave(cells(), cells()[:2], np.ones(4), Wires())
    path, gated = tmp_path / "a.cir", {"gate": GATE, "source": SourceLines()}
    for change, message in (
        ({"source": None}, "`gate` and `source` must be given together"),
        ({"gate": np.stack([GATE, GATE])}, r"`gate` must be one vector of shape \(wl,\).*with `gate\[0\]`"),
        ({"gate": 2 * GATE}, "`gate` must lie between 0"),
    ):
        with unchecked(), pytest.raises(ValueError, match=message):
            qs.crossbar.to_spice(cells(), V_SOURCE, Wires(), path=path, **{**gated, **change})
    assert not list(tmp_path.iterdir())
