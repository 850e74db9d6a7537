"""Drift of a written resistance with time and temperature."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_real, bad_value_message, is_concrete
from qsynapse_jax.devices._fields import check_numbers

# Boltzmann's constant in electronvolts [eV/K].
_BOLTZMANN = 8.617333262e-5
# No memory is used below it, and every temperature in degrees Celsius at which one is used lies below it.
_COLDEST = 200.0


def checked_temperature(temperature: Any, name: str = "temperature") -> Float[Array, ""]:
    """`temperature` [K] as an array; an error that says so where it looks like degrees Celsius."""
    value = as_real(temperature, name)
    message = f"Argument `{name}` must be in kelvin and at least {_COLDEST:g} K"
    if not is_concrete(value):
        return eqx.error_if(value, ~(value >= _COLDEST), f"{message}; less looks like degrees Celsius.")
    kelvin = float(value)
    if not (kelvin >= _COLDEST and np.isfinite(kelvin)):
        raise ValueError(
            f"{message}, but is {kelvin:g} K; that looks like degrees Celsius: {kelvin:g} C is {kelvin + 273.15:g} K."
        )
    return value


def arrhenius_factor(temperature: Any, activation_energy: Any, reference: Any = 300.0) -> Float[Array, ""]:
    """How much faster a thermally activated process runs than at a reference temperature; 1 there.

        exp(-E_a / k (1/T - 1/T_ref))

    Args:
        temperature: T [K].
        activation_energy: E_a [eV].
        reference: T_ref [K].

    Raises:
        ValueError: a temperature below 200 K.
    """
    inverse = 1 / checked_temperature(temperature) - 1 / checked_temperature(reference, "reference")
    return jnp.exp(-as_real(activation_energy, "activation_energy") / _BOLTZMANN * inverse)


class Retention(eqx.Module):
    """Logarithmic drift of the logarithm of a resistance, faster when hot, with a rate of its own in every device.

        ln R(t) = ln R(0) + rate ln(1 + t_eq / tau),    rate ~ Normal(nu, spread)
        t_eq = integral of exp(-E_a/k (1/T - 1/T_ref)) dt

    All history is in the equivalent time t_eq, so ageing composes: first a, then b, is a + b.

    Args:
        nu: mean drift a factor e of time; positive where the resistance grows.
        spread: standard deviation of the drift from device to device.
        tau: time at the reference temperature before which nothing happens [s].
        activation_energy: E_a [eV].
        reference: T_ref [K].

    Raises:
        ValueError: negative spread or activation energy, `tau` not positive, a reference below 200 K.
    """

    nu: Float[Array, ""] = eqx.field(converter=partial(as_real, name="nu"), default=0.0)
    spread: Float[Array, ""] = eqx.field(converter=partial(as_real, name="spread"), default=0.0)
    tau: Float[Array, ""] = eqx.field(converter=partial(as_real, name="tau"), default=1.0)
    activation_energy: Float[Array, ""] = eqx.field(converter=partial(as_real, name="activation_energy"), default=1.0)
    reference: Float[Array, ""] = eqx.field(converter=partial(checked_temperature, name="reference"), default=300.0)

    def __check_init__(self):
        check_numbers(
            self,
            {"spread": ("non-negative", ""), "tau": ("positive", "s"), "activation_energy": ("non-negative", "eV")},
        )

    def rates(self, shape: tuple[int, ...], *, key: jax.Array) -> Float[Array, "..."]:
        """Drift rates of devices, one each."""
        return self.rate(jax.random.normal(key, shape, self.nu.dtype))

    def rate(self, deviation: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Drift rates of devices that lie `deviation` standard deviations off."""
        return self.nu + self.spread * deviation

    def equivalent_time(self, seconds: Any, temperature: Any) -> Float[Array, ""]:
        """Time at the reference temperature that does as much [s].

        Args:
            seconds: at the temperature [s].
            temperature: constant meanwhile [K].

        Raises:
            ValueError: negative time; a temperature below 200 K.
        """
        seconds = as_real(seconds, "seconds")
        if is_concrete(seconds):
            message = bad_value_message(seconds, "seconds", unit="s", minimum="non-negative")
            if message is not None:
                raise ValueError(message)
        else:
            seconds = eqx.error_if(seconds, ~(seconds >= 0), "Argument `seconds` must be non-negative [s].")
        return seconds * arrhenius_factor(temperature, self.activation_energy, self.reference)

    def log_drift(self, rate: Float[Array, "*shape"], time: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Change of ln R after `time` equivalent seconds."""
        return rate * jnp.log1p(time / self.tau)
