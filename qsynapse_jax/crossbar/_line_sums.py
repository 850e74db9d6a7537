"""Sums and drops along lines, in pieces: much less work than products with the matrix of a whole line.

That matrix, R[min(j, k)] for n cells with equal segments, is the one of each piece of m cells, seen from its own near
end, on the diagonal, and of rank two per piece elsewhere: cells beyond a piece are one current to it, cells before it
one drop. Products with it take about n m + 4 n^2 / m operations instead of n^2. Running sums are alike, of rank one.
Along rows all steps are products of matrices, because XLA for CPUs is slow at adding up along rows.
"""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

# TF32 or bf16 products, the default on accelerators, lose the drops: six digits are asked of float32 results.
EXACT = jax.lax.Precision.HIGHEST

# Cells in a piece, about: along rows, where a piece is one side of a product of matrices, and along columns.
_IN_ROWS = 32
_IN_COLUMNS = 16

# Cells of a line that one product sums up, on any device.
ONE_PIECE = 32

Cells = Float[Array, "*batch wl bl"]


class RowPieces(eqx.Module):
    """Drops along lines that are rows, all with the same resistances."""

    block: Float[Array, "m m"]
    left: Float[Array, "n ranks"]
    right: Float[Array, "ranks n"]
    from_end: bool = eqx.field(static=True)

    def drop(self, current: Cells) -> Cells:
        """Voltage between the terminals and every cell [V] for the given cell currents [A]."""
        return _along_rows(current, self.block, self.left, self.right, self.from_end)


class ColumnPieces(eqx.Module):
    """Drops along lines that are columns, likewise."""

    block: Float[Array, "m m"]
    reach: Float[Array, " m"]
    between: Float[Array, "ports ports"]
    from_end: bool = eqx.field(static=True)

    def drop(self, current: Cells) -> Cells:
        """Voltage between the terminals and every cell [V] for the given cell currents [A]."""
        m = len(self.reach)
        # What fills the last piece lies beyond the far end, where no current flows.
        parts = _parts(current, -2, m, self.from_end)
        within = _mm(self.block, parts)
        farthest = within[..., 0 if self.from_end else m - 1, :]
        ports = jnp.concatenate([jnp.sum(parts, axis=-2), farthest], axis=-2)
        through, below = jnp.split(_mm(self.between, ports), 2, axis=-2)
        reach = self.reach.reshape((1,) * (within.ndim - 2) + (m, 1))
        drop = within + reach * through[..., None, :] + below[..., None, :]
        return _whole(drop, -2, current.shape[-2], self.from_end)


def pieces(axis: int, from_end: bool, n: int, r: Float[Array, ""], end: Float[Array, ""]) -> RowPieces | ColumnPieces:
    """For lines of `n` cells along `axis` with segments `r` and terminals behind `end` [ohm]: see `_lines.Way`."""
    m, piece, count = _cut(n, _IN_ROWS if axis == -1 else _IN_COLUMNS)
    turned = slice(None, None, -1 if from_end else 1)
    # Segments that each two cells of a piece share on their way to its near end.
    shared = np.minimum.outer(np.arange(1, m + 1), np.arange(1, m + 1)).astype(r.dtype)
    block = r * shared[turned, turned]
    if axis == -2:
        # From the current of each piece and the drop it causes in its own far cell: the currents of the pieces beyond
        # run through a piece; the drops across the pieces nearer, and across the end, come on top.
        beyond = np.tri(count, k=-1, dtype=r.dtype)[turned, turned].T
        below = m * r * (beyond.T @ beyond) + end
        between = jnp.block([[beyond, np.zeros_like(beyond)], [below, beyond.T]])
        return ColumnPieces(block, r * np.arange(1, m + 1, dtype=r.dtype)[turned], between, from_end)
    own, nearer, farther = (x[:, turned] for x in _places(n, m, count, r.dtype))
    reach, start = (r * x.astype(r.dtype)[turned] for x in (np.arange(1, n + 1), m * piece))
    # Currents of a piece: their sum, and the drop they cause over it. They cause it in all cells beyond.
    left = jnp.concatenate([own.T, reach[:, None] * own.T], axis=1)
    right = jnp.concatenate([own * start[None] + farther * reach[None] + end, nearer])
    return RowPieces(block, left, right, from_end)


def running_sum(x: Cells, axis: int, *, reverse: bool) -> Cells:
    """Cumulative sum along rows (axis -1) or columns (axis -2)."""
    n = x.shape[axis]
    if n <= ONE_PIECE:
        block = jnp.tri(n, dtype=x.dtype)
        block = block.T if reverse else block
        return jnp.matmul(x, block.T, precision=EXACT) if axis == -1 else jnp.matmul(block, x, precision=EXACT)
    if axis == -1:
        m, _, count = _cut(n, _IN_ROWS)
        own, nearer, farther = _places(n, m, count, x.dtype)
        block = jnp.tri(m, dtype=x.dtype) if reverse else jnp.tri(m, dtype=x.dtype).T
        left, right = own.T, farther if reverse else nearer
        return _along_rows(x, block, left, right, False)
    m, _, count = _cut(n, _IN_COLUMNS)
    parts = _parts(x, -2, m, False)
    block, others = jnp.tri(m, dtype=x.dtype), jnp.tri(count, k=-1, dtype=x.dtype)
    if reverse:
        block, others = block.T, others.T
    sums = _mm(block, parts) + _mm(others, jnp.sum(parts, axis=-2))[..., None, :]
    return _whole(sums, -2, n, False)


def sum_along(x: jax.Array, axis: int, *, reverse: bool, blocks: int) -> jax.Array:
    """Cumulative sum along `axis`, in `blocks` equal parts where it is a line and not one value for all of it."""
    here, axis = partial(running_sum, axis=axis, reverse=reverse), x.ndim + axis
    if x.shape[axis] == 1:
        return x
    if blocks == 1:
        elsewhere = partial(jax.lax.cumsum, axis=axis, reverse=reverse)
        return here(x) if x.shape[axis] <= ONE_PIECE else on_cpu(here, elsewhere, x)
    parts = x.reshape(*x.shape[:axis], blocks, -1, *x.shape[axis + 1 :])
    sums = jax.lax.cumsum(parts, axis=axis + 1, reverse=reverse)
    totals = jnp.sum(parts, axis=axis + 1)
    earlier = jnp.tri(blocks, k=-1, dtype=x.dtype)
    before = jnp.tensordot(earlier.T if reverse else earlier, totals, axes=(1, axis), precision=EXACT)
    return (sums + jnp.expand_dims(jnp.moveaxis(before, 0, axis), axis + 1)).reshape(x.shape)


def ranked(x: jax.Array, like: jax.Array) -> jax.Array:
    """`x` with leading axes for the batch of `like`: no implicit rank promotion."""
    return x.reshape((1,) * (like.ndim - x.ndim) + x.shape)


def on_cpu(here: Callable[..., jax.Array], elsewhere: Callable[..., jax.Array], x: jax.Array) -> jax.Array:
    """One of two ways to the same, by where the program runs."""
    # Functions anew: methods of a module with traced values cannot be hashed, which JAX does.
    return jax.lax.platform_dependent(x, cpu=lambda x: here(x), default=lambda x: elsewhere(x))


def _cut(n: int, about: int) -> tuple[int, Int[np.ndarray, " n"], int]:
    """Cells in a piece, the piece of each of n cells, and the number of pieces."""
    m = -(-n // -(-n // about))
    return m, np.arange(n) // m, -(-n // m)


def _places(n: int, m: int, count: int, dtype: jnp.dtype) -> tuple[jax.Array, ...]:
    """Whether each piece is the one of each cell, lies before it, or beyond: 1 or 0, shape (pieces, n)."""
    # Not in NumPy: JAX refuses constants of it in `custom_linear_solve` inside `jax.shard_map`.
    piece, order = jnp.arange(n)[None] // m, jnp.arange(count)[:, None]
    return tuple(x.astype(dtype) for x in (order == piece, order < piece, order > piece))


def _along_rows(x: jax.Array, block: jax.Array, left: jax.Array, right: jax.Array, from_end: bool) -> jax.Array:
    """Rows times the matrix with `block` all along its diagonal, plus rows times `left @ right`."""
    within = jnp.matmul(_parts(x, -1, len(block), from_end), block, precision=EXACT)
    thin = jnp.matmul(x, left, precision=EXACT)
    return _whole(within, -1, x.shape[-1], from_end) + jnp.matmul(thin, right, precision=EXACT)


def _parts(x: jax.Array, axis: int, m: int, from_end: bool) -> jax.Array:
    """Lines in pieces of m cells; zeros fill the last one, which lies at index 0 if pieces are counted from the end."""
    missing, axis = -x.shape[axis] % m, x.ndim + axis
    if missing:
        widths = [(0, 0)] * x.ndim
        widths[axis] = (missing, 0) if from_end else (0, missing)
        x = jnp.pad(x, widths)
    return x.reshape(*x.shape[:axis], -1, m, *x.shape[axis + 1 :])


def _whole(parts: jax.Array, axis: int, n: int, from_end: bool) -> jax.Array:
    """Lines of n cells out of their pieces."""
    axis += parts.ndim
    x = parts.reshape(*parts.shape[: axis - 1], -1, *parts.shape[axis + 1 :])
    start = x.shape[axis - 1] - n if from_end else 0
    return jax.lax.slice_in_dim(x, start, start + n, axis=axis - 1)


def _mm(matrix: jax.Array | np.ndarray, x: jax.Array) -> jax.Array:
    """Products with one matrix from the left; written out for each, which XLA for CPUs takes less time for."""
    return jnp.matmul(jnp.broadcast_to(matrix, (*x.shape[:-2], *matrix.shape)), x, precision=EXACT)
