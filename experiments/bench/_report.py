"""What a benchmark prints and keeps: tables for people, the numbers behind them, claims beside what was asked."""

import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.bench._reach import REACH
from experiments.bench._tables import FOLDER, MACHINE, PEERS, quartiles_of
from experiments.bench._timing import Ratio
from qsynapse_jax.studies import Claim, Record, TextTable, claim, write_record

SCRATCH = Path("runs") / "quick" / "bench"


@dataclass
class Report:
    """Collects a benchmark's results, prints them as they come, and writes them as a record at the end.

    Args:
        name: of the benchmark.
        config: its settings, a dataclass with `quick` and `out`.
    """

    name: str
    config: Any
    console: Console = field(default_factory=lambda: Console(width=140, highlight=False))
    tables: dict[str, TextTable] = field(default_factory=dict)
    measurements: list[dict[str, Any]] = field(default_factory=list)
    figures: list[Claim] = field(default_factory=list)
    quartiles: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    peers: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def __post_init__(self):
        self.console.print(f"{self.name}: {self._record().device}, load {self.load:.2f}")
        if self.load > 0.5:
            self.console.print("Something else is running here: mind ratios only, and the spread of those.")

    def progress(self, text: str) -> None:
        """A line about what is being done, for whoever waits."""
        self.console.print(f"  [{time.perf_counter() - self.started:6.0f} s] {text}", style="dim", markup=False)

    def note(self, text: str) -> None:
        """Something the reader must know; printed at once and kept."""
        self.notes.append(text)
        self.console.print(text, markup=False)

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        """Prints a table and keeps it; all columns but the first are numbers."""
        self.tables[title] = TextTable(title, columns, rows)
        shown = Table(title=title, title_justify="left")
        for number, column in enumerate(columns):
            shown.add_column(column, justify="right" if number else "left", overflow="fold")
        for row in rows:
            shown.add_row(*row)
        self.console.print(shown)

    def measure(self, **data: Any) -> None:
        """Keeps raw numbers, for the file of arrays beside the record."""
        self.measurements.append(data)

    def figure(self, key: str, value: float | Ratio, note: str = "") -> None:
        """Keeps a claim of `REACH`."""
        number, asked = float(value.value if isinstance(value, Ratio) else value), REACH[key]
        if isinstance(value, Ratio):
            self.quartiles[quartiles_of(key)] = np.asarray([value.low, value.high])
        one = claim(key, asked.unit, [number], label=asked.label, reach=asked.reach, note=note)
        self.figures.append(one)
        shown = f"{asked.label}: {number:.3g} {asked.unit} ({asked.reach} asked for)"
        self.console.print(
            ("yes  " if one.holds else "no   ") + shown, style=None if one.holds else "bold", markup=False
        )

    def write(self) -> Path:
        """Writes the record and its arrays: beside the benchmark, or in a scratch folder if quick."""
        path = self.config.out or (SCRATCH if self.config.quick else FOLDER) / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_record(self._record(), path)
        self.console.print(f"Written: {path}", soft_wrap=True, markup=False)
        return path

    def _record(self) -> Record:
        load = [f"{x:.2f}" for x in (self.load, os.getloadavg()[0])]
        machine = [["system", platform.platform(terse=True)], ["load before", load[0]], ["load after", load[1]]]
        about = {
            MACHINE: TextTable("Machine", ["what", "value"], machine),
            PEERS: TextTable("Peers", ["package", "version"], [list(peer) for peer in self.peers.items()]),
        }
        return Record(
            name=f"bench/{self.name}",
            config={key: value for key, value in asdict(self.config).items() if key != "out"},
            seeds=(),
            wall_time_s=time.perf_counter() - self.started,
            figures=self.figures,
            tables=self.tables | about,
            data=self.quartiles | dict(arrays_of("measurements", self.measurements)),
            notes=self.notes,
        )


def arrays_of(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Numbers, texts and lists of numbers in a tree of dictionaries and lists, each by its place in the tree."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from arrays_of(f"{name}/{key}", part)
    elif isinstance(value, list | tuple) and any(isinstance(part, dict | list | tuple | str) for part in value):
        for number, part in enumerate(value):
            yield from arrays_of(f"{name}/{number}", part)
    elif value is not None:
        yield name, np.asarray(value)


def shown_time(seconds: float) -> str:
    """A time with three digits and a unit that suits it."""
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"
