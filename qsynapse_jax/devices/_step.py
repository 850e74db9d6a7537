"""Devices that move by one step per pulse: what all of them have in common, whatever the law of the step is."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax._fields import (
    Model,
    Rule,
    Scalar,
    checked,
    kelvin,
    non_negative,
    non_negative_or_infinite,
    positive,
    positive_or_infinite,
    probability,
    real,
)
from qsynapse_jax.devices import _noise
from qsynapse_jax.devices._base import AbstractPulsed, as_shape

_BALANCE = Rule("from -1 to 1", lambda x: abs(x) <= 1)
# Of `g_min`: spread bounds and write noise may lead below the weight that `g_min` stands for, but no element conducts
# less than nothing.
_LEAST_CONDUCTANCE = 0.1


class StepState(Model):
    """Devices of an array, each with what is its own; all leaves have one shape.

    Args:
        w: weight that pulses act on, with the reference still in it.
        offset: what write noise adds to it in a read, drawn anew by every pulse.
        up, down: steps at weight 0, both positive.
        low, high: bounds of `w`; equal in a device that is stuck.
        leak: rate at which `w` decays [1/s].
        bend_up, bend_down: how the two curves bend, where devices differ in it.
        reference: what is taken off `w`, where devices have a reference.
    """

    w: Float[Array, "*shape"]
    offset: Float[Array, "*shape"]
    up: Float[Array, "*shape"]
    down: Float[Array, "*shape"]
    low: Float[Array, "*shape"]
    high: Float[Array, "*shape"]
    leak: Float[Array, "*shape"] = eqx.field(metadata={"unit": "1/s"})
    bend_up: Float[Array, "*shape"] | None = None
    bend_down: Float[Array, "*shape"] | None = None
    reference: Float[Array, "*shape"] | None = None


def signed(state: StepState, is_up: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The steps at weight 0, with their sign."""
    return jnp.where(is_up, state.up, -state.down)


class AbstractStep(AbstractPulsed):
    """A device whose weight moves by one step per pulse, and stops at bounds of its own.

        up = dw_min (gain + min(up_down, 0) + r),     gain = 1 + dw_min_dtod xi  or  exp(dw_min_dtod xi)
        down = dw_min (gain - max(up_down, 0) - r),   r = up_down_dtod xi
        high = w_max (1 + w_max_dtod xi),  low = w_min (1 + w_min_dtod xi)
        weight = w - reference + write_noise_std dw_min xi
        G = g_min + (g_max - g_min) (weight + reference - w_min) / (w_max - w_min)

    Steps and distances of the bounds from 0 are taken absolute, so that far devices of a wide spread still move the
    right way. `up_down` shrinks the steps of one direction and leaves the other. Write noise is on what a read finds;
    the next pulse starts from the weight beneath it. G is at least a tenth of `g_min`. A stuck device has one weight
    for ever.

    Meanings and names are those of aihwkit's pulsed devices, and so are the update laws.

    Args:
        dw_min: mean step at weight 0, where a law does not say another place.
        up_down: imbalance of the two directions, -1 to 1; positive makes steps down smaller, negative steps up.
        w_min, w_max: mean bounds; 0 lies between them.
        dw_min_std: noise of a step from pulse to pulse, relative.
        write_noise_std: noise of what a read finds after a pulse, in units of `dw_min`.
        dw_min_dtod, up_down_dtod, w_min_dtod, w_max_dtod: spreads from device to device, relative.
        dw_min_dtod_log_normal: whether `dw_min_dtod` is that of the logarithm. Static.
        stuck: share of devices that never move.
        stuck_range: they sit at weights of this size at most.
        g_min, g_max: conductances of the mean bounds [S].
        sigma_read: relative noise of a read, of any duration.
        lifetime: time in which `w` decays by a factor of e towards 0, at any temperature [s].
        lifetime_dtod: its relative spread.

    Raises:
        ValueError: numbers out of range; `w_max` not above `w_min`; 0 not between them; `g_max` not above `g_min`.

    Reference: M. J. Rasch et al., "A flexible and fast PyTorch toolkit for simulating training and inference on analog
        crossbar arrays", AICAS 2021, doi 10.1109/AICAS51828.2021.9458494; github.com/IBM/aihwkit.
    """

    dw_min: Scalar = real("", positive, default=0.001)
    up_down: Scalar = real("", _BALANCE, default=0.0)
    w_min: Scalar = real("", default=-1.0)
    w_max: Scalar = real("", default=1.0)
    dw_min_std: Scalar = real("", non_negative, default=0.0)
    write_noise_std: Scalar = real("", non_negative, default=0.0)
    dw_min_dtod: Scalar = real("", non_negative, default=0.0)
    up_down_dtod: Scalar = real("", non_negative, default=0.0)
    w_min_dtod: Scalar = real("", non_negative, default=0.0)
    w_max_dtod: Scalar = real("", non_negative, default=0.0)
    dw_min_dtod_log_normal: bool = eqx.field(static=True, default=False)
    stuck: Scalar = real("", probability, default=0.0)
    stuck_range: Scalar = real("", non_negative_or_infinite, default=float("inf"))
    g_min: Scalar = real("S", positive, default=1e-6)
    g_max: Scalar = real("S", positive, default=1e-5)
    sigma_read: Scalar = real("", non_negative, default=0.0)
    lifetime: Scalar = real("s", positive_or_infinite, default=float("inf"))
    lifetime_dtod: Scalar = real("", non_negative, default=0.0)

    def __check_init__(self):
        for low, high in (("w_min", "w_max"), ("g_min", "g_max")):
            if not is_concrete(getattr(self, low), getattr(self, high)):
                continue
            bottom, top = float(getattr(self, low)), float(getattr(self, high))
            if not top > bottom:
                raise ValueError(
                    f"Argument `{high}` must be above `{low}` = {bottom:g}, but is {top:g}: a device without a range "
                    "cannot be pulsed; exchange the two, or widen them."
                )
            if low == "w_min" and not bottom <= 0 <= top:
                raise ValueError(
                    "Arguments `w_min` and `w_max` must have 0 between them, where a step is `dw_min`, but are "
                    f"{bottom:g} and {top:g}; shift both by what a reference device takes off."
                )

    @abstractmethod
    def step(self, state: StepState, is_up: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
        """What one noiseless pulse adds to `w`, bounds apart: positive or negative as `is_up` says."""

    @property
    def mean_step(self) -> Float[Array, ""]:
        """Size of a step at weight 0; `dw_min` as far as the law does not bend it there, nor `up_down` shrinks it."""
        zero = jnp.zeros_like(self.dw_min)
        up, down = self.dw_min * (1 + jnp.minimum(self.up_down, 0)), self.dw_min * (1 - jnp.maximum(self.up_down, 0))
        nominal = StepState(zero, zero, up, down, self.w_min, self.w_max, zero)
        nominal = self.curved(nominal, jnp.zeros(2, zero.dtype))
        rise, fall = (self.step(nominal, jnp.asarray(is_up)) for is_up in (True, False))
        return (rise - fall) / 2

    def noise(self, state: StepState, is_up: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Standard deviation of one pulse; of either sign."""
        return self.dw_min_std * self.step(state, is_up)

    @abstractmethod
    def moved(
        self, state: StepState, count: Int[Array, "*shape"], word: UInt[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """`w` after `count` pulses, the same where it is 0. Random numbers are made from `word`."""

    def curved(self, state: StepState, noise: Float[Array, " pair *shape"]) -> StepState:
        """The state as fabricated, with what this law adds to it; `noise` is normal."""
        return state

    def init(self, shape: tuple[int, ...], *, key: jax.Array) -> StepState:
        """Devices at weight 0, but for the stuck ones; each with steps and bounds of its own."""
        return self._fabricated(as_shape(shape), key)

    @eqx.filter_jit
    def _fabricated(self, shape: tuple[int, ...], key: jax.Array) -> StepState:
        normal_key, stuck_key = jax.random.split(key)
        dtype = self.dw_min.dtype
        gain, r, high, low, life, *noise = jax.random.normal(normal_key, (7, *shape), dtype)
        chance, place = jax.random.uniform(stuck_key, (2, *shape), dtype)
        gain = jnp.exp(self.dw_min_dtod * gain) if self.dw_min_dtod_log_normal else 1 + self.dw_min_dtod * gain
        r *= self.up_down_dtod
        up = jnp.abs(self.dw_min * (gain + jnp.minimum(self.up_down, 0) + r))
        down = jnp.abs(self.dw_min * (gain - jnp.maximum(self.up_down, 0) - r))
        high = self.w_max * (1 + self.w_max_dtod * high)
        low = self.w_min * (1 + self.w_min_dtod * low)
        high, low = jnp.abs(jnp.maximum(low, high)), -jnp.abs(jnp.minimum(low, high))

        stuck = chance < self.stuck
        least, most = jnp.maximum(low, -self.stuck_range), jnp.minimum(high, self.stuck_range)
        there = least + (most - least) * place
        zero = jnp.zeros(shape, dtype)
        state = StepState(
            w=jnp.where(stuck, there, zero),
            offset=zero,
            up=jnp.where(stuck, 0, up),
            down=jnp.where(stuck, 0, down),
            low=jnp.where(stuck, there, low),
            high=jnp.where(stuck, there, high),
            # No decay is faster than one that no read would see.
            leak=1 / (self.lifetime * jnp.maximum(1 + self.lifetime_dtod * life, 1e-3)),
        )
        state = self.curved(state, jnp.stack(noise))
        return replace(state, w=jnp.clip(zero if state.reference is None else state.reference, state.low, state.high))

    def moving(self, state: StepState) -> Any:
        return state.w, state.offset

    def weight(self, state: StepState) -> Float[Array, "*shape"]:
        """What a noiseless read finds, write noise included."""
        apparent = state.w + state.offset
        return apparent if state.reference is None else apparent - state.reference

    @eqx.filter_jit
    def with_weight(self, state: StepState, weight: Any, *, key: jax.Array) -> StepState:
        """State in which devices were set to a weight by other means than pulses, as near as their bounds allow.

        Args:
            state: of the devices.
            weight: of every device, its shape or one that broadcasts to it.
            key: random key for the write noise.

        Raises:
            ValueError: weights that are no floating-point numbers.
        """
        w = jnp.broadcast_to(as_floating(weight, "weight").astype(state.w.dtype), state.w.shape)
        w = w if state.reference is None else w + state.reference
        everywhere = jnp.ones(w.shape, bool)
        return self._noisy(replace(state, w=jnp.clip(w, state.low, state.high)), everywhere, _noise.words(key, w.shape))

    @eqx.filter_jit
    def pulse(self, state: StepState, count: Int[Array, "*shape"], *, key: jax.Array) -> StepState:
        """State after `count` pulses per device; a positive count potentiates, a negative one depresses.

        Args:
            state: of the devices.
            count: signed integers of the shape of the devices.
            key: random key for the noise of steps and writes.

        Raises:
            ValueError: counts of another shape, or that are no integers.
        """
        if jnp.shape(count) != state.w.shape or not jnp.issubdtype(jnp.result_type(count), jnp.integer):
            raise ValueError(
                f"Argument `count` must hold one integer for every device, shape {state.w.shape}, but is "
                f"{jnp.result_type(count)} of shape {jnp.shape(count)}; `jnp.full(shape, n)` pulses all n times."
            )
        word = _noise.words(key, state.w.shape)
        return self._noisy(replace(state, w=self.moved(state, count, word)), count != 0, word)

    @eqx.filter_jit
    def creep(self, state: StepState, up: Any, down: Any, noise: Any, *, key: jax.Array) -> StepState:
        """State after small parts of pulses; steps are those of the weights before, and no write noise is drawn."""
        rise, fall = (self.step(state, jnp.full(state.w.shape, is_up)) for is_up in (True, False))
        xi = _noise.normal(_noise.words(key, state.w.shape), state.w.dtype)
        moved = up * rise + down * fall + noise * (rise - fall) / 2 * xi
        return replace(state, w=jnp.clip(state.w + moved, state.low, state.high))

    def _noisy(self, state: StepState, is_written: Array, word: Array) -> StepState:
        """The state after new write noise where devices were written; of many pulses only the last leaves its own."""

        def drawn(offset):
            noise = self.write_noise_std * self.dw_min * _noise.normal(_noise.stream(word, 1), offset.dtype)
            return jnp.where(is_written & (state.low < state.high), noise, offset)

        # Most devices have none, and a draw is a third of what a pulse takes.
        offset = jax.lax.cond(self.write_noise_std > 0, drawn, lambda offset: offset, state.offset)
        return replace(state, offset=offset)

    def conductance(self, state: StepState, *, temperature: Any = 300.0) -> Float[Array, "*shape"]:
        # No temperature coefficient is modelled; degrees Celsius are an error all the same.
        checked(temperature, "temperature", "K", kelvin)
        share = (state.w + state.offset - self.w_min) / (self.w_max - self.w_min)
        return jnp.maximum(self.g_min + (self.g_max - self.g_min) * share, _LEAST_CONDUCTANCE * self.g_min)

    def read(self, state: StepState, *, key: jax.Array, window: Any = None) -> Float[Array, "*shape"]:
        g = self.conductance(state)
        return g * (1 + self.sigma_read * jax.random.normal(key, g.shape, g.dtype))

    def age(self, state: StepState, seconds: Any, temperature: Any, *, key: jax.Array | None = None) -> StepState:
        checked(temperature, "temperature", "K", kelvin)
        kept = jnp.exp(-checked(seconds, "seconds", "s", non_negative) * state.leak)
        return replace(state, w=jnp.clip(state.w * kept, state.low, state.high))
