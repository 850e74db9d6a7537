"""The circuit of a whole array condensed to one matrix, exactly, by eliminating what lies between its terminals.

A part of the array has near terminals (towards driver and sense amplifier) and far ones. Impose voltages on the near
and draw currents from the far terminals:

    [i_near]   [C   E^T] [v_near]
    [v_far ] = [E   -R ] [i_far ]     C: conductances [S], R: resistances [ohm], E: voltage transfer, near identity

(i_near enters, i_far leaves.) This hybrid matrix H is symmetric (reciprocity), exists for r = 0 and g = 0, and holds
no differences of large numbers, hence float32. When lines s of a near part a continue in a far part b, the voltages v
and currents i they share follow from  v = E_a x_a - R_a i,  i = C_b v + E_b^T x_b  (x: the other ports), so

    v = X (E_a x_a - R_a E_b^T x_b),    X = (1 + R_a C_b)^-1

which is always regular: R and C are positive semidefinite. In which order parts are joined is for the machine: few
large products in turn for a CPU, a few arrays at a time (`_sweep`); many at once elsewhere, all arrays together
(`_joins`).

Derivative. A condensed H is the stationary value of a quadratic form in what was eliminated, hence
dH = sum over the parts of P^T dH_part P with P the part's port values as a linear map of the remaining ports: no
derivative of the inverse is needed. For a strip the parts are resistors: dK = u^T dg u - i^T dr i. The tangents are
written so that transposing them, as reverse mode does, gives products of operands as they lie in memory: XLA's CPU
products are several times slower when the first operand has to be transposed.

Symmetry. A tangent of H (or A) may be any matrix with the right symmetric part, which saves half of the products; all
that reads one reads its symmetric part. This holds for every order of derivative, and all cotangents are symmetric.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._joins import condense_by_joins
from qsynapse_jax.crossbar._matrices import Matrices
from qsynapse_jax.crossbar._sweep import condense_by_sweep

# Cells treated at once on a CPU: 4 tiles of 64 x 64. More leave the caches, fewer leave the small loops to their
# overhead.
_TOGETHER = 4 * 64 * 64

# Cells treated at once elsewhere: 1024 such tiles, whose gradient keeps about 2 GB.
_TOGETHER_ELSEWHERE = 256 * _TOGETHER


def compile_lines(
    g: Float[Array, "*tiles wl bl"], r_word: Float[Array, "*tiles wl bl"], r_bit: Float[Array, "*tiles wl bl"]
) -> Float[Array, "*tiles wl bl"]:
    """Currents out of the bit lines per volt on the word lines, wires included, bit lines at 0 V.

    Args:
        g: cell conductances [S].
        r_word: the word-line segment on the driver side of each cell [ohm]; the first includes the driver's end.
        r_bit: the bit-line segment on the sense side of each cell [ohm]; the last includes the amplifier's end.

    Returns:
        Effective conductances [S].

    Gradients: forward and reverse, any order, in all arguments.
    Accuracy: float32 within 3e-6 of the largest entry up to 128 lines, 7e-6 at 256 (1 ohm, 10k-1M; less where drops are
        severe).
    """
    tiles = (a.reshape(-1, *g.shape[-2:]) for a in (g, r_word, r_bit))
    return _differentiable(*tiles).reshape(g.shape)


def _all(g: Matrices, r_word: Matrices, r_bit: Matrices) -> Matrices:
    """In groups that stay in the caches on a CPU, all arrays at once on an accelerator, if they are not too many."""
    ways = {
        "cpu": partial(_in_groups, condense_by_sweep, _TOGETHER),
        "default": partial(_in_groups, condense_by_joins, _TOGETHER_ELSEWHERE),
    }
    return jax.lax.platform_dependent(g, r_word, r_bit, **ways)


def _in_groups(condense: Callable[..., Matrices], cells: int, *tiles: Matrices) -> Matrices:
    count, n_word, n_bit = tiles[0].shape
    groups = -(-count // max(1, cells // (n_word * n_bit)))
    if groups == 1:
        return condense(*tiles)
    # Groups of tiles in turn; the derivative condenses each group once more instead of keeping what all of them
    # leave behind, some megabytes per tile: 108 tiles of 64 x 64 with their gradient take half the time.
    size = -(-count // groups)
    grouped = [
        jnp.pad(a, ((0, groups * size - count), (0, 0), (0, 0))).reshape(groups, size, n_word, n_bit) for a in tiles
    ]
    g_eff = jax.lax.map(lambda group: jax.checkpoint(condense)(*group), tuple(grouped))
    return g_eff.reshape(-1, n_word, n_bit)[:count]


# Arrays under `vmap` are taken in groups too. JAX has no reverse mode for such a rule, so derivatives go around it.
_batched = jax.custom_batching.custom_vmap(_all)


@_batched.def_vmap
def _batched_vmap(size: int, batched: list[bool], *tiles: Array) -> tuple[Float[Array, "size _ _ _"], bool]:
    full = [a if own else jnp.broadcast_to(a, (size, *a.shape)) for a, own in zip(tiles, batched, strict=True)]
    return _batched(*(a.reshape(-1, *a.shape[2:]) for a in full)).reshape(full[0].shape), True


@jax.custom_jvp
def _differentiable(g: Matrices, r_word: Matrices, r_bit: Matrices) -> Matrices:
    return _batched(g, r_word, r_bit)


def _differentiable_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    moving = [k for k, tangent in enumerate(tangents) if not isinstance(tangent, SymbolicZero)]

    def of_moving(*moved: Array) -> Matrices:
        tiles = list(primals)
        for k, a in zip(moving, moved, strict=True):
            tiles[k] = a
        return _all(*tiles)

    return jax.jvp(of_moving, [primals[k] for k in moving], [tangents[k] for k in moving])


_differentiable.defjvp(_differentiable_jvp, symbolic_zeros=True)
