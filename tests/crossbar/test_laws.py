"""Laws of circuit theory that hold whatever the numbers, each computed by another route than the solve."""

import numpy as np
import pytest

import qsynapse_jax as qs
from tests.crossbar.problems import PROBLEMS, SHAPE, UNEQUAL, problem, random_cells, random_volts

pytestmark = pytest.mark.usefixtures("x64")

ROUNDING = 1e-12  # relative; the solve ends at 1e-13
FIVE_BY_SEVEN = [p for p in PROBLEMS if p.g.shape == SHAPE]
by_problem = pytest.mark.parametrize("circuit", FIVE_BY_SEVEN, ids=lambda p: p.name)


def segment_currents(i_cell):
    """Current in the segment on the driver side and on the sense side of every cell: Kirchhoff's current law."""
    return np.cumsum(i_cell[:, ::-1], axis=1)[:, ::-1], np.cumsum(i_cell, axis=0)


@by_problem
def test_ohms_law_holds_in_every_cell_and_segment(circuit):
    g, v_in, wires = circuit.cast(np.float64)
    sol = qs.crossbar.solve(g, v_in, wires)
    i_cell, v_word, v_bit = map(np.asarray, (sol.i_cell, sol.v_word, sol.v_bit))
    in_word, in_bit = segment_currents(i_cell)
    r = {"r_word": 0.0, "r_bit": 0.0, "r_driver": 0.0, "r_sense": 0.0} | circuit.wires
    left = np.concatenate([v_in[:, None] - r["r_driver"] * in_word[:, :1], v_word[:, :-1]], axis=1)
    below = np.concatenate([v_bit[1:], r["r_sense"] * in_bit[-1:]], axis=0)
    np.testing.assert_allclose(left - v_word, r["r_word"] * in_word, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(v_bit - below, r["r_bit"] * in_bit, rtol=0, atol=ROUNDING)
    # Scaled by g, not divided by it: an open cell has any voltage.
    np.testing.assert_allclose(i_cell, g * (v_word - v_bit), rtol=0, atol=ROUNDING * np.abs(g * v_in[:, None]).max())
    np.testing.assert_array_equal(sol.v_cell, v_word - v_bit)


@by_problem
def test_what_goes_in_comes_out(circuit):
    sol = qs.crossbar.solve(*circuit.cast(np.float64))
    total = np.abs(sol.i_cell).sum()
    np.testing.assert_allclose(np.sum(sol.i_in), np.sum(sol.i_out), rtol=0, atol=1e-15 * total)
    np.testing.assert_allclose(sol.i_in, np.sum(sol.i_cell, axis=1), rtol=0, atol=1e-15 * total)
    np.testing.assert_allclose(sol.i_out, np.sum(sol.i_cell, axis=0), rtol=0, atol=1e-15 * total)


@by_problem
def test_power_in_is_power_dissipated(circuit):
    g, v_in, wires = circuit.cast(np.float64)
    sol = qs.crossbar.solve(g, v_in, wires)
    in_word, in_bit = segment_currents(np.asarray(sol.i_cell))
    r = {"r_word": 0.0, "r_bit": 0.0, "r_driver": 0.0, "r_sense": 0.0} | circuit.wires
    dissipated = (
        np.sum(g * np.asarray(sol.v_cell) ** 2)
        + r["r_word"] * np.sum(in_word**2)
        + r["r_bit"] * np.sum(in_bit**2)
        + r["r_driver"] * np.sum(in_word[:, 0] ** 2)
        + r["r_sense"] * np.sum(in_bit[-1] ** 2)
    )
    delivered = np.sum(v_in * np.asarray(sol.i_in))
    np.testing.assert_allclose(dissipated, delivered, rtol=ROUNDING)
    assert abs(sol.stats.power_balance) < ROUNDING


def test_ideal_wires_are_the_matrix_product():
    g, v_in = problem("ideal_wires").g, random_volts((3, SHAPE[0]), seed=5)
    g[2, 3] = 0.0
    sol = qs.crossbar.solve(g, v_in, qs.crossbar.Wires())
    # A few roundings: sqrt(g)^2 is g within one, the sum over word lines has four.
    np.testing.assert_allclose(sol.i_cell, g * v_in[:, :, None], rtol=1e-15)
    np.testing.assert_allclose(sol.i_out, v_in @ g, rtol=0, atol=1e-15 * np.abs(v_in @ g).max())
    np.testing.assert_array_equal(sol.v_word, np.broadcast_to(v_in[:, :, None], (3, *SHAPE)))
    np.testing.assert_array_equal(sol.v_bit, np.zeros((3, *SHAPE)))
    np.testing.assert_allclose(qs.crossbar.effective_conductance(g, qs.crossbar.Wires()), g, rtol=1e-15)


def test_superposition():
    g, _, wires = problem("unequal_wires").cast(np.float64)
    v_in = random_volts((3, SHAPE[0]), seed=6)
    v_in[2] = 2.0 * v_in[0] - 0.5 * v_in[1]
    sol = qs.crossbar.solve(g, v_in, wires)
    for quantity in (sol.i_out, sol.i_cell, sol.v_word, sol.v_bit):
        x = np.asarray(quantity)
        np.testing.assert_allclose(x[2], 2.0 * x[0] - 0.5 * x[1], rtol=0, atol=ROUNDING * np.abs(x).max())


@pytest.mark.parametrize("power", [-90, 90])
def test_a_change_of_unit_changes_nothing_else(power):
    """Nanovolts or gigavolts: the digits, the figures and the steps are the same."""
    g, v_in, wires = problem("unequal_wires").cast(np.float64)
    one, other = (qs.crossbar.solve(g, scale * v_in, wires) for scale in (1.0, 2.0**power))
    np.testing.assert_array_equal(other.i_cell, np.asarray(one.i_cell) * 2.0**power)
    assert other.stats.iterations == one.stats.iterations
    np.testing.assert_allclose(other.stats.residual, one.stats.residual, rtol=1e-3)


@pytest.mark.parametrize("volts", [1e-20, 1e12])
def test_a_change_of_unit_in_float32(volts):
    """Squares of such voltages under- and overflow float32; neither the currents nor the figures may."""
    g, v_in, wires = problem("unequal_wires").cast(np.float32)
    v_in = np.float32(volts) * v_in
    sol = qs.crossbar.solve(g, v_in, wires)
    ideal = np.abs(v_in.astype(float) @ g).max()
    reference = qs.crossbar.solve(g.astype(float), v_in.astype(float), wires)
    np.testing.assert_allclose(np.asarray(sol.i_out, float), reference.i_out, rtol=0, atol=1e-6 * ideal)
    # In float32 something is always left: a residual of exactly 0 is one that was not seen.
    assert 0 < sol.stats.residual < 1e-6
    assert abs(sol.stats.power_balance) < 1e-6


def test_reciprocity():
    """Driven where it was sensed and sensed where it was driven, an array is the same multiport.

    Turned over its other diagonal, a bit line becomes a word line with its driver where its sense amplifier was.
    """
    r = UNEQUAL
    turned = {"r_word": r["r_bit"], "r_bit": r["r_word"], "r_driver": r["r_sense"], "r_sense": r["r_driver"]}
    g = problem("unequal_wires").g
    g_eff = qs.crossbar.effective_conductance(g, qs.crossbar.Wires(**r))
    g_eff_turned = qs.crossbar.effective_conductance(g[::-1, ::-1].T, qs.crossbar.Wires(**turned))
    np.testing.assert_allclose(g_eff_turned, g_eff[::-1, ::-1].T, rtol=0, atol=ROUNDING * g.max())


@pytest.mark.parametrize("g", [1e-6, 1e-3, 10.0])
def test_one_cell_is_a_series_circuit(g):
    wires = qs.crossbar.Wires(**UNEQUAL)
    resistance = sum(UNEQUAL.values()) + 1 / g
    sol = qs.crossbar.solve(np.full((1, 1), g), np.array([0.3]), wires)
    np.testing.assert_allclose(sol.i_out, [0.3 / resistance], rtol=ROUNDING)
    np.testing.assert_allclose(qs.crossbar.effective_conductance(np.full((1, 1), g), wires), [[1 / resistance]])


@pytest.mark.parametrize("name", ["r_word", "r_bit", "r_driver", "r_sense"])
def test_more_wire_resistance_never_gives_more_current(name):
    """Rayleigh's monotonicity law: no resistance can rise and the power drawn rise too."""
    g, v_in, _ = problem("equal_wires").cast(np.float64)
    together, power = [], []
    for r in (0.0, 0.1, 1.0, 10.0, 100.0, 1e4):
        wires = qs.crossbar.Wires(**({"r_word": 1.0, "r_bit": 1.0} | {name: r}))
        together.append(float(np.sum(qs.crossbar.solve(g, np.ones(SHAPE[0]), wires).i_out)))
        power.append(float(np.sum(v_in * np.asarray(qs.crossbar.solve(g, v_in, wires).i_in))))
    assert np.all(np.diff(together) < 0)
    assert np.all(np.diff(power) < 0)


def test_open_cells_at_the_far_ends_change_nothing():
    """Word lines further from the sense end and bit lines further from the driver, without a cell that conducts."""
    small = random_cells((3, 4), seed=8)
    padded = np.zeros(SHAPE)
    padded[-3:, :4] = small
    v_in = random_volts((3,), seed=9)
    wires = qs.crossbar.Wires(**UNEQUAL)
    sol = qs.crossbar.solve(small, v_in, wires)
    # The idle lines are driven, and still nothing flows.
    more = qs.crossbar.solve(padded, np.concatenate([[0.7, -0.4], v_in]), wires)
    np.testing.assert_allclose(more.i_cell[-3:, :4], sol.i_cell, rtol=ROUNDING, atol=0)
    np.testing.assert_array_equal(np.asarray(more.i_cell)[padded == 0], 0.0)
    np.testing.assert_allclose(more.v_word[-3:, :4], sol.v_word, rtol=ROUNDING, atol=0)
    g_eff = qs.crossbar.effective_conductance(padded, wires)
    np.testing.assert_allclose(g_eff[-3:, :4], qs.crossbar.effective_conductance(small, wires), rtol=ROUNDING, atol=0)
    np.testing.assert_array_equal(g_eff[:2], np.zeros((2, 7)))
    np.testing.assert_array_equal(g_eff[:, 4:], np.zeros((5, 3)))


@by_problem
def test_no_voltage_no_current(circuit):
    g, v_in, wires = circuit.cast(np.float64)
    sol = qs.crossbar.solve(g, np.zeros_like(v_in), wires)
    for quantity in (sol.i_out, sol.i_in, sol.i_cell, sol.v_word, sol.v_bit):
        np.testing.assert_array_equal(quantity, np.zeros_like(quantity))
    assert sol.stats.iterations == 0
    assert sol.stats.residual == 0.0
    assert sol.stats.power_balance == 0.0
    assert sol.result == qs.crossbar.RESULTS.successful
