"""A signed weight on the lines of one cell: a reference that all cells share stands for zero."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qsynapse_jax._fields import OptionalScalar, non_negative, real
from qsynapse_jax.cells._base import AbstractCell
from qsynapse_jax.cells._wrapper import AbstractWrapper


class Referenced(AbstractWrapper):
    """One cell, less a reference conductance: half the devices of `Differential`, half its levels.

        w(code) = (G(code) - g_ref) / (half the span of the cell)

    The reference current, `g_ref` times the sum of the word-line voltages, is taken off behind the sense amplifier; the
    column that makes it is an ideal one. Unlike in `Differential` an error of the reference moves every weight.

    Args:
        cell: any whose weights have no sign, e.g. `Ladder`.
        g_ref: reference [S]; default the middle between the first and the last level, for weights from -1 to 1.

    Raises:
        ValueError: `cell` is not such a cell; `g_ref` is negative or not finite.
    """

    cell: AbstractCell
    g_ref: OptionalScalar = real("S", non_negative, optional=True, default=None)

    def __check_init__(self):
        self._check_cell()

    @property
    def code_range(self) -> tuple[int, int]:
        return self.cell.code_range

    @property
    def significance(self) -> tuple[float, ...]:
        return self.cell.significance

    @property
    def copies(self) -> int:
        return 1

    @property
    def signed(self) -> bool:
        return True

    def split(self, code: Int[Array, "*shape"]) -> Int[Array, "*shape 1"]:
        return code[..., None]

    def span(self) -> Float[Array, ""]:
        return self.cell.span() / 2

    def offset(self) -> Float[Array, ""]:
        if self.g_ref is not None:
            return jnp.asarray(self.g_ref)
        return jnp.mean(self.total(self.conductance(jnp.asarray(self.code_range))))
