"""A two-level memory cell used as a switch: written with one pulse, and not asked for any value between."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import (
    Model,
    Scalar,
    checked,
    kelvin,
    non_negative,
    positive,
    positive_or_infinite,
    probability,
    real,
)
from qsynapse_jax.devices._base import AbstractTwoLevel, Exposure, Pulse, Trace, as_shape
from qsynapse_jax.devices._retention import Retention


class SwitchState(Model):
    """Switches of an array, each with what is its own; all leaves have one shape.

    Args:
        on: whether each conducts now.
        stuck: whether it cannot be written any more.
        on_offset, off_offset: offsets of ln R of the two states, device by device.
        cycle_offset: offset of ln R of the present state, drawn when it was written; in standard deviations.
        on_rate, off_rate: drift rates.
        age: equivalent time since it was written [s] under the retention of its present state.
        pulses: how often it was pulsed; counted in integers, which do not lose the last one of a billion.
        life: pulses that it endures.
    """

    on: Bool[Array, "*shape"]
    stuck: Bool[Array, "*shape"]
    on_offset: Float[Array, "*shape"]
    off_offset: Float[Array, "*shape"]
    cycle_offset: Float[Array, "*shape"]
    on_rate: Float[Array, "*shape"]
    off_rate: Float[Array, "*shape"]
    age: Float[Array, "*shape"] = eqx.field(metadata={"unit": "s"})
    pulses: Int[Array, "*shape"]
    life: Float[Array, "*shape"]


class Switch(AbstractTwoLevel):
    """A cell that is on (r_on) or off (r_off): log-normal resistances, pulses that may fail, faults, wear and drift.

        ln R = ln r_state + sigma_device xi_device + sigma_cycle xi_write + rate ln(1 + t_eq / tau)

    A pulse of `v_threshold` or more switches, whatever its width, up if positive and down if negative. It fails with
    `p_fail` and then changes nothing. A cell that was pulsed more often than it endures is stuck where it is. A pulse
    costs e (v/v_write)^2 (width/t_write) of its direction, whether it switches or not. Reads have no noise.

    Disturb: below `v_threshold` nothing happens, however often. From there on every pulse is a write.

    Args:
        r_on, r_off: median resistances [ohm].
        t_set, t_reset, t_read: widths of the pulses and of a verifying read [s].
        e_set, e_reset, e_read: energy of each [J].
        v_set, v_reset: amplitudes of the pulses [V].
        v_threshold: least amplitude that switches [V].
        sigma_on_device, sigma_off_device: spread of ln R from device to device.
        sigma_on_cycle, sigma_off_cycle: spread of ln R from write to write.
        p_fail: probability that a pulse does nothing.
        stuck_on, stuck_off: shares of cells that cannot be written.
        endurance: median number of pulses before wear-out; infinity is no limit.
        endurance_spread: spread of the logarithm of that number.
        on_retention, off_retention: drift of the two states.

    Raises:
        ValueError: numbers out of range; `r_off` below `r_on`, `v_threshold` above `v_set` or `v_reset`, faults of more
            than all cells.
    """

    r_on: Scalar = real("ohm", positive)
    r_off: Scalar = real("ohm", positive)
    t_set: Scalar = real("s", positive, default=1e-6)
    t_reset: Scalar = real("s", positive, default=1e-6)
    t_read: Scalar = real("s", positive, default=1e-7)
    e_set: Scalar = real("J", non_negative, default=0.0)
    e_reset: Scalar = real("J", non_negative, default=0.0)
    e_read: Scalar = real("J", non_negative, default=0.0)
    v_set: Scalar = real("V", positive, default=1.5)
    v_reset: Scalar = real("V", positive, default=1.5)
    v_threshold: Scalar = real("V", positive, default=1.0)
    sigma_on_device: Scalar = real("", non_negative, default=0.0)
    sigma_off_device: Scalar = real("", non_negative, default=0.0)
    sigma_on_cycle: Scalar = real("", non_negative, default=0.0)
    sigma_off_cycle: Scalar = real("", non_negative, default=0.0)
    p_fail: Scalar = real("", probability, default=0.0)
    stuck_on: Scalar = real("", probability, default=0.0)
    stuck_off: Scalar = real("", probability, default=0.0)
    endurance: Scalar = real("pulses", positive_or_infinite, default=float("inf"))
    endurance_spread: Scalar = real("", non_negative, default=0.0)
    on_retention: Retention = eqx.field(default_factory=Retention)
    off_retention: Retention = eqx.field(default_factory=Retention)

    def __check_init__(self):
        if is_concrete(self.r_on, self.r_off) and not float(self.r_off) >= float(self.r_on):
            ratio = float(self.r_off) / float(self.r_on)
            raise ValueError(
                f"Argument `r_off` must be at least `r_on` = {float(self.r_on):g} ohm, but is {float(self.r_off):g} "
                f"ohm: an on/off ratio of {ratio:g}; a switch that is off conducts less."
            )
        writes = (self.v_set, self.v_reset)
        if is_concrete(self.v_threshold, writes) and not float(self.v_threshold) <= min(map(float, writes)):
            raise ValueError(
                "Argument `v_threshold` must be at most `v_set` and `v_reset`, which shall switch, but is "
                f"{float(self.v_threshold):g} V."
            )
        if is_concrete(self.stuck_on, self.stuck_off) and not float(self.stuck_on) + float(self.stuck_off) <= 1:
            raise ValueError(
                "Arguments `stuck_on` and `stuck_off` must be shares of all cells, but add up to "
                f"{float(self.stuck_on + self.stuck_off):g}."
            )

    def init(self, shape: tuple[int, ...], *, key: jax.Array) -> SwitchState:
        """Switches that are off, but for those stuck on; each with offsets, rates and faults of its own."""
        return self._fabricated(as_shape(shape), key)

    @eqx.filter_jit
    def _fabricated(self, shape: tuple[int, ...], key: jax.Array) -> SwitchState:
        normal_key, fault_key = jax.random.split(key)
        dtype = self.r_on.dtype
        # All at once: the generator is most of what is compiled here.
        on_device, off_device, cycle, life, on_rate, off_rate = jax.random.normal(normal_key, (6, *shape), dtype)
        chance = jax.random.uniform(fault_key, shape, dtype)
        stuck_on = chance < self.stuck_on
        return SwitchState(
            on=stuck_on,
            stuck=chance < self.stuck_on + self.stuck_off,
            on_offset=self.sigma_on_device * on_device,
            off_offset=self.sigma_off_device * off_device,
            cycle_offset=cycle,
            on_rate=self.on_retention.rate(on_rate),
            off_rate=self.off_retention.rate(off_rate),
            age=jnp.zeros(shape, dtype),
            pulses=jnp.zeros(shape, jnp.int32),
            life=self.endurance * jnp.exp(self.endurance_spread * life),
        )

    def conductance(self, state: SwitchState, *, temperature: Any = 300.0) -> Float[Array, "*shape"]:
        # No temperature coefficient is modelled; degrees Celsius are an error all the same.
        checked(temperature, "temperature", "K", kelvin)
        on = state.on_offset + self.sigma_on_cycle * state.cycle_offset
        on += self.on_retention.log_drift(state.on_rate, state.age)
        off = state.off_offset + self.sigma_off_cycle * state.cycle_offset
        off += self.off_retention.log_drift(state.off_rate, state.age)
        return 1 / jnp.where(state.on, self.r_on * jnp.exp(on), self.r_off * jnp.exp(off))

    def read(self, state: SwitchState, *, key: jax.Array, window: Any = None) -> Float[Array, "*shape"]:
        return self.conductance(state)

    def age(self, state: SwitchState, seconds: Any, temperature: Any, *, key: jax.Array | None = None) -> SwitchState:
        held = [r.equivalent_time(seconds, temperature) for r in (self.on_retention, self.off_retention)]
        return replace(state, age=state.age + jnp.where(state.on, *held))

    def is_on(self, state: SwitchState) -> Bool[Array, "*shape"]:
        return state.on

    def set_pulse(self) -> Pulse:
        return Pulse(self.v_set, self.t_set)

    def reset_pulse(self) -> Pulse:
        return Pulse(-self.v_reset, self.t_reset)

    @eqx.filter_jit
    def apply(self, state: SwitchState, pulse: Pulse, *, key: jax.Array) -> tuple[SwitchState, Trace]:
        set_energy = self.e_set * (pulse.v / self.v_set) ** 2 * (pulse.width / self.t_set)
        reset_energy = self.e_reset * (pulse.v / self.v_reset) ** 2 * (pulse.width / self.t_reset)
        energy = jnp.broadcast_to(jnp.where(pulse.v > 0, set_energy, reset_energy), state.on.shape)
        new = self._written(state, pulse.v, jnp.ones(state.on.shape, jnp.int32), key=key)
        return new, Trace.of_pulse(pulse, energy)

    @eqx.filter_jit
    def disturb(self, state: SwitchState, exposure: Exposure, *, key: jax.Array) -> SwitchState:
        return self._written(state, exposure.v, jnp.broadcast_to(exposure.count, state.on.shape), key=key)

    def read_trace(self, state: SwitchState) -> Trace:
        return Trace.of_read(self.t_read, jnp.full(state.on.shape, self.e_read, state.age.dtype))

    def _written(self, state: SwitchState, v: Array, count: Int[Array, "*shape"], *, key: jax.Array) -> SwitchState:
        """After `count` pulses of `v` [V], of which one that works is enough."""
        fail_key, cycle_key = jax.random.split(key)
        count = jnp.where(jnp.abs(v) >= self.v_threshold, count, 0)
        # The pulse that would exceed the endurance does nothing, and no later one does.
        alive = ~state.stuck & ((state.pulses + 1).astype(state.life.dtype) <= state.life)
        pulses = state.pulses + count
        chance = jax.random.uniform(fail_key, count.shape, self.p_fail.dtype)
        failed = chance < self.p_fail ** count.astype(self.p_fail.dtype)
        switched = (count > 0) & alive & ~failed
        cycle = jax.random.normal(cycle_key, count.shape, state.cycle_offset.dtype)
        return replace(
            state,
            on=jnp.where(switched, v > 0, state.on),
            stuck=state.stuck | (pulses.astype(state.life.dtype) > state.life),
            cycle_offset=jnp.where(switched, cycle, state.cycle_offset),
            age=jnp.where(switched, 0, state.age),
            pulses=pulses,
        )
