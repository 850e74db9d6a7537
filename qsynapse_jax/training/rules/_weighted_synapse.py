"""Two arrays of different gain that learn by the signs of the factors, side by side and without a carry."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, PRNGKeyArray

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import Scalar, non_negative, probability, real
from qsynapse_jax.nn import Outer, PulsedKernel
from qsynapse_jax.training.rules._analog_sgd import Tally, pulsed_kernels
from qsynapse_jax.training.rules._arrays import pulsed
from qsynapse_jax.training.rules._base import AbstractRule
from qsynapse_jax.training.rules._groups import in_groups
from qsynapse_jax.training.rules._trains import PulseTrains

MAJOR, MINOR = 0, 1
# One pulse a line, which a factor of 1 on both sides always sets.
_ONE = PulseTrains(length=1)


class WeightedSynapse(AbstractRule):
    """The weighted synapse without a carry: sign descent in two arrays, the major one where errors are large.

        minor:  w <- w - dw sign(x) sign(d)   where |x| >= active max|x| and |d| > minor
        major:  likewise                      where |d| > major as well

    A presentation is one pulse for each array, on all of its lines at once; gains say how much it counts, the major
    array first: `nn.pulsed(..., gains=(1.0, 0.1))`. So updates have two sizes, where sign descent has one. What a minor
    device at its bound cannot hold is not handed on: there is no carry.

    A reconstruction: the paper's abstract names major and minor synapses of different gain, sign descent in parallel,
    and no carry where the minor one saturates. Which updates go to which, and the thresholds, are a choice made here.

    Args:
        minor: errors above it move the minor array; 0 is all of them. In units of the derivative of the loss in the
            outputs of the matrix: where a batch has a mean loss, that falls with its size.
        major: errors above it move the major array too, likewise.
        active: part of the largest input from which on a row takes part, 0 to 1.

    Raises:
        ValueError: numbers out of range; `major` below `minor`; a model without two arrays of devices per layer.

    Reference: Y. Liao et al., "Weighted synapses without carry operations for RRAM-based neuromorphic systems", Front.
        Neurosci. 12:167, 2018, doi 10.3389/fnins.2018.00167.
    """

    minor: Scalar = real("", non_negative, default=0.1)
    major: Scalar = real("", non_negative, default=0.3)
    active: Scalar = real("", probability, default=0.7)

    def __check_init__(self):
        if is_concrete(self.minor, self.major) and not self.major >= self.minor:
            raise ValueError(
                f"Argument `major` must be at least `minor` = {self.minor:g}, but is {self.major:g}: the minor array "
                "is updated wherever the major one is."
            )

    def init(self, model: nnx.Module) -> Any:
        return {path: Tally.zero() for path in pulsed_kernels(model, type(self).__name__, 2)}

    def update(
        self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray
    ) -> tuple[nnx.Module, Any]:
        kernels = pulsed_kernels(model, type(self).__name__, 2)
        return in_groups(self._presented, kernels, model, rule_state, outer, key)[:2]

    def _presented(self, kernel: PulsedKernel, devices: Any, tally: Tally, x: Array, delta: Array, keys: Any) -> Any:
        x, delta, key = x[0], delta[0], keys[0]
        rows = jnp.where(jnp.abs(x) >= self.active * jnp.max(jnp.abs(x)), jnp.sign(x), 0)
        for array, least in ((MAJOR, self.major), (MINOR, self.minor)):
            cols = jnp.where(jnp.abs(delta) > least, -jnp.sign(delta), 0)
            bits, noise = jax.random.split(jax.random.fold_in(key, array))
            sent = _ONE.send(rows, cols, jnp.ones((), rows.dtype), bits)
            devices, count = pulsed(kernel.device, devices, array, sent, noise, _ONE)
            selected = jnp.int32(array)
            tally = tally.and_pulses(count, selected) if array == MAJOR else tally.after(sent, count[None], selected)
        return devices, tally, None
