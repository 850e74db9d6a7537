"""A small layer on four tiles behind wires that matter, and what it should compute, by hand."""

import jax.numpy as jnp
import numpy as np
from flax import nnx

import qsynapse_jax as qs
from tests.cells.zoo import doubled, ladder_law
from tests.tile.blocks import nodal_effective

SIZE, TILE = (5, 3), (4, 4)
BITS = 3
CELL = {"r_unit": 10e3, "r_on": 500.0, "r_off": 500e3}
WIRES = {"r_word": 7.0, "r_bit": 21.0, "r_driver": 30.0, "r_sense": 50.0}


def signed_ladder(**changed) -> qs.cells.Differential:
    return qs.cells.Differential(qs.cells.Ladder(BITS, **(CELL | changed)))


def small_layer(wires=WIRES, *, seed=0, **options) -> qs.nn.CrossbarDense:
    """Five inputs, three outputs; a bias that is not zero and weights within and beyond the range."""
    resistances = None if wires is None else qs.crossbar.Wires(**wires)
    options = {"cell": signed_ladder(), "tile": TILE} | options
    layer = qs.nn.CrossbarDense(*SIZE, wires=resistances, rngs=nnx.Rngs(seed), **options)
    rng = np.random.default_rng(seed)
    layer.kernel.set_value(jnp.asarray(rng.uniform(-1.1, 1.1, SIZE), layer.kernel.get_value().dtype))
    if layer.bias is not None:
        layer.bias.set_value(jnp.asarray(rng.normal(size=SIZE[1]), layer.kernel.get_value().dtype))
    return layer


@nnx.jit
def run(network, x):
    """Outputs, compiled as one: operation by operation takes longer to compile than to test."""
    return network(x)


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
