"""A multilayer perceptron in software, to convert and to compare with."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from qsynapse_jax._fields import as_whole


class MLP(nnx.Module):
    """Dense layers with an activation between them; the last layer's outputs are logits.

    Attributes:
        layers: an `nnx.List`; `nnx.Linear` from `mlp`, crossbar layers once it is converted.
        activation: function of the outputs of every layer but the last.
    """

    def __init__(self, layers: Sequence[nnx.Module], activation: Callable[[Any], Any] = jax.nn.relu):
        self.layers: Any = nnx.List(layers)
        self.activation = activation

    def __call__(self, x: Float[Array, "*batch features"]) -> Float[Array, "*batch classes"]:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


def mlp(sizes: Sequence[int], *, activation: Callable[[Any], Any] = jax.nn.relu, rngs: nnx.Rngs) -> MLP:
    """A float network of the given layer sizes, e.g. (784, 256, 10), with initial weights of He et al. (2015).

    Args:
        sizes: inputs, hidden layers, classes; at least two positive integers.
        activation: between the layers, e.g. `jax.nn.sigmoid`.
        rngs: source of the initial weights.
    """
    sizes = tuple(as_whole(size, "sizes", 1) for size in sizes)
    if len(sizes) < 2:
        raise ValueError(f"Argument `sizes` must have at least two sizes, inputs and outputs, but is {sizes}.")
    he = nnx.initializers.he_normal()
    return MLP([nnx.Linear(*pair, kernel_init=he, rngs=rngs) for pair in pairwise(sizes)], activation)
