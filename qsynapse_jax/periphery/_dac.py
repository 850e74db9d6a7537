"""Digital-to-analog conversion of inputs to word-line voltages."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qsynapse_jax._checks import as_floating
from qsynapse_jax._fields import Model, Scalar, positive, real, whole
from qsynapse_jax.quantize import round_signed


class DAC(Model):
    """Signed, uniform: an input in -1 .. 1 becomes one of 2^bits - 1 voltages from -v_max to v_max.

        v = v_max round(n x) / n, with x clipped to -1 .. 1,    n = 2^(bits-1) - 1

    Args:
        bits: of the code, sign included, 2 to 16. Static.
        v_max: voltage of an input of 1 [V].

    Raises:
        ValueError: `bits` out of range; a voltage that is not positive.
    """

    bits: int = whole(2, 16)
    v_max: Scalar = real("V", positive, default=0.2)

    def code(self, x: Float[Array, "*shape"]) -> Int[Array, "*shape"]:
        """Code of each input."""
        return jnp.round(self.value(x) * (2 ** (self.bits - 1) - 1)).astype(jnp.int32)

    def value(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Each input as the word line receives it, in units of `v_max`.

        Gradients: straight through the rounding where an input is in range; 0 beyond.
        """
        return round_signed(as_floating(x, "x"), self.bits)

    def voltage(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Word-line voltage of each input [V]."""
        value = self.value(x)
        return self.v_max.astype(value.dtype) * value
