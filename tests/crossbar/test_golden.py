"""Against ngspice, circuit by circuit, and against a nodal solve of random arrays."""

import numpy as np
import pytest

import qsynapse_jax as qs
from tests.crossbar.nodal import nodal_solve
from tests.crossbar.problems import (
    PROBLEMS,
    SHAPE,
    Golden,
    Problem,
    as_float64,
    golden_names,
    load_golden,
    problem,
)

# Of the largest current. The promise of the README and of `solve`; what is measured is below 4e-13 and 4e-7.
TOLERANCE = {np.float64: 1e-9, np.float32: 1e-5}
# Solved in shapes of their own: the rest is padded to one of them, which costs one compilation for all.
OWN_SHAPE = ("square_64x64", "tall_32x16_unequal", "wide_16x32", "one_word_line_1x16", "one_bit_line_16x1")

# Of the largest voltage. Node voltages are differences of a drop and 1 V, so they round at 1 V.
CASES = golden_names()


def assert_close(actual, expected, tolerance):
    """Equal within a fraction of the largest expected value."""
    scale = np.abs(expected).max()
    np.testing.assert_allclose(as_float64(actual), expected, rtol=0, atol=tolerance * scale)


def check_golden(case: Golden, problem: Problem, dtype):
    tolerance = TOLERANCE[dtype]
    g, v_in, wires = problem.cast(dtype)
    sol = qs.crossbar.solve(g, v_in, wires)
    assert sol.i_out.dtype == sol.v_word.dtype == sol.i_cell.dtype == dtype
    n_word, n_bit = case.problem.g.shape
    assert_close(sol.i_out[..., :n_bit], case.i_out, tolerance)
    volts = np.abs(v_in).max()
    v_word, v_bit = (as_float64(v)[..., -n_word:, :n_bit] for v in (sol.v_word, sol.v_bit))
    np.testing.assert_allclose(v_word, case.v_word, rtol=0, atol=tolerance * volts)
    np.testing.assert_allclose(v_bit, case.v_bit, rtol=0, atol=tolerance * volts)
    # In one shape where it fits (that padding changes nothing is a test of its own): ten compilations fewer.
    fits = max(n_word, n_bit) <= 32
    g, v_in, wires = (case.problem.padded((32, 32)) if fits else case.problem).cast(dtype)
    g_eff = qs.crossbar.effective_conductance(g, wires, solver=qs.crossbar.Elimination())
    assert g_eff.dtype == dtype
    assert_close((as_float64(v_in) @ as_float64(g_eff))[..., :n_bit], case.i_out, tolerance)


def test_all_linear_cases_are_here():
    assert len(CASES) == 12


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n.startswith(("batch8", "square_64")) else []) for n in CASES]
)
def test_golden_float64(name):
    case = load_golden(name)
    check_golden(case, case.problem if name in OWN_SHAPE else case.problem.padded((32, 32)), np.float64)


@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n.startswith("ill") else pytest.mark.slow) for n in CASES]
)
def test_golden_float32(name):
    case = load_golden(name)
    fits = max(case.problem.g.shape) <= 32
    check_golden(case, case.problem.padded((32, 32)) if fits else case.problem, np.float32)


@pytest.mark.parametrize("name", CASES)
def test_nodal_solve_agrees_with_ngspice(name):
    """The yardstick of the other tests is itself measured."""
    case = load_golden(name)
    for v_in, i_out, v_word in zip(
        np.atleast_2d(case.problem.v_in),
        np.atleast_2d(case.i_out),
        case.v_word.reshape(-1, *case.problem.g.shape),
        strict=True,
    ):
        reference = nodal_solve(case.problem.g, v_in, **case.problem.wires)
        assert_close(reference.i_out, i_out, 1e-12)
        assert_close(reference.v_word, v_word, 1e-12)


def check_problem(circuit: Problem, dtype, tolerance):
    g, v_in, wires = circuit.cast(dtype)
    # The reference gets the rounded values: only the solve is compared.
    reference = nodal_solve(g, v_in, **circuit.ohms(dtype))
    current = max(np.abs(reference.i_cell).max(), np.abs(reference.i_out).max(), 1e-20)  # 0 where all is open
    volts = np.abs(v_in).max()
    sol = qs.crossbar.solve(g, v_in, wires)
    g_eff = qs.crossbar.effective_conductance(g, wires)
    np.testing.assert_allclose(as_float64(sol.i_out), reference.i_out, rtol=0, atol=tolerance * current)
    np.testing.assert_allclose(as_float64(sol.i_cell), reference.i_cell, rtol=0, atol=tolerance * current)
    np.testing.assert_allclose(as_float64(sol.i_in), reference.word_segment[:, 0], rtol=0, atol=tolerance * current)
    np.testing.assert_allclose(as_float64(sol.v_word), reference.v_word, rtol=0, atol=tolerance * volts)
    np.testing.assert_allclose(as_float64(sol.v_bit), reference.v_bit, rtol=0, atol=tolerance * volts)
    np.testing.assert_allclose(as_float64(v_in) @ as_float64(g_eff), reference.i_out, rtol=0, atol=tolerance * current)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("circuit", PROBLEMS, ids=lambda p: p.name)
def test_nodal_float64(circuit):
    # 1e-11: the sparse LU of the reference loses some digits where wires are 1e9 times better than cells.
    check_problem(circuit, np.float64, 1e-11)


@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize("circuit", [p for p in PROBLEMS if p.g.shape == SHAPE], ids=lambda p: p.name)
def test_nodal_float32(circuit):
    check_problem(circuit, np.float32, 1e-5)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("position", [(0, 0), (2, 5), (4, 6)])
def test_effective_conductance_is_one_solve_a_word_line(position):
    """Entry (m, n) is the current of bit line n per volt on word line m alone, others at 0 V."""
    circuit = problem("unequal_wires")
    g, _, wires = circuit.cast(np.float64)
    g_eff = qs.crossbar.effective_conductance(g, wires)
    m, n = position
    i_out = nodal_solve(g, np.eye(g.shape[0])[m], **circuit.wires).i_out
    np.testing.assert_allclose(g_eff[m, n], i_out[n], rtol=1e-11)
