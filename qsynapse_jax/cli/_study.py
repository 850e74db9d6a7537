"""The main job: one network, four ways, with progress while it works."""

import time
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from flax import nnx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from qsynapse_jax.cli._config import StudyConfig
from qsynapse_jax.datasets import Dataset
from qsynapse_jax.nn import MLP, software_mlp, to_crossbar, with_wires
from qsynapse_jax.training import Epoch, accuracy, fit

ROWS = {
    "float": "float software",
    "quantized": "quantized, ideal wires",
    "deployed": "same weights, resistive wires",
    "circuit": "trained through the circuit",
}


@dataclass
class Study:
    """What a run found: test accuracies [%] by row, training records and trained networks by name."""

    accuracies: dict[str, float] = field(default_factory=dict)
    histories: dict[str, list[Epoch]] = field(default_factory=dict)
    networks: dict[str, MLP] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def run_study(config: StudyConfig, data: Dataset, console: Console) -> Study:
    """Trains the float network, then from its weights the quantized and the circuit one, equally long."""
    study = Study()
    sizes = (data.x_train.shape[1], *config.hidden_sizes, data.n_classes)
    cell, wires, tile = config.cell.build(), config.wires(), config.tile_shape()
    software = software_mlp(sizes, rngs=nnx.Rngs(config.seed))
    with _progress(console) as progress:
        _train("float", software, config, data, study, progress)
        quantized = to_crossbar(software, cell=cell, wires=None, tile=tile)
        circuit = with_wires(quantized, wires)
        _train("quantized", quantized, config, data, study, progress)
        _train("circuit", circuit, config, data, study, progress)
    study.accuracies = table_accuracies(study.networks, config, data)
    return study


def table_accuracies(networks: dict[str, MLP], config: StudyConfig, data: Dataset) -> dict[str, float]:
    """Test accuracy of every row [%], from trained weights alone."""
    ideal, wires = networks["quantized"], config.wires()
    rows = {
        "float": networks["float"],
        "quantized": with_wires(ideal, None),
        "deployed": with_wires(ideal, wires),
        "circuit": with_wires(networks["circuit"], wires),
    }
    test = tuple(map(jnp.asarray, data.test))
    return {name: 100 * float(accuracy(rows[name], *test)) for name in ROWS}


def _train(name: str, network: MLP, config: StudyConfig, data: Dataset, study: Study, progress: Progress) -> None:
    steps = config.passes * max(1, len(data.x_train) // config.samples_a_step)
    task = progress.add_task(ROWS[name], total=steps, loss="compiling", accuracy="")

    def on_step(number: int, loss: float) -> None:
        progress.update(task, completed=number, loss=f"loss {loss:.3f}")

    def on_epoch(epoch: Epoch) -> None:
        accuracy = f"test {100 * epoch.accuracy:.2f} %"
        progress.update(task, accuracy=accuracy)
        if not progress.console.is_terminal:
            # A bar needs a terminal; a log gets a line an epoch.
            progress.console.print(f"{ROWS[name]}: epoch {epoch.number}, loss {epoch.loss:.3f}, {accuracy}")

    start = time.perf_counter()
    study.histories[name] = fit(
        network,
        data.train,
        data.test,
        key=jax.random.key(config.seed),
        epochs=config.passes,
        batch_size=config.samples_a_step,
        learning_rate=config.learning_rate,
        on_step=on_step,
        on_epoch=on_epoch,
    )
    study.seconds[name] = time.perf_counter() - start
    study.networks[name] = network


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]:<10} {task.fields[accuracy]:<12}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console)
