"""Converters: inputs to word-line voltages, and bit-line currents to numbers against a reference resistor."""

from jaxtyping import Array, Float

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

    def value(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Each input as the word line receives it, in units of `v_max`.

        Gradients: straight through the rounding where an input is in range; 0 beyond.
        """
        return round_signed(as_floating(x, "x"), self.bits)


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

    def value(self, i: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Each current [A] as the converter reports it, in units of full scale: code / n.

        Gradients: straight through the rounding in `i`, `v_ref` and `r_ref` where a current is in range; 0 beyond.
        """
        i = as_floating(i, "i")
        return round_signed(i / self.full_scale.astype(i.dtype), self.bits)
