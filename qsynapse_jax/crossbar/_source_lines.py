"""Lines that supply cells from beside their bit lines, as two linear maps from cell currents to voltage drops.

A source line is a bit line that is driven: its drops are the map Zb of `_impedance` for its own resistances, so that

    u = v_source - v_out - Zs(I) - Zb(I),     Zs: I -> Ks @ I

with the same symmetry as for lines that cross, and everything that is built on it. Where the terminals lie above the
first row the map is that of the array upside down.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._fields import Model, Numbers, OptionalNumbers, reals
from qsynapse_jax.crossbar._impedance import Impedance, impedance
from qsynapse_jax.crossbar._line_sums import Cells
from qsynapse_jax.crossbar._lines import AbstractLine, Phi, Way
from qsynapse_jax.crossbar._wires import RESISTANCE, Wires, check_shapes

_AXES = {"r_source": ("wl", "wl bl"), "r_driver": ("bl",), "r_driver_far": ("bl",)}


class SourceLines(Model):
    """Resistances of source lines, one beside each bit line.

    Every cell has one source-line segment on the side of the terminal, so a 1 x 1 array in series is
    `r_driver + r_source + 1/g + r_bit + r_sense`.

    Args:
        r_source: a segment of a source line [ohm]; a scalar, shape (wl,) for a line that tapers, or (wl, bl).
        r_driver: between the terminal and the first segment of a source line [ohm]; a scalar or (bl,).
        r_driver_far: between a second terminal of the same voltage and the last cell of a source line [ohm]; a scalar
            or (bl,). `None` (default): the far end is open.
        at_sense: whether the terminals lie below the last word line, beside those of the bit lines. `False` (default):
            above word line 0, so that the way through any cell is equally long. Static.
        per_bit_line: how many source lines each bit line has; `solve_gated` sets 2 for interleaved pairs. Static.

    0 is an ideal line, exactly; an infinity in an array is an open, as in `Wires`, whose `opens` counts these too.

    Raises:
        ValueError: a resistance is negative or NaN, a scalar is infinite, or it is an integer array.
    """

    r_source: Numbers = reals("ohm", RESISTANCE, default=0.0)
    r_driver: Numbers = reals("ohm", RESISTANCE, default=0.0)
    r_driver_far: OptionalNumbers = reals("ohm", RESISTANCE, optional=True, default=None)
    at_sense: bool = eqx.field(static=True, default=False)
    per_bit_line: int = eqx.field(static=True, default=1)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuses resistances that do not fit an array of `shape` (wl, bl)."""
        check_shapes(self, _AXES, shape)

    def count_opens(self, wires: Wires, shape: tuple[int, ...]) -> tuple[int, int]:
        """Places to hold for opens in source lines and in bit lines."""
        by_line = self._view(shape)
        return self.as_bit_lines(wires).count_opens(by_line)[1], _alone(wires).count_opens(shape)[1]

    def impedance(
        self, wires: Wires, shape: tuple[int, ...], dtype: jnp.dtype, opens: tuple[int, int], *, spread: int = 1
    ) -> Impedance:
        """The two maps, as `impedance` gives them for lines that cross."""
        source = impedance(self.as_bit_lines(wires), self._view(shape), dtype, (0, opens[0]), spread=spread).bit
        bit = impedance(_alone(wires), shape, dtype, (0, opens[1]), spread=spread)
        word = Beside(source.way, source, shape, self._view(shape), turned=not self.at_sense)
        return Impedance(word, bit.bit, bit.resistances, spread, parallel=True)

    def by_line(self, x: Any) -> Any:
        """An array over the cells, (*batch, wl, bl), with the source lines along its last axis but one."""
        return x.reshape(*x.shape[:-2], *self._view(x.shape[-2:]))

    def ends(self, v: Float[Array, "batch lines"], shape: tuple[int, ...]) -> Float[Array, "batch wl bl"]:
        """Voltages of the terminals beside the cells that they supply [V]."""
        rows, lines = self._view(shape[-2:])
        return jnp.broadcast_to(v[:, None, :], (shape[0], rows, lines)).reshape(shape)

    def fall(self, v: Float[Array, "batch wl bl"], ends: Float[Array, "batch lines"]) -> Float[Array, "batch wl bl"]:
        """Voltages from the near to the far end of every segment [V], from those of the cells' nodes."""
        nodes, ends = self.by_line(v), ends[:, None, :]
        if self.at_sense:
            return jnp.diff(nodes, axis=-2, append=ends).reshape(v.shape)
        return -jnp.diff(nodes, axis=-2, prepend=ends).reshape(v.shape)

    def _view(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Cells along a source line, and source lines. The cells of a pair lie in neighboring rows."""
        return shape[0] // self.per_bit_line, self.per_bit_line * shape[1]

    def as_bit_lines(self, wires: Wires) -> Wires:
        """Those of all first lines, then those of all second ones; the terminals below the last row."""

        def all_lines(r: jax.Array) -> jax.Array:
            return r if r.ndim == 0 else jnp.tile(r, self.per_bit_line)

        r = self.r_source if self.at_sense or self.r_source.ndim == 0 else jnp.flip(self.r_source, 0)
        r = all_lines(r) if r.ndim == 2 else r
        far = None if self.r_driver_far is None else all_lines(self.r_driver_far)
        return Wires(r_bit=r, r_sense=all_lines(self.r_driver), r_sense_far=far, opens=wires.opens)


def _alone(wires: Wires) -> Wires:
    """Without word lines: as gates they carry no current."""
    return Wires(r_bit=wires.r_bit, r_sense=wires.r_sense, r_sense_far=wires.r_sense_far, opens=wires.opens)


class Beside(AbstractLine):
    """Source lines as bit lines of an array of `view`, whose terminals lie above its first row if `turned`."""

    way: Way = eqx.field(static=True)
    line: AbstractLine
    shape: tuple[int, ...] = eqx.field(static=True)
    view: tuple[int, int] = eqx.field(static=True)
    turned: bool = eqx.field(static=True)

    def drop(self, current: Cells) -> Cells:
        return self._back(self.line.drop(self._seen(current)))

    def own(self) -> Float[Array, "wl bl"]:
        return self._back(jnp.broadcast_to(self.line.own(), self.view))

    def farthest(self) -> jax.Array:
        return self.line.farthest()

    def supplied(self, current: Cells) -> jax.Array:
        return self.line.supplied(self._seen(current))

    def rise(self, across: Cells) -> Cells:
        return self._back(self.line.rise(self._seen(across)))

    def around(self, across: Cells) -> Cells:
        return self._back(self.line.around(self._seen(across)))

    def carried(self, current: Cells, fall: Cells | None = None) -> Cells:
        return self._back(self.line.carried(self._seen(current), None if fall is None else self._seen(fall)))

    @property
    def opens(self) -> int:
        return self.line.opens

    def lift(self, phi: Phi, shape: tuple[int, ...]) -> Cells:
        return self._back(self.line.lift(phi, self.view))

    def passed(self, current: Cells) -> Phi:
        return self.line.passed(self._seen(current))

    def linked(self, phi: Phi, shape: tuple[int, ...]) -> Phi:
        return self.line.linked(phi, self.view)

    def _seen(self, x: jax.Array) -> jax.Array:
        x = x.reshape(*x.shape[:-2], *self.view)
        return jnp.flip(x, -2) if self.turned else x

    def _back(self, x: jax.Array) -> jax.Array:
        x = jnp.flip(x, -2) if self.turned else x
        return x.reshape(*x.shape[:-2], *self.shape)
