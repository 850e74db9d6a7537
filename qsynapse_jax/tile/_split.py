"""A matrix of any shape cut into tiles of one shape, and put together again.

Row blocks add up (each tile sees its part of the input), column blocks stand side by side. Missing cells are open and
lie at the far ends: the top word lines, away from the sense amplifiers, and the right-hand bit lines, away from the
drivers. No current flows there, so a padded tile is exactly the smaller array.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def checked_tile_shape(tile: tuple[int, int]) -> tuple[int, int]:
    """`tile` as two positive integers (wl, bl), or a `ValueError`."""
    sizes = tuple(tile) if isinstance(tile, tuple | list) else (tile, tile)
    if len(sizes) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in sizes):
        raise ValueError(
            f"Argument `tile` must be two positive integers (word lines, bit lines), e.g. (64, 64), but is {tile!r}."
        )
    return sizes[0], sizes[1]


def split(matrix: Float[Array, "rows cols"], tile: tuple[int, int]) -> Float[Array, "down across wl bl"]:
    """Tiles of `matrix`, zero-padded at the top and on the right; none larger than the matrix itself."""
    (rows, cols), (wl, bl) = matrix.shape, fitted(matrix.shape, tile)
    down, across = -(-rows // wl), -(-cols // bl)
    padded = jnp.pad(matrix, ((down * wl - rows, 0), (0, across * bl - cols)))
    return padded.reshape(down, wl, across, bl).swapaxes(1, 2)


def join(tiles: Float[Array, "down across wl bl"], shape: tuple[int, int]) -> Float[Array, "rows cols"]:
    """The matrix of `shape` that `split` cut: its inverse."""
    down, across, wl, bl = tiles.shape
    padded = tiles.swapaxes(1, 2).reshape(down * wl, across * bl)
    return padded[down * wl - shape[0] :, : shape[1]]


def fitted(shape: tuple[int, ...], tile: tuple[int, int]) -> tuple[int, int]:
    """`tile`, cut down to a matrix that does not fill one: unused lines are not simulated."""
    return min(tile[0], shape[0]), min(tile[1], shape[1])
