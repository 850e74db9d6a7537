"""The commands of `qsynapse`."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax.cli._config import DEMO, CellConfig, StudyConfig
from qsynapse_jax.cli._pictures import draw
from qsynapse_jax.cli._report import hardware_lines, print_files, result_content, table
from qsynapse_jax.cli._store import prepare_folder, read_weights, write_json, write_weights
from qsynapse_jax.cli._study import run_study, table_accuracies
from qsynapse_jax.datasets import load


@dataclass(frozen=True)
class Demo:
    """The main job in a minute: handwritten digits on quantized synapses, trained through resistive wires."""

    seed: int = 0
    """Seed of initial weights and sample order."""
    out: Path = Path("runs/demo")
    """Folder for result.json, the weights and the pictures."""

    def run(self, console: Console) -> None:
        config = StudyConfig(**DEMO, seed=self.seed, out=self.out)
        console.print("Wires of a 7-10 nm process with a transistor a cell (NeuroSim V1.3 geometry).")
        study(config, console)


@dataclass(frozen=True)
class Train:
    """Train a network of quantized synapses through the circuit, and compare it with three others."""

    study: Annotated[StudyConfig, tyro.conf.arg(name="")]

    def run(self, console: Console) -> None:
        study(self.study, console)


@dataclass(frozen=True)
class Evaluate:
    """Recompute the table of a run from its saved weights."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Output folder of `qsynapse demo` or `qsynapse train`."""

    def run(self, console: Console) -> None:
        files = [self.folder / name for name in ("result.json", "weights.npz")]
        for file in files:
            if not file.is_file():
                raise ValueError(f"Argument `folder` must be the output of a run, but {file} does not exist.")
        stored = json.loads(files[0].read_text())
        settings = stored["config"]
        sizes = {name: tuple(settings[name]) for name in ("hidden", "tile") if settings[name] is not None}
        cell = CellConfig(**settings["cell"])
        config = StudyConfig(**{**settings, **sizes, "cell": cell, "out": Path(settings["out"])})
        data = load(config.dataset)
        accuracies = table_accuracies(read_weights(files[1], config), config, data)
        console.print(table(accuracies, len(data.y_test), title=f"{config.dataset}, from {files[1]}"))


def study(config: StudyConfig, console: Console) -> None:
    """Runs a study and leaves its table on the console and its files in the output folder."""
    start = time.perf_counter()
    data = load(config.dataset, seed=config.seed)
    prepare_folder(config.out)
    for line in hardware_lines(config):
        console.print(line, highlight=False)
    found = run_study(config, data, console)
    seconds = time.perf_counter() - start
    layers = "-".join(map(str, (data.x_train.shape[1], *config.hidden_sizes, data.n_classes)))
    console.print(table(found.accuracies, len(data.y_test), title=f"{data.name}, {layers} network, seed {config.seed}"))
    names = ("weights.npz", "result.json")
    write_weights(config.out / names[0], found.networks)
    pictures = draw(config, found, config.out)
    write_json(config.out / names[1], result_content(config, found, len(data.y_test), seconds))
    console.print(f"{seconds:.0f} s. Written:")
    print_files(console, [*(config.out / name for name in names), *pictures])
