"""`qsynapse sweep`: a plan of points, computed into a store that can be continued."""

import sys
import time
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichProgress

from qsynapse_jax import sweep
from qsynapse_jax.cli._cache import Cache
from qsynapse_jax.cli._output import print_line
from qsynapse_jax.studies import PLANS, SWEPT

# Where nobody sees bars, a line for a log at most this often [s].
_A_LINE_EVERY = 10.0
_SHOWN_ERRORS = 3


@dataclass(frozen=True)
class Sweep:
    """Compute a study at many points (array size, wires, cells, seeds); what is interrupted goes on with --resume."""

    plan: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PLAN")]
    """A plan in a file, PLAN.toml, or one that is ready:
    wires: array size x wires x on/off ratio
    levels: levels x on/off ratio x spread of cells
    cells: 1,000 random cells and wires
    A file says e.g.
    study = "random_array"
    [axes]
    lines = [32, 64]
    r_wire = { from = "0.35 ohm", to = "10 ohm", count = 8 }
    seed = [0, 1, 2]"""
    out: Path | None = None
    """Folder of the store; runs/sweep-PLAN where not given. Read it by qsynapse_jax.sweep.open(DIR), an
    xarray.Dataset."""
    resume: bool = False
    """Continue a sweep that was interrupted; begin where there is none."""
    retry: bool = False
    """With --resume: compute points again that failed."""
    scheduler: str | None = None
    """Address of a Dask scheduler, e.g. tcp://host:8786, whose workers compute (pip install 'qsynapse_jax[cluster]');
    without it this machine does."""
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        plan = self._read()
        out = Path("runs") / f"sweep-{Path(self.plan).stem}" if self.out is None else self.out
        axes = " x ".join(f"{name} ({len(set(v.tolist()))})" for name, v in plan.columns.items())
        print_line(console, f"{plan.study.name}: {plan.size:,} points, {axes}")
        started = time.perf_counter()
        columns = TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn()
        with RichProgress(*columns, TextColumn("{task.fields[told]}"), console=console) as bars:
            told = _Bar(bars, plan.size)
            found = sweep.run(
                plan, out, resume=self.resume, retry=self.retry, scheduler=self.scheduler, on_progress=told
            )
        seconds, failed = time.perf_counter() - started, found.attrs["failed"]
        print_line(
            console, f"{told.computed:,} points computed in {seconds:.0f} s; {found.attrs['points']:,} are in {out}."
        )
        print_line(console, f'Read them: qsynapse_jax.sweep.open("{out}")')
        if failed:
            messages = [message for message in found.error.values.ravel() if message]
            for message in list(dict.fromkeys(messages))[:_SHOWN_ERRORS]:
                print_line(console, f"failed at {messages.count(message):,} points: {message}")
            sys.exit(1)

    def _read(self) -> sweep.Plan:
        if self.plan in PLANS:
            return PLANS[self.plan]()
        if not self.plan.endswith(".toml"):
            near = get_close_matches(self.plan, PLANS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"Argument `PLAN` must be a file that ends in .toml, or one of {', '.join(PLANS)}, but is "
                f"{self.plan!r}.{hint}"
            )
        return sweep.read_plan(self.plan, SWEPT)


class _Bar:
    """Points, rate, time left and failures: in a bar, or in lines where nobody sees one."""

    def __init__(self, bars: RichProgress, total: int):
        self._bars, self._task = bars, bars.add_task("sweep", total=total, told="")
        self._last = self._said = time.perf_counter()
        self.computed = 0
        # Points and seconds of chunks for which nothing was compiled, and of the others.
        self._counted, self._compiling = {False: [0, 0.0], True: [0, 0.0]}, False

    def __call__(self, progress: sweep.Progress) -> None:
        now = time.perf_counter()
        if new := progress.computed - self.computed:
            counted = self._counted[self._compiling]
            counted[0], counted[1] = counted[0] + new, counted[1] + now - self._last
        self._compiling, self._last, self.computed = not new, now, progress.computed
        parts = [progress.doing]
        points, seconds = self._counted[False] if self._counted[False][0] else self._counted[True]
        if points:
            rate = points / seconds
            left = (progress.points - progress.finished) / rate
            parts = [f"{rate:.3g} points/s", f"{_words(left)} left", progress.doing]
        told = ", ".join([*parts, f"{progress.failed:,} failed" if progress.failed else "none failed"])
        self._bars.update(self._task, completed=progress.finished, told=told)
        over = progress.finished == progress.points
        if not self._bars.console.is_terminal and (over or now - self._said > _A_LINE_EVERY):
            self._said = now
            print_line(self._bars.console, f"{progress.finished:,} of {progress.points:,} points, {told}")


def _words(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
