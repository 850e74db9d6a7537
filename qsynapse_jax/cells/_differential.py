"""A signed weight as the difference of two cells on neighbouring bit lines."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qsynapse_jax._checks import as_floating
from qsynapse_jax.cells._base import AbstractCell
from qsynapse_jax.cells._wrapper import AbstractWrapper


class Differential(AbstractWrapper):
    """Two cells of one kind, read on bit lines whose currents are subtracted.

    Code c in -(n-1) .. n-1 writes max(c, 0) into the plus cell and max(-c, 0) into the minus cell: 2n - 1 signed
    levels, symmetric, and the conductance of code 0 cancels. The lines of the plus cell come first.

    Args:
        cell: the cell to double; any whose weights have no sign, e.g. `Ladder`.

    Raises:
        ValueError: `cell` is not a cell, or is signed already.
    """

    cell: AbstractCell

    def __check_init__(self):
        self._check_cell()

    @property
    def code_range(self) -> tuple[int, int]:
        largest = self.cell.code_range[1]
        return -largest, largest

    @property
    def significance(self) -> tuple[float, ...]:
        return (*self.cell.significance, *(-s for s in self.cell.significance))

    @property
    def copies(self) -> int:
        return 2

    @property
    def signed(self) -> bool:
        return True

    def split(self, code: Int[Array, "*shape"]) -> Int[Array, "*shape 2"]:
        return jnp.stack([jnp.maximum(code, 0), jnp.maximum(-code, 0)], axis=-1)

    def total(self, g_lines: Float[Array, " lines *shape"]) -> Float[Array, "*shape"]:
        # Each cell by itself first: equal cells cancel to the last bit.
        plus, minus = g_lines[: self.cell.lines], g_lines[self.cell.lines :]
        return self.cell.total(plus) - self.cell.total(minus)

    def span(self) -> Float[Array, ""]:
        return self.cell.span()

    def offset(self) -> Float[Array, ""]:
        return jnp.zeros(())

    def encode(self, w: Float[Any, "*shape"]) -> Int[Array, "*shape"]:
        # Not the nearest of all levels: halfway between two of them the one nearer to 0 is taken, on both sides.
        w = as_floating(w, "w")
        return jnp.where(w >= 0, 1, -1) * self.cell.encode(jnp.abs(w))

    def realise(self, w: Float[Any, "*shape"]) -> Float[Array, " lines *shape"]:
        w = as_floating(w, "w")
        return self._first(self.cell.realise(jnp.stack([jnp.maximum(w, 0), jnp.maximum(-w, 0)], axis=-1)))
