"""Voltages of all lines while cells of an array are written together: what is selected, and what the others see."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from qsynapse_jax._fields import Model, Scalar, positive, real


class Lines(NamedTuple):
    """Terminal voltages of the lines [V], and which word lines have transistors that conduct."""

    v_word: Float[Array, " wl"]
    v_bit: Float[Array, " bl"]
    gate: Bool[Array, " wl"]


class AbstractBias(Model):
    """Which voltages the lines have while the cells where a selected row meets a selected column are written.

    The pulse of amplitude `v` raises conductances if it is positive. Every voltage is that of a supply from 0 to |v|:
    for a negative one the columns are driven and the rows held.
    """

    v: eqx.AbstractVar[Scalar]
    width: eqx.AbstractVar[Scalar]

    @abstractmethod
    def lines(self, rows: Bool[Array, " wl"], columns: Bool[Array, " bl"]) -> Lines:
        """Voltages of the lines for the rows and the columns that are selected."""

    @property
    @abstractmethod
    def half(self) -> Float[Array, ""]:
        """Voltage across a cell of which one line is selected, with ideal wires [V]."""

    def _levels(
        self, rows: Bool[Array, " wl"], columns: Bool[Array, " bl"], row: float, column: float
    ) -> tuple[Float[Array, " wl"], Float[Array, " bl"]]:
        """Rows at |v| or a part `row` of it, columns at 0 or a part `column` of it; mirrored for a negative pulse."""
        v_word, v_bit = jnp.where(rows, 1.0, row), jnp.where(columns, 0.0, column)
        up, size = self.v >= 0, jnp.abs(self.v)
        return size * jnp.where(up, v_word, 1 - v_word), size * jnp.where(up, v_bit, 1 - v_bit)


class HalfBias(AbstractBias):
    """V/2: selected rows at V, selected columns at 0, all other lines at V/2.

    A cell of one selected line sees V/2, one of none 0 V. The conventional parallel update of a crosspoint array.

    Args:
        v: amplitude across a selected cell [V], positive towards higher conductance.
        width: of the pulse [s].
    """

    v: Scalar = real("V")
    width: Scalar = real("s", positive)

    def lines(self, rows: Bool[Array, " wl"], columns: Bool[Array, " bl"]) -> Lines:
        return Lines(*self._levels(rows, columns, 0.5, 0.5), jnp.ones_like(rows))

    @property
    def half(self) -> Float[Array, ""]:
        return self.v / 2


class ThirdBias(AbstractBias):
    """V/3: selected rows at V, selected columns at 0, other rows at V/3, other columns at 2V/3.

    A cell of one selected line sees V/3, and one of none -V/3, so that every cell is disturbed, but less.

    Args:
        v: amplitude across a selected cell [V], positive towards higher conductance.
        width: of the pulse [s].
    """

    v: Scalar = real("V")
    width: Scalar = real("s", positive)

    def lines(self, rows: Bool[Array, " wl"], columns: Bool[Array, " bl"]) -> Lines:
        return Lines(*self._levels(rows, columns, 1 / 3, 2 / 3), jnp.ones_like(rows))

    @property
    def half(self) -> Float[Array, ""]:
        return self.v / 3


class GateBias(AbstractBias):
    """Gate coincidence: all rows at V, selected columns at 0, others at V; transistors conduct in selected rows alone.

    Nothing is across a cell that is not selected: its transistor is closed, or both of its lines are at V. A transistor
    that conducts is a short here; its resistance is a part of the device (`r_series` of `CmoFilament`).

    Args:
        v: amplitude across a selected cell [V], positive towards higher conductance.
        width: of the pulse [s].
    """

    v: Scalar = real("V")
    width: Scalar = real("s", positive)

    def lines(self, rows: Bool[Array, " wl"], columns: Bool[Array, " bl"]) -> Lines:
        return Lines(*self._levels(jnp.ones_like(rows), columns, 1.0, 1.0), rows)

    @property
    def half(self) -> Float[Array, ""]:
        return jnp.zeros_like(self.v)
