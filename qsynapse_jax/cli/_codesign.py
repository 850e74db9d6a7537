"""`qsynapse codesign`: branch resistors for given switches and wires, found by gradient."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax import plot
from qsynapse_jax.cli._cache import Cache
from qsynapse_jax.cli._run import Output, run_study
from qsynapse_jax.studies import CodesignConfig, CodesignResult, run_codesign

_SHOWN_WITHOUT_LEVELS = ("R as found", "closed form")


@dataclass(frozen=True)
class Codesign:
    """Find the resistors of a ladder for given switches and wires; ends with 'use these resistors'."""

    config: Annotated[CodesignConfig, tyro.conf.arg(name="")] = field(default_factory=CodesignConfig)
    output: Annotated[Output, tyro.conf.arg(name="")] = field(default_factory=lambda: Output(Path("runs/codesign")))
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        elsewhere = f"Its tables are in {self.output.out / 'result.json'}."
        run_study("codesign", run_codesign, self.config, self.output, console, report=_report, elsewhere=elsewhere)


def _report(result: CodesignResult, folder: Path) -> list[str]:
    levels = {name: level for name, level in result.levels.items() if name not in _SHOWN_WITHOUT_LEVELS}
    designs = {name: r for name, r in result.designs.items() if name != "R as found"}
    plot.levels_and_resistors(levels, designs).savefig(folder / "codesign.png", dpi=150)
    return [result.advice()]
