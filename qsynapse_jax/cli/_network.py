"""`qsynapse demo`, `train` and `evaluate`: a network four ways, with its table, its weights and its pictures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax import plot
from qsynapse_jax.cli._cache import Cache
from qsynapse_jax.cli._output import print_line
from qsynapse_jax.cli._run import Output, print_table, run_study
from qsynapse_jax.studies import NetworkConfig, NetworkResult, evaluate_run, run_network

_COLORS = {"float": "0.45", "quantized": "tab:blue", "deployed": "tab:red", "circuit": "tab:green"}


@dataclass(frozen=True)
class Demo:
    """The main job in a minute: handwritten digits on quantized synapses, trained through resistive wires."""

    seed: int = 0
    """Seed of initial weights and sample order."""
    output: Annotated[Output, tyro.conf.arg(name="")] = field(default_factory=lambda: Output(Path("runs/demo")))
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        print_line(console, "Wires of a 7-10 nm process with a transistor per cell (NeuroSim V1.3 geometry).")
        _train(NetworkConfig.demo(self.seed), self.output, console)


@dataclass(frozen=True)
class Train:
    """Train a network of quantized synapses through the circuit, and compare it with three others."""

    config: Annotated[NetworkConfig, tyro.conf.arg(name="")] = field(default_factory=NetworkConfig)
    output: Annotated[Output, tyro.conf.arg(name="")] = field(default_factory=lambda: Output(Path("runs/train")))
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        _train(self.config, self.output, console)


@dataclass(frozen=True)
class Evaluate:
    """Recompute the table of a run from its saved weights."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Output folder of `qsynapse demo` or `qsynapse train`."""
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        table, notes = evaluate_run(self.folder)
        print_table(console, table)
        for note in notes:
            print_line(console, f"note: {note}")


def _train(config: NetworkConfig, output: Output, console: Console) -> None:
    elsewhere = f"Its table: qsynapse evaluate {output.out}"
    run_study("network", run_network, config, output, console, report=_draw, elsewhere=elsewhere)


def _draw(result: NetworkResult, folder: Path) -> list[str]:
    """The pictures of a run; its table says all that is to say."""
    rows, found, views = result.ROWS, result.accuracies, result.views
    histories = {rows[name]: [100 * e.accuracy for e in epochs] for name, epochs in result.histories.items()}
    panels, colors = {}, {}
    for name in [name for name in ("deployed", "circuit") if name in found]:
        title = f"{rows[name]}:\n{found[name]:.1f} % of the test samples are right"
        panels[title] = views[f"weights/{name}/intended"], views[f"weights/{name}/effective"]
        colors[title] = _COLORS[name]
    pictures = {
        "ir_drop": plot.ir_drop(views["tile/v_cell"], float(views["tile/v_read"])),
        "weights": plot.effective_weights(panels, colors=colors),
    }
    if histories:
        pictures["accuracy"] = plot.accuracy(
            histories,
            reference={rows["deployed"]: found["deployed"]},
            title=f"One network for {result.config.dataset}, trained four ways",
            colors={rows[name]: color for name, color in _COLORS.items()},
        )
    for name, picture in pictures.items():
        picture.savefig(folder / f"{name}.png", dpi=150)
    return []
