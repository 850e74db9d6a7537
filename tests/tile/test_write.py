"""Float weights written into new hardware, with or without a thought of its wires."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x32")
Differential, Multilevel, Tile = qs.cells.Differential, qs.cells.Multilevel, qs.tile.Tile
CELL = Differential(Multilevel(256, 10e-6, 100e-6))
WIRES = qs.crossbar.Wires(r_word=60.0, r_bit=60.0)
# More than one tile, the last of them not full.
W = jnp.asarray(np.random.default_rng(0).uniform(-0.7, 0.7, (12, 6)), "float32")
KEY = jax.random.key(0)


@eqx.filter_jit
def written(tile, w=W, how="write"):
    """Compiled as one: operation by operation takes longer."""
    return getattr(tile, how)(w, key=KEY)


def test_exact_devices_hold_the_nearest_levels():
    tile = Tile(CELL, shape=(8, 8))
    state, found = written(tile)
    np.testing.assert_allclose(found, CELL.decode(CELL.encode(W)), atol=1e-6)
    np.testing.assert_allclose(found, tile.matrix(state), atol=1e-6)
    # Nothing to compensate.
    np.testing.assert_allclose(written(tile, how="write_compensated")[1], found, atol=1e-6)


def test_compensated_weights_are_those_that_were_meant():
    """Wires take up to a tenth. Rounding of the weight and of both devices, 1/255 times the root of 3/12, is left, and
    what goes round devices at the end of the window."""
    tile = Tile(CELL, wires=WIRES, shape=(8, 8))
    plain = np.asarray(written(tile)[1] - W)
    state, found = written(tile, how="write_compensated")
    assert np.abs(plain).max() > 0.05
    assert np.asarray(found - W).std() < 1 / 255 < 0.2 * plain.std()
    # Devices are at levels of the cell, within its window.
    level = (np.asarray(state.devices, float) - 10e-6) / (90e-6 / 255)
    np.testing.assert_allclose(level, np.round(level), atol=1e-3)
    assert level.min() >= -1e-3
    assert level.max() <= 255.001


def test_noise_of_written_arrays_in_place_of_a_device():
    """Deviation of 5,000 weights of two devices: five standard errors of 1 %."""
    noise = qs.devices.ProgrammingNoise(jnp.asarray([0.9e-6]), 1e-6, 10e-6, 100e-6)
    tile = Tile(CELL, device=noise, shape=(64, 64))
    w = jnp.zeros((100, 50))
    state, found = written(tile, w)
    assert np.asarray(found).std() == pytest.approx(2**0.5 * 0.01, rel=0.05)
    np.testing.assert_allclose(tile.matrix(state, key=jax.random.key(1)), found, atol=1e-6)
    with pytest.raises(ValueError, match="`ProgrammingNoise` is what was found at one time"):
        tile.age(state, 1.0, 300.0)
    with pytest.raises(ValueError, match="`device` must be an `AbstractFluctuating` for `Denoise`, but is a `Program"):
        Tile(CELL, device=noise, scheme=qs.programming.Denoise())


def test_wrong_input():
    unsigned = Tile(Multilevel(4, 0.0, 1e-4), shape=(8, 8))
    ladder = Tile(Differential(qs.cells.Ladder(3, 80e3, 5e3, 1e6)), wires=WIRES, shape=(8, 8))
    with unchecked():
        with pytest.raises(ValueError, match=r"^Argument `w` must be from -1 to 1, .* but w\[0, 0\] = 1.5"):
            Tile(CELL, shape=(8, 8)).write(jnp.full((2, 2), 1.5), key=KEY)
        with pytest.raises(ValueError, match=r"from 0 to 1, .*; wrap it, `Differential\(Multilevel\(\.\.\.\)\)`"):
            unsigned.write(jnp.full((2, 2), -0.5), key=KEY)
        with pytest.raises(ValueError, match=r"can be compensated for wires, but a Differential has 6 devices on 2"):
            ladder.write_compensated(W, key=KEY)
    with pytest.raises(Exception, match="Argument `w` must be from 0 to 1"):
        jax.block_until_ready(qs.programming.residual(W, unsigned.write, 2, key=KEY))
