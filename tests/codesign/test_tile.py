"""Levels of a whole tile: straight without wires, bent behind them, and their derivatives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qsynapse_jax.cells import Differential, Ladder, linearity
from qsynapse_jax.codesign import binary_weighted, tile_levels
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.tile import Tile

BITS, R_ON, R_OFF = 3, 500.0, 1e5


def tile(branches, wires, shape=(8, 8)):
    return Tile(Differential(Ladder(BITS, None, R_ON, R_OFF, branches)), wires, shape=shape)


def codes(shape=(16, 20), seed=0):
    return jnp.asarray(np.random.default_rng(seed).integers(-7, 8, shape), jnp.int32)


# Compiled as one: operation by operation takes longer to compile than to test.
levels_of = eqx.filter_jit(tile_levels)


@eqx.filter_jit
def written(on, code):
    """The hardware and its weights."""
    state, _ = on.program(on.init(code.shape, key=jax.random.key(0)), code, key=jax.random.key(0))
    return state, on.matrix(state)


@pytest.mark.usefixtures("x64")
def test_without_wires_it_is_the_cell():
    branches = 8e3 * 2.0 ** jnp.arange(float(BITS))
    found = levels_of(tile(branches, None), codes())
    cell = Differential(Ladder(BITS, None, R_ON, R_OFF, branches))
    np.testing.assert_allclose(found.mean, jax.jit(cell.decode.__func__)(cell, jnp.arange(-7, 8)), atol=1e-12)
    np.testing.assert_allclose(found.spread, np.zeros(15), atol=1e-12)
    worst = jax.jit(lambda cell: linearity(cell).worst_inl)(cell)
    assert float(found.worst_inl) == pytest.approx(float(worst), abs=1e-10)
    straight = levels_of(tile(binary_weighted(BITS, 8e3, R_ON, R_OFF), None), codes())
    assert float(straight.error) < 1e-10
    assert float(straight.gain) == pytest.approx(1, abs=1e-12)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_behind_wires_levels_fall_and_spread_and_the_error_is_that_of_all_cells():
    on = tile(binary_weighted(BITS, 8e3, R_ON, R_OFF), Wires(14.0, 42.0))
    code = codes()
    found = levels_of(on, code)
    assert 0.5 < float(found.gain) < 0.99
    assert (np.asarray(found.spread) > 1e-4).all()
    # Devices that are exactly their targets are what no state stands for.
    state, w = written(on, code)
    assert float(levels_of(on, code, state).error) == pytest.approx(float(found.error), rel=1e-12)
    w, ideal = np.asarray(w), np.asarray(code) / 7
    gain = np.sum(w * ideal) / np.sum(ideal**2)
    assert float(found.error) == pytest.approx(7 * np.sqrt(np.mean((w / gain - ideal) ** 2)), rel=1e-9)
    at_5 = w[np.asarray(code) == 5]
    assert float(found.mean[12]) == pytest.approx(at_5.mean(), rel=1e-9)
    assert float(found.spread[12]) == pytest.approx(at_5.std(), rel=1e-7)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_its_gradient_in_resistors_and_wires_is_that_of_finite_differences():
    code = codes((8, 6))

    def error(p):
        return tile_levels(tile(p[:3], Wires(p[3], p[4])), code).error

    p = jnp.asarray([8e3, 17e3, 33e3, 7.0, 21.0])
    evaluate = jax.jit(jax.value_and_grad(error))
    slope, step = np.asarray(evaluate(p)[1]), 1e-5 * np.asarray(p)
    shifts = jnp.asarray(np.diag(step))
    both = [[float(evaluate(p + sign * s)[0]) for s in shifts] for sign in (1, -1)]
    np.testing.assert_allclose(slope, (np.array(both[0]) - both[1]) / (2 * step), rtol=1e-5)
