"""How a command runs a study: where its files go, bars while it works, its tables."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

from qsynapse_jax import plot
from qsynapse_jax.cli._output import print_line, print_written
from qsynapse_jax.studies import Progress, TextTable, run_folder


@dataclass(frozen=True)
class Output:
    """Where a run goes."""

    out: Path
    """Folder for result.json, the arrays and the pictures; it is there when the run is complete."""
    overwrite: bool = False
    """Replace the run in that folder, once the new one is complete; begin a partial run anew."""
    resume: bool = False
    """Continue a run that was interrupted; begin where there is none."""


def run_study(
    name: str,
    study: Callable[..., Any],
    config: Any,
    output: Output,
    console: Console,
    *,
    elsewhere: str,
    said: Callable[[Any], Iterable[str]] = lambda result: (),
) -> None:
    """Runs a study into its folder, with its pictures, and prints what it found, unless it is there.

    Args:
        name: of the study.
        study: from a configuration to a result.
        config: what is asked.
        output: where the run goes.
        console: where it is told.
        elsewhere: where to find the tables of a run that is complete already.
        said: of the result, what stands below its tables.
    """
    started = time.perf_counter()
    with run_folder(output.out, name, config, overwrite=output.overwrite, resume=output.resume) as run:
        if run.complete:
            print_line(console, f"The run in {run.out} is complete already. {elsewhere}")
            return
        if run.continued:
            print_line(console, f"Continuing the partial run in {run.shown}.")
        for line in config.hardware():
            print_line(console, line)
        columns = TextColumn("{task.description:<28}"), BarColumn(bar_width=24), MofNCompleteColumn()
        told = TextColumn("{task.fields[loss]:<12} {task.fields[metric]:<12}")
        with RichProgress(*columns, told, TimeElapsedColumn(), console=console) as bars:
            result = study(config, Bars(bars), run=run)
        for picture, figure in plot.pictures(result).items():
            figure.savefig(run.folder / f"{picture}.png", dpi=150)
        record = result.record(time.perf_counter() - started)
        run.publish(record)
        for table in record.tables.values():
            print_table(console, table)
        for line in said(result):
            print_line(console, line)
        print_written(console, sorted(run.out.iterdir()), before=f"{time.perf_counter() - started:.0f} s. ")


class Bars(Progress):
    """A bar per stage, with the last loss and the last metric; where nobody sees bars, lines for a log."""

    def __init__(self, bars: RichProgress):
        self._bars, self._task, self._name = bars, TaskID(0), ""

    def stage(self, name: str, total: int) -> None:
        """A new bar."""
        self._name = name
        self._task = self._bars.add_task(name, total=total, loss="compiling", metric="")

    def step(self, number: int, loss: float | None = None) -> None:
        """Moves the bar."""
        self._bars.update(self._task, completed=number, loss="" if loss is None else f"loss {loss:.3f}")

    def measured(self, what: str, loss: float | None, metric: str = "") -> None:
        """Shows the metric in the bar, or prints a line."""
        self._bars.update(self._task, metric=metric)
        if not self._bars.console.is_terminal:
            told = "" if loss is None else f"loss {loss:.3f}"
            text = ", ".join(filter(None, [f"{self._name}: {what}", told, metric]))
            print_line(self._bars.console, text)


def print_table(console: Console, table: TextTable) -> None:
    """A table whose first column is text and whose others are numbers."""
    shown = Table(title=escape(table.title))
    for number, name in enumerate(table.columns):
        shown.add_column(escape(name), justify="right" if number else "left")
    for row in table.rows:
        shown.add_row(*map(escape, row))
    console.print(shown, highlight=False)
