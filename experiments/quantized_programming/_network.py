"""One network on every technology: fresh, old, and made with more spread than usual."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx

import qsynapse_jax as qs
from experiments.quantized_programming._technologies import NAMES, cell, hardware, is_digital
from qsynapse_jax.datasets import Dataset

_TILE = (64, 64)


@dataclass(frozen=True)
class Written:
    """A trained network whose layers stand on written arrays."""

    network: Any
    array: qs.tile.AbstractWrittenArray
    plan: qs.tile.TiledArray
    states: tuple[Any, ...]


def trained(data: Dataset, hidden: tuple[int, ...], bits: int, epochs: int, batch: int, seed: int) -> dict[str, Any]:
    """A network a kind of cell, trained quantized on ideal wires from the same float weights."""
    sizes = (data.x_train.shape[1], *hidden, data.n_classes)
    software = qs.nn.software_mlp(sizes, rngs=nnx.Rngs(seed))
    options: dict[str, Any] = {"epochs": epochs, "batch_size": batch, "learning_rate": 1e-2}
    qs.training.fit(software, data.train, data.test, key=jax.random.key(seed), **options)
    networks = {}
    for kind in ("digital", "analog"):
        network = qs.nn.to_crossbar(software, cell=cell(kind, bits), wires=None)
        qs.training.fit(network, data.train, data.test, key=jax.random.key(seed), **options)
        networks[kind] = network
    return networks


def write(network: Any, name: str, bits: int, wires: Any, *, spread: float = 1.0, seed: int) -> Written:
    """Writes every layer into its own array of the technology."""
    array = hardware(name, bits, spread=spread)
    states = []
    for number, layer in enumerate(network.layers):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), number))
        code = layer.code()
        states.append(array.write(array.init(code.shape, key=keys[0]), code, key=keys[1])[0])
    return Written(network, array, qs.tile.TiledArray(array.cell, wires, _TILE), tuple(states))


def accuracy(written: Written, test: tuple[Any, Any], *, seconds: float = 0.0, temperature: float = 300.0) -> float:
    """Test accuracy after `seconds` [s] at `temperature` [K], read there, through the wires [%].

    Currents are measured against a resistor of the cells' own die (`periphery.ADC`), so its shared factor is out.
    """
    array, plan, weights = written.array, written.plan, []
    for state in written.states:
        old = array.age(state, seconds, temperature)
        g = _behind_wires(array.conductance(old, temperature=temperature), plan.wires)
        weights.append(plan.weight(g) * array.reference_factor(old, temperature=temperature))
    return _accuracy(written.network, weights, test)


@eqx.filter_jit
def _behind_wires(g: Any, wires: Any) -> Any:
    """As `TiledArray.effective_conductance`, compiled once for all technologies: they differ in their cells only."""
    return qs.tile.join(qs.crossbar.effective_conductance(qs.tile.split(g, _TILE), wires), g.shape)


def _accuracy(network: Any, weights: list[Any], test: tuple[Any, Any]) -> float:
    """Test accuracy of a network whose layers multiply with `weights` [%]."""
    logits = network.multiply(jnp.asarray(test[0]), weights)
    return 100 * float(jnp.mean(jnp.argmax(logits, axis=-1) == jnp.asarray(test[1])))


def as_designed(network: Any, name: str, bits: int, wires: Any, test: tuple[Any, Any]) -> float:
    """Test accuracy of nominal parts behind the same wires [%]: what writing and ageing are measured against."""
    plan = qs.tile.TiledArray(cell(name, bits), wires, _TILE)
    weights = [plan.weight(_behind_wires(plan.conductance(layer.master_weight()), wires)) for layer in network.layers]
    return _accuracy(network, weights, test)


def study(networks: dict[str, Any], config: Any, data: Dataset, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Accuracies against time, and against spread, of every technology, for one seed."""
    wires = qs.crossbar.Wires(r_word=config.r_wire, r_bit=config.r_wire)
    rows: dict[str, list[dict[str, Any]]] = {"retention": [], "variation": [], "designed": []}
    for name in NAMES:
        network = networks["digital" if is_digital(name) else "analog"]
        row = {"technology": name, "seed": seed}
        designed = as_designed(network, name, config.network_bits, wires, data.test)
        rows["designed"].append({**row, "accuracy": designed})
        for spread in config.spreads:
            held = write(network, name, config.network_bits, wires, spread=spread, seed=seed)
            fresh = accuracy(held, data.test)
            rows["variation"].append({**row, "spread": spread, "accuracy": fresh})
            if spread != 1.0:
                continue
            for celsius in config.celsius:
                # Read at the temperature at which it is kept, so that resistors too are as hot as their reference.
                for seconds in (0.0, *config.seconds):
                    found = accuracy(held, data.test, seconds=seconds, temperature=celsius + 273.15)
                    rows["retention"].append({**row, "celsius": celsius, "seconds": seconds, "accuracy": found})
    return rows
