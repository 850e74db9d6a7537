"""One network on every technology: fresh, old, and made with more spread than usual."""

from typing import Any

import jax
import numpy as np
from flax import nnx

import qsynapse_jax as qs
from experiments._written import accuracy, written
from experiments.quantized_programming._technologies import NAMES, cell, hardware, is_digital
from qsynapse_jax.datasets import Dataset


def trained(data: Dataset, hidden: tuple[int, ...], bits: int, epochs: int, batch: int, seed: int) -> dict[str, Any]:
    """A network per kind of cell, trained quantized on ideal wires from the same float weights."""
    sizes = (data.x_train.shape[1], *hidden, data.n_classes)
    software = qs.nn.mlp(sizes, rngs=nnx.Rngs(seed))
    options: dict[str, Any] = {"epochs": epochs, "batch_size": batch, "learning_rate": 1e-2}
    qs.training.fit(software, data.train, data.test, key=jax.random.key(seed), **options)
    networks = {}
    for kind in ("digital", "analog"):
        network = qs.nn.convert(software, qs.tile.Tile(cell(kind, bits)))
        qs.training.fit(network, data.train, data.test, key=jax.random.key(seed), **options)
        networks[kind] = network
    return networks


def study(networks: dict[str, Any], config: Any, data: Dataset, seed: int) -> dict[str, np.ndarray]:
    """Accuracies [%] of every technology as designed, against time, and against spread, for one seed.

    Returns:
        `designed` (technologies,), `retention` (technologies, temperatures, times), the first of them fresh, and
        `variation` (technologies, spreads).
    """
    wires = qs.crossbar.Wires(r_word=config.r_wire, r_bit=config.r_wire)
    found: dict[str, list[Any]] = {"designed": [], "retention": [], "variation": []}
    for name in NAMES:
        network = networks["digital" if is_digital(name) else "analog"]
        # What writing and ageing are measured against: nominal parts behind the same wires.
        nominal = qs.nn.convert(network, qs.tile.Tile(cell(name, config.network_bits), wires))
        found["designed"].append(100 * float(qs.training.accuracy(qs.nn.freeze(nominal), *data.test)))
        fresh = []
        for spread in config.spreads:
            held = written(network, hardware(name, config.network_bits, wires=wires, spread=spread), seed=seed)
            fresh.append(accuracy(held, data.test))
            if spread == 1.0:
                # Read at the temperature at which it is kept, so that resistors too are as hot as their reference.
                found["retention"].append(
                    [
                        [accuracy(held, data.test, seconds=t, temperature=c + 273.15) for t in (0.0, *config.seconds)]
                        for c in config.celsius
                    ]
                )
        found["variation"].append(fresh)
    return {key: np.array(values) for key, values in found.items()}
