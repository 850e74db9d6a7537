"""Gradients summed in digital, and sent to the array in whole steps."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import PRNGKeyArray

from qsynapse_jax._fields import Scalar, positive, real
from qsynapse_jax.nn import Outer
from qsynapse_jax.training.rules._analog_sgd import pulsed_kernels
from qsynapse_jax.training.rules._base import AbstractRule

# What a device receives in one step at most: more is not meant for it, and stays in the sum.
_MOST = 1_000


class MixedPrecision(AbstractRule):
    """Descent whose gradients are summed up in digital memory; whole steps of the device are sent and taken off.

    The update is as exact as the device's mean step, but costs rows x columns operations for every presentation,
    which arrays that learn by pulses of their own do not need.

    Args:
        learning_rate: in units of the matrix.

    Reference: S. R. Nandakumar et al., "Mixed-precision deep learning based on computational memory", Front. Neurosci.
        14:406, 2020, doi 10.3389/fnins.2020.00406.
    """

    learning_rate: Scalar = real("", positive)

    def init(self, model: nnx.Module) -> Any:
        kernels = pulsed_kernels(model, type(self).__name__, 1)
        return {path: jnp.zeros_like(kernel.device.weight(kernel.devices())) for path, kernel in kernels.items()}

    def update(
        self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray
    ) -> tuple[nnx.Module, Any]:
        kernels = pulsed_kernels(model, type(self).__name__, 1)
        rule_state = dict(rule_state)
        for (path, (x, delta)), its_key in zip(sorted(outer.items()), jax.random.split(key, len(outer)), strict=True):
            kernel = kernels[path]
            device = kernel.device
            slope = jnp.einsum("n...r,n...c->...rc", x, delta, precision=jax.lax.Precision.HIGHEST)
            change = -self.learning_rate / (kernel.gains.get_value()[0] * device.mean_step) * slope
            steps = rule_state[path] + change.astype(rule_state[path].dtype)[None]
            whole = jnp.clip(jnp.trunc(steps), -_MOST, _MOST)
            kernel.set_devices(device.pulse(kernel.devices(), whole.astype(jnp.int32), key=its_key))
            rule_state[path] = steps - whole
        return model, rule_state
