"""A two-level memory cell used as a switch: written with one pulse, and not asked for any value between."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax._checks import as_real, is_concrete
from qsynapse_jax.devices._fields import check_numbers
from qsynapse_jax.devices._report import WriteReport
from qsynapse_jax.devices._retention import Retention

_RULES = {
    **{name: ("positive", "ohm") for name in ("r_on", "r_off")},
    **{name: ("positive", "s") for name in ("t_set", "t_reset", "t_read")},
    **{name: ("non-negative", "J") for name in ("e_set", "e_reset", "e_read")},
    **{f"sigma_{name}": ("non-negative", "") for name in ("on_device", "off_device", "on_cycle", "off_cycle")},
    "endurance_spread": ("non-negative", ""),
    **{name: ("probability", "") for name in ("p_fail", "stuck_on", "stuck_off")},
}


class SwitchState(eqx.Module):
    """Switches of an array, each with what is its own; all leaves of one shape.

    Args:
        on: what each conducts now.
        stuck: whether it cannot be written any more.
        on_offset, off_offset: of ln R of the two states, device by device.
        cycle_offset: of ln R of the present state, drawn when it was written; in standard deviations.
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
    age: Float[Array, "*shape"]
    pulses: Int[Array, "*shape"]
    life: Float[Array, "*shape"]


class Switch(eqx.Module):
    """A cell that is on (r_on) or off (r_off): log-normal resistances, pulses that may fail, faults, wear and drift.

        ln R = ln r_state + sigma_device xi_device + sigma_cycle xi_write + rate ln(1 + t_eq / tau)

    Only a cell whose bit changes is pulsed. A pulse fails with `p_fail` and then changes nothing; with a verifying
    read it gets one more. A cell that was pulsed more often than it endures is stuck where it is.

    Args:
        r_on, r_off: median resistances [ohm].
        t_set, t_reset, t_read: widths of pulses and of a verifying read [s].
        e_set, e_reset, e_read: energy of each [J].
        sigma_on_device, sigma_off_device: spread of ln R from device to device.
        sigma_on_cycle, sigma_off_cycle: from write to write.
        p_fail: probability that a pulse does nothing.
        stuck_on, stuck_off: shares of cells that cannot be written.
        endurance: median number of pulses before wear-out; infinity is no limit.
        endurance_spread: of the logarithm of that number.
        on_retention, off_retention: drift of the two states.

    Raises:
        ValueError: resistances or times that are not positive, `r_off` below `r_on`, probabilities outside [0, 1],
            faults of more than all cells, negative spreads or energies, an endurance that is not positive.
    """

    r_on: Float[Array, ""] = eqx.field(converter=partial(as_real, name="r_on"))
    r_off: Float[Array, ""] = eqx.field(converter=partial(as_real, name="r_off"))
    t_set: Float[Array, ""] = eqx.field(converter=partial(as_real, name="t_set"), default=1e-6)
    t_reset: Float[Array, ""] = eqx.field(converter=partial(as_real, name="t_reset"), default=1e-6)
    t_read: Float[Array, ""] = eqx.field(converter=partial(as_real, name="t_read"), default=1e-7)
    e_set: Float[Array, ""] = eqx.field(converter=partial(as_real, name="e_set"), default=0.0)
    e_reset: Float[Array, ""] = eqx.field(converter=partial(as_real, name="e_reset"), default=0.0)
    e_read: Float[Array, ""] = eqx.field(converter=partial(as_real, name="e_read"), default=0.0)
    sigma_on_device: Float[Array, ""] = eqx.field(converter=partial(as_real, name="sigma_on_device"), default=0.0)
    sigma_off_device: Float[Array, ""] = eqx.field(converter=partial(as_real, name="sigma_off_device"), default=0.0)
    sigma_on_cycle: Float[Array, ""] = eqx.field(converter=partial(as_real, name="sigma_on_cycle"), default=0.0)
    sigma_off_cycle: Float[Array, ""] = eqx.field(converter=partial(as_real, name="sigma_off_cycle"), default=0.0)
    p_fail: Float[Array, ""] = eqx.field(converter=partial(as_real, name="p_fail"), default=0.0)
    stuck_on: Float[Array, ""] = eqx.field(converter=partial(as_real, name="stuck_on"), default=0.0)
    stuck_off: Float[Array, ""] = eqx.field(converter=partial(as_real, name="stuck_off"), default=0.0)
    endurance: Float[Array, ""] = eqx.field(converter=partial(as_real, name="endurance"), default=float("inf"))
    endurance_spread: Float[Array, ""] = eqx.field(converter=partial(as_real, name="endurance_spread"), default=0.0)
    on_retention: Retention = eqx.field(default_factory=Retention)
    off_retention: Retention = eqx.field(default_factory=Retention)

    def __check_init__(self):
        check_numbers(self, _RULES)
        if is_concrete(self.r_on, self.r_off) and not float(self.r_off) >= float(self.r_on):
            ratio = float(self.r_off) / float(self.r_on)
            raise ValueError(
                f"Argument `r_off` must be at least `r_on` = {float(self.r_on):g} ohm, but is {float(self.r_off):g} "
                f"ohm: an on/off ratio of {ratio:g}; a switch that is off conducts less."
            )
        if is_concrete(self.stuck_on, self.stuck_off) and not float(self.stuck_on) + float(self.stuck_off) <= 1:
            raise ValueError(
                "Arguments `stuck_on` and `stuck_off` must be shares of all cells, but add up to "
                f"{float(self.stuck_on + self.stuck_off):g}."
            )
        if is_concrete(self.endurance) and not float(self.endurance) > 0:
            raise ValueError(
                f"Argument `endurance` must be positive, but is {float(self.endurance):g} pulses; infinity is no limit."
            )

    @eqx.filter_jit
    def init(self, shape: tuple[int, ...], *, key: jax.Array) -> SwitchState:
        """Switches that are off, but for those stuck on; each with offsets, rates and faults of its own."""
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

    @eqx.filter_jit
    def write(
        self, state: SwitchState, on: Bool[Array, "*shape"], *, key: jax.Array, verify: bool = False
    ) -> tuple[SwitchState, WriteReport]:
        """Turns switches on or off with one pulse where they are not so already.

        Args:
            state: of the switches.
            on: what each shall be.
            key: of what chance decides.
            verify: read every pulsed cell once, and pulse it once more where the read says that it failed. Static.

        Returns:
            The new state, and pulses, time, energy and success cell by cell.
        """
        first, second = jax.random.split(key)
        wanted = state.on != on
        new = self._pulse(state, on, wanted, key=first)
        pulses = wanted.astype(jnp.int32)
        reads = jnp.zeros_like(pulses)
        if verify:
            reads = pulses
            failed = wanted & (new.on != on)
            new = self._pulse(new, on, failed, key=second)
            pulses = pulses + failed.astype(jnp.int32)
        sets, resets = jnp.where(on, pulses, 0), jnp.where(on, 0, pulses)
        count = [n.astype(self.r_on.dtype) for n in (sets, resets, reads)]
        report = WriteReport(
            sets=sets,
            resets=resets,
            reads=reads,
            busy=count[0] * self.t_set + count[1] * self.t_reset + count[2] * self.t_read,
            energy=count[0] * self.e_set + count[1] * self.e_reset + count[2] * self.e_read,
            success=new.on == on,
        )
        return new, report

    def age(self, state: SwitchState, seconds: Any, temperature: Any) -> SwitchState:
        """The same switches `seconds` [s] later, kept at `temperature` [K].

        Raises:
            ValueError: negative time; a temperature below 200 K.
        """
        held = [r.equivalent_time(seconds, temperature) for r in (self.on_retention, self.off_retention)]
        return eqx.tree_at(lambda s: s.age, state, state.age + jnp.where(state.on, *held))

    def resistance(self, state: SwitchState) -> Float[Array, "*shape"]:
        """Resistances now [ohm]."""
        on = self.r_on * jnp.exp(
            state.on_offset
            + self.sigma_on_cycle * state.cycle_offset
            + self.on_retention.log_drift(state.on_rate, state.age)
        )
        off = self.r_off * jnp.exp(
            state.off_offset
            + self.sigma_off_cycle * state.cycle_offset
            + self.off_retention.log_drift(state.off_rate, state.age)
        )
        return jnp.where(state.on, on, off)

    def _pulse(
        self, state: SwitchState, on: Bool[Array, "*shape"], pulsed: Bool[Array, "*shape"], *, key: jax.Array
    ) -> SwitchState:
        """One pulse to the cells `pulsed`."""
        fail_key, cycle_key = jax.random.split(key)
        pulses = state.pulses + pulsed.astype(jnp.int32)
        # The pulse that would exceed the endurance does nothing, and no later one does.
        stuck = state.stuck | (pulses.astype(state.life.dtype) > state.life)
        failed = jax.random.uniform(fail_key, on.shape, self.p_fail.dtype) < self.p_fail
        switched = pulsed & ~failed & ~stuck
        cycle = jax.random.normal(cycle_key, on.shape, state.cycle_offset.dtype)
        return SwitchState(
            on=jnp.where(switched, on, state.on),
            stuck=stuck,
            on_offset=state.on_offset,
            off_offset=state.off_offset,
            cycle_offset=jnp.where(switched, cycle, state.cycle_offset),
            on_rate=state.on_rate,
            off_rate=state.off_rate,
            age=jnp.where(switched, 0, state.age),
            pulses=pulses,
            life=state.life,
        )
