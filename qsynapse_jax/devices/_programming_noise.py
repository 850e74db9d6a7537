"""What write-verify and the time after it leave of a target, as a fit of measured arrays."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax._fields import Model, Numbers, Rule, Scalar, check, non_negative, positive, quantity, real, reals


class ProgrammingNoise(Model):
    """Conductances of an array around their targets: g + sigma(g) xi, sigma a polynomial of g/g_unit.

    No device and no pulses, but what was found after them: for networks on arrays of which more is not known. A `Tile`
    takes it in place of a device.

    Args:
        coefficients: of sigma in ascending powers of g/g_unit [S].
        g_unit: what g is measured in there [S].
        g_min, g_max: targets that were measured, and so may be asked for [S].

    Raises:
        ValueError: coefficients that are no vector; numbers out of range.
    """

    coefficients: Numbers = reals("S")
    g_unit: Scalar = real("S", positive)
    g_min: Scalar = real("S", non_negative)
    g_max: Scalar = real("S", positive)

    def __check_init__(self):
        if self.coefficients.ndim != 1 or not self.coefficients.size:
            raise ValueError(
                f"Argument `coefficients` must be a vector of one number or more, but has shape "
                f"{self.coefficients.shape}."
            )

    def sigma(self, g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Standard deviation of what is found at targets `g` [S]."""
        g = as_floating(g, "g")
        if is_concrete(self, g):
            low, high = float(self.g_min), float(self.g_max)
            words = f"from {quantity(low, 'S')} to {quantity(high, 'S')}, which the noise is known of"
            # What a sum in float32 ends at is no other target.
            margin = 1e-6 * high
            check(g, "g", "S", Rule(words, lambda x: (x >= low - margin) & (x <= high + margin)))
        x = g / self.g_unit.astype(g.dtype)
        value = jnp.zeros_like(x)
        for power in reversed(range(self.coefficients.size)):
            value = value * x + self.coefficients[power].astype(g.dtype)
        return jnp.maximum(value, 0)

    def found(self, g: Float[Array, "*shape"], *, key: jax.Array) -> Float[Array, "*shape"]:
        """Conductances of cells that were written to `g`, at least 0 [S]; differentiable in `g`."""
        noise = jax.random.normal(key, jnp.shape(g), jnp.result_type(g))
        return jnp.maximum(g + self.sigma(g) * noise, 0)
