"""What a solution says about itself is true: the residual bounds the error, the steps are counted."""

import numpy as np
import pytest

import qsynapse_jax as qs
from tests.crossbar.nodal import nodal_solve
from tests.crossbar.problems import PROBLEMS, SHAPE, as_float64, load_golden, problem, random_volts

FIVE_BY_SEVEN = [p for p in PROBLEMS if p.g.shape == SHAPE]
by_problem = pytest.mark.parametrize("circuit", FIVE_BY_SEVEN, ids=lambda p: p.name)


def error_in_documented_norm(circuit, g, v_in, i_cell):
    """|(i - i*) / sqrt(g)| over |sqrt(g) v_in|: the norm of `Stats.residual`, open cells left out."""
    exact = nodal_solve(g, v_in, **circuit.ohms(g.dtype))
    root_g = np.sqrt(as_float64(g))
    conducting = root_g > 0
    if not conducting.any():
        return 0.0
    difference = (as_float64(i_cell) - exact.i_cell)[conducting] / root_g[conducting]
    return np.linalg.norm(difference) / np.linalg.norm(root_g * as_float64(v_in)[:, None])


@pytest.mark.usefixtures("x64")
@by_problem
@pytest.mark.parametrize("rtol", [None, 1e-3, 0.3])
def test_residual_bounds_the_error_float64(circuit, rtol):
    g, v_in, wires = circuit.cast(np.float64)
    sol = qs.crossbar.solve(g, v_in, wires, rtol=rtol)
    error = error_in_documented_norm(circuit, g, v_in, sol.i_cell)
    # The reference and the evaluation of the residual have their own rounding.
    assert error <= sol.stats.residual + 1e-14
    assert sol.stats.residual <= (1e-13 if rtol is None else rtol) + 1e-14


@pytest.mark.usefixtures("x32")
@by_problem
def test_residual_bounds_the_error_float32(circuit):
    g, v_in, wires = circuit.cast(np.float32)
    sol = qs.crossbar.solve(g, v_in, wires)
    error = error_in_documented_norm(circuit, g, v_in, sol.i_cell)
    rounding = 2 * np.finfo(np.float32).eps  # of the roots of the conductances and of the residual itself
    assert error <= sol.stats.residual + rounding
    # `rtol` is 1e-7, about one rounding; what the recomputed residual adds grows with the drop.
    assert sol.stats.residual < 1e-6
    assert abs(sol.stats.power_balance) < 1e-6


@pytest.mark.usefixtures("x64")
def test_a_loose_residual_is_an_estimate_and_not_only_a_bound():
    """A residual that is never near the error would say nothing."""
    circuit = problem("severe_drop")
    g, v_in, wires = circuit.cast(np.float64)
    sol = qs.crossbar.solve(g, v_in, wires, rtol=1e-3)
    error = error_in_documented_norm(circuit, g, v_in, sol.i_cell)
    assert 1e-6 < error < sol.stats.residual < 1e-3


@pytest.mark.usefixtures("x64")
def test_the_residual_is_recomputed():
    """That of the iteration goes on falling when rounding lets nothing improve; what is reported does not."""
    g, v_in, wires = problem("unequal_wires").cast(np.float64)
    assert 1e-18 < qs.crossbar.solve(g, v_in, wires, rtol=1.2e-16).stats.residual < 1e-13


@pytest.mark.usefixtures("x64")
@by_problem
def test_power_balance_is_closed(circuit):
    assert abs(qs.crossbar.solve(*circuit.cast(np.float64)).stats.power_balance) < 1e-13


@pytest.mark.usefixtures("x64")
def test_power_balance_of_a_loose_solve_is_as_large_as_the_residual_allows():
    """delivered - dissipated = y.error and delivered = y.drive, so Cauchy and Schwarz bound it."""
    g, v_in, wires = problem("severe_drop").cast(np.float64)
    sol = qs.crossbar.solve(g, v_in, wires, rtol=0.3)
    delivered = np.sum(v_in * as_float64(sol.i_in))
    left = delivered - np.sum(as_float64(sol.i_cell) ** 2 / g)
    in_word = np.cumsum(as_float64(sol.i_cell)[:, ::-1], axis=1)
    in_bit = np.cumsum(as_float64(sol.i_cell), axis=0)
    left -= 1e3 * np.sum(in_word**2) + 1e3 * np.sum(in_bit**2)
    np.testing.assert_allclose(sol.stats.power_balance, left / delivered, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_more_drop_takes_more_steps_and_a_looser_tolerance_fewer():
    g, v_in, _ = problem("equal_wires").cast(np.float64)

    def steps(r, rtol=None):
        wires = qs.crossbar.Wires(r_word=r, r_bit=r)
        return int(qs.crossbar.solve(g, v_in, wires, rtol=rtol).stats.iterations)

    assert 1 == steps(0.0) < steps(1.0) < steps(100.0) < steps(1e4)
    assert steps(100.0, rtol=0.3) < steps(100.0, rtol=1e-3) < steps(100.0)


@pytest.mark.usefixtures("x64")
def test_figures_are_one_per_input():
    g, _, wires = problem("unequal_wires").cast(np.float64)
    v_in = random_volts((3, SHAPE[0]), seed=12)
    v_in[1] = 0.0
    sol = qs.crossbar.solve(g, v_in, wires)
    residual = np.asarray(sol.stats.residual)
    assert residual.shape == sol.stats.power_balance.shape == (3,)
    assert residual[1] == 0.0
    assert np.all((residual[[0, 2]] > 0) & (residual[[0, 2]] < 2e-13))
    # An input does not depend on its neighbours, even if they take more steps.
    for k in (0, 2):
        alone = qs.crossbar.solve(g, v_in[k], wires)
        np.testing.assert_allclose(sol.i_cell[k], alone.i_cell, rtol=0, atol=1e-15)


@pytest.mark.usefixtures("x64")
def test_iterations_stay_few_where_the_drop_is_severe():
    """Measured 83 (1 kohm cells, 100 ohm segments, 32 x 32); a preconditioner may only lower it."""
    case = load_golden("ill_r100_1kohm_32x32").problem
    assert qs.crossbar.solve(*case.cast(np.float64)).stats.iterations <= 90
