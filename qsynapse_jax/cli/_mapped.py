"""`qsynapse network`: a measured map or measured levels under a network, and what it loses."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax import plot
from qsynapse_jax.cli._cache import Cache
from qsynapse_jax.cli._run import Output, run_study
from qsynapse_jax.studies import MappedConfig, MappedResult, run_mapped


@dataclass(frozen=True)
class Network:
    """Put a measured map or measured levels under a network, and see what levels, errors and wires each cost."""

    config: Annotated[MappedConfig, tyro.conf.arg(name="")]
    output: Annotated[Output, tyro.conf.arg(name="")] = field(default_factory=lambda: Output(Path("runs/network")))
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        elsewhere = f"Its table is in {self.output.out / 'result.json'}."
        run_study("mapped", run_mapped, self.config, self.output, console, report=_draw, elsewhere=elsewhere)


def _draw(result: MappedResult, folder: Path) -> list[str]:
    """The picture of a run: weights of the first layer as intended and as the array has them; and the map."""
    name, found = list(result.accuracies.items())[-1]
    title = f"First layer, {MappedResult.ROWS[name]}:\n{found:.1f} % of the test samples are right"
    if result.weights is not None:
        plot.effective_weights({title: result.weights}).savefig(folder / "weights.png", dpi=150)
    errors = result.config.errors()
    if errors is not None:
        axes = plot.crossbar(errors, label="measured over target", unit="", title=f"Errors of {result.config.map}")
        axes.figure.savefig(folder / "map.png", dpi=150)
    return []
