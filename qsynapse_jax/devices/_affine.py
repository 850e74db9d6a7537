"""Devices whose step is constant or linear in the weight: many pulses at once, in closed form."""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt

from qsynapse_jax._fields import Scalar, non_negative, real
from qsynapse_jax.devices import _noise
from qsynapse_jax.devices._step import AbstractStep, StepState, signed

# Slopes of devices, for a state and whether pulses go up.
Slope = Callable[[StepState, Any], Array]
# Mean overshoot of a random walk over a bound, in standard deviations of a step: -zeta(1/2)/sqrt(2 pi). And in mean
# steps, which count where they are no smaller: what follows pulses one by one best for noise of 0.3 to 5 steps.
_OVERSHOOT, _DRIFT_OVERSHOOT = 0.5826, 0.25
_TINY = 1e-30
# A slope nearer to 0 is none in single precision; and binary digits of the length of a usual train.
_LEAST_SLOPE, _DIGITS = 1e-12, 5


def after_pulses(
    state: StepState,
    count: Int[Array, "*shape"],
    word: UInt[Array, "*shape"],
    *,
    slope: Slope | None,
    noise: Array,
    is_proportional: bool,
) -> Float[Array, "*shape"]:
    """Weights after n pulses w <- clip(w + (c + s w) (1 + noise xi)), or, noise apart, clip(w + c + s w + c noise xi).

    Let r = 1 + s. Without bounds n pulses are again one affine step with one normal number of known variance:

        E[w_n] = w + (c + s w) (r^n - 1)/s
        Var[w_n] = (c noise)^2 (r^2n - 1)/(r^2 - 1)                              noise apart
        Var[w_n] = ((c + s w) noise)^2 r^2(n-1) ((1 + q)^n - 1)/q,  q = (s noise/r)^2    noise in proportion to the step

    Without noise the bounds change nothing but the end, since w moves one way. With noise pulses that meet a bound are
    thrown back by it. Seen on the scale of the variance w is a Brownian motion, and given where one ends its maximum is
    known: with distances a before (shrunk by r^n, as the noise forgets) and b after,

        maximum beyond the bound = (sqrt((a - b)^2 - 2 Var ln U) - a - b)/2,   U uniform,

    less the overshoot of a walk in jumps. By that much w_n ends lower (Skorokhod). One pulse is exact.

    Accuracy: of many noisy pulses that end at a bound, the mean is within 0.12 standard deviations of that pulse by
    pulse, and the standard deviation within 20 %, where a step is at most half the range; away from bounds both are
    exact (`tests/devices/test_steps.py`).

    Args:
        state: of the devices.
        count: signed pulses.
        word: random words.
        slope: s of a state, in the direction of the pulses, at most 0; `None` where steps are constant. A function,
            because an array would be written out in full for the branches.
        noise: relative noise of a step.
        is_proportional: whether noise is in proportion to the step, or to the step at weight 0.
    """
    most = jnp.max(jnp.abs(count), initial=0)
    law = functools.partial(_after, state, count, word, slope, noise, is_proportional)
    # Trains of up to 31 pulses are the rule, and single pulses meet no bound twice.
    branches = [functools.partial(law, length) for length in ("single", "short", "long")]
    return jax.lax.switch((most > 1).astype(jnp.int32) + (most >= 2**_DIGITS).astype(jnp.int32), branches)


def _after(
    state: StepState, count: Array, word: Array, slope: Slope | None, noise: Array, is_proportional: bool, length: str
) -> Array:
    """`after_pulses` for counts of at most 1, of at most 31, of any size."""
    w, dtype = state.w, state.w.dtype
    # Zero pulses as one: whatever comes out is not used, and no power of it is infinite.
    whole = jnp.maximum(jnp.abs(count), 1)
    n = whole.astype(dtype)
    constant = signed(state, count > 0)
    if slope is None:
        step, total, kept, squares, first = constant, n, 1.0, n, noise * constant
    else:
        s = slope(state, count > 0)
        step = constant + s * w
        # A step that jumps over the weight at which it would be 0 ends there after two, thrown back by the bound.
        steep, s = jnp.maximum(-s, 1), jnp.maximum(s, -1)
        total, kept = (1, 1 + s) if length == "single" else _power(s, whole, length == "long")
        if is_proportional:
            ratio = jnp.where(s > -1, s * noise / jnp.where(s > -1, 1 + s, 1), 1)
            before = kept / jnp.where(s > -1, 1 + s, 1)
            squares = jnp.where(n > 1, before**2 * _growth(jnp.minimum(ratio**2, 1), n), 1)
            first = noise * step
        else:
            squares, first = total * (1 + kept) / (2 + s), noise * constant
        total = jnp.where(n > 1, total / steep, 1)
    spread = jnp.abs(first) * jnp.sqrt(squares)
    end = w + step * total + spread * _noise.normal(word, dtype)
    if length != "single":
        overshoot = _OVERSHOOT * jnp.abs(first) + _DRIFT_OVERSHOOT * jnp.abs(step * kept)
        # One bound, the nearer one: to meet both between two looks a device has to cross its range by noise.
        is_high = w + end > state.low + state.high
        a = jnp.where(is_high, state.high - w, w - state.low) * kept
        b = jnp.where(is_high, state.high - end, end - state.low)
        chance = -2 * spread**2 * jnp.log(_noise.uniform(_noise.stream(word, 2), dtype))
        # How far beyond both start and end the maximum lies; as a quotient, because ends may lie far beyond the bound.
        farther = jnp.abs(a - b)
        farther = chance / (2 * (jnp.sqrt(farther**2 + chance + _TINY) + farther))
        below = farther - overshoot + jnp.maximum(b - a, 0)
        back = jnp.where(is_high, state.high - below, state.low + below)
        end = jnp.where((n > 1) & (below > b), back, end)
    return jnp.where(count == 0, w, jnp.clip(end, state.low, state.high))


def _power(slope: Array, n: Int[Array, "*shape"], is_long: bool) -> tuple[Array, Array]:
    """1 + r + ... + r^(n-1) and r^n for r = 1 + slope."""
    if is_long:
        # 1 + slope loses digits of the slope, and r^n as many times that as there are pulses.
        is_flat = slope > -_LEAST_SLOPE
        slope = jnp.where(is_flat, -_LEAST_SLOPE, jnp.maximum(slope, -1 + 1e-6))
        lost = jnp.expm1(n.astype(slope.dtype) * jnp.log1p(slope))
        return jnp.where(is_flat, n.astype(slope.dtype), lost / slope), 1 + lost
    # By the binary digits of n, in half the time: sums of positive numbers.
    r = 1 + slope
    total, power = jnp.zeros_like(r), jnp.ones_like(r)
    for digit in reversed(range(_DIGITS)):
        total, power = total * (1 + power), power * power
        is_one = (n >> digit) & 1 == 1
        total, power = jnp.where(is_one, total * r + 1, total), jnp.where(is_one, power * r, power)
    return total, power


def _growth(q: Array, n: Array) -> Array:
    """((1 + q)^n - 1)/q by its binomial series, exact up to n = 5.

    Farther on its terms count only where r^2n has already left nothing of the variance.
    """
    series = jnp.ones_like(q)
    for k in (4, 3, 2, 1):
        series = 1 + jnp.maximum(n - k, 0) * q / (k + 1) * series
    return n * series


class ConstantStep(AbstractStep):
    """Every pulse moves the weight by the same step, up to the bounds: w <- clip(w + step (1 + dw_min_std xi)).

    Many pulses are one operation, exact without noise; with noise exact away from the bounds, see `after_pulses`.

    Args: those of all devices that move by steps, see `AbstractStep`.

    Reference: T. Gokmen and Y. Vlasov, Front. Neurosci. 10:333, 2016, doi 10.3389/fnins.2016.00333.
    """

    def step(self, state: StepState, is_up: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
        return signed(state, is_up)

    def moved(self, state: StepState, count: Int[Array, "*shape"], word: Array) -> Float[Array, "*shape"]:
        return after_pulses(state, count, word, slope=None, noise=self.dw_min_std, is_proportional=False)


class LinearStep(AbstractStep):
    """The step falls in proportion to the weight, and by the share gamma of it at the bound.

        up:    w <- clip(w + up (1 - gamma_up w/w_max) (1 + dw_min_std xi))
        down:  w <- clip(w - down (1 - gamma_down w/w_min) (1 + dw_min_std xi))

    With `mult_noise=False` the noise is that of a step at weight 0 everywhere. Many pulses are one operation, as in
    `ConstantStep`.

    Args:
        gamma_up, gamma_down: part of the step that is lost at the bound; 0 is a constant step, 1 soft bounds.
        gamma_up_dtod, gamma_down_dtod: their spread, absolute; gammas are taken absolute.
        mult_noise: whether noise is in proportion to the step. Static.
        mean_bound_reference: whether gamma counts to the mean bounds, or to those of each device. Static.

    The others are those of `AbstractStep`.
    """

    gamma_up: Scalar = real("", non_negative, default=0.0)
    gamma_down: Scalar = real("", non_negative, default=0.0)
    gamma_up_dtod: Scalar = real("", non_negative, default=0.0)
    gamma_down_dtod: Scalar = real("", non_negative, default=0.0)
    mult_noise: bool = eqx.field(static=True, default=True)
    mean_bound_reference: bool = eqx.field(static=True, default=True)

    def curved(self, state: StepState, noise: Float[Array, " pair *shape"]) -> StepState:
        high, low = (self.w_max, self.w_min) if self.mean_bound_reference else (state.high, state.low)
        up = jnp.abs(self.gamma_up + self.gamma_up_dtod * noise[0])
        down = jnp.abs(self.gamma_down + self.gamma_down_dtod * noise[1])
        slope_up, slope_down = -up * _ratio(state.up, high), -down * _ratio(state.down, -low)
        return replace(state, bend_up=slope_up, bend_down=slope_down)

    def _slope(self, state: StepState, is_up: Array) -> Array:
        assert state.bend_up is not None
        assert state.bend_down is not None
        return jnp.where(is_up, state.bend_up, state.bend_down)

    def step(self, state: StepState, is_up: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
        return signed(state, is_up) + self._slope(state, is_up) * state.w

    def moved(self, state: StepState, count: Int[Array, "*shape"], word: Array) -> Float[Array, "*shape"]:
        return after_pulses(
            state, count, word, slope=self._slope, noise=self.dw_min_std, is_proportional=self.mult_noise
        )


class SoftBounds(AbstractStep):
    """The step falls to nothing at the bounds, so that a device pulsed up and down in turn goes to its symmetry point.

        up:    w <- clip(w + up (1 - w/high) (1 + dw_min_std xi))
        down:  w <- clip(w - down (1 - w/low) (1 + dw_min_std xi))
        symmetry point:  (up - down)/(up/high - down/low)

    With `mult_noise=False` the noise is that of a step at weight 0 everywhere. A reference may be taken off, which
    turns the symmetry point into weight 0. Many pulses are one operation, as in `ConstantStep`.

    Args:
        mult_noise: whether noise is in proportion to the step. Static.
        subtract_symmetry_point: whether the reference of each device is its symmetry point. Static.
        reference_mean, reference_std: added to it: mean, and spread from device to device.

    The others are those of `AbstractStep`.

    Reference: M. J. Rasch et al., Nat. Commun. 15:7133, 2024, doi 10.1038/s41467-024-51221-z.
    """

    mult_noise: bool = eqx.field(static=True, default=True)
    subtract_symmetry_point: bool = eqx.field(static=True, default=False)
    reference_mean: Scalar = real("", default=0.0)
    reference_std: Scalar = real("", non_negative, default=0.0)

    def curved(self, state: StepState, noise: Float[Array, " pair *shape"]) -> StepState:
        reference = self.reference_mean + self.reference_std * noise[0]
        if self.subtract_symmetry_point:
            reference = reference + self.symmetry_point(state)
        return replace(state, reference=reference)

    def symmetry_point(self, state: StepState) -> Float[Array, "*shape"]:
        """The weight, reference not taken off, at which steps up and down are equal; 0 for a stuck device."""
        slope = _ratio(state.up, state.high) + _ratio(state.down, -state.low)
        return _ratio(state.up - state.down, slope)

    def _slope(self, state: StepState, is_up: Array) -> Array:
        return -_ratio(jnp.where(is_up, state.up, state.down), jnp.where(is_up, state.high, -state.low))

    def step(self, state: StepState, is_up: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
        return signed(state, is_up) + self._slope(state, is_up) * state.w

    def moved(self, state: StepState, count: Int[Array, "*shape"], word: Array) -> Float[Array, "*shape"]:
        return after_pulses(
            state, count, word, slope=self._slope, noise=self.dw_min_std, is_proportional=self.mult_noise
        )


def _ratio(a: Array, b: Array) -> Array:
    """a/b, and 0 where b is not positive: a step without a range does not bend."""
    is_positive = b > 0
    return jnp.where(is_positive, a / jnp.where(is_positive, b, 1), 0)
