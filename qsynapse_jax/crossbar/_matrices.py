"""Products and inverses of many small matrices, in full precision."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._line_sums import EXACT

Matrices = Float[Array, "_ _ _"]

# Largest matrices that an accelerator's library factors by the hundred in one launch, one to a block of threads.
_ONE_LAUNCH = 32


def mm(a: Matrices, b: Matrices) -> Matrices:
    """Products a b."""
    return jnp.matmul(a, b, precision=EXACT)


def tmm(a: Matrices, b: Matrices) -> Matrices:
    """Products a^T b."""
    return jax.lax.dot_general(a, b, (((1,), (1,)), ((0,), (0,))), precision=EXACT)


def mmt(a: Matrices, bt: Matrices) -> Matrices:
    """Product a b for a given b^T, so that the cotangent of a is a product with b^T as it lies in memory."""
    return jax.lax.dot_general(a, bt, (((2,), (2,)), ((0,), (0,))), precision=EXACT)


def transposed(a: Array) -> Array:
    """Each matrix transposed."""
    return jnp.swapaxes(a, -1, -2)


def _gauss_jordan(a: Float[Array, "k k n"]) -> Float[Array, "k k n"]:
    """Inverses in place, without pivoting: 1 + R C is similar to one plus a positive semidefinite matrix.

    At these sizes faster than LAPACK's, whose threads also spin against each other on a busy machine.
    """
    size = jnp.arange(a.shape[0])

    def step(k: Array, a: Array) -> Array:
        row, col = a[k], a[:, k]
        pivot = (size == k)[:, None]
        scale = 1 / row[k][None]
        row = jnp.where(pivot, scale, row * scale)
        col = jnp.where(pivot, -1, col)
        return jnp.where(pivot[:, None] | pivot[None], 0, a) - col[:, None] * row[None]

    return jax.lax.fori_loop(0, a.shape[0], step, a)


def small_inverse(a: Matrices) -> Matrices:
    """Inverses of matrices like 1 + R C, R and C positive semidefinite."""
    return jnp.moveaxis(_gauss_jordan(jnp.moveaxis(a, 0, -1)), -1, 0)


def by_pivots(a: Matrices) -> Matrices:
    """The same by blocks of pivots, in turn: what suits a CPU."""
    size = block = a.shape[-1]
    while block > 16 and block % 2 == 0:
        block //= 2
    if size == block:
        return small_inverse(a)
    cut, put = jax.lax.dynamic_slice_in_dim, jax.lax.dynamic_update_slice_in_dim

    def step(k: Array, a: Array) -> Array:
        at = k * block
        row, col = cut(a, at, block, 1), cut(a, at, block, 2)
        corner = small_inverse(cut(row, at, block, 2))
        row = put(mm(corner, row), corner, at, 2)
        col = put(col, jnp.broadcast_to(-jnp.eye(block, dtype=a.dtype), corner.shape), at, 1)
        pivots = jnp.arange(size) // block == k
        return jnp.where(pivots[None, :, None] | pivots[None, None], 0, a) - mm(col, row)

    return jax.lax.fori_loop(0, size // block, step, a)


def by_halves(a: Matrices) -> Matrices:
    """The same by products of halves, and of halves of these: few operations one after another.

    Each is a launch on an accelerator, where a pivot takes as long as a product. Small blocks are the library's, which
    factors all of them in one launch.
    """
    size = a.shape[-1]
    if size <= _ONE_LAUNCH:
        # Not `jnp.linalg.inv`, which permutes and transposes more than it solves.
        lu, _, order = jax.lax.linalg.lu(a)
        rows = (order[:, :, None] == jnp.arange(size, dtype=order.dtype)[None, None]).astype(a.dtype)
        x = jax.lax.linalg.triangular_solve(lu, rows, left_side=True, lower=True, unit_diagonal=True)
        return jax.lax.linalg.triangular_solve(lu, x, left_side=True)
    half = size // 2
    first, last = slice(0, half), slice(half, None)
    x = by_halves(a[:, first, first])
    left, right = mm(a[:, last, first], x), mm(x, a[:, first, last])
    # What is left of the last half is like 1 + R C, too.
    y = by_halves(a[:, last, last] - mm(left, a[:, first, last]))
    far = -mm(y, left)
    upper = jnp.concatenate([x - mm(right, far), -mm(right, y)], 2)
    return jnp.concatenate([upper, jnp.concatenate([far, y], 2)], 1)


@jax.custom_jvp
def inverse(a: Matrices) -> Matrices:
    """By halves, with a derivative of few operations."""
    return by_halves(a)


@inverse.defjvp
def _inverse_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    x = inverse(primals[0])
    return x, -mm(x, mm(tangents[0], x))


@jax.custom_jvp
def symmetric(h: Array) -> Array:
    """`h`, symmetric, with a symmetric tangent: from here on single blocks of it are read."""
    return h


@symmetric.defjvp
def _symmetric_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    return primals[0], 0.5 * (tangents[0] + transposed(tangents[0]))
