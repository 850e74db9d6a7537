"""A matrix of any shape on tiles of one shape: cut, solved behind the wires of every tile, and put together again.

Row blocks add up (each tile sees its part of the input), column blocks stand side by side. Missing cells are open and
lie at the far ends: the top word lines, away from the sense amplifiers, and the right-hand bit lines, away from the
drivers. No current flows there. Where lines are connected at one end only, by equal wires, a padded tile is exactly
the smaller array, and unused lines are not simulated; where not, the wires belong to lines of the whole tile.
"""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from qsynapse_jax._checks import is_concrete
from qsynapse_jax.crossbar import Followed, Wires, effective_conductance


def effective(
    g: Float[Array, "*stack rows lines"],
    wires: Wires | None,
    shape: tuple[int, int],
    *,
    throw: bool,
    followed: Followed | None = None,
    exact: Bool[Array, ""] | bool = False,
) -> Float[Array, "*stack rows lines"]:
    """What crosspoints amount to behind the wires of their tiles of `shape` [S], by a model where one is given."""
    if followed is not None:
        # Functions, because an object of arrays cannot be hashed.
        ways = (lambda g: followed.exactly(g), lambda g: followed(g))
        return join(jax.lax.cond(exact, *ways, alike(g, followed)), (g.shape[-2], g.shape[-1]))
    return g if wires is None else _effective(g, counted(wires, shape), shape, throw)


def alike(g: Float[Array, "*stack rows lines"], followed: Followed) -> Float[Array, "*stack down across wl bl"]:
    """The matrix as the tiles of a model."""
    return split(g, (followed.g_ref.shape[-2], followed.g_ref.shape[-1]))


def counted(wires: Wires, shape: tuple[int, int]) -> Wires:
    """Wires that know their opens: they cannot be counted once they are arguments of a compiled function."""
    if wires.opens is None and is_concrete(wires) and (found := max(wires.count_opens(shape))):
        return replace(wires, opens=found)
    return wires


# A function of arrays and the shape of a tile alone: whatever cells the conductances come from, it is compiled once.
@eqx.filter_jit
def _effective(
    g: Float[Array, "*stack rows lines"], wires: Wires, shape: tuple[int, int], throw: bool
) -> Float[Array, "*stack rows lines"]:
    return join(effective_conductance(tiles(g, wires, shape), wires, throw=throw), (g.shape[-2], g.shape[-1]))


def tiles(
    g: Float[Array, "*stack rows lines"], wires: Wires, shape: tuple[int, int]
) -> Float[Array, "*stack down across wl bl"]:
    """The arrays of `shape` that are solved for a matrix, smaller ones where that makes no difference."""
    return split(g, shape if _whole(wires) else (min(shape[0], g.shape[-2]), min(shape[1], g.shape[-1])))


def _whole(wires: Wires) -> bool:
    """Whether unused lines matter: the far ends are connected, or the wires are given line by line."""
    far_ends = wires.r_driver_far is not None or wires.r_sense_far is not None
    return far_ends or any(leaf.ndim for leaf in jax.tree.leaves(wires))


def split(matrix: Float[Array, "*stack rows cols"], tile: tuple[int, int]) -> Float[Array, "*stack down across wl bl"]:
    """Tiles of `matrix`, padded with open cells at the top and on the right."""
    *stack, rows, cols = matrix.shape
    (wl, bl), (down, across) = tile, (-(-rows // tile[0]), -(-cols // tile[1]))
    padded = jnp.pad(matrix, [*((0, 0) for _ in stack), (down * wl - rows, 0), (0, across * bl - cols)])
    return padded.reshape(*stack, down, wl, across, bl).swapaxes(-3, -2)


def join(tiles: Float[Array, "*stack down across wl bl"], shape: tuple[int, int]) -> Float[Array, "*stack rows cols"]:
    """The matrix of `shape` that `split` cut: its inverse."""
    *stack, down, across, wl, bl = tiles.shape
    padded = tiles.swapaxes(-3, -2).reshape(*stack, down * wl, across * bl)
    return padded[..., down * wl - shape[0] :, : shape[1]]
