"""Devices whose step is a curve of the weight: pulse by pulse, all devices at once."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt

from qsynapse_jax._fields import Scalar, non_negative, positive, real
from qsynapse_jax.devices import _noise
from qsynapse_jax.devices._step import AbstractStep, StepState, signed


def pulse_by_pulse(
    device: AbstractStep, state: StepState, count: Int[Array, "*shape"], word: UInt[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Weights after n pulses w <- clip(w + step + noise xi), as many rounds as the largest count asks for."""
    n, is_up = jnp.abs(count), count > 0
    rounds = jnp.max(n, initial=0)

    def one(carry):
        done, w = carry
        xi = _noise.normal(_noise.stream(word, done + 2), w.dtype)
        now = replace(state, w=w)
        moved = w + device.step(now, is_up) + device.noise(now, is_up) * xi
        moved = jnp.clip(moved, state.low, state.high)
        return done + 1, jnp.where(done < n, moved, w)

    return jax.lax.while_loop(lambda carry: carry[0] < rounds, one, (jnp.zeros_like(rounds), state.w))[1]


class ExpStep(AbstractStep):
    """The step is an exponential function of the weight, one per direction.

        z = 2 a w/(high - low) + b
        up:    w <- clip(w + up max(1 - A_up exp(gamma_up z), 0) (1 + dw_min_std xi))
        down:  w <- clip(w - down max(1 - A_down exp(-gamma_down z), 0) (1 + dw_min_std xi))

    A negative A makes steps grow from that side on. Pulses are taken one by one: the time of a call grows with the
    largest count. Gradients: forward mode only.

    Args:
        a, b: scale and shift of the weight.
        gamma_up, gamma_down: how fast the step bends.
        A_up, A_down: how much of the step bends.

    The others are those of `AbstractStep`.

    Reference: N. Gong et al., Nat. Commun. 9:2102, 2018, doi 10.1038/s41467-018-04485-1.
    """

    a: Scalar = real("", default=0.244)
    b: Scalar = real("", default=0.2425)
    gamma_up: Scalar = real("", default=12.44625)
    gamma_down: Scalar = real("", default=12.78785)
    A_up: Scalar = real("", default=0.00081)
    A_down: Scalar = real("", default=0.36833)

    def step(self, state: StepState, is_up: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
        gamma = jnp.where(is_up, self.gamma_up, -self.gamma_down)
        share = jnp.where(is_up, self.A_up, self.A_down)
        span = state.high - state.low
        z = 2 * self.a * state.w / jnp.where(span > 0, span, 1) + self.b
        return signed(state, is_up) * jnp.maximum(1 - share * jnp.exp(gamma * z), 0)

    def moved(self, state: StepState, count: Int[Array, "*shape"], word: Array) -> Float[Array, "*shape"]:
        return pulse_by_pulse(self, state, count, word)


class PowStep(AbstractStep):
    """The step is a power of the distance to the bound ahead.

        up:    w <- clip(w + up ((high - w)/(high - low))^gamma_up (1 + dw_min_std xi))
        down:  w <- clip(w - down ((w - low)/(high - low))^gamma_down (1 + dw_min_std xi))
        gamma_up = pow_gamma (gain + min(pow_up_down, 0) + r),    gain = 1 + pow_gamma_dtod xi
        gamma_down = pow_gamma (gain - max(pow_up_down, 0) - r),  r = pow_up_down_dtod xi

    Here `dw_min` is the step at the far bound, not at weight 0. Pulses are taken one by one: the time of a call grows
    with the largest count. Gradients: forward mode only.

    Args:
        pow_gamma: mean exponent.
        pow_gamma_dtod: its relative spread.
        pow_up_down, pow_up_down_dtod: imbalance of the exponents of the two directions and its spread.

    The others are those of `AbstractStep`.
    """

    pow_gamma: Scalar = real("", positive, default=1.0)
    pow_gamma_dtod: Scalar = real("", non_negative, default=0.0)
    pow_up_down: Scalar = real("", default=0.0)
    pow_up_down_dtod: Scalar = real("", non_negative, default=0.0)

    def curved(self, state: StepState, noise: Float[Array, " pair *shape"]) -> StepState:
        gain, r = 1 + self.pow_gamma_dtod * noise[0], self.pow_up_down_dtod * noise[1]
        up = self.pow_gamma * (gain + jnp.minimum(self.pow_up_down, 0) + r)
        down = self.pow_gamma * (gain - jnp.maximum(self.pow_up_down, 0) - r)
        return replace(state, bend_up=jnp.abs(up), bend_down=jnp.abs(down))

    def step(self, state: StepState, is_up: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
        assert state.bend_up is not None
        assert state.bend_down is not None
        gamma = jnp.where(is_up, state.bend_up, state.bend_down)
        ahead = jnp.where(is_up, state.high - state.w, state.w - state.low)
        ahead /= jnp.where(state.high > state.low, state.high - state.low, 1)
        # The power of 0 is 0; its derivative would be infinite. In two functions it takes a quarter of the time.
        power = jnp.exp(gamma * jnp.log(jnp.where(ahead > 0, ahead, 1)))
        return signed(state, is_up) * jnp.where(ahead > 0, power, 0)

    def moved(self, state: StepState, count: Int[Array, "*shape"], word: Array) -> Float[Array, "*shape"]:
        return pulse_by_pulse(self, state, count, word)
