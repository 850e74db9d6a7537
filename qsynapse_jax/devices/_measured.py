"""A device that follows a measured table of conductance against pulse number."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax._fields import Numbers, reals
from qsynapse_jax.devices._curved import pulse_by_pulse
from qsynapse_jax.devices._step import AbstractStep, StepState, signed
from qsynapse_jax.devices._table import PulseTable


class MeasuredStep(AbstractStep):
    """A device that follows measured curves: a pulse goes from where the weight is on the curve to one pulse farther.

    Between measured points curves are straight lines, so that n pulses are n times one pulse. The weight goes from -1
    at the lowest conductance of the mean curves to 1 at the highest. Devices differ in their bounds, to which the
    curves are stretched, and in their steps, by which a pulse leads more or less far along them; noise of a step has
    the same size everywhere. Spread and noise are those of the devices and cycles of the table, see
    `PulseTable.spreads`; as every other number of devices that move by steps they may be given by name. Without noise
    of steps many pulses are one operation; with it they are taken one by one, and the time of a call grows with the
    largest count.

    Args:
        table: measured curves, from `read_pulses` or from arrays.
        numbers: of `AbstractStep`, in place of what the table says.

    Raises:
        ValueError: mean curves that turn back; numbers out of range.
    """

    knots_up: Numbers = reals("pulses")
    share_up: Numbers = reals("")
    knots_down: Numbers = reals("pulses")
    share_down: Numbers = reals("")

    def __init__(self, table: PulseTable | None = None, **numbers: Any):
        fields = {field.name: field for field in dataclasses.fields(type(self))}
        if table is not None:
            if not isinstance(table, PulseTable):
                raise ValueError(
                    f"Argument `table` must be a `PulseTable`, but is a `{type(table).__name__}`; `read_pulses(path)` "
                    "makes one of a file, `PulseTable(g_up, g_down)` one of arrays."
                )
            numbers = measured_numbers(table) | numbers
        elif "knots_up" not in numbers:
            raise ValueError("Argument `table` must be a `PulseTable`, but is missing; `read_pulses(path)` makes one.")
        if unknown := sorted(numbers.keys() - fields.keys()):
            raise TypeError(f"`MeasuredStep` has no argument `{unknown[0]}`; it has {', '.join(sorted(fields))}.")
        for name, field in fields.items():
            setattr(self, name, numbers.get(name, field.default))

    def _along(self, u: Array, n: Array, is_up: Array) -> Array:
        """Share of the range after `n` pulses, which need not be whole, from a share `u`."""
        up = jnp.interp(jnp.interp(u, self.share_up, self.knots_up) + n, self.knots_up, self.share_up)
        # Down curves are kept from their low end, where their pulses run backwards.
        down = jnp.interp(jnp.interp(u, self.share_down, self.knots_down) - n, self.knots_down, self.share_down)
        # From beyond the end of the curve of one direction, where that of the other led, pulses do not lead back.
        return jnp.where(is_up, jnp.maximum(up, u), jnp.minimum(down, u))

    def _end(self, state: StepState, n: Array, is_up: Array) -> Array:
        span = state.high - state.low
        is_range = span > 0
        span = jnp.where(is_range, span, 1)
        # A device of a wider range has the same step, so it takes more pulses.
        gain = jnp.abs(signed(state, is_up)) / self.dw_min * (self.w_max - self.w_min) / span
        end = state.low + span * self._along((state.w - state.low) / span, n * gain, is_up)
        return jnp.where(is_range & (gain > 0), end, state.w)

    def step(self, state: StepState, is_up: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
        return self._end(state, jnp.ones_like(state.w), is_up) - state.w

    def noise(self, state: StepState, is_up: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
        return self.dw_min_std * signed(state, is_up)

    def moved(self, state: StepState, count: Int[Array, "*shape"], word: Array) -> Float[Array, "*shape"]:
        n, is_up = jnp.abs(count).astype(state.w.dtype), count > 0
        return jax.lax.cond(
            self.dw_min_std > 0,
            lambda: pulse_by_pulse(self, state, count, word),
            lambda: jnp.where(count == 0, state.w, self._end(state, n, is_up)),
        )


def measured_numbers(table: PulseTable) -> dict[str, Any]:
    """All that a table says of the arguments of `MeasuredStep`."""
    table.check_monotone()
    up, down = table.curves
    low, high = min(up.min(), down.min()), max(up.max(), down.max())
    numbers: dict[str, Any] = table.spreads() | {"g_min": low, "g_max": high}
    for name, curve in (("up", up), ("down", down[::-1])):
        knots, shares = _knots((curve - low) / (high - low))
        numbers |= {f"knots_{name}": jnp.asarray(knots, float), f"share_{name}": jnp.asarray(shares, float)}
    return numbers


def _knots(curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pulses and values of a rising curve without its level parts, on which no weight tells where a device is.

    A level part in the middle becomes its middle; one at an end is cut off.
    """
    # What float32 does not tell apart is level.
    starts = np.flatnonzero(np.r_[True, np.diff(curve) > 1e-6])
    ends = np.r_[starts[1:], len(curve)] - 1
    places = (starts + ends) / 2
    places[0], places[-1] = ends[0], starts[-1]
    return places, curve[starts]
