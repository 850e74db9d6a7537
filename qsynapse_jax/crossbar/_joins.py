"""An array condensed the way that suits an accelerator: many parts at once, few steps one after another (`_condense`).

- strips: a word line and 3 or 4 of its cells are a ladder, condensed in closed form (`_strips`);
- joins: strips are joined in pairs over their bit lines, then pairs in pairs over word or bit lines, so that parts
  stay about square, up to the whole array (`_join`). Ports at far ends are dropped as soon as nothing lies beyond.

All but the strips is matrix products: for N x N cells about 100 N^3 operations, and 25 N^2 numbers at a time.
"""

from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._join import join
from qsynapse_jax.crossbar._matrices import Matrices, symmetric
from qsynapse_jax.crossbar._strips import strips

# Lines of a leaf, at most: the cells of a strip, and the strips that are joined before parts grow both ways. With 8 the
# first joins do twice the work per cell.
_LEAF = 4


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


def condense_by_joins(g: Matrices, r_word: Matrices, r_bit: Matrices) -> Matrices:
    """Effective conductances of arrays [S]."""
    n_word, n_bit = g.shape[1:]
    parts = _leaf(*(x[:, ::-1] for x in (g, r_word, r_bit)))  # index 0: the near ends of both kinds of line
    axis = 0
    while parts.h.shape[0] * parts.h.shape[1] > 1:
        # The longer lines are shared, so that parts stay square, but for a second join: turning costs a copy.
        longer = parts.groups * parts.crossing > parts.lines
        if parts.h.shape[axis] == 1 or (longer and parts.h.shape[1 - axis] > 1):
            parts, axis = parts.turned(), 1 - axis
        parts = parts.joined(axis)
    h = symmetric(parts.h[0, 0])
    words, bits = (slice(parts.lines, None), slice(0, parts.lines))[:: 1 if axis == 0 else -1]
    return -h[:, words, bits][:, :n_word, :n_bit][:, ::-1]
