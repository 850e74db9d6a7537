"""Resistors as they are made: matched to each other, and all off together."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._fields import Model, Scalar, checked, finite, kelvin, non_negative, real


class ResistorState(Model):
    """The resistors of one die.

    Args:
        local: factor of every branch of every cell, shape (bits, *shape).
        die: factor that all of them share, and any other resistor of the material on the die.
    """

    local: Float[Array, " bits *shape"]
    die: Float[Array, ""]


class Resistor(Model):
    """Branch resistors: local mismatch, a process factor that a die shares, and a temperature coefficient.

        R_k = 2^k R (die) (1 + tcr (T - T_ref)) exp(sigma_unit / sqrt(2^k) xi),   die = exp(sigma_process xi')

    Branch k is 2^k unit resistors in series (R-2R practice), so its relative mismatch shrinks with the root of their
    number, as Pelgrom's law says of its area. Log-normal, so that no spread makes a resistance negative; to first
    order sigma is the relative standard deviation.

    The shared factor cancels where the reference of the ADC is made of the same material (`periphery.ADC`).

    Args:
        sigma_unit: relative mismatch of one unit resistor: A_R / sqrt(area), A_R [m] being the material's matching
            coefficient, e.g. 1e-8 m (1 % um).
        sigma_process: spread of the shared factor from die to die.
        tcr: temperature coefficient [1/K].
        reference: T_ref [K].

    Raises:
        ValueError: negative spreads; a reference below 200 K.

    Reference: M. J. M. Pelgrom, A. C. J. Duinmaijer and A. P. G. Welbers, "Matching properties of MOS transistors",
        IEEE J. Solid-State Circuits 24, 1433, 1989, for the law.
    """

    sigma_unit: Scalar = real("", non_negative, default=0.0)
    sigma_process: Scalar = real("", non_negative, default=0.0)
    tcr: Scalar = real("1/K", finite, default=0.0)
    reference: Scalar = real("K", kelvin, default=300.0)

    @eqx.filter_jit
    def init(self, bits: int, shape: tuple[int, ...], *, key: jax.Array) -> ResistorState:
        """One die with `bits` branches in every cell of an array."""
        local_key, die_key = jax.random.split(key)
        noise = jax.random.normal(local_key, (bits, *shape), self.sigma_unit.dtype)
        units = jnp.asarray([2.0**k for k in range(bits)], self.sigma_unit.dtype)
        sigma = (self.sigma_unit / jnp.sqrt(units)).reshape(bits, *(1 for _ in shape))
        die = jnp.exp(self.sigma_process * jax.random.normal(die_key, (), self.sigma_process.dtype))
        return ResistorState(jnp.exp(sigma * noise), die)

    def shared_factor(self, state: ResistorState, temperature: Any = 300.0) -> Float[Array, ""]:
        """Factor of every resistor of the material on this die, the ADC reference too, at `temperature` [K]."""
        return state.die * (1 + self.tcr * (checked(temperature, "temperature", "K", kelvin) - self.reference))

    def factor(self, state: ResistorState, temperature: Any = 300.0) -> Float[Array, " bits *shape"]:
        """Actual over nominal resistance of every branch of every cell at `temperature` [K]."""
        return state.local * self.shared_factor(state, temperature)


def poly_resistor(**changes: Any) -> Resistor:
    """Integrated resistor: 1 % mismatch of a unit, 15 % process spread, 300 ppm/K; all [R], lore of the field."""
    return Resistor(**({"sigma_unit": 0.01, "sigma_process": 0.15, "tcr": 3e-4} | changes))
