"""Levels of a whole tile: straight without wires, bent behind them, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qsynapse_jax.cells import Differential, Ladder, linearity
from qsynapse_jax.codesign import binary_weighted, tile_levels
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.tile import TiledArray

BITS, R_ON, R_OFF = 3, 500.0, 1e5


def array(branches, wires, tile=(16, 16)):
    return TiledArray(Differential(Ladder(BITS, None, R_ON, R_OFF, branches)), wires, tile)


def codes(shape=(32, 40), seed=0):
    return jnp.asarray(np.random.default_rng(seed).integers(-7, 8, shape), jnp.int32)


@pytest.mark.usefixtures("x64")
def test_without_wires_it_is_the_cell():
    branches = 8e3 * 2.0 ** jnp.arange(float(BITS))
    found = tile_levels(array(branches, None), codes())
    cell = Differential(Ladder(BITS, None, R_ON, R_OFF, branches))
    np.testing.assert_allclose(found.mean, cell.decode(jnp.arange(-7, 8)), atol=1e-12)
    np.testing.assert_allclose(found.spread, np.zeros(15), atol=1e-12)
    assert float(found.worst_inl) == pytest.approx(float(linearity(cell).worst_inl), abs=1e-10)
    straight = tile_levels(array(binary_weighted(BITS, 8e3, R_ON, R_OFF), None), codes())
    assert float(straight.error) < 1e-10
    assert float(straight.gain) == pytest.approx(1, abs=1e-12)


@pytest.mark.usefixtures("x64")
def test_behind_wires_levels_fall_and_spread_and_the_error_is_that_of_all_cells():
    tiles = array(binary_weighted(BITS, 8e3, R_ON, R_OFF), Wires(7.0, 21.0))
    code = codes()
    found = tile_levels(tiles, code)
    assert 0.5 < float(found.gain) < 0.99
    assert (np.asarray(found.spread) > 1e-4).all()
    w = np.asarray(tiles.weight(tiles.effective_conductance(tiles.lay_out(tiles.cell.conductance(code)))))
    ideal = np.asarray(code) / 7
    gain = np.sum(w * ideal) / np.sum(ideal**2)
    assert float(found.error) == pytest.approx(7 * np.sqrt(np.mean((w / gain - ideal) ** 2)), rel=1e-9)
    at_5 = w[np.asarray(code) == 5]
    assert float(found.mean[12]) == pytest.approx(at_5.mean(), rel=1e-9)
    assert float(found.spread[12]) == pytest.approx(at_5.std(), rel=1e-7)


@pytest.mark.usefixtures("x64")
def test_its_gradient_in_resistors_and_wires_is_that_of_finite_differences():
    code = codes((8, 6))

    def error(p):
        return tile_levels(array(p[:3], Wires(p[3], p[4]), (8, 8)), code).error

    p = jnp.asarray([8e3, 17e3, 33e3, 7.0, 21.0])
    slope = np.asarray(jax.jit(jax.grad(error))(p))
    step = 1e-5 * np.asarray(p)
    shifts = jnp.asarray(np.diag(step))
    both = [[float(error(p + sign * s)) for s in shifts] for sign in (1, -1)]
    np.testing.assert_allclose(slope, (np.array(both[0]) - both[1]) / (2 * step), rtol=1e-5)
