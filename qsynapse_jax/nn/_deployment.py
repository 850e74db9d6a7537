"""A network on hardware as it will be made: written into devices with spread, behind wires, gain calibrated."""

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qsynapse_jax.crossbar import Wires
from qsynapse_jax.nn._mlp import MLP
from qsynapse_jax.tile import SwitchedArray, TiledArray


class Deployment(eqx.Module):
    """A trained crossbar network, to be put on other hardware than it was trained for.

    Args:
        network: an `MLP` of crossbar layers; its master weights, scales and biases are kept.
        tile: word lines and bit lines of a tile. Static.
    """

    graph: nnx.GraphDef = eqx.field(static=True)
    state: nnx.State
    tile: tuple[int, int] = eqx.field(static=True)

    def __init__(self, network: MLP, tile: tuple[int, int] = (64, 64)):
        self.graph, self.state = nnx.split(network)
        self.tile = tile

    @eqx.filter_jit
    def logits(
        self,
        hardware: SwitchedArray,
        wires: Wires | None,
        x: Float[Array, "batch features"],
        *,
        key: PRNGKeyArray,
    ) -> Float[Array, "batch classes"]:
        """Outputs of the network on one sample of the hardware.

        Every layer's master weights are rounded to the levels of `hardware.cell`, written into new devices and read
        behind `wires`; one gain a layer, of the least squared error, makes up for what all weights lose alike.

        Gradients: in the physical parameters of `hardware` and in the wires, at fixed codes.
        """
        network = nnx.merge(self.graph, self.state)
        keys = jax.random.split(key, len(network.layers))
        weights = [
            self._weight(layer.master_weight(), hardware, wires, key)
            for layer, key in zip(network.layers, keys, strict=True)
        ]
        return network.multiply(x, weights)

    @eqx.filter_jit
    def accuracy(
        self,
        hardware: SwitchedArray,
        wires: Wires | None,
        x: Float[Array, "batch features"],
        y: Int[Array, " batch"],
        *,
        key: PRNGKeyArray,
    ) -> Float[Array, ""]:
        """Share of samples whose largest output is that of their label, on one sample of the hardware."""
        return jnp.mean(jnp.argmax(self.logits(hardware, wires, x, key=key), axis=-1) == y)

    def _weight(
        self, master: Float[Array, "rows cols"], hardware: SwitchedArray, wires: Wires | None, key: PRNGKeyArray
    ) -> Float[Array, "rows cols"]:
        cell = hardware.cell
        code = cell.encode(jax.lax.stop_gradient(master))
        making, writing = jax.random.split(key)
        state, _ = hardware.write(hardware.init((code.shape[0], code.shape[1]), key=making), code, key=writing)
        tiled = TiledArray(cell, wires, self.tile)
        weight = tiled.weight(tiled.effective_conductance(hardware.conductance(state), throw=False))
        intended = cell.decode(code)
        return weight * jnp.sum(weight * intended) / jnp.sum(weight**2)
