"""`qsynapse report`: one HTML page of a sweep or a run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax.cli._cache import Cache
from qsynapse_jax.cli._output import print_written
from qsynapse_jax.report import write_report


@dataclass(frozen=True)
class Report:
    """Write one HTML page of a sweep or a run: pictures that answer to the mouse, table, provenance; no network."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Output folder of `qsynapse sweep`, `train`, `insitu`, `network`, `program` or `codesign`, or of an experiment."""
    out: Path | None = None
    """The page; report.html in DIR where not given."""
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        print_written(console, [write_report(self.folder, self.out)])
