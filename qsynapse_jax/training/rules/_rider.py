"""Residual learning whose reference follows the symmetry point of every device while it trains."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from qsynapse_jax._fields import Scalar, positive, probability, real, whole
from qsynapse_jax.nn import Outer
from qsynapse_jax.training.rules._analog_sgd import pulsed_kernels
from qsynapse_jax.training.rules._tiki_taka import FAST, SLOW, AbstractTransfer, Moving, Read
from qsynapse_jax.training.rules._trains import PulseTrains

REFERENCE = 2


class RIDER(AbstractTransfer):
    """Residual learning with dynamic symmetry-point tracking; with choppers (E-RIDER) where `chopper` is above 0.
    """

    learning_rate: Scalar = real("", positive)
    fast_rate: Scalar = real("", positive, default=1.0)
    granularity: Scalar = real("", positive, default=200.0)
    every: int = whole(1, default=1)
    chopper: Scalar = real("", probability, default=0.1)
    memory: Scalar = real("", probability, default=0.1)
    trains: PulseTrains = eqx.field(default_factory=lambda: PulseTrains(length=5))

    def arrays(self) -> int:
        return 3

    def update(
        self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray
    ) -> tuple[nnx.Module, Any]:
        model, rule_state = super().update(model, rule_state, outer, key)
        for path, kernel in pulsed_kernels(model, type(self).__name__, 3).items():
            gains = kernel.gains.get_value()
            sign = rule_state[path].chopper.reshape(-1)[0]
            kernel.gains.set_value(jnp.abs(gains) * jnp.stack([sign, jnp.ones_like(sign), -sign]))
        return model, rule_state

    def gathered(self, read: Read, key: PRNGKeyArray) -> tuple[Float[Array, " cols"], Read]:
        off = read.value - read.reference
        return read.chopper * off, read._replace(reference=read.reference + self.memory * off)

    def _transferred(self, device: Any, devices: Any, memory: Moving, scale: Array, key: Any) -> Any:
        moving, setting, chopping = jax.random.split(key, 3)
        lines, cols = memory.chopper.size, memory.hidden.shape[-1]
        row = memory.moved % lines
        devices, memory = super()._transferred(device, devices, memory, scale, moving)
        # The reference array is set to what is known of the row by now.
        place = row + REFERENCE * lines
        known = jax.lax.dynamic_index_in_dim(memory.reference.reshape(-1, cols), row, 0, False)
        here = jax.tree.map(
            lambda leaf: jax.lax.dynamic_index_in_dim(leaf.reshape(-1, cols), place, 0, False), devices
        )
        there = device.moving(device.with_weight(here, known, key=setting))
        moved = jax.tree.map(
            lambda leaf, new: jax.lax.dynamic_update_index_in_dim(leaf.reshape(-1, cols), new, place, 0).reshape(
                leaf.shape
            ),
            device.moving(devices),
            there,
        )
        devices = eqx.tree_at(device.moving, devices, moved)
        flip = (row == lines - 1) & (jax.random.uniform(chopping, ()) < self.chopper)
        return devices, eqx.tree_at(lambda m: m.chopper, memory, jnp.where(flip, -memory.chopper, memory.chopper))
