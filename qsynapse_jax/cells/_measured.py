"""A memory cell with the levels that somebody measured."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import Numbers, non_negative, quantity, reals
from qsynapse_jax.cells._base import AbstractCell

# A table of all levels is kept.
_MOST_LEVELS = 2**15


class MeasuredLevels(AbstractCell):
    """One device that holds one of the conductances of a list, in ascending order, evenly spaced or not.

    Args:
        g: conductance of every code [S], shape (levels,), ascending, 2 to 32,768 of them.

    Raises:
        ValueError: another shape; conductances negative, not finite or not ascending, with the place.
    """

    g: Numbers = reals("S", non_negative)

    def __check_init__(self):
        if jnp.ndim(self.g) != 1 or not 2 <= len(self.g) <= _MOST_LEVELS:
            raise ValueError(
                f"Argument `g` must be a list of 2 to {_MOST_LEVELS} levels, but has shape {self.g.shape}; take the "
                "mean of several reads of a level."
            )
        if not is_concrete(self.g):
            return
        falls = np.flatnonzero(~(np.diff(np.asarray(self.g)) > 0))
        if falls.size:
            k = int(falls[0])
            before, after = (quantity(float(g), "S") for g in np.asarray(self.g)[k : k + 2])
            raise ValueError(f"Argument `g` must ascend, but level {k + 1} is {after} after {before}; sort the levels.")

    @property
    def code_range(self) -> tuple[int, int]:
        return 0, len(self.g) - 1

    @property
    def n_devices(self) -> int:
        return 1

    def targets(self, code: Int[Any, "*shape"]) -> Float[Array, " 1 *shape"]:
        return self.g.at[self.checked_code(code)].get(mode="fill", fill_value=jnp.nan)[None]

    def device_grid(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        # The smallest distance, so that no band of a write reaches into that of a neighbor.
        return self.g[0], jnp.min(jnp.diff(self.g))

    def assemble(
        self, g_devices: Float[Array, " 1 *shape"], parts: Any = None, *, temperature: Any = 300.0
    ) -> Float[Array, " 1 *shape"]:
        return g_devices
