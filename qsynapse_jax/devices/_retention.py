"""Drift of a written resistance with time and temperature."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._fields import Model, Scalar, checked, kelvin, non_negative, positive, real

# Boltzmann's constant in electronvolts [eV/K].
_BOLTZMANN = 8.617333262e-5


class Retention(Model):
    """Logarithmic drift of the logarithm of a resistance, faster when hot, with a rate of its own in every device.

        ln R(t) = ln R(0) + rate ln(1 + t_eq / tau),    rate ~ Normal(nu, spread)
        t_eq = integral of exp(-E_a/k (1/T - 1/T_ref)) dt

    All history is in the equivalent time t_eq, so ageing composes: ageing for a, then for b, is ageing for a + b.

    Args:
        nu: mean drift per factor of e in time; positive where the resistance grows.
        spread: standard deviation of the drift from device to device.
        tau: time at the reference temperature before which nothing happens [s].
        activation_energy: E_a [eV].
        reference: T_ref [K].

    Raises:
        ValueError: negative spread or activation energy, `tau` not positive, a reference below 200 K.
    """

    nu: Scalar = real("", default=0.0)
    spread: Scalar = real("", non_negative, default=0.0)
    tau: Scalar = real("s", positive, default=1.0)
    activation_energy: Scalar = real("eV", non_negative, default=1.0)
    reference: Scalar = real("K", kelvin, default=300.0)

    def rate(self, deviation: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Drift rates of devices that lie `deviation` standard deviations off."""
        return self.nu + self.spread * deviation

    def equivalent_time(self, seconds: Any, temperature: Any) -> Float[Array, ""]:
        """Time at the reference temperature that does as much [s].

        Args:
            seconds: time at `temperature` [s].
            temperature: constant temperature meanwhile [K].

        Raises:
            ValueError: negative time; a temperature below 200 K.
        """
        seconds = checked(seconds, "seconds", "s", non_negative)
        inverse = 1 / checked(temperature, "temperature", "K", kelvin) - 1 / self.reference
        return seconds * jnp.exp(-self.activation_energy / _BOLTZMANN * inverse)

    def log_drift(self, rate: Float[Array, "*shape"], time: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Change of ln R after `time` equivalent seconds."""
        return rate * jnp.log1p(time / self.tau)
