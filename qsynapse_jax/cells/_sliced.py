"""A weight of several digits, each in a cell of its own."""

import jax.numpy as jnp
from jaxtyping import Array, Int

from qsynapse_jax._fields import whole
from qsynapse_jax.cells._base import MOST_LEVELS, AbstractCell
from qsynapse_jax.cells._wrapper import AbstractWrapper


class Sliced(AbstractWrapper):
    """Bit slicing: a weight of several digits, one cell per digit on bit lines of its own.

        code = sum over k of d_k b^(slices-1-k),    w = sum over k of b^-k w(d_k) / sum over k of b^-k

    where b is the number of levels of the cell. The most significant digit comes first; what the lines of digit k
    carry is divided by b^k where it is added, so cells of few levels make a weight of many.

    Args:
        cell: of one digit; any whose weights have no sign, e.g. `Multilevel`. `Differential(Sliced(...))` is signed.
        slices: digits. Static.

    Raises:
        ValueError: `cell` is not a cell, or is signed; fewer than one slice, or more than 65,536 levels in all.
    """

    cell: AbstractCell
    slices: int = whole(1, what="one per digit")

    def __check_init__(self):
        self._check_cell()
        if self.base**self.slices > MOST_LEVELS:
            raise ValueError(
                f"Argument `slices` must leave no more than {MOST_LEVELS} levels, but {self.slices} digits of "
                f"{self.base} levels are {self.base**self.slices}."
            )

    @property
    def base(self) -> int:
        """Levels of one digit."""
        return self.cell.code_range[1] + 1

    @property
    def code_range(self) -> tuple[int, int]:
        return 0, self.base**self.slices - 1

    @property
    def significance(self) -> tuple[float, ...]:
        return tuple(float(self.base) ** -k * s for k in range(self.slices) for s in self.cell.significance)

    @property
    def copies(self) -> int:
        return self.slices

    def split(self, code: Int[Array, "*shape"]) -> Int[Array, "*shape slices"]:
        return jnp.stack([code // self.base**k % self.base for k in reversed(range(self.slices))], axis=-1)
