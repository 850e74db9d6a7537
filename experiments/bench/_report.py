"""What a benchmark prints and keeps: tables for people, the numbers behind them, claims beside what was asked."""

import os
import platform
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from experiments.bench._reach import REACH, met
from experiments.bench._tables import FOLDER, describe
from experiments.bench._timing import Ratio
from qsynapse_jax.cli import environment, write_json

SCRATCH = Path("runs") / "quick" / "bench"


@dataclass
class Report:
    """Collects a benchmark's results, prints them as they come, and writes `NAME.json` at the end.

    Args:
        name: of the benchmark.
        config: its settings, a dataclass with `quick` and `out`.
    """

    name: str
    config: Any
    console: Console = field(default_factory=lambda: Console(width=140, highlight=False))
    tables: list[dict[str, Any]] = field(default_factory=list)
    measurements: list[dict[str, Any]] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    peers: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def __post_init__(self):
        machine = machine_data()
        self.console.print(f"{self.name}: {describe(machine)}, load {self.load:.2f}")
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
        self.tables.append({"title": title, "columns": columns, "rows": rows})
        shown = Table(title=title, title_justify="left")
        for number, column in enumerate(columns):
            shown.add_column(column, justify="right" if number else "left", overflow="fold")
        for row in rows:
            shown.add_row(*row)
        self.console.print(shown)

    def measure(self, **data: Any) -> None:
        """Keeps raw numbers."""
        self.measurements.append(data)

    def figure(self, key: str, value: float | Ratio, note: str = "") -> None:
        """Keeps a claim of `REACH`."""
        spread = value if isinstance(value, Ratio) else None
        number = float(value.value if isinstance(value, Ratio) else value)
        holds = met(key, number)
        self.figures.append(
            {
                "name": key,
                "reach": REACH[key].reach,
                "ours": number,
                "quartiles": None if spread is None else [spread.low, spread.high],
                "holds": holds,
                "note": note,
            }
        )
        shown = f"{REACH[key].label}: {number:.3g} {REACH[key].unit} ({REACH[key].reach} asked for)"
        self.console.print(("yes  " if holds else "no   ") + shown, style=None if holds else "bold", markup=False)

    def write(self) -> Path:
        """Writes the result file, whole or not at all: beside the benchmark, or in a scratch folder if quick."""
        path = self.config.out or (SCRATCH if self.config.quick else FOLDER) / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "benchmark": self.name,
            "config": {key: value for key, value in asdict(self.config).items() if key != "out"},
            **environment(),
            "machine": machine_data(),
            "peers": self.peers,
            "load": [round(self.load, 2), round(os.getloadavg()[0], 2)],
            "wall_time_s": round(time.perf_counter() - self.started, 1),
            "figures": self.figures,
            "notes": self.notes,
            "tables": self.tables,
            "measurements": self.measurements,
        }
        write_json(path, content)
        self.console.print(f"Written: {path}", soft_wrap=True, markup=False)
        return path


def machine_data() -> dict[str, Any]:
    """The machine: processor, cores this process may use, devices."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = named[0] if named else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    device = jax.devices()[0]
    return {
        "processor": model,
        "cores": cores,
        "device": f"{device.platform}: {device.device_kind}",
        "devices": len(jax.devices()),
        "system": platform.platform(terse=True),
    }


def shown_time(seconds: float) -> str:
    """A time with three digits and a unit that suits it."""
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"
