"""The lines of one direction as a linear map from cell currents to voltage drops.

A word line with its driver at the left carries, at segment `j`, the sum of the cell currents at and beyond `j`; the
drop at cell `j` is the running sum of `r` times those, and the driver's resistance adds its share of the whole. Where
the segments are the same on every line this is a product with a fixed matrix,

    Zw(I) = I Kw,   Kw[j, k] = R[min(j, k)],   R[j] = r_word[0] + ... + r_word[j]
    Zb(I) = Kb I,   likewise from the sense end

symmetric and positive semi-definite, and zero when their wires are: no conductance of a wire appears anywhere. CPUs
take long lines in pieces instead (`_line_sums`): a product with the whole matrix would be most of the work of a solve.
A second connection at the far end, through `r_far` to a terminal of the same voltage, returns the current

    J = drop[last] / (r_far + k[last])        k = the drop of 1 A drawn at the last cell

and lowers the drops by k J: a rank-one change that leaves the map symmetric (`FarEnd`).

A resistance that is infinite, or so large that the drop `r` times a difference of currents loses its digits, counts as
0 ohm in the maps, and the voltage phi across it becomes an unknown (`Opens`). With c = 1 at the cells beyond it and 0
before, it adds the voltages c phi (`lift`), and the current c'I of the cells beyond (`passed`) must equal -phi / r.

Where the far end of such a line is connected, the largest of them, of conductance g, is no unknown. With e = 1 at the
cells beyond it, L = r_far + k[last], and V the voltage that the drops and the other opens leave at the far end,

    J = (e'I + g V) / (1 + g L)

comes from there, the drops fall by k J + (V - L J) e, and the other opens pass c'I - J. So a broken line hangs on its
two ends, whatever these are: V / L would be lost where L is small, and nothing where it is 0.

An array that is spread over several devices (`spread`) takes running sums instead of products with Kw and Kb, which
would gather all of it on every device: a sum along a line that is cut into blocks is a sum in each block, plus the
totals of the blocks before it, one number per block and line, which is all that devices exchange.
"""

from abc import abstractmethod
from math import gcd
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qsynapse_jax.crossbar._line_sums import EXACT, Cells, ColumnPieces, RowPieces, on_cpu, pieces, ranked, sum_along
from qsynapse_jax.crossbar._wires import LARGE

# Cells of a line from which a CPU takes equal segments in pieces, and from which it takes running sums of others, which
# are two of them, rather than a product: at 1024 cells a solve took 0.2, 0.45 and 0.8 s in these three ways.
_LONG = 96
_VERY_LONG = 384


Phi = Float[Array, "batch opens"]


class Way(NamedTuple):
    """How lines of `cells` cells lie: along `axis`, their terminal before index 0, or after the last if `from_end`."""

    axis: int
    from_end: bool
    cells: int
    spread: int = 1

    @property
    def blocks(self) -> int:
        """Parts in which sums are taken."""
        # The lines can lie on any number of devices that divides both, and each block must lie on one of them.
        return gcd(self.cells, self.spread)

    def by_line(self, x: jax.Array) -> jax.Array:
        """One value for all lines, or one for each, that broadcasts against the cells."""
        return jnp.expand_dims(x.reshape(-1), self.axis)

    def by_cell(self, x: Float[Array, " n"]) -> jax.Array:
        """Values along all lines, likewise."""
        return jnp.expand_dims(x, -3 - self.axis)

    def up_to_each(self, x: jax.Array) -> jax.Array:
        """Running sum from the terminal to every cell."""
        return sum_along(x, self.axis, reverse=self.from_end, blocks=self.blocks)

    def beyond_each(self, x: jax.Array) -> jax.Array:
        """Running sum from the far end to every cell."""
        return sum_along(x, self.axis, reverse=not self.from_end, blocks=self.blocks)

    def end_of(self, x: jax.Array, *, far: bool) -> jax.Array:
        """The entries next to the terminals, or those farthest from them."""
        start = x.shape[self.axis] - 1 if far != self.from_end else 0
        return jax.lax.slice_in_dim(x, start, start + 1, axis=x.ndim + self.axis)


class AbstractLine(eqx.Module):
    """All lines of one direction. A subclass gives `drop` and `own`; without more, their far ends are open."""

    way: eqx.AbstractVar[Way]

    @abstractmethod
    def drop(self, current: Cells) -> Cells:
        """Voltage between the terminal and every cell [V] for the given cell currents [A]."""

    @abstractmethod
    def own(self) -> Float[Array, "lines columns"]:
        """Drop at every cell for 1 A drawn there alone [V/A], shape (wl, bl) or less.

        Where the far end is open, also the drop there for 1 A drawn at the cell farthest from the terminal.
        """

    def farthest(self) -> jax.Array:
        """`own` of the cells farthest from the terminals [V/A]; infinite or NaN where a resistance on the way is."""
        return self.way.end_of(self.own(), far=True)

    def supplied(self, current: Cells) -> jax.Array:
        """Sum of the cell currents of every line [A]."""
        return jnp.sum(current, self.way.axis)

    def rise(self, across: Cells) -> Cells:
        """Voltage at every cell [V] for voltages in series with the segments on the near side of each [V]."""
        return self.way.up_to_each(across)

    def around(self, across: Cells) -> Cells:
        """Current that these voltages drive around the loop that the far end closes [A]."""
        return jnp.zeros_like(across)

    def carried(self, current: Cells, fall: Cells | None = None) -> Cells:
        """Current through the segment on the near side of every cell [A], away from the terminal: `rise` transposed.

        What the cells beyond it take, less what the far end supplies; with `fall`, the voltages across the segments
        [V], also what those across opens drive from there.
        """
        return self.way.beyond_each(current)

    @property
    def opens(self) -> int:
        """Places for opens."""
        return 0

    def lift(self, phi: Phi, shape: tuple[int, ...]) -> Cells:
        """Voltage at every cell [V] for the voltages `phi` across the opens."""
        return jnp.zeros((len(phi), *shape), phi.dtype)

    def passed(self, current: Cells) -> Phi:
        """Current through the opens [A] that cell currents ask for: the transpose of `lift`."""
        return jnp.zeros((len(current), 0), current.dtype)

    def linked(self, phi: Phi, shape: tuple[int, ...]) -> Phi:
        """Current through the opens [A] that the voltages across them drive, through themselves and the far ends."""
        return phi


class Dense(AbstractLine):
    """Lines that are all alike: a product with `kernel`, the resistance that each two cells share [ohm].

    `along` is the resistance from the first segment up to each cell; `end`, of the terminals, broadcasts against lines.
    The kernel holds it where it is the same for all lines.
    """

    way: Way = eqx.field(static=True)
    kernel: Float[Array, "n n"]
    along: Float[Array, " n"]
    end: Float[Array, "..."]

    def drop(self, current: Cells) -> Cells:
        if self.end.size == 1:
            return self._product(current, self.kernel)
        # A product: XLA for CPUs would merge a sum into what reads it, and take it again for every cell.
        total = self._product(current, jnp.ones_like(self.kernel[:, :1] if self.way.axis == -1 else self.kernel[:1]))
        return self._product(current, self.kernel) + ranked(self.end, current) * total

    def _product(self, current: Cells, matrix: jax.Array) -> jax.Array:
        pair = (current, matrix) if self.way.axis == -1 else (matrix, current)
        return jnp.matmul(*pair, precision=EXACT)

    def own(self) -> Float[Array, "lines columns"]:
        return self.way.by_cell(self.along) + self.end


class Sums(AbstractLine):
    """Lines whose segments differ, or that are divided among devices: two running sums.

    `segments` are those of every cell, or of one line that stands for all [ohm].
    """

    way: Way = eqx.field(static=True)
    segments: Float[Array, "lines columns"]
    end: Float[Array, "..."]

    def drop(self, current: Cells) -> Cells:
        carried = self.carried(current)
        drop = self.rise(ranked(self.segments, current) * carried)
        # Divided among devices, each adds up what it has; one alone has the sum already.
        whole = self.way.blocks > 1
        total = jnp.sum(current, self.way.axis, keepdims=True) if whole else self.way.end_of(carried, far=False)
        return drop + ranked(self.end, current) * total

    def own(self) -> Float[Array, "lines columns"]:
        return self.rise(self.segments) + self.end


class OnCpu(AbstractLine):
    """Long lines that are all alike, which a CPU takes in another way than by a product."""

    way: Way = eqx.field(static=True)
    here: RowPieces | ColumnPieces | Sums
    elsewhere: Dense

    def drop(self, current: Cells) -> Cells:
        return on_cpu(self.here.drop, self.elsewhere.drop, current)

    def own(self) -> Float[Array, "lines columns"]:
        return self.elsewhere.own()


class FarEnd(AbstractLine):
    """Lines that are connected at their far ends too, through `far` [ohm], which broadcasts against the lines.

    `beyond` is 1 at the cells beyond the open that cuts a line, else 0, and `passing` the conductance of that open [S],
    1 for lines without; both `None` where no line has opens.
    """

    way: Way = eqx.field(static=True)
    line: AbstractLine
    far: Float[Array, "..."]
    beyond: Float[Array, "wl bl"] | None = None
    passing: Float[Array, "..."] | None = None

    def drop(self, current: Cells) -> Cells:
        drop = self.line.drop(current)
        return drop - self._lowered(self._last(drop), self._through(current))

    def own(self) -> Float[Array, "lines columns"]:
        own = self.line.own()
        return own - self._lowered(own, self.beyond)

    def rise(self, across: Cells) -> Cells:
        rise = self.line.rise(across)
        return rise - self._lowered(self._last(rise), None)

    def around(self, across: Cells) -> Cells:
        return jnp.broadcast_to(self._supplied(self._last(self.line.rise(across)), None), across.shape)

    def carried(self, current: Cells, fall: Cells | None = None) -> Cells:
        return self.line.carried(current) - self._supplied(self._last(self.line.drop(current)), self._through(current))

    def _last(self, x: jax.Array) -> jax.Array:
        return self.way.end_of(x, far=True)

    def _through(self, current: Cells) -> jax.Array | None:
        """What the cells beyond the open that cuts a line take [A]."""
        return None if self.beyond is None else jnp.sum(self.beyond[None] * current, self.way.axis, keepdims=True)

    def _supplied(self, left: jax.Array, through: jax.Array | None) -> jax.Array:
        """Current that enters by the far ends [A] for a voltage that is left there [V] and currents beyond opens."""
        loop = ranked(self.far + self._last(self.line.own()), left)
        if self.beyond is not None and self.passing is not None:
            cut, passing = ranked(self._last(self.beyond), left), ranked(self.passing, left)
            left, loop = passing * left, cut + passing * loop
            left = left if through is None else left + cut * through
        # A loop without resistance has no drop to drive a current either: 0 rather than 0/0.
        return jnp.where(loop > 0, left / jnp.where(loop > 0, loop, 1), 0)

    def _lowered(self, left: jax.Array, through: jax.Array | None) -> jax.Array:
        """What the far ends take off the drops of all cells [V]."""
        supplied, own = self._supplied(left, through), self.line.own()
        lowered = ranked(own, left) * supplied
        if self.beyond is None:
            return lowered
        loop = jnp.where(self._last(self.beyond) > 0, self.far + self._last(own), 0)
        return lowered + ranked(self.beyond, left) * (left - ranked(loop, left) * supplied)


class Opens(AbstractLine):
    """Lines with infinite or very large resistances: the first cell beyond each, and what it still conducts [S].

    `live` is 0 for places held in reserve, and for the open that cuts a line with a far end, else 1.
    """

    way: Way = eqx.field(static=True)
    line: AbstractLine
    row: Int[Array, " opens"]
    column: Int[Array, " opens"]
    conductance: Float[Array, " opens"]
    live: Float[Array, " opens"]

    def drop(self, current: Cells) -> Cells:
        return self.line.drop(current)

    def own(self) -> Float[Array, "lines columns"]:
        return self.line.own()

    def carried(self, current: Cells, fall: Cells | None = None) -> Cells:
        carried = self.line.carried(current)
        return carried if fall is None else carried - self.line.around(self.placed(self.at(fall), carried.shape[1:]))

    @property
    def opens(self) -> int:
        return self.row.size

    def lift(self, phi: Phi, shape: tuple[int, ...]) -> Cells:
        return self.line.rise(self.placed(phi, shape))

    def passed(self, current: Cells) -> Phi:
        return self.at(self.line.carried(current))

    def linked(self, phi: Phi, shape: tuple[int, ...]) -> Phi:
        through = (self.live * self.conductance)[None] * phi
        return through + self.at(self.line.around(self.placed(phi, shape)))

    def placed(self, x: Phi, shape: tuple[int, ...]) -> Cells:
        """Values of the opens at their cells, 0 elsewhere."""
        return jnp.zeros((len(x), *shape), x.dtype).at[:, self.row, self.column].add(self.live[None] * x)

    def at(self, x: Cells) -> Phi:
        """Values of the cells at the opens: the transpose of `placed`."""
        return self.live[None] * x[:, self.row, self.column]


def line_of(
    way: Way, segments: jax.Array, end: jax.Array, far: jax.Array | None = None, opens: int = 0
) -> AbstractLine:
    """All lines of one direction, in the form that is the quickest for them.

    Args:
        way: how they lie.
        segments: a scalar, one value along all lines or, in any case with `opens`, of every cell (wl, bl) [ohm].
        end: between the terminal and the first segment [ohm], a scalar or one for each line; 0 with `opens`.
        far: between the far end and a terminal [ohm], likewise; `None` where it is open.
        opens: places for infinite or very large segments; static.
    """
    found, cut = (), ()
    if opens:
        segments, found, cut = _without_opens(way, segments, far, opens)
    end, equal = way.by_line(end), segments.ndim == 0 and end.size == 1
    along = segments if segments.ndim == 2 else way.by_cell(jnp.broadcast_to(segments, (way.cells,)))
    whole = Sums(way, along, end)
    if segments.ndim < 2 and way.spread == 1:
        along = _up_to_each(way, segments)
        kernel = kernel_of(along + end.reshape(()) if end.size == 1 else along, way.from_end)
        dense, sums = Dense(way, kernel, along, end), whole
        if equal and way.cells >= _LONG:
            whole = OnCpu(way, pieces(way.axis, way.from_end, way.cells, segments, end.reshape(())), dense)
        else:
            whole = OnCpu(way, sums, dense) if way.cells >= _VERY_LONG else dense
    if far is not None:
        whole = FarEnd(way, whole, way.by_line(far), *cut)
    return Opens(way, whole, *found) if opens else whole


def _up_to_each(way: Way, segments: jax.Array) -> Float[Array, " n"]:
    """Resistance from the first segment up to each cell [ohm], of equal segments or of those of one line."""
    if segments.ndim:
        return jax.lax.cumsum(segments, reverse=way.from_end)
    order = jnp.arange(way.cells, 0, -1) if way.from_end else jnp.arange(1, way.cells + 1)
    return segments * order.astype(segments.dtype)


def kernel_of(along: Float[Array, " n"], from_end: bool) -> Float[Array, "n n"]:
    """Drop at each cell of a line for 1 A drawn at each other [ohm]: the resistance that their ways share."""
    order = jnp.arange(len(along))
    nearer = order[:, None] >= order[None, :] if from_end else order[:, None] <= order[None, :]
    return jnp.where(nearer, along[:, None], along[None, :])


def _without_opens(
    way: Way, segments: Float[Array, "wl bl"], far: jax.Array | None, opens: int
) -> tuple[jax.Array, tuple[jax.Array, ...], tuple[jax.Array, ...]]:
    """Segments without the largest, as many as there are places and as are large; fields of `Opens` and `FarEnd`."""
    values, index = jax.lax.top_k(segments.reshape(-1), opens)
    row, column = jnp.divmod(index, segments.shape[1])
    live = values >= LARGE
    conductance = jnp.where(live, 1 / jnp.where(live, values, 1), 0)
    segments = jnp.where(jnp.zeros(segments.shape, bool).at[row, column].set(live), 0, segments)
    cut = ()
    if far is not None:
        line, order, lines = (row if way.axis == -1 else column), jnp.arange(opens), jnp.sum(segments, way.axis)
        first = jnp.full(lines.shape, opens).at[line].min(jnp.where(live, order, opens))
        cuts = live & (first[line] == order) & jnp.isfinite(lines + far)[line]
        beyond = way.up_to_each(jnp.zeros_like(segments).at[row, column].add(cuts.astype(segments.dtype)))
        passing = way.by_line(jnp.zeros_like(lines).at[line].add(jnp.where(cuts, conductance, 0)))
        cut, live = (beyond, jnp.where(way.end_of(beyond, far=True) > 0, passing, 1)), live & ~cuts
    return segments, (row, column, conductance, live.astype(segments.dtype)), cut
