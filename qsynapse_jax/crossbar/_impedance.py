"""The wires as two linear maps from cell currents to voltage drops.

A word line with its driver at the left carries, at segment `j`, the sum of the cell currents at and beyond `j`; the
drop at cell `j` is the running sum of `r` times those, and the driver's resistance adds its share of the whole. Where
the segments are the same on every line this is a product with a fixed matrix,

    Zw(I) = I Kw,   Kw[j, k] = R[min(j, k)],   R[j] = r_word[0] + ... + r_word[j]
    Zb(I) = Kb I,   likewise from the sense end

symmetric and positive semi-definite, and zero when their wires are: no conductance of a wire appears anywhere. CPUs
take long lines in pieces instead (`_line_sums`): a product with the whole matrix would be most of the work of a solve.
A second connection at the far end, through `r_far` to a terminal of the same voltage, returns the current

    J = drop[last] / (r_far + k[last])        k = the drop of 1 A drawn at the last cell

and lowers the drops by k J: a rank-one change that leaves the map symmetric.

A resistance that is infinite, or so large that the drop `r` times a difference of currents loses its digits, counts as
0 ohm in the maps, and the voltage phi across it becomes an unknown. With c = 1 at the cells beyond it and 0 before, it
adds the voltages c phi (`lift`), and the current c'I of the cells beyond (`passed`) must equal -phi / r. Where the far
end is connected, the current there depends on phi too: c becomes c - k / (r_far + k[last]), and phi / (r_far + k[last])
adds to phi / r (`linked`).

An array that is spread over several devices (`spread`) takes running sums instead of products with Kw and Kb, which
would gather all of it on every device: a sum along a line that is cut into blocks is a sum in each block, plus the
totals of the blocks before it, one number per block and line, which is all that devices exchange.
"""

from math import gcd
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from qsynapse_jax.crossbar._line_sums import (
    EXACT,
    BitPieces,
    WordPieces,
    bit_pieces,
    on_cpu,
    sum_along,
    word_pieces,
)
from qsynapse_jax.crossbar._wires import LARGE, Wires

# Cells of a line from which a CPU takes equal segments in pieces, and from which it takes running sums of others, which
# are two of them, rather than a product: at 1024 cells a solve took 0.2, 0.45 and 0.8 s in these three ways.
_LONG = 96
_VERY_LONG = 384


class Opens(eqx.Module):
    """Infinite or very large resistances of one direction: the first cell beyond each, and what it still conducts [S].

    `live` is 0 for places held in reserve, else 1.
    """

    row: Int[Array, " opens"]
    column: Int[Array, " opens"]
    conductance: Float[Array, " opens"]
    live: Float[Array, " opens"]


class Line(eqx.Module):
    """All lines of one direction. Along `axis`, the terminal lies before index 0, or after the last if `from_end`.

    Lines that are all alike have a `reach`, the resistance up to each cell, and a `kernel`, the matrix of them [ohm],
    unless they are divided among devices; others have `segments`, of every cell or of one line that stands for all.
    `pieces`, or `segments` beside a kernel, are there where they are quicker. `end` and `far` broadcast against the
    lines. Sums along a line are taken in `blocks` parts.
    """

    kernel: Float[Array, "n n"] | None
    reach: Float[Array, " n"] | None
    pieces: WordPieces | BitPieces | None
    segments: Float[Array, "lines columns"] | None
    end: Float[Array, "..."]
    far: Float[Array, "..."] | None
    opens: Opens | None
    axis: int = eqx.field(static=True)
    from_end: bool = eqx.field(static=True)
    blocks: int = eqx.field(static=True)

    def drop(self, current: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        """Voltage between the terminal and every cell [V] for the given cell currents [A]."""
        drop = self._near_drop(current)
        return drop if self.far is None else drop - self._through_far_end(drop)

    def lift(self, phi: Float[Array, "batch opens"], shape: tuple[int, ...]) -> Float[Array, "batch wl bl"]:
        """Voltage at every cell [V] for the voltages `phi` across the opens."""
        lifted = self._beyond(phi, shape)
        return lifted if self.far is None else lifted - self._through_far_end(lifted)

    def passed(self, current: Float[Array, "batch wl bl"]) -> Float[Array, "batch opens"]:
        """Current through the opens [A] that cell currents ask for: the transpose of `lift`."""
        carried = self._beyond_each(current)
        if self.far is not None:
            carried -= self._far_current(self._near_drop(current))
        return self._at_opens(carried)

    def linked(self, phi: Float[Array, "batch opens"], shape: tuple[int, ...]) -> Float[Array, "batch opens"]:
        """Current through the opens [A] that the voltages across them drive, through themselves and the far ends."""
        assert self.opens is not None
        through = (self.opens.live * self.opens.conductance)[None] * phi
        if self.far is None:
            return through
        far = self._far_current(self._beyond(phi, shape))
        return through + self._at_opens(jnp.broadcast_to(far, (phi.shape[0], *shape)))

    def carried(
        self, current: Float[Array, "batch wl bl"], fall: Float[Array, "batch wl bl"]
    ) -> Float[Array, "batch wl bl"]:
        """Current through the segment on the near side of every cell [A], in its own direction.

        What the cells beyond it carry, less what the far end supplies. `fall`, the voltages across the segments [V],
        say what opens pass, and thus what is left to the far ends of their lines.
        """
        carried = self._beyond_each(current)
        if self.far is None:
            return carried
        supplied = self._far_current(self._near_drop(current))
        if self.opens is not None:
            at, index = self.opens, self.opens.row if self.axis == -1 else self.opens.column
            missing = self._at_opens(carried) - (at.live * at.conductance)[None] * fall[:, at.row, at.column]
            lines = jnp.squeeze(supplied, self.axis)
            number = jnp.zeros(lines.shape[1:], lines.dtype).at[index].add(at.live)[None]
            known = jnp.zeros_like(lines).at[:, index].add(missing) / jnp.where(number > 0, number, 1)
            supplied = jnp.expand_dims(jnp.where(number > 0, known, lines), self.axis)
        return carried - supplied

    def _beyond(self, phi: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        assert self.opens is not None
        at = jnp.zeros((phi.shape[0], *shape), phi.dtype)
        at = at.at[:, self.opens.row, self.opens.column].add(self.opens.live[None] * phi)
        return self._up_to_each(at)

    def _at_opens(self, x: jax.Array) -> jax.Array:
        assert self.opens is not None
        return self.opens.live[None] * x[:, self.opens.row, self.opens.column]

    def _near_drop(self, current: jax.Array) -> jax.Array:
        """The drop if the far end were open."""
        pieces = self.pieces
        if self.kernel is None:
            return self._by_sums(current)
        if pieces is not None:
            return on_cpu(lambda x: pieces.drop(x), self._by_product, current)
        if self.segments is not None:
            return on_cpu(self._by_sums, self._by_product, current)
        return self._by_product(current)

    def _by_product(self, current: jax.Array) -> jax.Array:
        assert self.kernel is not None
        if self.end.size == 1:
            return self._product(current, self.kernel + self.end)
        # A product: XLA for CPUs would merge a sum into what reads it, and take it again for every cell.
        total = self._product(current, jnp.ones_like(self.kernel[:, :1] if self.axis == -1 else self.kernel[:1]))
        return self._product(current, self.kernel) + _rank(self.end, current) * total

    def _by_sums(self, current: jax.Array) -> jax.Array:
        assert self.segments is not None
        carried = self._beyond_each(current)
        drop = self._up_to_each(_rank(self.segments, current) * carried)
        # Divided among devices, each adds up what it has; one alone has the sum already.
        total = jnp.sum(current, self.axis, keepdims=True) if self.blocks > 1 else self._first(carried)
        return drop + _rank(self.end, current) * total

    def _product(self, current: jax.Array, matrix: jax.Array) -> jax.Array:
        pair = (current, matrix) if self.axis == -1 else (matrix, current)
        return jnp.matmul(*pair, precision=EXACT)

    def _reach(self) -> jax.Array:
        """Drop at every cell for 1 A drawn at the cell farthest from the terminal [V/A], shape (wl, bl) or less."""
        if self.reach is not None:
            return jnp.expand_dims(self.reach, 0 if self.axis == -1 else 1) + self.end
        assert self.segments is not None
        return self._up_to_each(self.segments) + self.end

    def own(self) -> jax.Array:
        """Drop at every cell for 1 A drawn there alone [V/A], shape (wl, bl) or less."""
        reach = self._reach()
        return reach if self.far is None else reach - self._through_far_end(reach)

    def _up_to_each(self, x: jax.Array) -> jax.Array:
        """Running sum from the terminal to every cell."""
        return sum_along(x, self.axis, reverse=self.from_end, blocks=self.blocks)

    def _beyond_each(self, x: jax.Array) -> jax.Array:
        """Running sum from the far end to every cell: what its segment carries."""
        return sum_along(x, self.axis, reverse=not self.from_end, blocks=self.blocks)

    def _far_current(self, drop: jax.Array) -> jax.Array:
        """Current that enters by the far ends [A] if they close a loop around these drops [V]."""
        assert self.far is not None
        loop = _rank(self.far + self._last(self._reach()), drop)
        # A loop without resistance has no drop to drive a current either: 0 rather than 0/0.
        return jnp.where(loop > 0, self._last(drop) / jnp.where(loop > 0, loop, 1), 0)

    def _through_far_end(self, drop: jax.Array) -> jax.Array:
        return _rank(self._reach(), drop) * self._far_current(drop)

    def _last(self, x: jax.Array) -> jax.Array:
        """The entries farthest from the terminal."""
        return self._end_of(x, 0 if self.from_end else -1)

    def _first(self, x: jax.Array) -> jax.Array:
        """The entries next to the terminal."""
        return self._end_of(x, -1 if self.from_end else 0)

    def _end_of(self, x: jax.Array, index: int) -> jax.Array:
        start = index % x.shape[self.axis]
        return jax.lax.slice_in_dim(x, start, start + 1, axis=x.ndim + self.axis)


class Impedance(eqx.Module):
    """Both directions of one array in its working dtype [ohm], which may be divided among `spread` devices.

    In the place of word lines there may be source lines, `parallel` to the bit lines.
    """

    word: Any
    bit: Line
    resistances: Wires
    spread: int = eqx.field(static=True)
    parallel: bool = eqx.field(static=True, default=False)

    def own(self) -> Float[Array, "wl bl"]:
        """Resistance that each cell meets on its own [ohm]: the diagonal of Z."""
        return self.word.own() + self.bit.own()

    @property
    def has_modes(self) -> bool:
        """Whether all lines are driven from one end and made of the same segments."""
        lines = () if self.parallel else (self.word, self.bit)
        return bool(lines) and all(line.reach is not None and line.far is None and line.opens is None for line in lines)

    @property
    def opens(self) -> tuple[int, int]:
        """Places for opens in word lines and in bit lines."""
        word, bit = (0 if line.opens is None else line.opens.row.size for line in (self.word, self.bit))
        return word, bit

    def word_voltage(
        self, current: Float[Array, "batch wl bl"], phi: Float[Array, "batch opens"]
    ) -> Float[Array, "batch wl bl"]:
        """What cell currents [A] and the voltages across the opens [V] add to that of the word lines."""
        drop = -self.word.drop(current)
        return drop + self.word.lift(phi[:, : self.opens[0]], current.shape[1:]) if self.opens[0] else drop

    def bit_voltage(
        self, current: Float[Array, "batch wl bl"], phi: Float[Array, "batch opens"]
    ) -> Float[Array, "batch wl bl"]:
        """Likewise of the bit lines."""
        rise = self.bit.drop(current)
        return rise + self.bit.lift(phi[:, self.opens[0] :], current.shape[1:]) if self.opens[1] else rise

    def lift(self, phi: Float[Array, "batch opens"], shape: tuple[int, ...]) -> Float[Array, "batch wl bl"]:
        """Voltages across the cells [V] that the opens add."""
        lifted = jnp.zeros((phi.shape[0], *shape), phi.dtype)
        if self.opens[0]:
            lifted += self.word.lift(phi[:, : self.opens[0]], shape)
        if self.opens[1]:
            lifted -= self.bit.lift(phi[:, self.opens[0] :], shape)
        return lifted

    def passed(
        self, current: Float[Array, "batch wl bl"], phi: Float[Array, "batch opens"] | None = None
    ) -> Float[Array, "batch opens"]:
        """Currents that must vanish [A].

        What the cell currents ask of the opens (the transpose of `lift`) and, with `phi`, what the voltages across them
        drive.
        """
        parts = [jnp.zeros((current.shape[0], 0), current.dtype)]
        if self.opens[0]:
            parts.append(self.word.passed(current))
        if self.opens[1]:
            parts.append(-self.bit.passed(current))
        passed = jnp.concatenate(parts, axis=1)
        return passed if phi is None else passed + self.linked(phi, current.shape[1:])

    def linked(self, phi: Float[Array, "batch opens"], shape: tuple[int, ...]) -> Float[Array, "batch opens"]:
        """Currents that voltages across the opens drive through them and through the far ends [A]."""
        parts = [jnp.zeros((phi.shape[0], 0), phi.dtype)]
        if self.opens[0]:
            parts.append(self.word.linked(phi[:, : self.opens[0]], shape))
        if self.opens[1]:
            parts.append(self.bit.linked(phi[:, self.opens[0] :], shape))
        return jnp.concatenate(parts, axis=1)

    def __call__(self, current: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        """Both drops together: `Z(I) = Zw(I) + Zb(I)` [V]."""
        return self.word.drop(current) + self.bit.drop(current)


def impedance(
    wires: Wires, shape: tuple[int, ...], dtype: jnp.dtype, opens: tuple[int, int] = (0, 0), *, spread: int = 1
) -> Impedance:
    """The two maps of an array of `shape` (wl, bl) for the given wires.

    Args:
        wires: resistances.
        shape: of the array.
        dtype: of the computation.
        opens: places for infinite or very large resistances in word lines, and in bit lines; static.
        spread: devices among which the lines may be divided; static.
    """
    wires = jax.tree.map(lambda r: r.astype(dtype), wires)
    n_word, n_bit = shape
    word, bit = wires.r_word, wires.r_bit
    driver, sense = wires.r_driver, wires.r_sense
    in_word = in_bit = None
    if any(opens):
        (word, bit), driver, sense = wires.branches(shape), jnp.zeros((), dtype), jnp.zeros((), dtype)
    if opens[0]:
        word, in_word = _without_opens(word, opens[0])
    if opens[1]:
        bit, in_bit = _without_opens(bit, opens[1])
    return Impedance(
        word=_line(word, driver, wires.r_driver_far, in_word, n_bit, axis=-1, from_end=False, spread=spread),
        bit=_line(bit, sense, wires.r_sense_far, in_bit, n_word, axis=-2, from_end=True, spread=spread),
        resistances=wires,
        spread=spread,
    )


def _without_opens(branches: Float[Array, "wl bl"], opens: int) -> tuple[Float[Array, "wl bl"], Opens]:
    """Branches with the largest taken out, as many as there are places and as are large."""
    values, index = jax.lax.top_k(branches.reshape(-1), opens)
    row, column = jnp.divmod(index, branches.shape[1])
    large = values >= LARGE
    taken = jnp.zeros(branches.shape, bool).at[row, column].set(large)
    conductance = jnp.where(large, 1 / jnp.where(large, values, 1), 0)
    return jnp.where(taken, 0, branches), Opens(row, column, conductance, large.astype(branches.dtype))


def _line(
    segments: jax.Array,
    end: jax.Array,
    far: jax.Array | None,
    opens: Opens | None,
    n: int,
    *,
    axis: int,
    from_end: bool,
    spread: int,
) -> Line:
    across = -1 if axis == -1 else 0

    def by_line(r: jax.Array) -> jax.Array:
        return jnp.expand_dims(r.reshape(-1), across)

    reach = kernel = pieces = None
    equal = segments.ndim == 0 and end.size == 1
    same = jnp.broadcast_to(segments, (n,)) if segments.ndim < 2 else None
    if same is not None:
        segments = jnp.expand_dims(same, -1 - across)
    if same is not None and spread == 1:
        if equal and n >= _LONG:
            pieces = (word_pieces if axis == -1 else bit_pieces)(n, same[0], end.reshape(()))
        reach = jax.lax.cumsum(same, reverse=from_end)
        kernel = kernel_of(reach, from_end)
    return Line(
        kernel=kernel,
        reach=reach,
        pieces=pieces,
        segments=segments if kernel is None or n >= _VERY_LONG else None,
        end=by_line(end),
        far=None if far is None else by_line(far),
        opens=opens,
        axis=axis,
        from_end=from_end,
        # The lines can lie on any number of devices that divides both, and each block must lie on one of them.
        blocks=gcd(n, spread),
    )


def kernel_of(reach: Float[Array, " n"], from_end: bool) -> Float[Array, "n n"]:
    """Drop at each cell of a line for 1 A drawn at each other [ohm]: the resistance that their ways share."""
    order = np.arange(len(reach))
    nearer = order[:, None] >= order[None, :] if from_end else order[:, None] <= order[None, :]
    return jnp.where(nearer, reach[:, None], reach[None, :])


def _rank(x: jax.Array, like: jax.Array) -> jax.Array:
    """`x` with leading axes for the batch of `like`: no implicit rank promotion."""
    return x.reshape((1,) * (like.ndim - x.ndim) + x.shape)
