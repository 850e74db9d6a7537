"""`qsynapse train`: a network four ways, with its table, its weights and its pictures."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax import plot
from qsynapse_jax.cli._output import Output, print_end, print_line, print_state, print_table
from qsynapse_jax.cli._progress import Bars
from qsynapse_jax.studies import ROWS, NetworkConfig, NetworkResult, run_folder, run_network

_COLORS = {"float": "0.45", "quantized": "tab:blue", "deployed": "tab:red", "circuit": "tab:green"}


@dataclass(frozen=True)
class Train:
    """Train a network of quantized synapses through the circuit, and compare it with three others."""

    config: Annotated[NetworkConfig, tyro.conf.arg(name="")] = field(default_factory=NetworkConfig)
    output: Annotated[Output, tyro.conf.arg(name="")] = field(default_factory=lambda: Output(Path("runs/train")))

    def run(self, console: Console) -> None:
        train(self.config, self.output, console)


def train(config: NetworkConfig, output: Output, console: Console) -> None:
    """Runs the study and leaves its table on the console and its files in the output folder."""
    started = time.perf_counter()
    with run_folder(output.out, "network", config, overwrite=output.overwrite, resume=output.resume) as run:
        print_state(console, run, f"Its table: qsynapse evaluate {output.out}")
        if run.complete:
            return
        for line in config.hardware():
            print_line(console, line)
        with Bars(console) as bars:
            result = run_network(config, bars, run=run)
        draw(result, run.folder)
        notes = ("continued: times are those after the last interruption",) if run.continued else ()
        run.publish(result.record(time.perf_counter() - started, notes))
        print_table(console, result.table())
        print_end(console, run, time.perf_counter() - started)


def draw(result: NetworkResult, folder: Path) -> None:
    """The pictures of a run."""
    histories = {ROWS[name]: [100 * e.accuracy for e in epochs] for name, epochs in result.histories.items()}
    found, views = result.accuracies, result.views
    titles = {
        name: f"{ROWS[name]}:\n{found[name]:.1f} % of the test samples are right" for name in ("deployed", "circuit")
    }
    pictures = {
        "accuracy": plot.accuracy(
            histories,
            reference={ROWS["deployed"]: found["deployed"]},
            title=f"One network for {result.config.dataset}, trained four ways",
            colors={ROWS[name]: color for name, color in _COLORS.items()},
        ),
        "ir_drop": plot.ir_drop(views["tile/v_cell"], float(views["tile/v_read"])),
        "weights": plot.effective_weights(
            {
                title: (views[f"weights/{name}/intended"], views[f"weights/{name}/effective"])
                for name, title in titles.items()
            },
            colors={title: _COLORS[name] for name, title in titles.items()},
        ),
    }
    for name, picture in pictures.items():
        picture.savefig(folder / f"{name}.png", dpi=150)
