"""An analog memory cell with evenly spaced conductance levels."""

from typing import Any

from jaxtyping import Array, Float, Int

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import Scalar, non_negative, quantity, real, whole
from qsynapse_jax.cells._base import AbstractCell


class Multilevel(AbstractCell):
    """Evenly spaced conductances of one device: G(code) = g_min + (g_max - g_min) code / (levels - 1).

    Args:
        levels: how many, 2 to 32,768. Static.
        g_min: conductance of code 0, the high-resistance state [S].
        g_max: conductance of the largest code, the low-resistance state [S].

    Raises:
        ValueError: `levels` out of range; conductances negative, not finite, or not ascending.
    """

    # 11 bits is the finest memristor published (Rao et al., Nature 615, 823, 2023); four bits more leave room.
    levels: int = whole(2, 2**15)
    g_min: Scalar = real("S", non_negative)
    g_max: Scalar = real("S", non_negative)

    def __check_init__(self):
        if is_concrete(self.g_min, self.g_max) and not float(self.g_max) > float(self.g_min):
            low, high = (quantity(float(g), "S") for g in (self.g_min, self.g_max))
            raise ValueError(f"Argument `g_max` must be above `g_min` = {low}, but is {high}.")

    @property
    def code_range(self) -> tuple[int, int]:
        return 0, self.levels - 1

    @property
    def n_devices(self) -> int:
        return 1

    def targets(self, code: Int[Any, "*shape"]) -> Float[Array, " 1 *shape"]:
        fraction = self.checked_code(code).astype(self.g_max.dtype) / (self.levels - 1)
        # Weighted ends rather than a start and a step: the last level is g_max to the last bit.
        return ((1 - fraction) * self.g_min + fraction * self.g_max)[None]

    def assemble(
        self, g_devices: Float[Array, " 1 *shape"], parts: Any = None, *, temperature: Any = 300.0
    ) -> Float[Array, " 1 *shape"]:
        return g_devices
