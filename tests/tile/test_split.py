"""Cutting a matrix into tiles: nothing lost, nothing moved, what is missing open and at the far ends."""

import jax.numpy as jnp
import numpy as np
import pytest

from qsynapse_jax.tile._circuit import join, split
from tests.tile.blocks import blocks

SHAPES = [
    ((7, 10), (3, 4)),
    ((6, 8), (3, 4)),
    ((1, 9), (4, 4)),
    ((9, 1), (4, 4)),
    ((1, 1), (1, 1)),
    ((5, 6), (64, 64)),
    ((5, 6), (2, 64)),
    ((5, 6), (64, 1)),
    ((4, 4), (4, 4)),
    ((3, 5), (1, 1)),
]
by_shape = pytest.mark.parametrize(
    ("shape", "tile"),
    [pytest.param(*pair, marks=[] if i in (0, 3, 6) else pytest.mark.slow) for i, pair in enumerate(SHAPES)],
)


def numbered(shape):
    """A matrix that tells its entries apart; none is the 0 of a missing cell."""
    return 1 + np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@by_shape
def test_join_undoes_split(shape, tile):
    matrix = numbered(shape)
    tiles = split(jnp.asarray(matrix), tile)
    assert tiles.shape == (*(-(-n // t) for n, t in zip(shape, tile, strict=True)), *tile)
    np.testing.assert_array_equal(join(tiles, shape), matrix)


def test_a_stack_of_matrices_is_cut_one_by_one():
    stack = numbered((2, 3, 7, 10))
    tiles = split(jnp.asarray(stack), (3, 4))
    np.testing.assert_array_equal(tiles[1, 2], split(jnp.asarray(stack[1, 2]), (3, 4)))
    np.testing.assert_array_equal(join(tiles, (7, 10)), stack)


@by_shape
def test_every_block_lies_at_the_drivers_and_the_sense_amplifiers(shape, tile):
    """Bottom left in its tile: rows are counted from the last, columns from the first; the rest is open cells."""
    matrix = numbered(shape)
    tiles = np.array(split(jnp.asarray(matrix), tile))
    total = 0
    for (down, across), rows, columns in blocks(shape, tile):
        block = matrix[rows, columns]
        part = tiles[down, across]
        corner = part[part.shape[0] - block.shape[0] :, : block.shape[1]]
        np.testing.assert_array_equal(corner, block)
        corner[...] = 0
        np.testing.assert_array_equal(part, np.zeros_like(part))
        total += block.size
    assert total == matrix.size


def test_where_the_first_row_goes():
    """Seven rows on tiles of three: the first tile has one, on its last word line."""
    tiles = split(jnp.asarray(numbered((7, 1))), (3, 1))
    np.testing.assert_array_equal(tiles[:, 0, :, 0], [[0, 0, 1], [2, 3, 4], [5, 6, 7]])
