"""Random small circuits with 0 and infinity everywhere: right against exact arithmetic, or refused."""

from collections import Counter

import jax
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.crossbar.exact import exact_solve
from tests.crossbar.nodal import nodal_solve

MOST = 8  # lines of each kind; smaller circuits are part of an array of this size, so that all are one program
COUNT = 200
TOLERANCE = {np.float32: 1e-4, np.float64: 1e-9}

solve = jax.jit(lambda g, v_in, wires: qs.crossbar.solve(g, v_in, wires, throw=False))


def random_circuit(seed, dtype):
    """Cells of 0, infinity and nine decades; segments and ends of 0, infinity and 1e3 to 1e8 ohm; one end or both."""
    random = np.random.default_rng(seed)
    rows, columns = random.integers(1, MOST + 1, 2)
    ideal, broken = random.choice([0.0, 0.3]), random.choice([0.0, 0.1, 0.3])

    def ohms(*shape):
        kind = random.random(shape)
        finite = 10 ** random.uniform(3, 8, shape)
        return np.where(kind < ideal, 0.0, np.where(kind < ideal + broken, np.inf, finite)).astype(dtype)

    kind = random.random((rows, columns))
    g = np.where(kind < 0.15, 0.0, 10 ** random.uniform(-9, 0, (rows, columns)))
    if random.random() < 0.3:
        g = np.where(kind > 0.9, np.inf, g)
    one_end = [random.random() < 0.5 for _ in range(2)]
    circuit = {
        "g": g.astype(dtype),
        "v_in": random.uniform(-1, 1, rows).astype(dtype),
        "r_word": ohms(rows, columns),
        "r_bit": ohms(rows, columns),
        "r_driver": ohms(rows),
        "r_sense": ohms(columns),
        "r_driver_far": ohms(rows),
        "r_sense_far": ohms(columns),
    }
    for name, only in zip(("r_driver_far", "r_sense_far"), one_end, strict=True):
        if only:
            circuit[name] = np.full_like(circuit[name], np.inf)
    return circuit


def in_array(circuit):
    """The circuit in the lower left corner of a larger array, whose other lines are connected to nothing."""
    rows, columns = circuit["g"].shape
    dtype = circuit["g"].dtype
    here = (slice(MOST - rows, None), slice(None, columns))
    whole = {}
    for name, value in circuit.items():
        empty = 0.0 if name in ("g", "v_in") else np.inf
        index = here if value.ndim == 2 else here[1] if name.startswith("r_sense") else here[0]
        whole[name] = np.full((MOST,) * value.ndim, empty, dtype)
        whole[name][index] = value
    # The far ends are those of the whole array: ideal wires lead there.
    whole["r_word"][here[0], columns:] = 0
    whole["r_bit"][: MOST - rows, here[1]] = 0
    g, v_in = whole.pop("g"), whole.pop("v_in")
    return here, solve(g, v_in, qs.crossbar.Wires(**whole, opens=MOST * MOST))


@pytest.mark.parametrize(
    ("fixture", "dtype"),
    [
        pytest.param("x32", np.float32, id="float32", marks=pytest.mark.slow),
        pytest.param("x64", np.float64, id="float64"),
    ],
)
def test_random_circuits_are_right_or_refused(request, fixture, dtype):
    request.getfixturevalue(fixture)
    outcomes = Counter()
    for seed in range(COUNT):
        circuit = random_circuit(seed, dtype)
        exact = exact_solve(**circuit)
        here, sol = in_array(circuit)
        if sol.result != qs.crossbar.RESULTS.successful:
            outcomes["refused" if exact is not None else "short circuit"] += 1
            continue
        assert exact is not None, f"seed {seed}: terminals are joined by 0 ohm, and nothing says so"
        scale = np.abs(exact.i_out).max()
        error = np.abs(np.asarray(sol.i_out, float)[here[1]] - exact.i_out).max()
        assert error <= TOLERANCE[dtype] * scale, f"seed {seed}: {error / scale:.1e} of the largest current"
        for found, right in ((sol.v_word, exact.v_word), (sol.v_bit, exact.v_bit)):
            off = np.abs(np.asarray(found, float)[here] - right)[np.isfinite(right)]
            assert off.max(initial=0.0) <= TOLERANCE[dtype], f"seed {seed}: a node is {off.max():.1e} V off"
        outcomes["right"] += 1
    assert outcomes["refused"] <= 0.02 * COUNT
    assert outcomes["right"] >= 0.9 * COUNT


@pytest.mark.usefixtures("x32")
def test_a_line_that_floats_keeps_its_digits():
    """Cells of 1 mS and 0.1 nS, one line driven, one sensed, all others floating: 62 digits of nodal analysis."""
    floats = np.full(MOST, np.inf, np.float32)
    r_driver, r_sense = floats.copy(), floats.copy()
    r_driver[3], r_sense[5] = 50.0, 100.0
    random = np.random.default_rng(4)
    circuit = {
        "g": np.where(random.random((MOST, MOST)) < 0.15, 1e-3, 1e-10).astype(np.float32),
        "v_in": np.where(np.arange(MOST) == 3, 0.2, 0.0).astype(np.float32),
        "r_word": np.full((MOST, MOST), 2, np.float32),
        "r_bit": np.full((MOST, MOST), 2, np.float32),
        "r_driver": r_driver,
        "r_sense": r_sense,
        "r_driver_far": floats,
        "r_sense_far": floats,
    }
    exact, (_, sol) = exact_solve(**circuit), in_array(circuit)
    assert exact is not None
    np.testing.assert_allclose(sol.i_out, exact.i_out, rtol=1e-5, atol=1e-5 * np.abs(exact.i_out).max())
    # The iteration, asked for by name, cannot promise it, and says so.
    wires = qs.crossbar.Wires(2.0, 2.0, r_driver, r_sense)
    with pytest.raises(qs.crossbar.ConvergenceError, match="too delicate for the working precision"):
        qs.crossbar.solve(circuit["g"], circuit["v_in"], wires, solver=qs.crossbar.ConjugateGradient())


@pytest.mark.usefixtures("x32")
@pytest.mark.slow
def test_what_the_matrix_of_floating_lines_cannot_promise_is_refused():
    """The same circuit, and its matrix by the iteration."""
    g = np.where(np.random.default_rng(4).random((MOST, MOST)) < 0.15, 1e-3, 1e-10).astype(np.float32)
    ends = [np.where(np.arange(MOST) == k, r, np.inf).astype(np.float32) for k, r in ((3, 50.0), (5, 100.0))]
    with pytest.raises(qs.crossbar.ConvergenceError, match="too delicate for the working precision"):
        qs.crossbar.effective_conductance(g, qs.crossbar.Wires(2.0, 2.0, *ends), solver=qs.crossbar.ConjugateGradient())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("end", ["r_driver_far", "r_sense_far"])
def test_a_break_behind_an_ideal_end(end):
    """One line of four cells of 1e-4 S, broken, and connected ideally at both ends: every cell has its 1 V."""
    broken = np.array([[0.0, 0.0, np.inf, 0.0]])
    if end == "r_driver_far":
        sol = qs.crossbar.solve(np.full((1, 4), 1e-4), np.ones(1), qs.crossbar.Wires(r_word=broken, r_driver_far=0.0))
        np.testing.assert_allclose(sol.i_out, np.full(4, 1e-4), rtol=1e-12)
    else:
        wires = qs.crossbar.Wires(r_bit=broken.T, r_sense_far=0.0)
        sol = qs.crossbar.solve(np.full((4, 1), 1e-4), np.ones(4), wires)
        np.testing.assert_allclose(sol.i_out, [4e-4], rtol=1e-12)


LARGE = 20  # more cells than elimination takes
BREAKS = 60


def broken_lines(seed, dtype):
    """Lines of 0 ohm with ideal ends and, on most of them, one to three breaks or large resistances; a few others."""
    random = np.random.default_rng(seed)
    circuit = {
        "g": 10 ** random.uniform(-6, -3, (LARGE, LARGE)),
        "v_in": random.uniform(-1, 1, LARGE),
    }
    for name, near, far, axis in (
        ("r_word", "r_driver", "r_driver_far", 1),
        ("r_bit", "r_sense", "r_sense_far", 0),
    ):
        ideal = random.random((LARGE, 1)) < 0.7
        r = np.where(ideal, 0.0, random.uniform(0, 20, (LARGE, LARGE)))
        breaks = (random.random((LARGE, LARGE)) < random.choice([0.0, 0.05, 0.1])) & (np.arange(LARGE) % 7 > 0)[:, None]
        r = np.where(breaks, random.choice([np.inf, np.inf, 1e5, 1e7], r.shape), r)
        circuit[name] = r if axis else r.T
        for end in (near, far):
            kind, finite = random.random(LARGE), random.choice([0.0, 1e-6, 3.0])
            circuit[end] = np.where(kind < 0.8, 0.0, np.where(kind < 0.9, finite, np.inf))
    return {name: x.astype(dtype) for name, x in circuit.items()}


@pytest.mark.parametrize(
    ("fixture", "dtype", "count"),
    [
        ("x64", np.float64, 2),
        pytest.param("x64", np.float64, 40, marks=pytest.mark.slow),
        pytest.param("x32", np.float32, 40, marks=pytest.mark.slow),
    ],
    ids=["brief", "float64", "float32"],
)
def test_breaks_in_lines_with_ideal_ends_are_right_or_refused(request, fixture, dtype, count):
    """By the iteration, in `solve` and in the matrix of an array: a loop of 0 ohm around a break does not short it."""
    request.getfixturevalue(fixture)
    matrix = jax.jit(lambda g, wires: qs.crossbar.effective_conductance(g, wires, throw=False))
    successes = 0
    for seed in range(count):
        circuit = broken_lines(seed, dtype)
        g, v_in, ohms = circuit["g"], circuit["v_in"], {k: x for k, x in circuit.items() if k.startswith("r_")}
        wires = qs.crossbar.Wires(**ohms, opens=BREAKS)
        sol = solve(g, v_in, wires)
        right = nodal_solve(**{name: x.astype(float) for name, x in circuit.items()})
        compared = []
        if sol.result == qs.crossbar.RESULTS.successful:
            successes += 1
            compared = [(sol.i_out, right.i_out), (sol.v_word, right.v_word), (sol.v_bit, right.v_bit)]
        if count > 2 and np.all(np.isfinite(g_eff := matrix(g, wires))):
            compared.append((v_in.astype(float) @ np.asarray(g_eff, float), right.i_out))
        for found, expected in compared:
            off = np.abs(np.asarray(found, float) - expected).max() / np.abs(expected).max()
            assert off <= TOLERANCE[dtype], f"seed {seed}: {off:.1e}"
    assert successes >= 0.9 * count
    if count > 2:  # eagerly, where the opens are counted
        eager = qs.crossbar.solve(g, v_in, qs.crossbar.Wires(**ohms)).i_out
        np.testing.assert_allclose(eager, right.i_out, rtol=0, atol=TOLERANCE[dtype] * np.abs(right.i_out).max())


@pytest.mark.usefixtures("x64")
@pytest.mark.slow
def test_derivatives_around_a_break_in_a_loop_of_0_ohm():
    """In the conductances, and in the segments and the end of the loop itself, against one-sided differences."""
    broken = np.zeros((20, 20))
    broken[3, 4] = broken[3, 9] = broken[7, 11] = np.inf
    random = np.random.default_rng(1)
    v_in, weight, g = random.uniform(-1, 1, 20), random.normal(size=20), 10 ** random.uniform(-6, -3, (20, 20))

    @jax.jit
    def weighted(x):
        wires = qs.crossbar.Wires(r_word=broken + x["r_word"], r_bit=2.0, r_driver_far=x["far"], opens=5)
        return 1e3 * weight @ qs.crossbar.solve(x["g"], v_in, wires).i_out

    at = {"r_word": np.zeros((20, 20)), "far": np.zeros(20), "g": g}
    gradient, value = jax.jit(jax.grad(weighted))(at), weighted(at)
    for name, place, step in [
        ("g", (3, 6), 1e-9),
        ("g", (7, 15), 1e-9),
        ("far", 3, 1e-3),
        ("far", 7, 1e-3),
        ("r_word", (3, 2), 1e-3),
        ("r_word", (3, 15), 1e-3),
        ("r_word", (7, 5), 1e-3),
        ("r_word", (7, 15), 1e-3),
        ("r_word", (3, 6), 1e-3),
    ]:
        moved = at | {name: at[name].copy()}
        moved[name][place] += step
        slope = (weighted(moved) - value) / step
        np.testing.assert_allclose(gradient[name][place], slope, rtol=1e-3, atol=1e-7, err_msg=f"{name} {place}")
