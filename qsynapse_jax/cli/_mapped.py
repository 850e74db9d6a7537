"""`qsynapse network`: a measured map or measured levels under a network, and what it loses."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax.cli._cache import Cache
from qsynapse_jax.cli._run import Output, run_study
from qsynapse_jax.studies import MappedConfig, run_mapped


@dataclass(frozen=True)
class Network:
    """Put a measured map or measured levels under a network, and see what levels, errors and wires each cost."""

    config: Annotated[MappedConfig, tyro.conf.arg(name="")]
    output: Annotated[Output, tyro.conf.arg(name="")] = field(default_factory=lambda: Output(Path("runs/network")))
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        elsewhere = f"Its table is in {self.output.out / 'result.json'}."
        run_study("mapped", run_mapped, self.config, self.output, console, elsewhere=elsewhere)
