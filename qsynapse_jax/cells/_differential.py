"""A signed weight as the difference of two cells on neighbouring bit lines."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qsynapse_jax._checks import as_floating
from qsynapse_jax.cells._base import AbstractCell


class Differential(AbstractCell):
    """Two cells of one kind, read on two bit lines whose currents are subtracted.

    Code c in -(n-1) .. n-1 writes max(c, 0) into the plus cell and max(-c, 0) into the minus cell: 2n - 1 signed
    levels, symmetric, and the conductance of code 0 cancels.

    Args:
        cell: the cell to double; any cell on a single bit line, e.g. `Ladder`.

    Raises:
        ValueError: `cell` is not a cell, or is signed already.
    """

    cell: AbstractCell

    signs: ClassVar[tuple[int, ...]] = (1, -1)

    def __check_init__(self):
        if not isinstance(self.cell, AbstractCell) or self.cell.signs != (1,):
            raise ValueError(
                f"Argument `cell` must be a cell on a single bit line such as `Ladder`, but is a "
                f"{type(self.cell).__name__}."
            )

    @property
    def code_range(self) -> tuple[int, int]:
        largest = self.cell.code_range[1]
        return -largest, largest

    def span(self) -> Float[Array, ""]:
        return self.cell.span()

    def conductance(self, code: Int[Any, "*shape"]) -> Float[Array, "2 ..."]:
        code = self.checked_code(code)
        return jnp.stack([self.cell.conductance(jnp.maximum(sign * code, 0)) for sign in self.signs])

    def encode(self, w: Float[Any, "*shape"]) -> Int[Array, "*shape"]:
        w = as_floating(w, "w")
        return jnp.where(w >= 0, 1, -1) * self.cell.encode(jnp.abs(w))

    def decode(self, code: Int[Any, "*shape"]) -> Float[Array, "*shape"]:
        code = self.checked_code(code)
        return jnp.sign(code).astype(self.span().dtype) * self.cell.decode(jnp.abs(code))

    def realise(self, w: Float[Any, "*shape"]) -> Float[Array, "2 ..."]:
        w = as_floating(w, "w")
        return jnp.stack([self.cell.realise(jnp.maximum(sign * w, 0)) for sign in self.signs])
