"""`qsynapse insitu`: a network that learns inside its arrays, with its table and its pictures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax.cli._cache import Cache
from qsynapse_jax.cli._run import Output, run_study
from qsynapse_jax.studies import InsituConfig, run_insitu


@dataclass(frozen=True)
class Insitu:
    """Train a network inside its arrays, by pulses on devices, and compare it with the same one in software."""

    config: Annotated[InsituConfig, tyro.conf.arg(name="")] = field(default_factory=InsituConfig)
    output: Annotated[Output, tyro.conf.arg(name="")] = field(default_factory=lambda: Output(Path("runs/insitu")))
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        elsewhere = f"Its table is in {self.output.out / 'result.json'}."
        run_study("insitu", run_insitu, self.config, self.output, console, elsewhere=elsewhere)
