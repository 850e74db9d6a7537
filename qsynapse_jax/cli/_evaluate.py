"""`qsynapse evaluate`: the table of a run again, from its weights alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax.cli._output import print_line, print_table
from qsynapse_jax.studies import evaluate_run


@dataclass(frozen=True)
class Evaluate:
    """Recompute the table of a run from its saved weights."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Output folder of `qsynapse demo` or `qsynapse train`."""

    def run(self, console: Console) -> None:
        table, notes = evaluate_run(self.folder)
        print_table(console, table)
        for note in notes:
            print_line(console, f"note: {note}")
