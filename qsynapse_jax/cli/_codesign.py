"""`qsynapse codesign`: branch resistors for given switches and wires, found by gradient."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax.cli._cache import Cache
from qsynapse_jax.cli._run import Output, run_study
from qsynapse_jax.studies import CodesignConfig, run_codesign


@dataclass(frozen=True)
class Codesign:
    """Find the resistors of a ladder for given switches and wires; ends with 'use these resistors'."""

    config: Annotated[CodesignConfig, tyro.conf.arg(name="")] = field(default_factory=CodesignConfig)
    output: Annotated[Output, tyro.conf.arg(name="")] = field(default_factory=lambda: Output(Path("runs/codesign")))
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        elsewhere = f"Its tables are in {self.output.out / 'result.json'}."
        run_study(
            "codesign",
            run_codesign,
            self.config,
            self.output,
            console,
            said=lambda result: [result.advice()],
            elsewhere=elsewhere,
        )
