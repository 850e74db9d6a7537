"""Networks that learn inside arrays, presentation by presentation: what experiments and benchmarks of them share."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from qsynapse_jax import nn, training
from qsynapse_jax.datasets import Dataset
from qsynapse_jax.tile import Tile

# The rate is part of the state, so that every epoch may have its own and nothing is compiled anew.
_SGD = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)
# Weights of the sigmoid network at first, as in the trainer of the hybrid synapse's first author
# (github.com/wooseokchoi/Analog-In-Memory-Training-of-Deep-Neural-Networks).
DEVIATION = 0.2


class Sigmoids(nnx.Module):
    """Dense layers with sigmoids between."""

    def __init__(self, sizes: Sequence[int], seed: int):
        rngs, start = nnx.Rngs(seed), nnx.initializers.normal(DEVIATION)
        self.layers = nnx.List([nnx.Linear(n, m, kernel_init=start, rngs=rngs) for n, m in pairwise(sizes)])

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers[:-1]:
            x = nnx.sigmoid(layer(x))
        return self.layers[-1](x)


def on_arrays(network: nnx.Module, tile: Tile, gains: Sequence[float], seed: int) -> Any:
    """A network on pulsed arrays whose weights are those of the matrices; no layer has a scale."""
    converted = nn.convert(network, tile)
    for layer in nn.crossbar_layers(converted).values():
        kernel, scale = layer.kernel, layer.scale.get_value()
        kernel.weight.set_value(kernel.weight.get_value() * scale)
        layer.scale.set_value(jnp.ones_like(scale))
    return nn.pulsed(converted, tile, gains=gains, key=jax.random.key(seed))


def begin(network: nnx.Module, rule: Any, seed: int) -> training.State:
    """The state of a run; `None` as rule is gradient descent in software. Biases descend in digital."""
    key = jax.random.key(seed)
    if rule is None:
        return training.init(network, _SGD, key=key)
    return training.init(network, rule, digital=_SGD, key=key)


def run(
    state: training.State,
    data: Dataset,
    rates: Sequence[float],
    *,
    images: int,
    batch: int = 1,
    in_place: Sequence[float] | None = None,
    told: str = "",
) -> tuple[training.State, np.ndarray]:
    """Epochs with a learning rate each.

    Args:
        state: where to begin.
        data: samples.
        rates: learning rate of every epoch.
        images: how many of the training images are presented.
        batch: samples per step.
        in_place: learning rates of the rule of the arrays, where they are not those of what descends in digital.
        told: name of the run in lines about its progress; none without.

    Returns:
        The state, and what was found after every epoch: mean loss and accuracy [%], shape (epochs, 2).
    """
    x, y = data.x_train[:images], data.y_train[:images]
    found = []
    for number, (rate, its) in enumerate(zip(rates, rates if in_place is None else in_place, strict=True)):
        state, metrics = training.epoch(_with_rate(state, rate, its), x, y, batch)
        accuracy = 100 * float(training.accuracy(training.model(state), *data.test))
        found.append((float(metrics.loss), accuracy))
        if told:
            print(f"  {told}, epoch {number + 1}: loss {found[-1][0]:.3f}, test {accuracy:.2f} %", flush=True)
    return state, np.array(found)


def _with_rate(state: training.State, rate: float, in_place: float) -> training.State:
    value, its = jnp.asarray(rate, jnp.float32), jnp.asarray(in_place, jnp.float32)

    def digital(memory: Any) -> Any:
        return memory._replace(hyperparams=memory.hyperparams | {"learning_rate": value})

    rule: Any = state.rule
    if not hasattr(rule, "rule"):
        return eqx.tree_at(lambda s: s.rule_state, state, digital(state.rule_state))
    memory, rest = state.rule_state
    state = eqx.tree_at(lambda s: s.rule_state, state, (memory, digital(rest)))
    return eqx.tree_at(lambda s: s.rule.rule.learning_rate, state, its)
