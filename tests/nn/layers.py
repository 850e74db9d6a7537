"""A small layer on four tiles behind wires that matter, and what it should compute, by hand."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

import qsynapse_jax as qs
from tests.cells.zoo import doubled, ladder_law
from tests.tile.blocks import nodal_effective

SIZE, TILE = (5, 3), (4, 4)
BITS = 3
CELL: dict[str, Any] = {"r_unit": 10e3, "r_on": 500.0, "r_off": 500e3}
WIRES = {"r_word": 7.0, "r_bit": 21.0, "r_driver": 30.0, "r_sense": 50.0}


def signed_ladder(**changed) -> qs.cells.Differential:
    return qs.cells.Differential(qs.cells.Ladder(BITS, **(CELL | changed)))


def small_tile(wires=WIRES, cell=None, **options) -> qs.tile.Tile:
    resistances = None if wires is None else qs.crossbar.Wires(**wires)
    return qs.tile.Tile(signed_ladder() if cell is None else cell, wires=resistances, shape=TILE, **options)


def fine_tile() -> qs.tile.Tile:
    """A tile on which weights are hardly rounded: what a layer gives is what its geometry says."""
    return qs.tile.Tile(qs.cells.Differential(qs.cells.Multilevel(2**15, 1e-6, 1e-4)))


def initial(key, shape, dtype):
    """Weights from NumPy, the same for the same shape: the initializers of Flax are compiled for every shape anew."""
    rng = np.random.default_rng(shape)
    return jnp.asarray(rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1])), dtype)


def linear(n_in, n_out, **options) -> nnx.Linear:
    return nnx.Linear(n_in, n_out, kernel_init=initial, bias_init=initial, **options, rngs=nnx.Rngs(0))


def small_layer(wires=WIRES, *, seed=0, tile=None, **options) -> qs.nn.CrossbarDense:
    """Five inputs, three outputs; a bias that is not zero and weights within and beyond the range."""
    tile = small_tile(wires) if tile is None else tile
    layer = qs.nn.CrossbarDense(*SIZE, tile=tile, rngs=nnx.Rngs(seed), **options)
    rng, dtype = np.random.default_rng(seed), layer.scale.get_value().dtype
    layer.kernel.weight.set_value(jnp.asarray(rng.uniform(-1.1, 1.1, SIZE), dtype))
    if layer.bias is not None:
        layer.bias.set_value(jnp.asarray(rng.normal(size=SIZE[1]), dtype))
    return layer


@nnx.jit
def run(network, x):
    """Outputs, compiled as one: operation by operation takes longer to compile than to test."""
    return network(x)


@nnx.jit
def look(layer, x):
    """What a layer gives, what it multiplies with, what that stands for and should be; compiled once for all tests."""
    kernel = layer.kernel
    return layer(x), kernel.matrix(), kernel.code(), kernel.intended()


def some_inputs(*batch, seed=3):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, (*batch, SIZE[0])))


def lines_of(code: np.ndarray) -> np.ndarray:
    """Conductances of the bit lines [S] that the codes of a matrix are written as, plus and minus side by side."""
    law = [float(ladder_law(c, doubled(CELL["r_unit"], BITS), CELL["r_on"], CELL["r_off"])) for c in range(2**BITS)]
    g = np.empty((code.shape[0], 2 * code.shape[1]))
    g[:, 0::2], g[:, 1::2] = np.take(law, np.maximum(code, 0)), np.take(law, np.maximum(-code, 0))
    return g


def span() -> float:
    return float(np.ptp(lines_of(np.array([[2**BITS - 1]]))))


def weights_behind(g: np.ndarray, wires: dict[str, float]) -> np.ndarray:
    """Weights that the tiles multiply with: bit-line currents subtracted in pairs, in units of the span."""
    g_eff = nodal_effective(g, TILE, wires)
    return (g_eff[:, 0::2] - g_eff[:, 1::2]) / span()
