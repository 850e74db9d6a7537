"""`qsynapse program`: an array that is written to precise levels, with its table and its pictures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax.cli._cache import Cache
from qsynapse_jax.cli._run import Output, run_study
from qsynapse_jax.studies import ProgramConfig, ProgramResult, run_program


@dataclass(frozen=True)
class Program:
    """Write an array of memristors that fluctuate to precise levels, denoise them, and check them by raw reads."""

    config: Annotated[ProgramConfig, tyro.conf.arg(name="")] = field(default_factory=ProgramConfig)
    output: Annotated[Output, tyro.conf.arg(name="")] = field(default_factory=lambda: Output(Path("runs/program")))
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        elsewhere = f"Its table is in {self.output.out / 'result.json'}."
        run_study(
            "program", run_program, self.config, self.output, console, said=ProgramResult.verdict, elsewhere=elsewhere
        )
