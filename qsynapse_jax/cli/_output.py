"""What commands print, and where they put a run: lines as they are, tables, the files of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from qsynapse_jax.studies import RunFolder, TextTable


@dataclass(frozen=True)
class Output:
    """Where a run goes."""

    out: Path
    """Folder for result.json, the arrays and the pictures; it is there when the run is complete."""
    overwrite: bool = False
    """Replace the run in that folder, once the new one is complete; begin a partial run anew."""
    resume: bool = False
    """Continue a run that was interrupted; begin where there is none."""


def print_line(console: Console, text: str) -> None:
    """A line as it is: brackets are no markup, numbers have no colors, and it is not cut to the screen."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def print_files(console: Console, paths: Sequence[Path]) -> None:
    """Where files are, one per line."""
    for path in paths:
        print_line(console, f"  {path}")


def print_table(console: Console, table: TextTable) -> None:
    """A table whose first column is text and whose others are numbers."""
    shown = Table(title=escape(table.title))
    for number, name in enumerate(table.columns):
        shown.add_column(escape(name), justify="right" if number else "left")
    for row in table.rows:
        shown.add_row(*map(escape, row))
    console.print(shown, highlight=False)


def print_state(console: Console, run: RunFolder, command: str) -> None:
    """What there is already of a run that is to be continued."""
    if run.complete:
        print_line(console, f"The run in {run.out} is complete already. {command}")
    elif run.continued:
        print_line(console, f"Continuing the partial run in {run.shown}.")


def print_end(console: Console, run: RunFolder, seconds: float) -> None:
    """How long it took and what there is now."""
    print_line(console, f"{seconds:.0f} s. Written:")
    print_files(console, sorted(run.out.iterdir()))
