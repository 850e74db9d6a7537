"""A filamentary cell written to a conductance between its ends, by set pulses of a gate voltage and by resets."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from qsynapse_jax._checks import as_real, is_concrete
from qsynapse_jax.devices._fields import check_numbers
from qsynapse_jax.devices._retention import Retention

_RULES = {
    "g_m": ("positive", "S/V"),
    "v_t": ("non-negative", "V"),
    "r_series": ("non-negative", "ohm"),
    "r_hrs": ("positive", "ohm"),
    "r_leak": ("positive", "ohm"),
    **{f"sigma_{name}": ("non-negative", "") for name in ("device", "cycle", "pulse", "read", "hrs", "hrs_cycle")},
    **{name: ("positive", "s") for name in ("t_set", "t_reset", "t_read")},
    **{name: ("non-negative", "V") for name in ("v_set", "v_reset", "v_read")},
    "stuck": ("probability", ""),
}
# The least overdrive whose logarithm is taken [V]: below it a pulse does nothing to any filament there is.
_LEAST_OVERDRIVE = 1e-6


class AnalogState(eqx.Module):
    """Cells of an array, each with what is its own; all leaves of one shape.

    Args:
        log_g: logarithm of the filament's conductance [ln S].
        device: offset of ln of the conductance that a set pulse grows, device by device.
        cycle: the same, drawn anew by a reset.
        hrs: offset of ln of the conductance that a reset leaves, device by device.
        stuck: whether resets do nothing.
        rate: drift rate.
        age: equivalent time since it was last pulsed [s].
    """

    log_g: Float[Array, "*shape"]
    device: Float[Array, "*shape"]
    cycle: Float[Array, "*shape"]
    hrs: Float[Array, "*shape"]
    stuck: Bool[Array, "*shape"]
    rate: Float[Array, "*shape"]
    age: Float[Array, "*shape"]


class AnalogCell(eqx.Module):
    """Filament behind a transistor: a set pulse grows it to what the gate lets through, a reset opens it again.

        set(v):    g <- max(g, g_m (v - v_t) exp(d + c + sigma_pulse xi))
        reset(s):  ln g <- ln g - s max(ln g - ln g_open, 0),   g_open = exp(h + sigma_hrs_cycle xi)/r_hrs + 1/r_leak
                   c <- (1 - s) c + sqrt(1 - (1 - s)^2) sigma_cycle xi
        read:      G = 1 / (r_series + 1/g) exp(-drift) (1 + sigma_read xi)

    d and h belong to the device, c to the present filament. That c outlives set pulses and not a full reset is what
    tells the schemes apart: steps on one filament converge, fresh filaments are throws of dice.

    Args:
        g_m: filament conductance a volt of overdrive [S/V].
        v_t: gate voltage at which a filament begins to form [V].
        r_series: transistor and lines in series with the filament [ohm].
        r_hrs: median resistance of an open filament [ohm].
        r_leak: what conducts beside the open filament [ohm]; no cell is above it.
        sigma_device, sigma_cycle, sigma_pulse: spreads of ln g after a set pulse: of devices, of filaments, of pulses.
        sigma_hrs, sigma_hrs_cycle: spreads of ln g after a full reset: of devices, of resets.
        sigma_read: relative read noise.
        stuck: share of cells that no reset opens.
        t_set, t_reset, t_read: pulse widths [s].
        v_set, v_reset, v_read: voltages across the cell, for the energy alone [V].
        retention: drift of ln R.

    Raises:
        ValueError: numbers out of range; `r_hrs` below `r_series`, an on/off ratio below 1.
    """

    g_m: Float[Array, ""] = eqx.field(converter=partial(as_real, name="g_m"))
    v_t: Float[Array, ""] = eqx.field(converter=partial(as_real, name="v_t"))
    r_series: Float[Array, ""] = eqx.field(converter=partial(as_real, name="r_series"))
    r_hrs: Float[Array, ""] = eqx.field(converter=partial(as_real, name="r_hrs"))
    r_leak: Float[Array, ""] = eqx.field(converter=partial(as_real, name="r_leak"))
    sigma_device: Float[Array, ""] = eqx.field(converter=partial(as_real, name="sigma_device"), default=0.0)
    sigma_cycle: Float[Array, ""] = eqx.field(converter=partial(as_real, name="sigma_cycle"), default=0.0)
    sigma_pulse: Float[Array, ""] = eqx.field(converter=partial(as_real, name="sigma_pulse"), default=0.0)
    sigma_hrs: Float[Array, ""] = eqx.field(converter=partial(as_real, name="sigma_hrs"), default=0.0)
    sigma_hrs_cycle: Float[Array, ""] = eqx.field(converter=partial(as_real, name="sigma_hrs_cycle"), default=0.0)
    sigma_read: Float[Array, ""] = eqx.field(converter=partial(as_real, name="sigma_read"), default=0.0)
    stuck: Float[Array, ""] = eqx.field(converter=partial(as_real, name="stuck"), default=0.0)
    t_set: Float[Array, ""] = eqx.field(converter=partial(as_real, name="t_set"), default=2e-7)
    t_reset: Float[Array, ""] = eqx.field(converter=partial(as_real, name="t_reset"), default=2e-7)
    t_read: Float[Array, ""] = eqx.field(converter=partial(as_real, name="t_read"), default=1e-6)
    v_set: Float[Array, ""] = eqx.field(converter=partial(as_real, name="v_set"), default=2.0)
    v_reset: Float[Array, ""] = eqx.field(converter=partial(as_real, name="v_reset"), default=2.0)
    v_read: Float[Array, ""] = eqx.field(converter=partial(as_real, name="v_read"), default=0.2)
    retention: Retention = eqx.field(default_factory=Retention)

    def __check_init__(self):
        check_numbers(self, _RULES)
        if is_concrete(self.r_hrs, self.r_series) and not float(self.r_hrs) >= float(self.r_series):
            ratio = float(self.r_hrs) / float(self.r_series)
            raise ValueError(
                f"Argument `r_hrs` must be at least `r_series` = {float(self.r_series):g} ohm, but is "
                f"{float(self.r_hrs):g} ohm: an on/off ratio of {ratio:g}."
            )

    @eqx.filter_jit
    def init(self, shape: tuple[int, ...], *, key: jax.Array) -> AnalogState:
        """Cells after one full reset; the stuck ones conduct as much as the series resistance lets them."""
        keys = jax.random.split(key, 3)
        dtype = self.g_m.dtype
        noise = jax.random.normal(keys[0], (4, *shape), dtype)
        stuck = jax.random.uniform(keys[1], shape, dtype) < self.stuck
        # Twenty times the conductance of what stands in series: a filament that no longer counts.
        on = jnp.full(shape, jnp.log(20 / jnp.maximum(self.r_series, 1)), dtype)
        state = AnalogState(
            log_g=on,
            device=self.sigma_device * noise[0],
            cycle=self.sigma_cycle * noise[1],
            hrs=self.sigma_hrs * noise[2],
            stuck=stuck,
            rate=self.retention.rate(noise[3]),
            age=jnp.zeros(shape, dtype),
        )
        return self.reset(state, jnp.ones(shape, dtype), key=keys[2])

    def gate_voltage(self, g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Gate voltage whose set pulse leaves the median cell at conductance `g` [V]; infinite beyond 1/r_series."""
        return self.v_t + self.filament(g) / self.g_m

    def filament(self, g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Conductance of the filament of a cell that conducts `g` in all [S]."""
        return g / jnp.maximum(1 - g * self.r_series, 0)

    def conductance(self, state: AnalogState) -> Float[Array, "*shape"]:
        """Conductance of every cell now, without read noise [S]."""
        g = 1 / (self.r_series + jnp.exp(-state.log_g))
        return g * jnp.exp(-self.retention.log_drift(state.rate, state.age))

    def read(self, state: AnalogState, *, key: jax.Array) -> Float[Array, "*shape"]:
        """One noisy read of every cell [S]."""
        g = self.conductance(state)
        return g * (1 + self.sigma_read * jax.random.normal(key, g.shape, g.dtype))

    def set(self, state: AnalogState, v: Float[Array, "*shape"], *, key: jax.Array) -> AnalogState:
        """A set pulse of gate voltage `v` [V] to every cell."""
        return self.pulse(state, jnp.ones(v.shape, bool), v, key=key)

    def reset(self, state: AnalogState, strength: Float[Array, "*shape"], *, key: jax.Array) -> AnalogState:
        """A reset to every cell; `strength` in (0, 1] is the part of the way that it goes, 1 a full one."""
        return self.pulse(state, jnp.zeros(strength.shape, bool), strength, key=key)

    @eqx.filter_jit
    def pulse(
        self,
        state: AnalogState,
        is_set: Bool[Array, "*shape"],
        amplitude: Float[Array, "*shape"],
        *,
        key: jax.Array,
    ) -> AnalogState:
        """A set or a reset pulse to every cell, as `is_set` says.

        Args:
            state: of the cells.
            is_set: which pulse each gets.
            amplitude: gate voltage of a set [V], strength of a reset in (0, 1].
            key: of the noise.
        """
        noise = jax.random.normal(key, (2, *is_set.shape), self.g_m.dtype)
        overdrive = jnp.maximum(amplitude - self.v_t, _LEAST_OVERDRIVE)
        grown = jnp.log(self.g_m * overdrive) + state.device + state.cycle + self.sigma_pulse * noise[0]
        opened = jnp.exp(state.hrs + self.sigma_hrs_cycle * noise[0]) / self.r_hrs + 1 / self.r_leak
        strength = jnp.clip(amplitude, 0, 1)
        lowered = state.log_g - strength * jnp.maximum(state.log_g - jnp.log(opened), 0)
        lowered = jnp.where(state.stuck, state.log_g, lowered)
        kept = 1 - strength
        fresh = kept * state.cycle + jnp.sqrt(1 - kept**2) * self.sigma_cycle * noise[1]
        return AnalogState(
            log_g=jnp.where(is_set, jnp.maximum(state.log_g, grown), lowered),
            device=state.device,
            cycle=jnp.where(is_set, state.cycle, fresh),
            hrs=state.hrs,
            stuck=state.stuck,
            rate=state.rate,
            age=jnp.zeros_like(state.age),
        )

    def age(self, state: AnalogState, seconds: Any, temperature: Any) -> AnalogState:
        """The same cells `seconds` [s] later, kept at `temperature` [K].

        Raises:
            ValueError: negative time; a temperature below 200 K.
        """
        return eqx.tree_at(lambda s: s.age, state, state.age + self.retention.equivalent_time(seconds, temperature))
