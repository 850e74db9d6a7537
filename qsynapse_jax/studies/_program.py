"""An array that is written to precise levels: first as its cells fluctuate, then denoised; and raw reads of it."""

import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import jax
import numpy as np

from qsynapse_jax._fields import described, quantity
from qsynapse_jax.devices import TelegraphFilament, Trace
from qsynapse_jax.programming import array_time, distinguishable_levels, program
from qsynapse_jax.studies._program_config import ProgramConfig
from qsynapse_jax.studies._record import Record, TextTable, claim
from qsynapse_jax.studies._store import RunFolder
from qsynapse_jax.studies._train import Progress

# Of so many cells in 100 the levels are told that they keep apart: the few that gave up do not speak for the others.
_SHARE = 0.99
# Cells whose conductance is followed over time, by rank of their fluctuation before denoising; and so many averages.
_FOLLOWED, _SAMPLES = (0.5, 0.8, 0.95, 0.99), 1000
_LISTED = 15


@dataclass
class Stage:
    """What one of the two writes left.

    Attributes:
        success: which cells are within tolerance by the scheme.
        sigma: standard deviation of reads, cell by cell [S].
        levels: that 99 of 100 cells keep apart.
        read: raw reads [S], shape (reads, wl, bl).
        traces: conductance of a few cells over time [S], shape (samples, cells).
        trace: pulses, reads, time and energy of this write.
        seconds: that it took to simulate, compilation included [s].
    """

    success: np.ndarray
    sigma: np.ndarray
    levels: int
    read: np.ndarray
    traces: np.ndarray
    trace: Trace
    seconds: float

    __repr__ = described

    def noisy(self, config: ProgramConfig) -> float:
        """Share of the cells whose fluctuation does not fit into their bands."""
        return float(np.mean(config.separation * self.sigma > 2 * config.tolerance * config.step))


@dataclass
class ProgramResult:
    """What the study found.

    Attributes:
        ROWS: the stages in words, by name.
        config: what was asked.
        target: of every cell [S], shape (wl, bl).
        stages: by name; `denoised` goes on from `coarse`, and is missing where no denoising was asked for.
        followed: places of the cells of `Stage.traces`, shape (cells, 2).
    """

    ROWS: ClassVar[dict[str, str]] = {"coarse": "not denoised", "denoised": "denoised"}
    config: ProgramConfig
    target: np.ndarray
    stages: dict[str, Stage] = field(default_factory=dict)
    followed: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), int))

    __repr__ = described

    @property
    def last(self) -> Stage:
        """The state that was read in the end."""
        return list(self.stages.values())[-1]

    @property
    def read(self) -> np.ndarray:
        """Raw reads in the end [S], shape (reads, wl, bl)."""
        return self.last.read

    def errors(self, stage: Stage) -> np.ndarray:
        """Raw reads less targets, in distances of levels."""
        return (stage.read.astype(float) - self.target.astype(float)) / self.config.step

    @property
    def within(self) -> np.ndarray:
        """Share of the reads of every cell that lie within tolerance, in the end."""
        return np.mean(np.abs(self.errors(self.last)) <= self.config.tolerance, axis=0)

    @property
    def pulses(self) -> np.ndarray:
        """Of every cell, in both stages."""
        return np.sum([np.asarray(stage.trace.pulses) for stage in self.stages.values()], axis=0)

    @property
    def seconds(self) -> float:
        """To simulate the write [s]."""
        return sum(stage.seconds for stage in self.stages.values())

    def verdict(self) -> list[str]:
        """What became of the array, and what helps where the noise does not support the levels."""
        config, last = self.config, self.last
        done, cells = int(last.success.sum()), self.target.size
        said = [
            f"{done:,} of {cells:,} cells are within {quantity(config.tolerance * config.step, 'S')} of their targets; "
            f"of raw reads afterwards {100 * self.within.mean():.4g} % are."
        ]
        if last.levels < config.levels and done < cells:
            more = "allow denoising, " if not config.denoising else ""
            said.append(
                f"The noise that is left supports {last.levels:,} levels in 99 of 100 cells, {config.levels:,} were "
                f"asked for: {more}read longer, or take fewer levels. `success` in data.npz says which cells are good."
            )
        elif done < cells:
            said.append(
                f"The noise of 99 in 100 cells supports {last.levels:,} levels; cells that missed need more pulses "
                "than `max_pulses` and `denoising` allow. `success` in data.npz says which cells are good."
            )
        return said

    def record(self, wall_time_s: float) -> Record:
        """The record of this run."""
        last, trace = self.last, _total(self.stages)
        figures = [
            claim("cells_within_tolerance", "%", [_percent(last.success)], note="by the scheme's own measurement"),
            claim("reads_within_tolerance", "%", [_percent(self.within)], note="raw reads afterwards"),
            claim("cells_with_all_reads_within_tolerance", "%", [_percent(self.within == 1)]),
        ]
        for name, stage in self.stages.items():
            label = f"levels that 99 of 100 cells keep apart, {self.ROWS[name]}"
            figures.append(claim(f"levels_{name}", "", [float(stage.levels)], label=label))
        if "denoised" in self.stages:
            ratio = self.stages["coarse"].sigma / np.maximum(last.sigma, np.finfo(np.float32).tiny)
            label = "fluctuation before over after denoising, median cell"
            figures.append(claim("denoising_factor", "", [float(np.median(ratio))], label=label))
        figures += [
            claim("pulses_per_cell", "pulses", [float(np.mean(self.pulses))]),
            claim("reads_per_cell", "reads", [float(np.mean(np.asarray(trace.reads)))]),
            claim("time_cell_by_cell", "s", [float(array_time(trace))]),
            claim("time_row_by_row", "s", [float(array_time(trace, "row"))]),
            claim("energy", "J", [float(np.sum(np.asarray(trace.energy, float)))]),
            claim("time_to_simulate", "s", [self.seconds]),
        ]
        data: dict[str, Any] = {
            "target": self.target,
            "success": last.success,
            "read_mean": np.mean(self.read, axis=0, dtype=float).astype(np.float32),
            "reads_within": self.within.astype(np.float32),
            "pulses": self.pulses,
            "followed": self.followed,
        }
        for name, stage in self.stages.items():
            data |= {f"sigma/{name}": stage.sigma, f"traces/{name}": stage.traces}
        tables = {"stages": self._stages()}
        if (last.success < 1).any() or (self.within < 1).any():
            tables["missed"] = self._missed()
        notes = (*self.config.hardware(), *self.verdict())
        config = self.config
        return Record("program", config, (config.seed,), wall_time_s, figures, tables=tables, data=data, notes=notes)

    def _stages(self) -> TextTable:
        band = f"1/{self.config.separation:g} of the band"
        columns = [self._column(stage) for stage in self.stages.values()]
        names = ["cells within tolerance", f"cells of noise above {band}", "levels that 99 of 100 cells keep apart"]
        names += ["pulses per cell", "reads per cell", "time cell by cell", "time row by row", "simulated in"]
        rows = [list(row) for row in zip(names, *columns, strict=True)]
        title = f"{self.target.size:,} cells, seed {self.config.seed}"
        return TextTable(title, ["", *(self.ROWS[name] for name in self.stages)], rows)

    def _column(self, stage: Stage) -> list[str]:
        trace = stage.trace
        shares = (f"{share:.4g} %" for share in (_percent(stage.success), 100 * stage.noisy(self.config)))
        counts = (f"{np.mean(np.asarray(count)):.1f}" for count in (trace.pulses, trace.reads))
        times = (quantity(float(array_time(trace, way)), "s", 3) for way in ("cell", "row"))
        return [*shares, f"{stage.levels:,}", *counts, *times, f"{stage.seconds:.1f} s"]

    def _missed(self) -> TextTable:
        """The worst cells: those that gave up, then those with reads beyond the tolerance."""
        success, within, sigma = self.last.success, self.within, self.last.sigma
        missed = np.argwhere(~success | (within < 1))
        order = np.lexsort((within[tuple(missed.T)], success[tuple(missed.T)]))
        rows = []
        for i, j in missed[order[:_LISTED]]:
            mean, target = 1e6 * np.mean(self.read[:, i, j], dtype=float), 1e6 * self.target[i, j]
            beyond, told = round(float(1 - within[i, j]) * len(self.read)), "yes" if success[i, j] else "no"
            numbers = [f"{target:.2f}", f"{mean:.2f}", f"{1e6 * sigma[i, j]:.2f}", f"{self.pulses[i, j]}"]
            rows.append([f"{i}, {j}", *numbers, told, f"{beyond} of {len(self.read)}"])
        shown = f"the worst {len(rows)} of {len(missed):,}" if len(missed) > len(rows) else f"{len(missed)}"
        columns = ["cell", "target [uS]", "mean read", "deviation", "pulses", "success", "reads beyond"]
        return TextTable(f"Cells that gave up or had a read beyond the tolerance: {shown}", columns, rows)


def _percent(shares: np.ndarray) -> float:
    return 100 * float(np.mean(shares))


def _total(stages: dict[str, Stage]) -> Trace:
    first, *others = (stage.trace for stage in stages.values())
    for other in others:
        first += other
    return first


@dataclass(frozen=True)
class _Tell:
    """Moves a bar. Equal ones are equal: a listener is part of the program, and another one would be compiled anew."""

    progress: Progress
    cells: int

    def __call__(self, rounds: int, left: int) -> None:
        self.progress.step(self.cells - left)


def run_program(
    config: ProgramConfig, progress: Progress = Progress(), *, run: RunFolder | None = None
) -> ProgramResult:
    """Writes an array twice: without denoising, then from there with it; and reads it.

    Both stages are one compiled program. An interrupted run is short and begins anew.

    Args:
        config: what is asked.
        progress: who listens.
        run: the folder of the run, where nothing is kept in between.
    """
    device, target = config.device(), config.targets()
    making, *writing = jax.random.split(jax.random.key(config.seed), 3)
    state = device.init(target.shape, key=making)
    result = ProgramResult(config, np.asarray(target))
    tell = _Tell(progress, target.size)
    for name, key in zip(result.ROWS, writing, strict=True):
        if name == "denoised" and not config.denoising:
            break
        progress.stage(f"in tolerance, {result.ROWS[name]}", target.size)
        state = _stage(name, state, target, device, result, tell, key)
        stage = result.stages[name]
        done = int(stage.success.sum())
        progress.step(done)
        told = f"{stage.levels:,} levels"
        progress.measured(f"{done:,} of {target.size:,} cells", None, told)
    return result


def _stage(
    name: str,
    state: Any,
    target: jax.Array,
    device: TelegraphFilament,
    result: ProgramResult,
    tell: _Tell,
    key: jax.Array,
) -> Any:
    config, started = result.config, time.perf_counter()
    scheme = config.scheme(denoising=None if name == "denoised" else 0)
    writing, reading, following = jax.random.split(key, 3)
    state, trace = jax.block_until_ready(
        program(device, state, target, scheme, step=config.step, least=0.0, key=writing, progress=tell)
    )
    jax.effects_barrier()
    seconds = time.perf_counter() - started
    read = _reads(device, state, reading, count=config.reads)
    levels, sigma = distinguishable_levels(device, separation=config.separation, share=_SHARE, reads=read)
    success, sigma = np.asarray(trace.success), np.asarray(sigma)
    if not result.stages:
        ranks = np.argsort(sigma, axis=None)[[int(part * (sigma.size - 1)) for part in _FOLLOWED]]
        result.followed = np.stack(np.unravel_index(ranks, sigma.shape), axis=1)
    few = jax.tree.map(lambda leaf: leaf[tuple(result.followed.T)], state)
    traces = device.record(few, _SAMPLES, config.interval, config.t_read, key=following)
    result.stages[name] = Stage(success, sigma, levels, np.asarray(read), np.asarray(traces), trace, seconds)
    return state


@partial(jax.jit, static_argnames="count")
def _reads(device: TelegraphFilament, state: Any, key: jax.Array, *, count: int) -> jax.Array:
    return jax.lax.map(lambda key: device.read(state, key=key), jax.random.split(key, count))
