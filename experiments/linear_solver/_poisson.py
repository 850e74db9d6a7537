"""Poisson's equation on a square, its matrix in slices on arrays, and conjugate gradients whose products are theirs."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from qsynapse_jax.quantize import round_signed


class Slices(NamedTuple):
    """The blocks of a square matrix that are not all 0: what is built as arrays.

    Attributes:
        blocks: shape (slices, rows, cols).
        row, col: place of each among the blocks, shape (slices,).
    """

    blocks: Float[Array, "slices rows cols"]
    row: Int[Array, " slices"]
    col: Int[Array, " slices"]


class Course(NamedTuple):
    """What a solve leaves.

    Attributes:
        x: the solution.
        residual: |b - A x|/|b| after every product on the arrays, in digital.
        refined: how often the residual was taken anew in digital.
    """

    x: Float[Array, " n"]
    residual: Float[Array, " products"]
    refined: Int[Array, ""]


def matrix(side: int) -> np.ndarray:
    """h^2 times minus the Laplacian on a grid of side x side points with five-point stars and 0 around."""
    line = 2 * np.eye(side) - np.eye(side, k=1) - np.eye(side, k=-1)
    return np.kron(line, np.eye(side)) + np.kron(np.eye(side), line)


def charges(side: int) -> np.ndarray:
    """The right-hand side: a positive and a negative cloud."""
    y, x = np.meshgrid(*2 * [np.arange(1, side + 1) / (side + 1)], indexing="ij")
    clouds = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / 0.005) for a, b in ((0.3, 0.6), (0.7, 0.35))]
    return (clouds[0] - clouds[1]).ravel()


def sliced(whole: np.ndarray, rows: int, cols: int) -> Slices:
    """Cuts a matrix into blocks and leaves out those of zeros."""
    n = len(whole)
    blocks = whole.reshape(n // rows, rows, n // cols, cols).swapaxes(1, 2)
    row, col = np.nonzero(np.abs(blocks).max((2, 3)))
    return Slices(jnp.asarray(blocks[row, col]), jnp.asarray(row), jnp.asarray(col))


def product(slices: Slices, x: Float[Array, " n"], bits: tuple[int, int] | None = None) -> Float[Array, " n"]:
    """The matrix times x: every slice is driven with its part of x, what comes out of a column of slices is added.

    With `bits` inputs and outputs of slices are rounded, in ranges that the largest of each fills.
    """
    _, rows, cols = slices.blocks.shape
    x = x if bits is None else _rounded(x, bits[0])
    out = jnp.einsum("sr,src->sc", x.reshape(-1, rows)[slices.row], slices.blocks)
    out = out if bits is None else _rounded(out, bits[1])
    return jnp.zeros((x.size // cols, cols), x.dtype).at[slices.col].add(out).ravel()


def _rounded(x: Array, bits: int) -> Array:
    peak = jnp.max(jnp.abs(x))
    return peak * round_signed(x / jnp.where(peak > 0, peak, 1), bits)


def laplacian(x: Float[Array, " n"]) -> Float[Array, " n"]:
    """The same in digital, of the exact matrix: five numbers for each."""
    side = round(x.size**0.5)
    u = jnp.pad(x.reshape(side, side), 1)
    around = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
    return (4 * u[1:-1, 1:-1] - around).ravel()


@partial(jax.jit, static_argnames=("products", "bits"))
def solve(
    slices: Slices,
    b: Float[Array, " n"],
    gain: Float[Array, ""],
    *,
    products: int,
    bits: tuple[int, int] | None = None,
) -> Course:
    """Conjugate gradients, their products on arrays, their residual now and then in digital.

        inner   d, r by conjugate gradients for A_arrays d = b - A x, until |r| has fallen by `gain`
        outer   x <- x + d, and b - A x in digital double precision

    Args:
        slices: the matrix as arrays have it.
        b: right-hand side.
        gain: of an inner solve; 0 never goes back to digital: what arrays reach alone.
        products: on the arrays, in all. Static.
        bits: of the converters at the inputs and the outputs of every slice; `None` rounds nothing. Static.

    Reference: inner and outer loop: C. B. Moler, "Iterative refinement in floating point", J. ACM 14, 316, 1967; with
        an inner loop on memristors: M. Le Gallo et al., Nat. Electron. 1, 246, 2018, doi 10.1038/s41928-018-0054-8.
    """

    def step(carry: tuple[Array, ...], _: None) -> tuple[tuple[Array, ...], Array]:
        x, d, r, p, start, refined = carry
        q, square = product(slices, p, bits), r @ r
        # Where nothing is left, nothing moves.
        turn = p @ q
        length = jnp.where(turn != 0, square / jnp.where(turn != 0, turn, 1), 0)
        d, r = d + length * p, r - length * q
        p = r + jnp.where(square > 0, r @ r / jnp.where(square > 0, square, 1), 0) * p
        true = b - laplacian(x + d)
        done = jnp.sqrt(r @ r) <= gain * start
        begun = (x + d, jnp.zeros_like(d), true, true, jnp.sqrt(true @ true), refined + 1)
        goes_on = (x, d, r, p, start, refined)
        new = jax.tree.map(lambda a, c: jnp.where(done, a, c), begun, goes_on)
        return new, jnp.sqrt(true @ true / (b @ b))

    zero = jnp.zeros_like(b)
    first = (zero, zero, b, b, jnp.sqrt(b @ b), jnp.zeros((), jnp.int32))
    (x, d, *_, refined), residual = jax.lax.scan(step, first, length=products)
    return Course(x + d, residual, refined)
