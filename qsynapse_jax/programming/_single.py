"""Switches need no tuning: one pulse where the state is wrong, and at most one more."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._checks import is_concrete
from qsynapse_jax.devices import AbstractTwoLevel, Trace
from qsynapse_jax.programming._base import AbstractScheme, Progress, is_least


class SinglePulse(AbstractScheme):
    """Turns switches on or off with one pulse where they are not so already.

    What the switches hold is known from the last write, so nothing is read beforehand. A target without lower bound
    means off, any other one on.

    Args:
        verify: every pulsed switch is read once, and pulsed once more where the read says that the pulse failed.
    """

    demands: ClassVar = AbstractTwoLevel

    verify: bool = eqx.field(static=True, default=False)

    def bands(
        self, device: AbstractTwoLevel, target: Float[Array, "*shape"], step: Any, least: Any
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        off = is_least(target, least)
        top = jnp.max(target, initial=0, where=~off)
        between = ~off & (target < top * (1 - 1e-5))
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
        return low, jnp.where(off, middle, jnp.inf)

    @eqx.filter_jit
    def write(
        self,
        device: AbstractTwoLevel,
        state: Any,
        low: Float[Array, "*shape"],
        high: Float[Array, "*shape"],
        *,
        key: jax.Array,
        progress: Progress | None = None,
    ) -> tuple[Any, Trace]:
        first, second = jax.random.split(key)
        on = low > 0
        pulse = device.set_pulse().where(on, device.reset_pulse())
        wrong = device.is_on(state) != on
        new, trace = device.apply(state, pulse.only(wrong), key=first)
        if self.verify:
            trace += device.read_trace(new).only(wrong)
            failed = wrong & (device.is_on(new) != on)
            new, again = device.apply(new, pulse.only(failed), key=second)
            trace += again
        success = (device.is_on(new) == on) & ~jnp.isnan(low)
        return new, eqx.tree_at(lambda t: t.success, trace, success)
