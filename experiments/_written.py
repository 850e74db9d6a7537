"""Networks that are written into devices: what experiments about programming and keeping share."""

from typing import Any

import jax
import jax.numpy as jnp

import qsynapse_jax as qs


def written(network: Any, tile: qs.tile.Tile, *, seed: int) -> Any:
    """The network with every layer written into devices of its own."""
    network = qs.nn.convert(network, tile)
    numbers = jnp.arange(len(qs.nn.crossbar_layers(network)))
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(seed), numbers)
    return qs.nn.program(network, key=keys)


def accuracy(network: Any, test: tuple[Any, Any], *, seconds: float = 0.0, temperature: float = 300.0) -> float:
    """Test accuracy of a written network after `seconds` [s] at `temperature` [K], read there, through the wires [%].

    Currents are measured against a resistor of the cells' own die (`periphery.ADC`), so its shared factor is out.
    """
    old = qs.nn.age(network, seconds, temperature)
    layers: list[Any] = list(qs.nn.crossbar_layers(old).values())
    for layer in layers:
        parts, tile = layer.kernel.state.get_value().parts, layer.kernel.tile.get_value()
        layer.kernel.gain.set_value(jnp.asarray(tile.cell.reference_factor(parts, temperature), jnp.float32))
    frozen = qs.nn.freeze(old, temperature=temperature)
    return 100 * float(qs.training.accuracy(frozen, *test))
