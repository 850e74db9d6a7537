"""A filamentary cell behind a transistor: set pulses of a gate voltage grow the filament, resets open it."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import Model, Rule, Scalar, check, checked, kelvin, non_negative, positive, probability, real
from qsynapse_jax.devices._base import AbstractGated, Exposure, Pulse, Trace, as_shape
from qsynapse_jax.devices._retention import Retention

# The least overdrive whose logarithm is taken [V]: below it a pulse does nothing to any filament there is. And the
# most, for a gate that does not limit: the filament is a short beside any series resistance.
_LEAST_OVERDRIVE, _MOST_OVERDRIVE = 1e-6, 1e3
_STRENGTH = Rule("above 0 and at most 1", lambda x: (x > 0) & (x <= 1))


class FilamentState(Model):
    """Filaments of an array, each with what is its own; all leaves have one shape.

    Args:
        log_g: logarithm of the filament's conductance [ln S].
        device: offset of ln of the conductance that a set pulse grows, device by device.
        cycle: the same, drawn anew by a reset.
        hrs: offset of ln of the conductance that a reset leaves, device by device.
        stuck: whether resets do nothing.
        rate: drift rate.
        age: equivalent time since it was last pulsed [s].
    """

    log_g: Float[Array, "*shape"] = eqx.field(metadata={"unit": "ln S"})
    device: Float[Array, "*shape"]
    cycle: Float[Array, "*shape"]
    hrs: Float[Array, "*shape"]
    stuck: Bool[Array, "*shape"]
    rate: Float[Array, "*shape"]
    age: Float[Array, "*shape"] = eqx.field(metadata={"unit": "s"})


class GatedFilament(AbstractGated):
    """Filament behind a transistor: a set pulse grows it to what the gate lets through, a reset opens it again.

        set, v > 0:    g <- max(g, g_m (gate - v_t) exp(d + c + sigma_pulse xi))
        reset, v < 0:  ln g <- ln g - s max(ln g - ln g_open, 0),   s = min(gate/v_full, 1)
                       c <- (1 - s) c + sqrt(1 - (1 - s)^2) sigma_cycle xi
        open:          g_open = exp(h + sigma_hrs_cycle xi)/r_hrs + 1/r_leak
        read:          G = 1 / (r_series + 1/g) exp(-drift) (1 + sigma_read xi)

    d and h belong to the device, c to the present filament. That c outlives set pulses and not a full reset is what
    tells the schemes apart: steps on one filament converge, fresh filaments are throws of dice. The sign of a pulse
    decides what it does, its gate voltage how far; its amplitude and its width count for time and energy alone,
    v^2 width G, of the conductance after a set and before a reset.

    Disturb: nothing happens. The transistors of half-selected cells are closed.

    Args:
        g_m: filament conductance per volt of overdrive [S/V].
        v_t: gate voltage at which a filament begins to form [V].
        r_series: transistor and lines in series with the filament [ohm].
        r_hrs: median resistance of an open filament [ohm].
        r_leak: resistance beside the open filament [ohm]; no cell is above it.
        sigma_device, sigma_cycle, sigma_pulse: spreads of ln g after a set pulse: of devices, of filaments, of pulses.
        sigma_hrs, sigma_hrs_cycle: spreads of ln g after a full reset: of devices, of resets.
        sigma_read: relative noise of a read, of any duration.
        stuck: share of cells that no reset opens.
        t_set, t_reset, t_read: widths of the pulses [s].
        v_set, v_reset, v_read: amplitudes of the pulses across the cell [V].
        v_full: gate voltage of a full reset [V].
        retention: drift of ln R.

    Raises:
        ValueError: numbers out of range; `r_hrs` below `r_series`, which is an on/off ratio below 1.
    """

    g_m: Scalar = real("S/V", positive)
    v_t: Scalar = real("V", non_negative)
    r_series: Scalar = real("ohm", non_negative)
    r_hrs: Scalar = real("ohm", positive)
    r_leak: Scalar = real("ohm", positive)
    sigma_device: Scalar = real("", non_negative, default=0.0)
    sigma_cycle: Scalar = real("", non_negative, default=0.0)
    sigma_pulse: Scalar = real("", non_negative, default=0.0)
    sigma_hrs: Scalar = real("", non_negative, default=0.0)
    sigma_hrs_cycle: Scalar = real("", non_negative, default=0.0)
    sigma_read: Scalar = real("", non_negative, default=0.0)
    stuck: Scalar = real("", probability, default=0.0)
    t_set: Scalar = real("s", positive, default=2e-7)
    t_reset: Scalar = real("s", positive, default=2e-7)
    t_read: Scalar = real("s", positive, default=1e-6)
    v_set: Scalar = real("V", positive, default=2.0)
    v_reset: Scalar = real("V", positive, default=2.0)
    v_read: Scalar = real("V", non_negative, default=0.2)
    v_full: Scalar = real("V", positive, default=4.0)
    retention: Retention = eqx.field(default_factory=Retention)

    def __check_init__(self):
        if is_concrete(self.r_hrs, self.r_series) and not float(self.r_hrs) >= float(self.r_series):
            ratio = float(self.r_hrs) / float(self.r_series)
            raise ValueError(
                f"Argument `r_hrs` must be at least `r_series` = {float(self.r_series):g} ohm, but is "
                f"{float(self.r_hrs):g} ohm: an on/off ratio of {ratio:g}."
            )

    def init(self, shape: tuple[int, ...], *, key: jax.Array) -> FilamentState:
        """Cells after one full reset; the stuck ones conduct as much as the series resistance lets them."""
        return self._fabricated(as_shape(shape), key)

    @eqx.filter_jit
    def _fabricated(self, shape: tuple[int, ...], key: jax.Array) -> FilamentState:
        keys = jax.random.split(key, 3)
        dtype = self.g_m.dtype
        noise = jax.random.normal(keys[0], (4, *shape), dtype)
        # Twenty times the conductance of what stands in series: a filament that no longer counts.
        on = jnp.full(shape, jnp.log(20 / jnp.maximum(self.r_series, 1)), dtype)
        state = FilamentState(
            log_g=on,
            device=self.sigma_device * noise[0],
            cycle=self.sigma_cycle * noise[1],
            hrs=self.sigma_hrs * noise[2],
            stuck=jax.random.uniform(keys[1], shape, dtype) < self.stuck,
            rate=self.retention.rate(noise[3]),
            age=jnp.zeros(shape, dtype),
        )
        return self.apply(state, self.reset_pulse(1.0), key=keys[2])[0]

    def conductance(self, state: FilamentState, *, temperature: Any = 300.0) -> Float[Array, "*shape"]:
        # The filament's own temperature coefficient is not modelled; degrees Celsius are an error all the same.
        checked(temperature, "temperature", "K", kelvin)
        g = 1 / (self.r_series + jnp.exp(-state.log_g))
        return g * jnp.exp(-self.retention.log_drift(state.rate, state.age))

    def read(self, state: FilamentState, *, key: jax.Array, window: Any = None) -> Float[Array, "*shape"]:
        g = self.conductance(state)
        return g * (1 + self.sigma_read * jax.random.normal(key, g.shape, g.dtype))

    def age(
        self, state: FilamentState, seconds: Any, temperature: Any, *, key: jax.Array | None = None
    ) -> FilamentState:
        return replace(state, age=state.age + self.retention.equivalent_time(seconds, temperature))

    def gate_voltage(self, g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return self.v_t + g / jnp.maximum(1 - g * self.r_series, 0) / self.g_m

    def set_pulse(self, gate: Any) -> Pulse:
        return Pulse(self.v_set, self.t_set, gate)

    def reset_pulse(self, strength: Any) -> Pulse:
        check(strength, "strength", "", _STRENGTH)
        return Pulse(-self.v_reset, self.t_reset, strength * self.v_full)

    @eqx.filter_jit
    def apply(self, state: FilamentState, pulse: Pulse, *, key: jax.Array) -> tuple[FilamentState, Trace]:
        shape = state.log_g.shape
        noise = jax.random.normal(key, (2, *shape), self.g_m.dtype)
        is_set, is_reset = (jnp.broadcast_to(sign, shape) for sign in (pulse.v > 0, pulse.v < 0))

        overdrive = jnp.clip(pulse.gate - self.v_t, _LEAST_OVERDRIVE, _MOST_OVERDRIVE)
        grown = jnp.log(self.g_m * overdrive) + state.device + state.cycle + self.sigma_pulse * noise[0]

        opened = jnp.exp(state.hrs + self.sigma_hrs_cycle * noise[0]) / self.r_hrs + 1 / self.r_leak
        strength = jnp.clip(pulse.gate / self.v_full, 0, 1)
        lowered = state.log_g - strength * jnp.maximum(state.log_g - jnp.log(opened), 0)
        lowered = jnp.where(is_reset & ~state.stuck, lowered, state.log_g)
        kept = 1 - strength
        fresh = kept * state.cycle + jnp.sqrt(1 - kept**2) * self.sigma_cycle * noise[1]
        new = replace(
            state,
            log_g=jnp.where(is_set, jnp.maximum(state.log_g, grown), lowered),
            cycle=jnp.where(is_reset, fresh, state.cycle),
            age=jnp.where(is_set | is_reset, 0, state.age),
        )

        g = jnp.where(is_set, self.conductance(new), self.conductance(state))
        return new, Trace.of_pulse(pulse, pulse.v**2 * pulse.width * g)

    def disturb(self, state: FilamentState, exposure: Exposure, *, key: jax.Array) -> FilamentState:
        return state

    def read_trace(self, state: FilamentState) -> Trace:
        return Trace.of_read(self.t_read, self.v_read**2 * self.t_read * self.conductance(state))
