"""Current, heat and hopping vacancies of a CMO dome: laws of one state, elementwise, and their exact derivatives.

Everything is written in the conductance G = I/V of a state, even and smooth in V also at 0 V, and in logarithms
relative to the cold device without series resistance: nothing overflows in float32, and no digit is lost at 1 uV.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Those of the circuit model that the numbers come from [C], [J/K]: its barriers are energies in joule.
CHARGE, BOLTZMANN = 1.60219e-19, 1.38062e-23
_PER_KELVIN = BOLTZMANN / CHARGE  # [eV/K]

# Steps of Newton's method: from the cold device, and from the tangent at a state close by. Measured over 1e23 to
# 2e26 m^-3 and 10 mV to 3 V, the sixth from the cold device leaves 3e-13 of the current, the fifth 2e-6.
COLD, WARM = 7, 3
# No step in the logarithm of the conductance is longer. Longer ones overshoot from the cold device at 2 V and beyond.
_LONGEST = 1.5
# Most of the voltage that the series resistance takes, while Newton's method is under way.
_MOST_OF_V = 0.999


class Dome(NamedTuple):
    """Numbers of a dome in one precision; [V] stands for an energy in electronvolts. See `CmoFilament`."""

    scale: Array  # current for 1e25 m^-3, a hop of 1 nm and an infinite temperature, over 2 sinh [A]
    hop: Array  # [nm]
    hop_density: Array  # [1e25 m^-3], where the hop would be 0
    hop_least: Array  # [nm]
    barrier: Array  # [V]
    barrier_density: Array  # [1e25 m^-3]
    length: Array  # [nm]
    r_series: Array  # [ohm]
    r_thermal: Array  # [K/W]
    ambient: Array  # [K]
    attempts: Array  # of an ion, times the part of the dome that it hops [1/s]
    ion_hop: Array  # [nm]
    set_barrier: Array  # [V]
    set_density: Array  # [1e25 m^-3]
    reset_barrier: Array  # [V]
    most: Array  # [1e25 m^-3]
    crowding: Array


class Cell(NamedTuple):
    """A state at a voltage: ln of the rate of ln C [1/s], conductance [S], and where Newton's method ended."""

    log_rate: Array
    g: Array
    z: Array


def log_sinhc(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """ln(sinh(x)/x) for x >= 0, without cancellation at 0 and without overflow."""
    small = x < 0.3
    y = jnp.where(small, x, 0) ** 2
    # The series to x^10: 1e-13 at 0.3.
    series = y * (1 / 6 + y * (-1 / 180 + y * (1 / 2835 + y * (-1 / 37800 + y / 467775))))
    x = jnp.where(small, 1, x)
    return jnp.where(small, series, x + jnp.log(-jnp.expm1(-2 * x)) - jnp.log(2 * x))


def _hop(p: Dome, c: Array) -> Array:
    return jnp.maximum(p.hop * (1 - c / p.hop_density), p.hop_least)


def _cold(p: Dome, c: Array, v: Array) -> tuple[Array, Array]:
    """Conductance [S] and argument of the sinh of the cold device without its series resistance."""
    hop = _hop(p, c)
    per_volt = hop / (2 * _PER_KELVIN * p.ambient * p.length)
    x = jnp.abs(v) * per_volt
    barrier = p.barrier * (1 - c / p.barrier_density) / (_PER_KELVIN * p.ambient)
    return p.scale * c * hop * 2 * per_volt * jnp.exp(log_sinhc(x) - barrier), x


def _excess(p: Dome, c: Array, v: Array, z: Array, cold: tuple[Array, Array]) -> tuple[Array, Array]:
    """What tunnelling asks for beyond z = ln(G/G_cold), and its derivative in z."""
    g_cold, x_cold = cold
    g = g_cold * jnp.exp(z)
    heat = p.r_thermal * v * v * g
    t = p.ambient + heat
    # Part of the voltage that is left to the dome.
    left = 1 - jnp.minimum(g * p.r_series, _MOST_OF_V)
    ratio = p.ambient / t
    x = x_cold * left * ratio
    over_kt = p.barrier * (1 - c / p.barrier_density) / (_PER_KELVIN * t)
    # -E/k (1/T - 1/T_0) = E/(k T) (T - T_0)/T_0: no difference of nearly equal numbers.
    excess = over_kt * heat / p.ambient + log_sinhc(x) - log_sinhc(x_cold) + jnp.log(left * ratio) - z
    # d ln sinh(x)/d ln x is x coth(x): 1 at 0.
    steep = jnp.where(x < 1e-3, 1 + x * x / 3, x / jnp.tanh(jnp.maximum(x, 1e-3)))
    slope = heat / t * (over_kt - steep) - steep * (1 - left) / left - 1
    return excess, slope


def _newton(p: Dome, c: Array, v: Array, z: Array, cold: tuple[Array, Array], count: int) -> Array:
    def step(_: Any, z: Array) -> Array:
        excess, slope = _excess(p, c, v, z, cold)
        return z - jnp.clip(excess / jnp.minimum(slope, -0.05), -_LONGEST, _LONGEST)

    return jax.lax.fori_loop(0, count, step, z)


@jax.custom_jvp
def _log_ratio(p: Dome, c: Array, v: Array) -> Array:
    """Logarithm of the conductance at `v` over that of the cold device without its series resistance."""
    cold = _cold(p, c, v)
    start = jnp.minimum(0.0, jnp.log(0.5 / (cold[0] * p.r_series)))
    return _newton(p, c, v, start.astype(v.dtype), cold, COLD)


# excess(z; C, V, numbers) = 0 defines z, so dz = - d(excess)/(d excess/dz) with d(excess) at fixed z.
@_log_ratio.defjvp
def _log_ratio_jvp(primals: tuple[Dome, Array, Array], tangents: tuple[Dome, Array, Array]) -> tuple[Array, Array]:
    p, c, v = primals
    z = _log_ratio(p, c, v)

    def excess(p: Dome, c: Array, v: Array) -> tuple[Array, Array]:
        return _excess(p, c, v, z, _cold(p, c, v))

    (_, slope), (change, _) = jax.jvp(excess, primals, tangents)
    return z, -change / slope


def conductance(p: Dome, c: Array, v: Array) -> Array:
    """I/V [S] at a density [1e25 m^-3] and a voltage [V]."""
    return _cold(p, c, v)[0] * jnp.exp(_log_ratio(p, c, v))


def cell(p: Dome, c: Array, v: Array, z: Array | None = None) -> Cell:
    """What a state does at a voltage; from `z` of a state close by without derivatives, and faster."""
    cold = _cold(p, c, v)
    z = _log_ratio(p, c, v) if z is None else _newton(p, c, v, z, cold, WARM)
    g = cold[0] * jnp.exp(z)
    kt = _PER_KELVIN * (p.ambient + p.r_thermal * v * v * g)
    x = jnp.abs(v) * (1 - g * p.r_series) * p.ion_hop / (p.length * kt)
    barrier = jnp.where(v < 0, p.reset_barrier, p.set_barrier * (1 + c / p.set_density))
    # At 0 V nothing hops; a floor in place of the logarithm of 0, which has no derivative.
    moves = jnp.log(2 * jnp.maximum(x, jnp.finfo(x.dtype).tiny)) + log_sinhc(x)
    room = p.crowding * jnp.log1p(-jnp.minimum(c / p.most, 1 - jnp.finfo(x.dtype).eps))
    return Cell(jnp.log(p.attempts) - barrier / kt + moves + room, g, z)
