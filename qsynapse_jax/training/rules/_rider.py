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
from qsynapse_jax.training.rules._arrays import row_set
from qsynapse_jax.training.rules._base import AbstractRule
from qsynapse_jax.training.rules._tiki_taka import FAST, AbstractTransfer, Moving, Read
from qsynapse_jax.training.rules._trains import PulseTrains

REFERENCE = 2


class RIDER(AbstractTransfer):
    """Residual learning that tracks the symmetry points of its devices; E-RIDER where `chopper` is above 0.

    A fast array P gathers gradients and drifts towards its symmetry point meanwhile, whichever that is. A running mean
    Q of what is read of it, kept in digital, follows the symmetry point, and what P is off from it is moved to the slow
    array W, as in `AbstractTransfer`. A third array holds Q, so that the matrix is

        matrix = W + gamma c (P - Q)
        P <- P - lambda_A c gradient
        Q <- Q + memory (P - Q),   W <- W + lambda_H c (P - Q),   row by row

    The sign c is the chopper's: gradients change sign with it and average out in Q, while the drift does not. It is set
    in the gains of P and Q, which are periphery: `nn.pulsed(..., gains=(gamma, 1.0, gamma))`.

    Where the paper sets the array of Q as a whole when c changes, a row of it is set here when it has been read (by
    `with_weight`, since weight programming is not part of the rule), and c changes only when all rows have been read.
    W has the digital buffer of the other transfers, as the paper's experiments have.

    Args:
        learning_rate, fast_rate, granularity, every, in_steps, trains: as for `TikiTaka`.
        chopper: probability that c changes its sign when all rows have been read; 0 is RIDER, which needs a smaller
            `memory`, since nothing but its slowness keeps gradients out of Q.
        memory: weight of a read in the running mean; 0 takes symmetry points to be 0.

    Reference: Q. Xiao et al., "Dynamic symmetric point tracking", arXiv 2602.21321, 2026 (algorithms 2 and 3; gamma
        0.1, a chopper of 0.05).
    """

    learning_rate: Scalar = real("", positive)
    fast_rate: Scalar = real("", positive, default=1.0)
    granularity: Scalar = real("", positive, default=200.0)
    every: int = whole(1, default=1)
    in_steps: bool = eqx.field(static=True, default=False)
    chopper: Scalar = real("", probability, default=0.05)
    memory: Scalar = real("", probability, default=0.05)
    trains: PulseTrains = eqx.field(default_factory=lambda: PulseTrains(length=5))

    def arrays(self) -> int:
        return 3

    def update(
        self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray
    ) -> tuple[nnx.Module, Any]:
        model, rule_state = super().update(model, rule_state, outer, key)
        for path, kernel in pulsed_kernels(model, type(self).__name__, self.arrays()).items():
            gains = jnp.abs(kernel.gains.get_value())
            # All rows have one sign.
            sign = rule_state[path].chopper.reshape(-1)[0].astype(gains.dtype)
            kernel.gains.set_value(gains.at[FAST].multiply(sign).at[REFERENCE].multiply(-sign))
        return model, rule_state

    def sent(self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray) -> dict[str, Any]:
        # Its reference is written by other means than pulses.
        return AbstractRule.sent(self, model, rule_state, outer, key)

    def gathered(self, read: Read, key: PRNGKeyArray) -> tuple[Float[Array, " cols"], Read]:
        off = read.value - read.reference
        return read.chopper * off, read._replace(reference=read.reference + self.memory * off)

    def _transferred(self, device: Any, devices: Any, memory: Moving, scale: Array, key: Any) -> Any:
        moving, setting, chopping = jax.random.split(key, 3)
        lines, cols = memory.chopper.size, memory.hidden.shape[-1]
        row = memory.moved % lines
        devices, memory, steps = super()._transferred(device, devices, memory, scale, moving)
        known = jax.lax.dynamic_index_in_dim(memory.reference.reshape(-1, cols), row, keepdims=False)
        devices = row_set(device, devices, row + REFERENCE * lines, known, setting)
        flip = (row == lines - 1) & (jax.random.uniform(chopping, ()) < self.chopper)
        memory = eqx.tree_at(lambda m: m.chopper, memory, jnp.where(flip, -memory.chopper, memory.chopper))
        return devices, memory, steps
