"""Multilayer perceptrons, in software and on crossbars, and the way from one to the other."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from qsynapse_jax.cells import AbstractCell
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.nn._dense import CrossbarDense, Physical


class MLP(nnx.Module):
    """Dense layers with rectifiers between them; the last layer's outputs are logits.

    Args:
        layers: `nnx.Linear` or `CrossbarDense`, each taking what the one before gives.
    """

    def __init__(self, layers: Sequence[nnx.Module]):
        self.layers: Any = nnx.List(layers)

    def __call__(self, x: Float[Array, "*batch features"]) -> Float[Array, "*batch classes"]:
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return self.layers[-1](x)

    def multiply(
        self, x: Float[Array, "*batch features"], weights: Sequence[Float[Array, "rows cols"]]
    ) -> Float[Array, "*batch classes"]:
        """What a crossbar network gives with other effective weights in [-1, 1], a matrix for every layer."""
        for layer, weight in zip(self.layers[:-1], weights[:-1], strict=True):
            x = jax.nn.relu(layer.multiply(x, weight))
        return self.layers[-1].multiply(x, weights[-1])


def software_mlp(sizes: Sequence[int], *, rngs: nnx.Rngs) -> MLP:
    """A float network of the given layer sizes, e.g. (784, 256, 10)."""
    he = nnx.initializers.he_normal()
    return MLP([nnx.Linear(*pair, kernel_init=he, rngs=rngs) for pair in pairwise(sizes)])


def to_crossbar(network: MLP, *, cell: AbstractCell, wires: Wires | None, tile: tuple[int, int] = (64, 64)) -> MLP:
    """A float network on crossbars: the same weights, rounded to the cell's levels.

    The full scale of each layer is the one that rounds its weights with the least squared error.

    Args:
        network: an `MLP` of `nnx.Linear` layers; it is left as it was.
        cell: as for `CrossbarDense`, like `wires` and `tile`.
        wires: resistances of every tile [ohm]; `None` for ideal wires.
        tile: word lines and bit lines of a tile.
    """
    layers = []
    for dense in network.layers:
        kernel = dense.kernel.get_value()
        scale = full_scale(kernel, cell)
        layer = CrossbarDense(
            *kernel.shape,
            cell=cell,
            wires=wires,
            tile=tile,
            use_bias=dense.bias is not None,
            rngs=nnx.Rngs(0),
        )
        layer.kernel.set_value(kernel / scale)
        layer.scale.set_value(scale)
        if layer.bias is not None:
            layer.bias.set_value(dense.bias.get_value())
        layers.append(layer)
    return MLP(layers)


def with_wires(network: MLP, wires: Wires | None) -> MLP:
    """A copy of a crossbar network, same weights and cells, behind other wires."""
    network = nnx.clone(network)
    for layer in network.layers:
        layer.wires = Physical(wires)
    return network


@jax.jit
def full_scale(kernel: Float[Array, "rows cols"], cell: AbstractCell) -> Float[Array, ""]:
    """The weight that code `max` should stand for, so that rounding `kernel` to the cell's levels costs least."""
    candidates = jnp.max(jnp.abs(kernel)) * jnp.linspace(0.2, 1, 33)

    def squared_error(scale: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.sum((scale * cell.decode(cell.encode(kernel / scale)) - kernel) ** 2)

    best = candidates[jnp.argmin(jax.lax.map(squared_error, candidates))]
    return jnp.where(best > 0, best, 1)
