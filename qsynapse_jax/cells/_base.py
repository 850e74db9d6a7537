"""What every cell can do: turn a weight into a code, a code into conductances, and a code back into a weight."""

from abc import abstractmethod
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax.quantize import nearest_level, straight_through


class AbstractCell(eqx.Module):
    """One weight as conductances between a word line and one or more bit lines.

    A code is an integer that can be written. Its level is the weight that the written cell has with ideal wires,
    from exact conductances, switches included: in [0, 1], or in [-1, 1] for a signed cell.

    `signs` says how the currents of the cell's bit lines add up to the weight, one sign a bit line.
    """

    signs: eqx.AbstractClassVar[tuple[int, ...]]

    @property
    @abstractmethod
    def code_range(self) -> tuple[int, int]:
        """Smallest and largest code."""

    @property
    def signed(self) -> bool:
        """Whether weights can be negative."""
        return -1 in self.signs

    @abstractmethod
    def span(self) -> Float[Array, ""]:
        """Conductance between weight 0 and weight 1 [S]."""

    def offset(self) -> Float[Array, ""]:
        """What stands for weight 0 [S]: the signed sum over the bit lines of code 0, unless there is a reference."""
        g = self.conductance(jnp.asarray(0)).reshape(-1)
        return jnp.sum(g * jnp.asarray(self.signs, g.dtype))

    @abstractmethod
    def conductance(self, code: Int[Any, "*shape"]) -> Float[Array, "..."]:
        """Exact conductances of written cells [S].

        Args:
            code: integers within `code_range`, any shape.

        Returns:
            An array of the shape of `code`; for a cell of several bit lines as many, stacked on a new first axis.

        Raises:
            ValueError: a code is not an integer or, where its value is known, out of range.
        """

    @abstractmethod
    def encode(self, w: Float[Any, "*shape"]) -> Int[Array, "*shape"]:
        """Code of the level nearest to each weight; weights beyond the range take the end level."""

    @abstractmethod
    def decode(self, code: Int[Any, "*shape"]) -> Float[Array, "*shape"]:
        """Weight of each code, from exact conductances: 0 for code 0, 1 for the largest."""

    @abstractmethod
    def realise(self, w: Float[Any, "*shape"]) -> Float[Array, "..."]:
        """Conductances of the cells that hold the nearest levels [S], shaped as by `conductance`.

        Gradients: straight through the rounding in `w` (as if conductance were linear in weight within the range),
            exact in the physical parameters of the cell.
        """

    def checked_code(self, code: Any) -> Int[Array, "..."]:
        """`code` as integers in range, or a `ValueError`."""
        code = jnp.asarray(code)
        low, high = self.code_range
        if not jnp.issubdtype(code.dtype, jnp.integer):
            raise ValueError(
                f"Argument `code` must hold integers from {low} to {high}, but has dtype {code.dtype}; "
                "use `encode` to turn weights into codes."
            )
        if is_concrete(code) and code.size:
            # Of the numbers, not of the JAX array: inside `jit` the least of known codes would be a tracer.
            least, largest = np.min(np.asarray(code)), np.max(np.asarray(code))
            if least < low or largest > high:
                raise ValueError(
                    f"Argument `code` must hold integers from {low} to {high}, but ranges from {least} to {largest}."
                )
        return code


class AbstractUnipolarCell(AbstractCell):
    """A cell on one bit line, whose codes 0 .. n-1 map weights in [0, 1] to conductances."""

    signs: ClassVar[tuple[int, ...]] = (1,)

    @abstractmethod
    def code_conductance(self, code: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The physical law: conductance of each valid code [S]."""

    def conductance(self, code: Int[Any, "*shape"]) -> Float[Array, "*shape"]:
        return self.code_conductance(self.checked_code(code))

    def level_weights(self) -> Float[Array, " n"]:
        """Weight of every code in order; not evenly spaced, and not always ascending, in a real cell."""
        g = self._table()
        return (g - g[0]) / (g[-1] - g[0])

    def span(self) -> Float[Array, ""]:
        g = self._table()
        return g[-1] - g[0]

    def encode(self, w: Float[Any, "*shape"]) -> Int[Array, "*shape"]:
        return nearest_level(self.level_weights(), as_floating(w, "w"))

    def decode(self, code: Int[Any, "*shape"]) -> Float[Array, "*shape"]:
        return self.level_weights()[self.checked_code(code)]

    def realise(self, w: Float[Any, "*shape"]) -> Float[Array, "*shape"]:
        w = as_floating(w, "w")
        held_span = jax.lax.stop_gradient(self.span()).astype(w.dtype)
        written = self._table()[self.encode(w)].astype(w.dtype)
        # Not `clip`, whose derivative at its ends is 1/2: a saturated weight sits exactly there.
        surrogate = jnp.where((w >= 0) & (w <= 1), w, jnp.clip(jax.lax.stop_gradient(w), 0, 1))
        return straight_through(written, held_span * surrogate)

    def _table(self) -> Float[Array, " n"]:
        return self.code_conductance(jnp.arange(self.code_range[1] + 1))
