"""What stands around an array: both directions of a read, and converters tile by tile."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.tile.blocks import blocks

pytestmark = pytest.mark.usefixtures("x64")
Differential, Ladder, Multilevel = qs.cells.Differential, qs.cells.Ladder, qs.cells.Multilevel
ADC, DAC, Tile, Wires = qs.periphery.ADC, qs.periphery.DAC, qs.tile.Tile, qs.crossbar.Wires

SHAPE, TILE = (7, 5), (4, 6)
# Built inside the tests, in their precision.
CELLS = {
    "differential": lambda: Differential(Multilevel(9, 1e-6, 1e-4)),
    "sliced": lambda: qs.cells.Sliced(Multilevel(3, 1e-6, 1e-4), 2),
    "referenced": lambda: qs.cells.Referenced(Multilevel(9, 1e-6, 1e-4)),
}
# One that adds its lines by significance and has an offset stands for the others in the default run.
by_cell = pytest.mark.parametrize(
    "cell", [pytest.param(CELLS[name], id=name, marks=[] if name == "sliced" else pytest.mark.slow) for name in CELLS]
)


def unequal_wires():
    return Wires(np.linspace(1.0, 30.0, 6), np.linspace(60.0, 5.0, 4), r_driver=30.0, r_sense=20.0)


def written(tile, seed=0):
    low, high = tile.cell.code_range
    code = jnp.asarray(np.random.default_rng(seed).integers(low, high + 1, SHAPE))
    return _written(tile, code)


@eqx.filter_jit
def _written(tile, code):
    """Compiled as one: operation by operation takes longer to compile than to test."""
    return tile.program(tile.init(SHAPE, key=jax.random.key(0)), code, key=jax.random.key(1))[0]


@eqx.filter_jit
def read(tile, state, x, temperature=300.0):
    return tile.read(state, x, temperature=temperature)


@eqx.filter_jit
def read_transposed(tile, state, e):
    return tile.read_transposed(state, e)


@eqx.filter_jit
def crosspoints(tile, state, temperature=300.0):
    return tile.crosspoints(state, temperature=temperature)


def some_inputs(size, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, (3, size))


def rounded(i, bits, scale):
    n = 2 ** (bits - 1) - 1
    return np.clip(np.round(np.asarray(i) / scale * n), -n, n) / n * scale


@by_cell
def test_the_transposed_read_is_the_circuit_with_bit_lines_driven(cell):
    """Every tile solved as a circuit of its own, bit lines at e times their significance, word lines at 0 V."""
    cell = cell()
    lines = cell.lines
    wires = unequal_wires()
    tile = Tile(cell, wires, shape=TILE)
    state, e = written(tile), some_inputs(SHAPE[1])
    g = np.zeros((8, 12))  # whole tiles: the wires are given line by line
    g[1:, : SHAPE[1] * lines] = crosspoints(tile, state)
    v = np.zeros((3, 12))
    v[:, : SHAPE[1] * lines] = np.einsum("bc,l->bcl", e, cell.significance).reshape(3, -1)
    current, solve = np.zeros((3, 8)), jax.jit(lambda g, v: qs.crossbar.solve(g, np.zeros((3, 4)), wires, v_out=v))
    for _, rows, columns in blocks((8, 12), TILE):
        current[:, rows] -= solve(g[rows, columns], v[:, columns]).i_in
    expected = (current[:, 1:] - float(cell.offset()) * e.sum(axis=1, keepdims=True)) / float(cell.span())
    np.testing.assert_allclose(read_transposed(tile, state, e), expected, rtol=0, atol=1e-10)
    # Which is the transpose of the read itself.
    transposed = read_transposed(tile, state, np.eye(SHAPE[1]))
    np.testing.assert_allclose(read(tile, state, np.eye(SHAPE[0])).T, transposed, atol=1e-13)


@by_cell
def test_currents_are_converted_line_by_line_and_tile_by_tile(cell):
    """By hand: rounded inputs, rounded currents of every bit line of every tile, and the rest in whole numbers."""
    cell = cell()
    lines = cell.lines
    tile = Tile(cell, Wires(5.0, 7.0), shape=TILE, dac=DAC(5, 0.3), adc=ADC(7, 0.2, 2e3))
    state, x, e = written(tile), some_inputs(SHAPE[0]), some_inputs(SHAPE[1])
    g = np.asarray(tile.effective(crosspoints(tile, state)))
    offset, span = float(cell.offset()), float(cell.span())

    v = rounded(x, 5, 1.0)
    i = np.sum([rounded(0.3 * v[:, rows] @ g[rows], 7, 1e-4) for rows in (slice(0, 3), slice(3, 7))], axis=0)
    total = i.reshape(3, -1, lines) @ np.asarray(cell.significance) / 0.3
    expected = (total - offset * v.sum(axis=1, keepdims=True)) / span
    np.testing.assert_allclose(read(tile, state, x), expected, rtol=0, atol=1e-12)

    v = rounded(e, 5, 1.0)
    driven = np.einsum("bc,l->bcl", v, cell.significance).reshape(3, -1)
    columns = [slice(start, start + TILE[1]) for start in range(0, g.shape[1], TILE[1])]
    i = sum(rounded(0.3 * driven[:, part] @ g[:, part].T, 7, 1e-4) for part in columns)
    expected = (i / 0.3 - offset * v.sum(axis=1, keepdims=True)) / span
    np.testing.assert_allclose(read_transposed(tile, state, e), expected, rtol=0, atol=1e-12)


def test_fine_converters_change_little_and_gradients_go_straight_through():
    plain = Tile(CELLS["differential"](), Wires(5.0, 7.0), shape=TILE)
    fine = Tile(CELLS["differential"](), Wires(5.0, 7.0), shape=TILE, dac=DAC(16), adc=ADC(16, 0.2, 2e3))
    state, x = written(plain), jnp.asarray(some_inputs(SHAPE[0]))
    np.testing.assert_allclose(read(fine, state, x), read(plain, state, x), rtol=0, atol=1e-3)
    slope = jax.jit(jax.grad(lambda x: jnp.sum(fine.read(state, x, throw=False))))(x)
    np.testing.assert_allclose(
        slope, np.broadcast_to(np.asarray(eqx.filter_jit(plain.matrix)(state)).sum(axis=1), x.shape), rtol=1e-9
    )


def test_what_cells_and_reference_share_cancels_in_a_read():
    """Ideal switches: whatever the die and its temperature, the codes are those of nominal resistors."""
    ladder = Ladder(3, 80e3, 0.0, float("inf"), resistor=qs.cells.Resistor(sigma_process=0.2, tcr=1e-3))
    adc, x = ADC(12, 0.2, 10e3), jnp.asarray(some_inputs(SHAPE[0]))
    tile = Tile(Differential(ladder), shape=(8, 12), adc=adc)
    nominal = Tile(Differential(Ladder(3, 80e3, 0.0, float("inf"))), shape=(8, 12), adc=adc)
    state = written(tile)
    factor = eqx.filter_jit(tile.cell.reference_factor)(state.parts, 350.0)
    assert abs(float(factor) - 1) > 0.05
    y = read(tile, state, x, temperature=350.0)
    np.testing.assert_allclose(y, read(nominal, written(nominal), x), atol=1e-9)
    # Which is what the converter of that die says; the digital side knows only the nominal one.
    i = 0.2 * np.asarray(x) @ np.asarray(crosspoints(tile, state, temperature=350.0))
    i = np.asarray(jax.jit(lambda i, factor: ADC(12, 0.2, 10e3 * factor).value(i) * adc.full_scale)(i, factor))
    np.testing.assert_allclose(y, (i[:, 0::2] - i[:, 1::2]) / (0.2 * float(tile.cell.span())), rtol=1e-9, atol=1e-12)


def test_the_voltage_of_an_input_is_that_of_the_converter_where_there_is_one():
    assert float(Tile(CELLS["sliced"](), shape=TILE, v_read=0.1).v_word) == pytest.approx(0.1)
    assert float(Tile(CELLS["sliced"](), shape=TILE, dac=DAC(8, 0.3)).v_word) == pytest.approx(0.3)
