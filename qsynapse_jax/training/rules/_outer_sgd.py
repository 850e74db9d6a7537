"""Plain gradient descent by outer products."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import PRNGKeyArray

from qsynapse_jax._fields import Scalar, positive, real
from qsynapse_jax.nn import MasterKernel, Outer, crossbar_layers
from qsynapse_jax.training.rules._base import AbstractRule, kernels_of


class OuterSGD(AbstractRule):
    """Every matrix of master weights moves by `-learning_rate x^T delta`, summed over the presentations of a step.

    With ideal wires that is `optax.sgd` on the master weights. Behind wires it is what an array does that updates
    itself: no row or column knows what the wires do to the slope.

    Args:
        learning_rate: in units of the master weights, which fill [-1, 1].

    Raises:
        ValueError: a learning rate that is not positive; a model without master weights on crossbars.
    """

    learning_rate: Scalar = real("", positive)

    def init(self, model: nnx.Module) -> Any:
        wanted = "master weights for `OuterSGD` to move"
        kernels_of(model, MasterKernel, wanted, "convert it first: `nn.convert(model, tile)`")
        return ()

    def update(
        self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray
    ) -> tuple[nnx.Module, Any]:
        layers = crossbar_layers(model)
        for path, (x, delta) in outer.items():
            kernel: Any = layers[path].kernel
            slope = jnp.einsum("n...r,n...c->...rc", x, delta, precision=jax.lax.Precision.HIGHEST)
            old = kernel.weight.get_value()
            kernel.weight.set_value(old - (self.learning_rate * slope).astype(old.dtype))
        return model, rule_state
