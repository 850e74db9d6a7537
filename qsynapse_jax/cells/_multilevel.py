"""An analog memory cell with evenly spaced conductance levels."""

from functools import partial

import equinox as eqx
from jaxtyping import Array, Float, Int

from qsynapse_jax._checks import as_real, bad_value_message, is_concrete
from qsynapse_jax.cells._base import AbstractUnipolarCell

# 11 bits is the finest memristor published (Rao et al., Nature 615, 823, 2023); four bits more leave room.
_MOST_LEVELS = 2**15


class Multilevel(AbstractUnipolarCell):
    """Evenly spaced conductances: G(code) = g_min + (g_max - g_min) code / (levels - 1).

    Args:
        levels: how many, 2 to 32,768. Static.
        g_min: conductance of code 0, the high-resistance state [S].
        g_max: conductance of the largest code, the low-resistance state [S].

    Raises:
        ValueError: `levels` out of range; conductances negative, not finite, or not ascending.
    """

    levels: int = eqx.field(static=True)
    g_min: Float[Array, ""] = eqx.field(converter=partial(as_real, name="g_min"))
    g_max: Float[Array, ""] = eqx.field(converter=partial(as_real, name="g_max"))

    def __check_init__(self):
        n = self.levels
        if not isinstance(n, int) or isinstance(n, bool) or not 2 <= n <= _MOST_LEVELS:
            raise ValueError(f"Argument `levels` must be an integer from 2 to {_MOST_LEVELS}, but is {n!r}.")
        for name in ("g_min", "g_max"):
            if not is_concrete(getattr(self, name)):
                continue
            message = bad_value_message(getattr(self, name), name, unit="S", minimum="non-negative")
            if message is not None:
                raise ValueError(message)
        if is_concrete(self.g_min, self.g_max) and not float(self.g_max) > float(self.g_min):
            raise ValueError(
                f"Argument `g_max` must be above `g_min` = {float(self.g_min):g} S, but is {float(self.g_max):g} S."
            )

    @property
    def code_range(self) -> tuple[int, int]:
        return 0, self.levels - 1

    def code_conductance(self, code: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
        fraction = code.astype(self.g_max.dtype) / (self.levels - 1)
        # Weighted ends rather than a start and a step: the last level is g_max to the last bit.
        return (1 - fraction) * self.g_min + fraction * self.g_max
