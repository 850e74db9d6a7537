"""`qsynapse demo`: the main job in a minute."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax.cli._output import Output, print_line
from qsynapse_jax.cli._train import train
from qsynapse_jax.studies import DEMO, NetworkConfig


@dataclass(frozen=True)
class Demo:
    """The main job in a minute: handwritten digits on quantized synapses, trained through resistive wires."""

    seed: int = 0
    """Seed of initial weights and sample order."""
    output: Annotated[Output, tyro.conf.arg(name="")] = field(default_factory=lambda: Output(Path("runs/demo")))

    def run(self, console: Console) -> None:
        print_line(console, "Wires of a 7-10 nm process with a transistor per cell (NeuroSim V1.3 geometry).")
        train(NetworkConfig(**DEMO, seed=self.seed), self.output, console)
