"""Parts of the experiment `published_network`: weights on tiles, the start that spares the lines, what is published."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.published_network._network import (
    G_HIGH,
    G_LOW,
    Differential,
    Hardware,
    Layer,
    Offset,
    exact,
    near,
    sparing,
    xavier,
)
from experiments.published_network._published import CLOSED_FORMS, LOOP

OFFSET, PAIRS = Hardware(Offset(), 8), Hardware(Differential(), 8)
# Neither the inputs nor the outputs fill their last tile.
SHAPE = (21, 11)


@pytest.fixture
def weight():
    return jax.random.normal(jax.random.key(0), SHAPE)


@pytest.mark.parametrize("hardware", [OFFSET, PAIRS], ids=["offset", "differential"])
def test_without_wires_the_weights_are_those_that_were_written(hardware, weight):
    found = hardware.effective(weight, lambda g: g)
    np.testing.assert_allclose(found, weight, rtol=0, atol=2e-6 * np.abs(weight).max() * G_HIGH / (G_HIGH - G_LOW))


@pytest.mark.parametrize("hardware", [OFFSET, PAIRS], ids=["offset", "differential"])
def test_every_tile_uses_the_range_of_the_cells_and_is_open_where_there_is_no_weight(hardware, weight):
    g = np.asarray(hardware.write(weight).g)
    assert g.shape[1:] == (8, 8)
    cells = g > 0
    assert cells.sum() == weight.size * hardware.coding.lines
    assert g[cells].min() >= G_LOW * (1 - 1e-5)
    np.testing.assert_allclose(g.max(axis=(1, 2)), G_HIGH, rtol=1e-5)
    np.testing.assert_allclose(np.where(cells, g, 1).min(axis=(1, 2)), G_LOW, rtol=1e-5)


def test_a_tile_that_is_not_full_is_the_smaller_array_that_it_holds(weight):
    small = weight[:5, :3]
    alone = Hardware(Offset(), 5)
    full = jnp.zeros((13, 3)).at[:5].set(small)  # 13 word lines on tiles of 8: the first 5 have a tile of their own
    tile = OFFSET.write(full).g[0]
    np.testing.assert_allclose(exact(tile[None])[0, 3:, :3], exact(alone.write(small).g)[0], rtol=1e-5)


def test_the_network_that_is_followed_is_the_exact_one_where_the_circuit_was_solved(weight):
    layers = (Layer(weight, jnp.ones(SHAPE[1])),)
    images = jax.random.normal(jax.random.key(1), (7, SHAPE[0]))
    followed = OFFSET.logits(layers, [near(OFFSET.write(weight).g)], 2.0, images)
    solved = OFFSET.logits(layers, [exact], 2.0, images)
    np.testing.assert_allclose(followed, solved, rtol=0, atol=1e-5 * np.abs(solved).max())


def test_the_start_spares_the_lines_and_has_a_mean_weight_of_zero():
    shape, hardware = (64, 32), Hardware(Offset(), 32)
    published, ours = xavier(jax.random.key(0), shape), sparing(jax.random.key(0), shape, hardware, 20.0)
    g = {name: np.asarray(hardware.write(w).g) for name, w in (("published", published), ("ours", ours))}
    # Standard error of the mean of 2048 cells: 1 % of uniform cells', 5 % of skewed ones'.
    np.testing.assert_allclose(g["published"].mean(), (G_LOW + G_HIGH) / 2, rtol=0.05)
    np.testing.assert_allclose(g["ours"].mean(), G_LOW + (G_HIGH - G_LOW) / 21, rtol=0.25)
    effective = np.asarray(hardware.effective(ours, exact))
    assert abs(effective.mean()) < 0.02 * effective.std()


def test_closed_forms_hide_what_the_exact_circuit_shows():
    for tile, loop in LOOP.items():
        assert abs(loop.accuracy - loop.exact) < 0.05, tile
    assert max(one.accuracy - one.exact for form in CLOSED_FORMS.values() for one in form.values()) > 80
