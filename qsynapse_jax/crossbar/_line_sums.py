"""Sums and drops along lines, in pieces: much less work than products with the matrix of a whole line.

That matrix, R[min(j, k)] for n cells with equal segments, is the one of each piece of m cells, seen from its own near
end, on the diagonal, and of rank two per piece elsewhere: cells beyond a piece are one current to it, cells before it
one drop. Products with it take about n m + 4 n^2 / m operations instead of n^2. Running sums are alike, of rank one.
Along rows all steps are products of matrices, because XLA for CPUs is slow at adding up along rows.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

# TF32 or bf16 products, the default on accelerators, lose the drops: six digits are asked of float32 results.
EXACT = jax.lax.Precision.HIGHEST

# Cells in a piece, about: along rows, where a piece is one side of a product of matrices, and along columns.
_IN_ROWS = 32
_IN_COLUMNS = 16

# Cells of a line that one product sums up, on any device.
ONE_PIECE = 32

Cells = Float[Array, "*batch wl bl"]


class WordPieces(eqx.Module):
    """Drops along word lines driven at column 0, all with the same resistances."""

    block: Float[Array, "m m"]
    left: Float[Array, "n ranks"]
    right: Float[Array, "ranks n"]

    def drop(self, current: Cells) -> Cells:
        """Voltage between the terminals and every cell [V] for the given cell currents [A]."""
        return _along_rows(current, self.block, self.left, self.right)


def word_pieces(n: int, r: Float[Array, ""], end: Float[Array, ""]) -> WordPieces:
    """For lines of `n` cells with segments `r` and terminals behind `end` [ohm]."""
    m, piece, pieces = _cut(n, _IN_ROWS)
    own, nearer, farther = (c.astype(r.dtype) for c in _places(piece, pieces))
    reach, start = r * np.arange(1, n + 1, dtype=r.dtype), r * (m * piece).astype(r.dtype)
    # Currents of a piece: their sum, and the drop they cause over it. They cause it in all cells beyond.
    left = jnp.concatenate([jnp.asarray(own.T), reach[:, None] * own.T], axis=1)
    right = jnp.concatenate([own * start[None] + farther * reach[None] + end, jnp.asarray(nearer)])
    return WordPieces(r * _shared(m, r.dtype), left, right)


class BitPieces(eqx.Module):
    """Drops along bit lines sensed below the last row, all with the same resistances."""

    block: Float[Array, "m m"]
    reach: Float[Array, " m"]
    between: Float[Array, "ports ports"]

    def drop(self, current: Cells) -> Cells:
        """Voltage between the terminals and every cell [V] for the given cell currents [A]."""
        m, n = len(self.reach), current.shape[-2]
        # What fills the last piece lies beyond the far end, where no current flows.
        parts = _parts(_pad(current, -2, (-n % m, 0)), m)
        within = _mm(self.block, parts)
        ports = jnp.concatenate([jnp.sum(parts, axis=-2), within[..., 0, :]], axis=-2)
        through, below = jnp.split(_mm(self.between, ports), 2, axis=-2)
        reach = self.reach.reshape((1,) * (within.ndim - 2) + (m, 1))
        drop = within + reach * through[..., None, :] + below[..., None, :]
        return jax.lax.slice_in_dim(drop.reshape(*current.shape[:-2], -1, drop.shape[-1]), -n % m, None, axis=-2)


def bit_pieces(n: int, r: Float[Array, ""], end: Float[Array, ""]) -> BitPieces:
    """For lines of `n` cells with segments `r` and terminals behind `end` [ohm]."""
    m, _, pieces = _cut(n, _IN_COLUMNS)
    # From the current of each piece and the drop it causes in its own far cell: the currents of the pieces above run
    # through a piece; the drops across the pieces below, and across the end, come on top.
    above = np.tri(pieces, k=-1, dtype=r.dtype)
    below = m * r * (above.T @ above) + end
    between = jnp.block([[above, np.zeros_like(above)], [below, above.T]])
    return BitPieces(r * _shared(m, r.dtype)[::-1, ::-1], r * np.arange(m, 0, -1, dtype=r.dtype), between)


def running_sum(x: Cells, axis: int, *, reverse: bool) -> Cells:
    """Cumulative sum along rows (axis -1) or columns (axis -2)."""
    n = x.shape[axis]
    if n <= ONE_PIECE:
        block = jnp.tri(n, dtype=x.dtype)
        block = block.T if reverse else block
        return jnp.matmul(x, block.T, precision=EXACT) if axis == -1 else jnp.matmul(block, x, precision=EXACT)
    if axis == -1:
        m, piece, pieces = _cut(n, _IN_ROWS)
        own, nearer, farther = (c.astype(x.dtype) for c in _places(piece, pieces))
        block = jnp.tri(m, dtype=x.dtype) if reverse else jnp.tri(m, dtype=x.dtype).T
        return _along_rows(x, *map(jnp.asarray, (block, own.T, farther if reverse else nearer)))
    m, _, pieces = _cut(n, _IN_COLUMNS)
    parts = _parts(_pad(x, -2, (0, -n % m)), m)
    block, others = jnp.tri(m, dtype=x.dtype), jnp.tri(pieces, k=-1, dtype=x.dtype)
    if reverse:
        block, others = block.T, others.T
    sums = _mm(block, parts) + _mm(others, jnp.sum(parts, axis=-2))[..., None, :]
    return jax.lax.slice_in_dim(sums.reshape(*x.shape[:-2], -1, x.shape[-1]), 0, n, axis=-2)


def sum_along(x: jax.Array, axis: int, *, reverse: bool, blocks: int) -> jax.Array:
    """Cumulative sum along `axis`, in `blocks` equal parts where it is a line and not one value for all of it."""
    last, axis = axis, x.ndim + axis
    if x.shape[axis] == 1:
        return x
    if blocks == 1 and x.shape[axis] <= ONE_PIECE:
        return running_sum(x, last, reverse=reverse)
    if blocks == 1:
        return on_cpu(
            lambda x: running_sum(x, last, reverse=reverse),
            lambda x: jax.lax.cumsum(x, axis=axis, reverse=reverse),
            x,
        )
    parts = x.reshape(*x.shape[:axis], blocks, -1, *x.shape[axis + 1 :])
    sums = jax.lax.cumsum(parts, axis=axis + 1, reverse=reverse)
    totals = jnp.sum(parts, axis=axis + 1)
    earlier = jnp.tri(blocks, k=-1, dtype=x.dtype)
    before = jnp.tensordot(earlier.T if reverse else earlier, totals, axes=(1, axis), precision=EXACT)
    return (sums + jnp.expand_dims(jnp.moveaxis(before, 0, axis), axis + 1)).reshape(x.shape)


def on_cpu(
    here: Callable[[jax.Array], jax.Array], elsewhere: Callable[[jax.Array], jax.Array], x: jax.Array
) -> jax.Array:
    """One of two ways to the same, by where the program runs."""
    # Functions anew: methods of a module with traced values cannot be hashed, which JAX does.
    return jax.lax.platform_dependent(x, cpu=lambda x: here(x), default=lambda x: elsewhere(x))


def _cut(n: int, about: int) -> tuple[int, Int[np.ndarray, " n"], int]:
    """Cells in a piece, the piece of each of n cells, and the number of pieces."""
    m = -(-n // -(-n // about))
    return m, np.arange(n) // m, -(-n // m)


def _places(
    piece: Int[np.ndarray, " n"], pieces: int
) -> tuple[Bool[np.ndarray, "pieces n"], Bool[np.ndarray, "pieces n"], Bool[np.ndarray, "pieces n"]]:
    """Whether each piece is the one of each cell, lies before it, or beyond."""
    order = np.arange(pieces)[:, None]
    return order == piece, order < piece, order > piece


def _shared(n: int, dtype: jnp.dtype) -> np.ndarray:
    """Segments that each two of n cells share on their way to the near end."""
    return np.minimum.outer(np.arange(1, n + 1), np.arange(1, n + 1)).astype(dtype)


def _along_rows(x: jax.Array, block: jax.Array, left: jax.Array, right: jax.Array) -> jax.Array:
    """Rows times the matrix with `block` all along its diagonal, plus rows times `left @ right`."""
    m, n = len(block), x.shape[-1]
    padded = _pad(x, -1, (0, -n % m))
    within = jnp.matmul(padded.reshape(*padded.shape[:-1], -1, m), block, precision=EXACT).reshape(padded.shape)
    thin = jnp.matmul(x, left, precision=EXACT)
    return jax.lax.slice_in_dim(within, 0, n, axis=-1) + jnp.matmul(thin, right, precision=EXACT)


def _parts(x: jax.Array, m: int) -> jax.Array:
    return x.reshape(*x.shape[:-2], -1, m, x.shape[-1])


def _mm(matrix: jax.Array | np.ndarray, x: jax.Array) -> jax.Array:
    """Products with one matrix from the left; written out for each, which XLA for CPUs takes less time for."""
    return jnp.matmul(jnp.broadcast_to(matrix, (*x.shape[:-2], *matrix.shape)), x, precision=EXACT)


def _pad(x: jax.Array, axis: int, width: tuple[int, int]) -> jax.Array:
    if width == (0, 0):
        return x
    widths = [(0, 0)] * x.ndim
    widths[axis] = width
    return jnp.pad(x, widths)
