"""Analog-to-digital conversion of bit-line currents against a reference resistor."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qsynapse_jax._checks import as_floating, as_real, bad_value_message, is_concrete
from qsynapse_jax.quantize import straight_through

# Finer converters than these exist nowhere near an array, and float32 ends at 24 bits.
_MOST_BITS = 16


class ADC(eqx.Module):
    """Signed, uniform: a current is measured in units of v_ref / r_ref.

        code = round(i / lsb), clipped to -n .. n,    lsb = (v_ref / r_ref) / n,    n = 2^(bits-1) - 1

    What is measured is i r_ref / v_ref, so a factor that r_ref shares with the resistors of the cells (process,
    temperature) cancels: exactly where they are all there is, up to the share of the switch otherwise.

    Args:
        bits: of the code, sign included, 2 to 16. Static.
        v_ref: reference voltage [V].
        r_ref: reference resistor [ohm].

    Raises:
        ValueError: `bits` out of range; references that are not positive.

    Reference: B. Q. Le, US 12,334,150 B2, 2025, abstract: cell resistors of the material of the ADC's resistor.
    """

    bits: int = eqx.field(static=True)
    v_ref: Float[Array, ""] = eqx.field(converter=partial(as_real, name="v_ref"))
    r_ref: Float[Array, ""] = eqx.field(converter=partial(as_real, name="r_ref"))

    def __check_init__(self):
        if not isinstance(self.bits, int) or isinstance(self.bits, bool) or not 2 <= self.bits <= _MOST_BITS:
            raise ValueError(f"Argument `bits` must be an integer from 2 to {_MOST_BITS}, but is {self.bits!r}.")
        for name, unit in (("v_ref", "V"), ("r_ref", "ohm")):
            value = getattr(self, name)
            message = bad_value_message(value, name, unit=unit, minimum="positive") if is_concrete(value) else None
            if message is not None:
                raise ValueError(message)

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
        """Code of each current [A]."""
        return self._rounded(as_floating(i, "i")).astype(jnp.int32)

    def value(self, i: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Each current as the converter reports it, in units of full scale: code / largest code.

        Gradients: straight through the rounding in `i`, `v_ref` and `r_ref` where a current is in range; 0 beyond.
        """
        i = as_floating(i, "i")
        scaled = i / self.full_scale.astype(i.dtype)
        within = jnp.abs(scaled) <= 1
        surrogate = jnp.where(within, scaled, jnp.sign(jax.lax.stop_gradient(scaled)))
        return straight_through(jax.lax.stop_gradient(self._rounded(i)) / self.largest, surrogate)

    def _rounded(self, i: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        codes = jnp.round(i / self.full_scale.astype(i.dtype) * self.largest)
        return jnp.clip(codes, -self.largest, self.largest)
