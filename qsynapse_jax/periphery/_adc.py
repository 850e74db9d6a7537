"""Analog-to-digital conversion of bit-line currents against a reference resistor."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qsynapse_jax._checks import as_floating, as_real
from qsynapse_jax._fields import Model, Scalar, check, positive, real, whole
from qsynapse_jax.quantize import NO_LEVEL, NUMBER, round_signed


class ADC(Model):
    """Signed, uniform: a current is measured in units of v_ref / r_ref.

        code = round(i / lsb), clipped to -n .. n,    lsb = (v_ref / r_ref) / n,    n = 2^(bits-1) - 1

    What is measured is i r_ref / v_ref, so a factor that r_ref shares with the resistors of the cells (process,
    temperature) cancels: exactly where they are all there is, up to the share of the switch otherwise.

    Args:
        bits: of the code, sign included, 2 to 16: finer ones exist nowhere near an array. Static.
        v_ref: reference voltage [V].
        r_ref: reference resistor [ohm].

    Raises:
        ValueError: `bits` out of range; references that are not positive.

    Reference: B. Q. Le, US 12,334,150 B2, 2025, abstract: cell resistors of the material of the ADC's resistor.
    """

    bits: int = whole(2, 16)
    v_ref: Scalar = real("V", positive)
    r_ref: Scalar = real("ohm", positive)

    @property
    def full_scale(self) -> Float[Array, ""]:
        """Largest current [A]."""
        return self.v_ref / self.r_ref

    @property
    def largest(self) -> int:
        """Largest code."""
        return 2 ** (self.bits - 1) - 1

    def with_reference_factor(self, factor: Any) -> "ADC":
        """The same converter on a die whose resistors are all larger by `factor`."""
        return ADC(self.bits, self.v_ref, self.r_ref * as_real(factor, "factor"))

    def code(self, i: Float[Array, "*shape"]) -> Int[Array, "*shape"]:
        """Code of each current [A]; a traced NaN has the least int32 number, which is no code.

        Raises:
            ValueError: a current is NaN, where its value is known.
        """
        check(i, "i", "A", NUMBER)
        value = self.value(i)
        return jnp.where(jnp.isnan(value), NO_LEVEL, jnp.round(value * self.largest).astype(jnp.int32))

    def value(self, i: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Each current [A] as the converter reports it, in units of full scale: code / largest code.

        Gradients: straight through the rounding in `i`, `v_ref` and `r_ref` where a current is in range; 0 beyond.
        """
        i = as_floating(i, "i")
        return round_signed(i / self.full_scale.astype(i.dtype), self.bits)
