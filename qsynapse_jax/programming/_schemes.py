"""Which pulse comes next: one for a switch; fixed ones, a rising staircase, or steps that shrink for all others."""

from dataclasses import replace
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import Rule, Scalar, positive, real, whole
from qsynapse_jax.devices import AbstractBipolar, AbstractGated, AbstractTwoLevel, Pulse, Trace
from qsynapse_jax.programming._base import SAME, AbstractScheme, Bands, Progress, Reading, is_least
from qsynapse_jax.programming._verify import AbstractVerifying

_HALF_WIDTH = Rule("between 0 and 1/2 of a step; wider bands touch", lambda x: (x > 0) & (x < 0.5))


class SinglePulse(AbstractScheme):
    """Turns switches on or off with one pulse where they are not so already.

    What the switches hold is known from the last write, so nothing is read beforehand. A target without lower bound
    means off, any other one on.

    Args:
        verify: every pulsed switch is read once, and pulsed once more where the read says that the pulse failed.
    """

    demands: ClassVar = AbstractTwoLevel

    verify: bool = eqx.field(static=True, default=False)

    def bands(self, device: AbstractTwoLevel, target: Float[Array, "*shape"], step: Any, least: Any) -> Bands:
        off = is_least(target, least)
        top = jnp.max(target, initial=0, where=~off)
        between = ~off & (target < top * (1 - SAME))
        message = "must hold two levels for `SinglePulse`"
        if not is_concrete(target, least):
            target = eqx.error_if(target, between, f"Argument `target` {message}, but holds more.")
        elif bool(jnp.any(between)):
            found = float(target[between][0])
            raise ValueError(
                f"Argument `target` {message}, but holds {found:g} S between {float(jnp.min(target)):g} S and "
                f"{float(top):g} S; a device that is an `AbstractGated` can be tuned to it."
            )
        middle = 1 / jnp.sqrt(device.r_on * device.r_off).astype(target.dtype)
        # A target that is no number stays one: the switch is turned off and is no success.
        low = jnp.where(off, 0, jnp.where(jnp.isnan(target), target, middle))
        return Bands(low, jnp.where(off, middle, jnp.inf))

    @eqx.filter_jit
    def write(
        self, device: AbstractTwoLevel, state: Any, bands: Bands, *, key: jax.Array, progress: Progress | None = None
    ) -> tuple[Any, Trace]:
        first, second = jax.random.split(key)
        on = bands.low > 0
        pulse = device.set_pulse().where(on, device.reset_pulse())
        wrong = device.is_on(state) != on
        new, trace = device.apply(state, pulse.only(wrong), key=first)
        if self.verify:
            trace += device.read_trace(new).only(wrong)
            failed = wrong & (device.is_on(new) != on)
            new, again = device.apply(new, pulse.only(failed), key=second)
            trace += again
        success = (device.is_on(new) == on) & ~jnp.isnan(bands.low)
        return new, replace(trace, success=success)


def _nominal_voltage(
    device: AbstractGated, low: Float[Array, " n"], high: Float[Array, " n"], v_max: Float[Array, ""]
) -> Float[Array, " n"]:
    """Gate voltage for the middle of a band [V]; the largest one where the band has no end."""
    middle = jnp.sqrt(jnp.maximum(low, 0) * jnp.where(jnp.isfinite(high), high, 0))
    return jnp.where(middle > 0, jnp.minimum(device.gate_voltage(middle), v_max), v_max)


class FPPV(AbstractVerifying):
    """Fixed pulses: the set pulse that suits the median cell; a cell that missed is reset and tries again.

    Args:
        v_max: gate voltage for a band without upper end [V].
        tolerance, max_pulses, erase_pulses: as for `AbstractVerifying`; at most 1,000 pulses in the data files of 2
            bits [S], 2,000 in those of 3 [D]; 10 resets of the lowest level [S].
    """

    demands: ClassVar = AbstractGated

    v_max: Scalar = real("V", positive, default=4.5)
    tolerance: Scalar = real("", _HALF_WIDTH, default=0.25)
    max_pulses: int = whole(1, default=1000)
    erase_pulses: int = whole(1, default=10)

    def start(self, device: AbstractGated, low: Float[Array, " n"], high: Float[Array, " n"]) -> Any:
        # False: the last pulse was no set, so a cell below its band may have one.
        return _nominal_voltage(device, low, high, self.v_max), jnp.zeros(low.shape, bool)

    def next(self, device: AbstractGated, memory: Any, reading: Reading) -> tuple[Pulse, Any]:
        v, was_set = memory
        is_set = (reading.g < reading.low) & ~was_set
        return device.set_pulse(v).where(is_set, device.reset_pulse(1.0)), (v, is_set)


class ISPP(AbstractVerifying):
    """Incremental steps: the gate voltage rises with every set pulse; a cell that overshoots is reset and starts again.

    Args:
        v_start: gate voltage of the first set pulse [V].
        v_step: rise from one set pulse to the next [V].
        v_max: largest gate voltage [V].
        tolerance, max_pulses, erase_pulses: as for `AbstractVerifying`; 200 pulses are where the published counts of 2
            bits end [D]; 50 resets of the lowest level in the data files [S].
    """

    demands: ClassVar = AbstractGated

    v_start: Scalar = real("V", positive, default=2.0)
    v_step: Scalar = real("V", positive, default=0.045)
    v_max: Scalar = real("V", positive, default=5.0)
    tolerance: Scalar = real("", _HALF_WIDTH, default=0.25)
    max_pulses: int = whole(1, default=200)
    erase_pulses: int = whole(1, default=50)

    def start(self, device: AbstractGated, low: Float[Array, " n"], high: Float[Array, " n"]) -> Any:
        return jnp.full(low.shape, self.v_start, low.dtype)

    def next(self, device: AbstractGated, memory: Any, reading: Reading) -> tuple[Pulse, Any]:
        is_set = reading.g < reading.low
        raised = jnp.minimum(memory + self.v_step, self.v_max)
        pulse = device.set_pulse(memory).where(is_set, device.reset_pulse(1.0))
        return pulse, jnp.where(is_set, raised, self.v_start)


class RangeAdapting(AbstractVerifying):
    """Coarse steps far from the band, fine ones near it; an overshoot is taken back a little, not from the start.

    The overdrive v - v_t begins at `first` of what suits the median cell, and grows by a factor. A reset out of the
    band is a weak one and keeps most of the filament, so that what was learnt of it stays true.

    The idea is RADAR's; its own protocol, which adapts bit-line voltages too, is not reproduced here.

    Args:
        first: first overdrive over the nominal one.
        coarse, fine: relative steps of the overdrive, far from the band and near it.
        near: distance of ln G below the band at which steps become fine.
        weak: strength of a reset after an overshoot.
        back: factor of the overdrive after it.
        v_max: largest gate voltage [V].
        tolerance, max_pulses, erase_pulses: as for `AbstractVerifying`; 45 pulses are where the published counts of 2
            bits end [D], narrower bands need more.
    """

    demands: ClassVar = AbstractGated

    first: Scalar = real("", positive, default=0.22)
    coarse: Scalar = real("", positive, default=0.15)
    fine: Scalar = real("", positive, default=0.08)
    near: Scalar = real("", positive, default=0.08)
    weak: Scalar = real("", positive, default=0.05)
    back: Scalar = real("", positive, default=0.85)
    v_max: Scalar = real("V", positive, default=5.0)
    tolerance: Scalar = real("", _HALF_WIDTH, default=0.25)
    max_pulses: int = whole(1, default=45)
    erase_pulses: int = whole(1, default=30)

    def start(self, device: AbstractGated, low: Float[Array, " n"], high: Float[Array, " n"]) -> Any:
        return self.first * (_nominal_voltage(device, low, high, self.v_max) - device.v_t)

    def next(self, device: AbstractGated, memory: Any, reading: Reading) -> tuple[Pulse, Any]:
        is_set = reading.g < reading.low
        # g > 0 always: a cell leaks.
        step = jnp.where(jnp.log(reading.low / reading.g) > self.near, self.coarse, self.fine)
        raised = jnp.minimum(memory * (1 + step), self.v_max - device.v_t)
        strength = jnp.where(reading.low > 0, self.weak, 1)
        pulse = device.set_pulse(device.v_t + raised).where(is_set, device.reset_pulse(strength))
        return pulse, jnp.where(is_set, raised, self.back * memory)


class BipolarISPP(AbstractVerifying):
    """Incremental steps of both polarities: the amplitude rises from pulse to pulse until the read crosses the band.

    Then pulses of the other polarity go back, from the first amplitude again, so that the way of an overshoot is that
    of a weak pulse. Amplitudes are in units of the device's operating point, `v_set` up and `v_reset` down; widths are
    those of the operating point.

    Args:
        first: amplitude of the first pulse of each polarity.
        rise: of the amplitude, from one pulse to the next.
        most: largest amplitude.
        tolerance, max_pulses, erase_pulses: as for `AbstractVerifying`.
    """

    demands: ClassVar = AbstractBipolar

    first: Scalar = real("", positive, default=0.85)
    rise: Scalar = real("", positive, default=0.02)
    most: Scalar = real("", positive, default=1.3)
    tolerance: Scalar = real("", _HALF_WIDTH, default=0.25)
    max_pulses: int = whole(1, default=200)
    erase_pulses: int = whole(1, default=100)

    def start(self, device: AbstractBipolar, low: Float[Array, " n"], high: Float[Array, " n"]) -> Any:
        return jnp.full(low.shape, self.first, low.dtype), jnp.zeros(low.shape, bool), jnp.zeros(low.shape, bool)

    def next(self, device: AbstractBipolar, memory: Any, reading: Reading) -> tuple[Pulse, Any]:
        level, was_pulsed, was_up = memory
        is_up = reading.g < reading.low
        raised = jnp.minimum(level + self.rise, self.most)
        level = jnp.where(was_pulsed & (is_up == was_up), raised, self.first)
        pulse = Pulse(level * device.v_set, device.t_set).where(is_up, Pulse(-level * device.v_reset, device.t_reset))
        return pulse, (level, jnp.ones_like(was_pulsed), is_up)
