"""The main study: one network, four ways, from the same float weights and trained equally long."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from qsynapse_jax import nn
from qsynapse_jax._fields import described
from qsynapse_jax.crossbar import Wires, solve
from qsynapse_jax.datasets import Dataset
from qsynapse_jax.studies._config import NetworkConfig, read_config
from qsynapse_jax.studies._model import build_network, load_samples, words_for
from qsynapse_jax.studies._record import Record, TextTable, check_file, claim
from qsynapse_jax.studies._store import RECORD, WEIGHTS, RunFolder, find_run
from qsynapse_jax.studies._train import Progress, train
from qsynapse_jax.studies._weights import read_models, write_models
from qsynapse_jax.training import Epoch, accuracy


@dataclass
class NetworkResult:
    """What the study found.

    Attributes:
        ROWS: the networks of the table in words, by name.
        config: what was asked.
        network: in words: the sizes of its layers, or the model it is.
        test_samples: how many samples the accuracies are shares of.
        accuracies: test accuracy [%] by row; without training there is no row of what is trained through the circuit.
        histories: what training told after every epoch, by network.
        networks: the trained networks, by name.
        seconds: time to train each [s], by name.
        views: arrays for the pictures, by name.
        continued: whether an interrupted run was continued.
    """

    ROWS: ClassVar[dict[str, str]] = {
        "float": "float software",
        "quantized": "quantized, ideal wires",
        "deployed": "same weights, resistive wires",
        "circuit": "trained through the circuit",
    }
    config: NetworkConfig
    network: str
    test_samples: int
    accuracies: dict[str, float] = field(default_factory=dict)
    histories: dict[str, list[Epoch]] = field(default_factory=dict)
    networks: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    views: dict[str, np.ndarray] = field(default_factory=dict)
    continued: bool = False

    __repr__ = described

    def record(self, wall_time_s: float) -> Record:
        """The record of this run; its weights are written apart."""
        found, config = self.accuracies, self.config
        table = _table(found, self.test_samples, f"{config.dataset}, {self.network} network, seed {config.seed}")
        notes = ["continued: times are those after the last interruption"] if self.continued else []
        figures = [claim(f"test_accuracy_{name}", "%", [x], label=self.ROWS[name]) for name, x in found.items()]
        figures += [claim(f"time_to_train_{name}", "s", [x]) for name, x in self.seconds.items()]
        history = {
            f"history/{name}/{what}": np.array([getattr(epoch, what) for epoch in epochs])
            for name, epochs in self.histories.items()
            for what in ("loss", "accuracy")
        }
        return Record(
            "network",
            self.config,
            (self.config.seed,),
            wall_time_s,
            figures,
            tables={"accuracy": table},
            data=history | self.views,
            notes=(*self.config.hardware(), *notes),
        )


def run_network(
    config: NetworkConfig, progress: Progress = Progress(), *, run: RunFolder | None = None
) -> NetworkResult:
    """Trains the float network, then from its weights the quantized and the circuit one, equally long.

    Args:
        config: what is asked.
        progress: who listens.
        run: where checkpoints and the weights go; nowhere if it is not given.
    """
    data = load_samples(config)
    software = build_network(config, data, config.tile(ideal_wires=True))
    words, continued = words_for(config, data), run is not None and run.continued
    result = NetworkResult(config, words, len(data.y_test), continued=continued)
    _train("float", software, result, data, progress, run)
    for name, network in _on_crossbars(software, config).items():
        _train(name, network, result, data, progress, run)
    rows = _rows(result.networks)
    result.accuracies = _accuracies(rows, config, data)
    result.views = _views({name: rows[name] for name in result.accuracies})
    if run is not None:
        write_models(run.folder / WEIGHTS, result.networks)
    return result


def evaluate_run(folder: Path) -> tuple[TextTable, list[str]]:
    """The table of a run, computed anew from its weights, and what has to be said of it.

    A model of the user's own is imported again: what its code does is done.

    Raises:
        ValueError: no complete run, files that do not belong together, or a model that is not there any more.
    """
    record, path = find_run(folder), folder / RECORD
    if record.name != "network":
        raise ValueError(f"{path} is of the study {record.name!r}, which has no weights to evaluate.")
    config: NetworkConfig = read_config(NetworkConfig, record.config, path)
    weights = check_file(path, record.checksums, WEIGHTS)
    data = load_samples(config)
    software = build_network(config, data, config.tile(ideal_wires=True))
    networks = {"float": software, **_on_crossbars(software, config)}
    try:
        read_models(weights, networks)
    except ValueError as error:
        changed = f" The run was of the model {config.model}, which may have changed since." if config.model else ""
        raise ValueError(f"{error}{changed}") from None
    accuracies = _accuracies(_rows(networks), config, data)
    before = {one.name: one.ours for one in record.figures}
    notes = [
        f"{NetworkResult.ROWS[name]}: {value:.2f} % here, {before.get(f'test_accuracy_{name}')} % in {path}."
        for name, value in accuracies.items()
        # Six digits are kept.
        if abs(value - (before.get(f"test_accuracy_{name}") or 0)) > 1e-3
    ]
    return _table(accuracies, len(data.y_test), f"{config.dataset}, from {weights}"), notes


def _table(accuracies: Mapping[str, float], test_samples: int, title: str) -> TextTable:
    """Accuracy of every row beside its distance from float."""
    rows = []
    for name, share in accuracies.items():
        change = "" if name == "float" else f"{share - accuracies['float']:+.2f} points"
        rows.append([NetworkResult.ROWS[name], f"{share:.2f} %", change])
    return TextTable(title, ["network", f"test accuracy ({test_samples:,} samples)", "against float"], rows)


def _on_crossbars(software: Any, config: NetworkConfig) -> dict[str, Any]:
    """The two networks that are trained on crossbars, as they begin: the weights of the float one, rounded."""
    tiles = {"quantized": config.tile(ideal_wires=True), "circuit": config.tile()}
    return {name: nn.convert(software, tile) for name, tile in tiles.items()}


def _rows(networks: Mapping[str, Any]) -> dict[str, Any]:
    """The network of every row of the table; the deployed one is on the tiles of the one trained on them."""
    tile = _first_kernel(networks["circuit"]).tile.get_value()
    return {**networks, "deployed": nn.convert(networks["quantized"], tile)}


def _first_kernel(network: Any) -> Any:
    return next(iter(nn.crossbar_layers(network).values())).kernel


def _accuracies(rows: Mapping[str, Any], config: NetworkConfig, data: Dataset) -> dict[str, float]:
    """Test accuracy of every row [%]. The two behind wires share one compilation of their circuits."""
    names = [name for name in NetworkResult.ROWS if name != "circuit" or config.passes]
    return {name: 100 * float(accuracy(rows[name], *data.test)) for name in names}


def _train(
    name: str, network: Any, result: NetworkResult, data: Dataset, progress: Progress, run: RunFolder | None
) -> None:
    config = result.config
    start = time.perf_counter()
    history = train(
        network,
        data,
        progress,
        title=result.ROWS[name],
        name=name,
        run=run,
        seed=config.seed,
        epochs=config.passes,
        batch_size=config.samples_per_step,
        learning_rate=config.learning_rate,
        refresh=config.follow(),
    )
    result.networks[name] = network
    if history:
        result.histories[name], result.seconds[name] = history, time.perf_counter() - start


def _views(rows: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What the pictures show: the first layer's weights behind the wires, and the voltages of one full tile of it."""
    views, kernel = {}, None
    for name in [name for name in ("deployed", "circuit") if name in rows]:
        kernel = _first_kernel(rows[name])
        views[f"weights/{name}/intended"], views[f"weights/{name}/effective"] = _weights(*nnx.split(kernel))
    views["tile/v_cell"], views["tile/v_read"] = _voltages(kernel)
    return {name: np.asarray(view) for name, view in views.items()}


@partial(jax.jit, static_argnums=0)
def _weights(graphdef: nnx.GraphDef, variables: Any) -> tuple[jax.Array, jax.Array]:
    """Intended and effective weights of a kernel whose circuits have solutions, which its accuracy has shown."""
    kernel: Any = nnx.merge(graphdef, variables)
    # What raises calls Python back, and could not be kept for the next run.
    kernel.throw = False
    return kernel.intended(), kernel.matrix()


def _voltages(kernel: Any) -> tuple[jax.Array, jax.Array]:
    """Voltages of the cells of one tile when all of its word lines are driven, and the voltage of the drivers [V]."""
    g, v_read, wires = _full_tile(kernel)
    # Outside of the compiled function: `solve` compiles less where it sees the values.
    return solve(g, jnp.full(g.shape[0], v_read), wires).v_cell, v_read


@nnx.jit
def _full_tile(kernel: Any) -> tuple[jax.Array, jax.Array, Wires]:
    """Conductances of one tile [S], voltage of the drivers [V], wires."""
    tile = kernel.tile.get_value()
    # Word lines are split from the last, bit lines from the first: the lower left tile is as full as any. Groups of a
    # convolution are as full as each other.
    levels = tile.levels(kernel.master())
    g = levels.reshape(-1, *levels.shape[-2:])[0, -tile.shape[0] :, : tile.shape[1]]
    return g, jnp.asarray(tile.v_read, g.dtype), tile.wires
