"""What every cell can do: a weight becomes a code, a code targets of devices, devices conductances, and these a weight.

w -- encode --> code -- targets --> devices -- assemble --> bit lines -- weight --> w
"""

from abc import abstractmethod
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax._fields import Model
from qsynapse_jax.quantize import NO_LEVEL, nearest_level, straight_through


class AbstractCell(Model):
    """One weight as conductances between a word line and one or more bit lines.

    A code is an integer that can be written. Its level is the weight that the written cell has with ideal wires,
    from exact conductances, switches included: in [0, 1], or in [-1, 1] for a signed cell.

    A cell says what its devices shall be (`targets`), how they make up the crosspoints (`assemble`) and how much the
    current of each bit line counts (`significance`, one line by default). Everything else follows from these three.
    """

    @property
    @abstractmethod
    def code_range(self) -> tuple[int, int]:
        """Smallest and largest code; 0, the code of weight 0 or of the least weight, lies within."""

    @property
    def significance(self) -> tuple[float, ...]:
        """How much the current of each bit line counts: the weight is their weighted sum, less offset, over span."""
        return (1.0,)

    @property
    @abstractmethod
    def n_devices(self) -> int:
        """Devices of one weight: as many on each bit line, those of the first line first."""

    @property
    def signed(self) -> bool:
        """Whether weights can be negative."""
        return False

    @property
    def lines(self) -> int:
        """Bit lines of one weight."""
        return len(self.significance)

    @abstractmethod
    def targets(self, code: Int[Any, "*shape"]) -> Float[Array, " devices *shape"]:
        """Conductance that each device of a weight shall have [S]; 0 is an open device, infinity a short.

        Args:
            code: integers within `code_range`, any shape.

        Raises:
            ValueError: a code is not an integer or, where its value is known, out of range.
        """

    @abstractmethod
    def assemble(
        self, g_devices: Float[Array, " devices *shape"], parts: Any = None, *, temperature: Any = 300.0
    ) -> Float[Array, " lines *shape"]:
        """The physical law: conductances of the crosspoints [S], from those of the devices.

        Args:
            g_devices: of all devices [S], as written, aged and read.
            parts: what the cells are made of besides devices, as `init` gives it; `None` is nominal.
            temperature: of those parts [K].
        """

    def init(self, shape: tuple[int, ...], *, key: PRNGKeyArray) -> Any:
        """What cells are made of besides their devices, with the spread of the process; `None` if there is nothing."""
        return None

    def reference_factor(self, parts: Any, temperature: Any = 300.0) -> Float[Array, ""]:
        """Factor of a resistor made like those of the cells on the same die, e.g. the reference of an ADC; else 1."""
        return jnp.ones(())

    def device_grid(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Least target of a device, and the step from one target to the next, the smallest where they differ [S]."""
        low, high = self.code_range
        ends = self.targets(jnp.asarray([low, high]))
        least = jnp.min(ends)
        return least, (jnp.max(ends) - least) / (high - low)

    def conductance(self, code: Int[Any, "*shape"]) -> Float[Array, " lines *shape"]:
        """Exact conductances of written cells [S], one row per bit line; NaN for a traced code that is out of range."""
        code = self.checked_code(code)
        g = self.assemble(self.targets(code))
        return g if is_concrete(code) else jnp.where(code == NO_LEVEL, jnp.nan, g)

    def total(self, g_lines: Float[Array, " lines *shape"]) -> Float[Array, "*shape"]:
        """The sum of the lines' conductances [S], each times its significance."""
        terms = (g if s == 1 else s * g for s, g in zip(self.significance, g_lines, strict=True))
        return reduce(jnp.add, terms)

    def offset(self) -> Float[Array, ""]:
        """The sum that stands for weight 0 [S]."""
        return self.total(self.conductance(jnp.asarray(0)))

    def span(self) -> Float[Array, ""]:
        """How much more the sum is for weight 1 than for weight 0 [S]."""
        first, last = self.total(self.conductance(jnp.asarray([0, self.code_range[1]])))
        return last - first

    def weight(self, g_lines: Float[Array, " lines *shape"]) -> Float[Array, "*shape"]:
        """The weight that conductances of the bit lines [S] stand for, be they written, aged or behind wires."""
        total = self.total(g_lines)
        return (total - self.offset().astype(total.dtype)) / self.span().astype(total.dtype)

    def encode(self, w: Float[Any, "*shape"]) -> Int[Array, "*shape"]:
        """Code of the level nearest to each weight; weights beyond the range take the end level.

        Raises:
            ValueError: a weight is NaN. A traced NaN has the least int32 number for a code, which means NaN again.
        """
        return nearest_level(self.weight(self._table()), as_floating(w, "w"), "w")

    def decode(self, code: Int[Any, "*shape"]) -> Float[Array, "*shape"]:
        """Weight of each code, from exact conductances; NaN for a traced code that is out of range."""
        return _looked_up(self.weight(self._table()), self.checked_code(code), self.code_range[0])

    def realise(self, w: Float[Any, "*shape"]) -> Float[Array, " lines *shape"]:
        """Conductances of the cells that hold the nearest levels [S], one row per bit line.

        Gradients: straight through the rounding in `w` (as if every line's conductance were linear in weight within
            the range), exact in the physical parameters of the cell.
        """
        w = as_floating(w, "w")
        table, least = self._table().astype(w.dtype), -1 if self.signed else 0
        written = _looked_up(table, self.encode(w), self.code_range[0])
        chord = jax.lax.stop_gradient(table[:, -1] - table[:, 0]) / (1 - least)
        # Not `clip`, whose derivative at its ends is 1/2: a saturated weight sits exactly there.
        surrogate = jnp.where((w >= least) & (w <= 1), w, jnp.clip(jax.lax.stop_gradient(w), least, 1))
        return straight_through(written, chord.reshape(-1, *(1 for _ in w.shape)) * surrogate[None])

    def checked_code(self, code: Any) -> Int[Array, "..."]:
        """`code` as int32 (or wider) integers in range, or a `ValueError`; a traced one out of range is `NO_LEVEL`."""
        code = jnp.asarray(code)
        low, high = self.code_range
        if not jnp.issubdtype(code.dtype, jnp.integer):
            raise ValueError(
                f"Argument `code` must hold integers from {low} to {high}, but has dtype {code.dtype}; "
                "use `encode` to turn weights into codes."
            )
        # Narrow integers wrap around in what follows.
        wide = code if code.dtype.itemsize > 4 else code.astype(jnp.int32)
        if not is_concrete(code):
            return jnp.where((wide >= low) & (wide <= high), wide, NO_LEVEL)
        if code.size:
            # Of the numbers, not of the JAX array: inside `jit` the least of known codes would be a tracer.
            least, largest = np.min(np.asarray(code)), np.max(np.asarray(code))
            if least < low or largest > high:
                raise ValueError(
                    f"Argument `code` must hold integers from {low} to {high}, but ranges from {least} to {largest}."
                )
        return wide

    def _table(self) -> Float[Array, "lines n"]:
        low, high = self.code_range
        return self.assemble(self.targets(jnp.arange(low, high + 1)))


def _looked_up(table: Float[Array, "*lines n"], code: Int[Array, "..."], low: int) -> Float[Array, "..."]:
    """Entries of codes, the first of which is `low`; NaN for `NO_LEVEL`."""
    index = jnp.where(code == NO_LEVEL, table.shape[-1], code - low)
    return table.at[..., index].get(mode="fill", fill_value=jnp.nan)
