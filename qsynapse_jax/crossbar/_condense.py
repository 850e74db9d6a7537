"""The circuit of a whole array condensed to one matrix, exactly, by eliminating what lies between its terminals.

A part of the array has near terminals (towards driver and sense amplifier) and far ones. Impose voltages on the near
and draw currents from the far terminals:

    [i_near]   [C   E^T] [v_near]
    [v_far ] = [E   -R ] [i_far ]     C: conductances [S], R: resistances [ohm], E: voltage transfer, near identity

(i_near enters, i_far leaves.) This hybrid matrix H is symmetric (reciprocity), exists for r = 0 and g = 0, and holds
no differences of large numbers, hence float32. When lines s of a near part a continue in a far part b, the voltages v
and currents i they share follow from  v = E_a x_a - R_a i,  i = C_b v + E_b^T x_b  (x: the other ports), so

    v = X (E_a x_a - R_a E_b^T x_b),    X = (1 + R_a C_b)^-1

which is always regular: R and C are positive semidefinite. Two stages use it:

- strips: a word line and 3 or 4 of its cells are a ladder, condensed in closed form (`_strips`);
- joins: strips are joined in pairs over their bit lines, then pairs in pairs over word or bit lines, so that parts
  stay about square, up to the whole array (`_join`). Ports at far ends are dropped as soon as nothing lies beyond.

All but the strips is matrix products: for N x N cells about 100 N^3 operations, and 25 N^2 numbers at a time.

Derivative. A condensed H is the stationary value of a quadratic form in what was eliminated, hence
dH = sum over the parts of P^T dH_part P with P the part's port values as a linear map of the remaining ports: no
derivative of the inverse is needed. For a strip the parts are resistors: dK = u^T dg u - i^T dr i. The tangents are
written so that transposing them, as reverse mode does, gives products of operands as they lie in memory: XLA's CPU
products are several times slower when the first operand has to be transposed.

Symmetry. A tangent of H may be any matrix with the right symmetric part, which saves half of the products; all
that reads one reads its symmetric part. This holds for every order of derivative, and all cotangents are symmetric.
"""

from functools import partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._join import join
from qsynapse_jax.crossbar._matrices import Matrices, transposed
from qsynapse_jax.crossbar._strips import strips

# Cells treated at once on a CPU: 4 tiles of 64 x 64. More leave the caches, fewer leave the small loops to their
# overhead.
_TOGETHER = 4 * 64 * 64

# Cells treated at once elsewhere: 1024 such tiles, whose gradient keeps about 2 GB.
_TOGETHER_ELSEWHERE = 256 * _TOGETHER

# Lines of a leaf, at most: the cells of a strip, and the strips that are joined before parts grow both ways. With 8 the
# first joins do twice the work per cell.
_LEAF = 4


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
    Accuracy: float32 within 2e-6 of the largest entry at 128 lines (1 ohm, 10k-1M; with 100 ohm and 1k cells 2e-7).
    """
    tiles = (a.reshape(-1, *g.shape[-2:]) for a in (g, r_word, r_bit))
    return _differentiable(*tiles).reshape(g.shape)


def _all(g: Matrices, r_word: Matrices, r_bit: Matrices) -> Matrices:
    """In groups that stay in the caches on a CPU, all arrays at once on an accelerator, if they are not too many."""
    count, n_word, n_bit = g.shape
    if count * n_word * n_bit <= _TOGETHER or count == 1:
        return _condense(g, r_word, r_bit)
    ways = {"cpu": partial(_in_groups, _TOGETHER), "default": partial(_in_groups, _TOGETHER_ELSEWHERE)}
    return jax.lax.platform_dependent(g, r_word, r_bit, **ways)


def _in_groups(cells: int, *tiles: Matrices) -> Matrices:
    count, n_word, n_bit = tiles[0].shape
    groups = -(-count // max(1, cells // (n_word * n_bit)))
    if groups == 1:
        return _condense(*tiles)
    # Groups of tiles in turn; the derivative condenses each group once more instead of keeping what all of them
    # leave behind, some megabytes per tile: 108 tiles of 64 x 64 with their gradient take half the time.
    size = -(-count // groups)
    grouped = [
        jnp.pad(a, ((0, groups * size - count), (0, 0), (0, 0))).reshape(groups, size, n_word, n_bit) for a in tiles
    ]
    g_eff = jax.lax.map(lambda group: jax.checkpoint(_condense)(*group), tuple(grouped))
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


class _Parts(NamedTuple):
    """Equal parts of arrays, and the order of their ports.

    First the near ends of the lines along which parts are joined; then those of all other lines, group by group, near
    ends and far ends; then the far ends of the former. Where nothing is beyond, there are no far ends.
    """

    h: Float[Array, "rows columns tiles ports ports"]
    lines: int  # along which parts are joined
    ends: int  # of each of them
    groups: int
    crossing: int  # other lines, in each group
    crossing_ends: int

    def joined(self, axis: int) -> "_Parts":
        """Two and two of them along an axis of `h`."""
        h, count = self.h, self.h.shape[axis] // 2
        shape = (*h.shape[:axis], count, *h.shape[axis + 1 : 3])
        halves = jax.lax.split(h.reshape(*shape[: axis + 1], 2, *h.shape[axis + 1 :]), (1, 1), axis + 1)
        near, far = (x.reshape(-1, *h.shape[3:]) for x in halves)
        last = count == 1
        h = join(near, far, self.lines, self.lines if last else 0)
        return self._replace(h=h.reshape(*shape, *h.shape[1:]), ends=1 if last else 2, groups=2 * self.groups)

    def turned(self) -> "_Parts":
        """The same for joining along the other lines."""
        h = self.h
        for axis in (3, 4):
            near, ends, far = self._split(h, axis)
            first, *other = (
                x.reshape(*h.shape[:axis], -1, *h.shape[axis + 1 :])
                for x in jax.lax.split(ends, (1,) * self.crossing_ends, axis + 1)
            )
            h = jnp.concatenate([first, near, *far, *other], axis)
        return _Parts(h, self.groups * self.crossing, self.crossing_ends, 1, self.lines, self.ends)

    def without(self, ends: int, groups: int, crossing_ends: int) -> "_Parts":
        """Without ends that carry nothing, and without groups of lines that are none."""
        h = self.h
        for axis in (3, 4):
            near, middle, far = self._split(h, axis)
            middle = jax.lax.slice_in_dim(middle, 0, groups, axis=axis)
            middle = jax.lax.slice_in_dim(middle, 0, crossing_ends, axis=axis + 1)
            middle = middle.reshape(*h.shape[:axis], -1, *h.shape[axis + 1 :])
            h = jnp.concatenate([near, middle, *far[: ends - 1]], axis)
        return self._replace(h=h, ends=ends, groups=groups, crossing_ends=crossing_ends)

    def _split(self, h: Array, axis: int) -> tuple[Array, Array, list[Array]]:
        shape = (self.groups, self.crossing_ends, self.crossing)
        near, middle, *far = jax.lax.split(h, (self.lines, prod(shape), self.lines)[: self.ends + 1], axis)
        return near, middle.reshape(*h.shape[:axis], *shape, *h.shape[axis + 1 :]), far


def _leaves(n: int) -> tuple[int, int]:
    """In how many leaves `n` lines are cut, a power of two, and how many lines a leaf has."""
    count = 1
    while -(-n // count) > _LEAF:
        count *= 2
    return count, -(-n // count)


def _leaf(g: Matrices, r_word: Matrices, r_bit: Matrices) -> _Parts:
    """Leaves, from strips of one word line; to be joined along bit lines."""
    tiles, n_word, n_bit = g.shape
    (rows, high), (columns, wide) = _leaves(n_word), _leaves(n_bit)
    full = 1 << (high - 1).bit_length()

    def arranged(a: Array) -> Array:
        # Beyond the far ends r = 0 and g = 0: exact.
        if a.shape[1:] != (rows * high, columns * wide):
            a = jnp.pad(a, ((0, 0), (0, rows * high - n_word), (0, columns * wide - n_bit)))
        if full > high:
            a = jnp.pad(a.reshape(tiles, rows, high, -1), ((0, 0), (0, 0), (0, full - high), (0, 0)))
        return jnp.transpose(a.reshape(tiles, rows * full, columns, wide), (1, 2, 0, 3)).reshape(-1, wide)

    h = strips(*(arranged(x) for x in (g, r_word, r_bit)))
    parts = _Parts(h.reshape(rows * full, columns, tiles, *h.shape[1:]), wide, 2, 1, 1, 2)
    while parts.h.shape[0] > rows:
        parts = parts.joined(0)
    ends = 1 if rows == 1 else 2, high, 1 if columns == 1 else 2
    return parts if ends == (parts.ends, parts.groups, parts.crossing_ends) else parts.without(*ends)


def _condense(g: Matrices, r_word: Matrices, r_bit: Matrices) -> Matrices:
    n_word, n_bit = g.shape[1:]
    parts = _leaf(*(x[:, ::-1] for x in (g, r_word, r_bit)))  # index 0: the near ends of both kinds of line
    axis = 0
    while parts.h.shape[0] * parts.h.shape[1] > 1:
        # The longer lines are shared, so that parts stay square, but for a second join: turning costs a copy.
        longer = parts.groups * parts.crossing > parts.lines
        if parts.h.shape[axis] == 1 or (longer and parts.h.shape[1 - axis] > 1):
            parts, axis = parts.turned(), 1 - axis
        parts = parts.joined(axis)
    h = _symmetric(parts.h[0, 0])
    words, bits = (slice(parts.lines, None), slice(0, parts.lines))[:: 1 if axis == 0 else -1]
    return -h[:, words, bits][:, :n_word, :n_bit][:, ::-1]


@jax.custom_jvp
def _symmetric(h: Array) -> Array:
    """`h`, symmetric, with a symmetric tangent: from here on single blocks of it are read."""
    return h


@_symmetric.defjvp
def _symmetric_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    return primals[0], 0.5 * (tangents[0] + transposed(tangents[0]))
