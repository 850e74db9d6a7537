"""2,048 levels: on one cell, on whole arrays, without denoising, against traps, and under noisy reads."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments._progress import Lines
from experiments._record import mean_and_spread, write_result
from experiments.levels_2048._cell import every_level
from experiments.levels_2048._serial import under_half_selects
from experiments.levels_2048._verify import WAYS, variances, written
from experiments.levels_2048.pictures import draw
from qsynapse_jax.programming import Denoise
from qsynapse_jax.studies import ProgramConfig, ProgramResult, Record, TextTable, claim, run_program

# Of the errors of an array, in distances of levels, and of the fluctuation of cells [S].
ERRORS = np.linspace(-2.5, 2.5, 202)
SIGMAS = np.geomspace(1e-9, 3e-5, 91)
_LISTED = 15
_TOLD = {"one_hot": "one cell at a time", "hadamard": "Hadamard", "comparisons": "comparisons, 40 rounds"}


@dataclass(frozen=True)
class LevelsConfig:
    """Levels, arrays, traps and columns.

    Attributes:
        levels: of a cell.
        array: lines of the array.
        seeds: of cells, targets and noise.
        cell_levels: that one cell is written to.
        cell_reads: that are looked at of one cell at each level.
        cell_separation, cell_measured: standard deviations in a band, and reads that measure them, for one cell, which
            has time.
        amplitudes: of traps [S], and
        densities: of them, in the arrays of
        trap_array: lines.
        columns: and
        column_cells: in each, for noisy reads.
    """

    levels: int = 2048
    array: int = 256
    seeds: tuple[int, ...] = (0, 1, 2)
    cell_levels: int = 2048
    cell_reads: int = 64
    cell_separation: float = 10.0
    cell_measured: int = 128
    amplitudes: tuple[float, ...] = (0.2e-6, 0.4e-6, 0.8e-6, 1.6e-6, 3.2e-6, 6.4e-6, 12.8e-6, 25.6e-6)
    densities: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    trap_array: int = 64
    columns: int = 256
    column_cells: int = 64


FULL = LevelsConfig()
QUICK = LevelsConfig(
    array=16, cell_levels=16, cell_reads=4, amplitudes=(0.8e-6, 3.2e-6), densities=(0.75,), trap_array=16, columns=16
)


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, not what it claims."""
    config, started, progress = QUICK if quick else FULL, time.perf_counter(), Lines()
    levels = 50e-6 + np.arange(config.levels) * (4144e-6 - 50e-6) / (config.levels - 1)
    step = float(levels[1] - levels[0])
    scheme = Denoise(separation=config.cell_separation, reads=config.cell_measured)
    device = ProgramConfig().device()
    visited = levels[:: config.levels // config.cell_levels]
    cell = every_level(device, scheme, visited, config.seeds, step=step, reads=config.cell_reads)
    off = (cell.astype(float) - visited[:, None, None]) / step
    arrays = [_array(config, config.array, progress, seed=seed) for seed in config.seeds]
    traps = {
        (amplitude, density): [
            _array(config, config.trap_array, progress, seed=seed, amplitude=amplitude, density=density)
            for seed in config.seeds
        ]
        for amplitude in config.amplitudes
        for density in config.densities
    }
    codes = [
        np.random.default_rng(seed).integers(0, config.levels, (config.column_cells, config.columns))
        for seed in config.seeds
    ]
    noises = [variances(levels[code], step, seed) for code, seed in zip(codes, config.seeds, strict=True)]
    columns = [written(levels[code], step, step, seed) for code, seed in zip(codes, config.seeds, strict=True)]
    serial = [under_half_selects(one.config, reads=16) for one in arrays]
    tables = {
        "array": _array_table(arrays),
        "missed": _missed(arrays),
        "traps": _trap_table(config, traps),
        "columns": _column_table(columns),
    }
    record = Record(
        "levels_2048",
        config,
        config.seeds,
        time.perf_counter() - started,
        _claims(config, off, arrays, noises, columns) + _serial_claims(serial),
        tables=tables,
        data=_data(config, off, arrays, traps, columns),
        notes=[
            "Traps, thresholds, steps and protocol are chosen; the table of traps shows what the levels owe to them."
        ],
    )
    draw(record, folder)
    return write_result(folder, record)


def _array(config: LevelsConfig, lines: int, progress: Lines, *, seed: int, **traps: float) -> ProgramResult:
    given: dict[str, Any] = {f"trap_{name}": value for name, value in traps.items()}
    return run_program(ProgramConfig(levels=config.levels, array=(lines, lines), seed=seed, **given), progress)


def _factor(array: ProgramResult) -> np.ndarray:
    """Fluctuation before over after denoising, cell by cell."""
    before, after = (array.stages[name].sigma.astype(float) for name in ("coarse", "denoised"))
    return before / np.maximum(after, 1e-12)


def _claims(
    config: LevelsConfig,
    off: np.ndarray,
    arrays: Sequence[ProgramResult],
    noises: Sequence[dict[str, float]],
    columns: Sequence[dict[str, dict[str, Any]]],
) -> list[Any]:
    kept = np.sum(np.all(np.abs(off) <= 0.5, axis=1), axis=0)
    n = config.column_cells
    rms = {way: [_rms(one[way]["error"]) for one in columns] for way in WAYS}
    return [
        claim(
            "levels_of_one_cell",
            "",
            [float(count) for count in kept],
            label=f"levels of one cell, each with all of {config.cell_reads} reads within +-1 uS",
            reach=">= 2048",
            paper=2048.0,
        ),
        claim(
            "reads_of_an_array_within_1_uS",
            "%",
            [100 * float(np.mean(one.within)) for one in arrays],
            label="share of 65,536 cells within +-1 uS in a raw read",
            reach=">= 99.9",
        ),
        claim(
            "cells_by_the_mask",
            "%",
            [100 * float(np.mean(one.last.success)) for one in arrays],
            label="share of the cells that are a success by the mask",
        ),
        claim(
            "cells_with_all_reads_within_1_uS",
            "%",
            [100 * float(np.mean(one.within == 1)) for one in arrays],
            label="share of the cells with all of 32 raw reads within +-1 uS",
        ),
        *(
            claim(
                f"levels_{name}",
                "",
                [float(one.stages[name].levels) for one in arrays],
                label=f"levels that 99 of 100 cells keep apart by 6 sigma, {words}",
            )
            for name, words in ProgramResult.ROWS.items()
        ),
        claim(
            "fluctuation_before_over_after",
            "",
            [float(np.median(_factor(one))) for one in arrays],
            label="fluctuation before over after denoising, median cell",
        ),
        claim(
            "time_to_simulate",
            "s",
            [one.seconds for one in arrays],
            label="time to simulate the write of an array",
            reach="<= 120",
            note="compiled for the first seed",
        ),
        claim(
            "hadamard_variance_from_1_over_64",
            "%",
            [100 * abs(one["hadamard"] / one["one-hot"] * n - 1) for one in noises],
            label=f"Hadamard reads of {n} cells: variance from 1/{n} of that of one cell at a time",
            reach="<= 10",
        ),
        *(
            claim(f"programming_error_{name}", "levels", rms[way], label=f"programming error under noisy reads, {way}")
            for name, way in _TOLD.items()
        ),
    ]


def _serial_claims(serial: Sequence[dict[str, Any]]) -> list[Any]:
    words = "cells one after another under V/2"
    return [
        *(
            claim(
                f"reads_within_1_uS_under_half_selects_{name}_write",
                "%",
                [100 * one["within"][number] for one in serial],
                label=f"share of raw reads within +-1 uS, {words}, {name} write",
            )
            for number, name in enumerate(("first", "second"))
        ),
        claim(
            "pulses_of_the_second_write_under_half_selects",
            "pulses",
            [one["pulses"][1] for one in serial],
            label="pulses per cell of the second write under V/2",
        ),
        claim(
            "fluctuation_under_half_selects",
            "nS",
            [1e9 * one["noise"] for one in serial],
            label="fluctuation of the median cell after both writes under V/2",
        ),
    ]


def _rms(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def _array_table(arrays: Sequence[ProgramResult]) -> TextTable:
    names = ["cells within +-1 uS by the mask [%]", "6 sigma above 2 uS [% of the cells]"]
    names += [f"fluctuation of {share:g} % of the cells is below [uS]" for share in (50, 90, 99, 99.9)]
    names += ["levels that 99 of 100 cells keep apart", "pulses per cell", "reads per cell"]
    columns = []
    for stage in ProgramResult.ROWS:
        by_seed = []
        for one in arrays:
            found, config = one.stages[stage], one.config
            numbers = [100 * found.success.mean(), 100 * found.noisy(config)]
            numbers += [1e6 * np.quantile(found.sigma, share / 100) for share in (50, 90, 99, 99.9)]
            by_seed.append([*numbers, found.levels, *(np.mean(x) for x in (found.trace.pulses, found.trace.reads))])
        columns.append([mean_and_spread(values, ".4g", ".1g") for values in np.transpose(by_seed)])
    rows = [list(row) for row in zip(names, *columns, strict=True)]
    return TextTable("Arrays of 65,536 cells", ["", *ProgramResult.ROWS.values()], rows)


def _missed(arrays: Sequence[ProgramResult]) -> TextTable:
    """Cells that are out in most of their reads, or gave up: those that a user has to do without."""
    rows, number = [], 0
    for seed, one in enumerate(arrays):
        bad = np.argwhere(~one.last.success | (one.within < 0.5))
        number += len(bad)
        for i, j in bad:
            mean, target = 1e6 * np.mean(one.read[:, i, j], dtype=float), 1e6 * one.target[i, j]
            numbers = [f"{target:.0f}", f"{mean:.2f}", f"{1e6 * one.last.sigma[i, j]:.2f}", f"{one.pulses[i, j]}"]
            rows.append([f"{seed}: {i}, {j}", *numbers, "yes" if one.last.success[i, j] else "no"])
    columns = ["seed: cell", "target [uS]", "mean read [uS]", "deviation [uS]", "pulses", "success"]
    return TextTable(f"{number} cells of all arrays gave up or are out in most reads", columns, rows[:_LISTED])


def _trap_table(config: LevelsConfig, traps: dict[tuple[float, float], list[ProgramResult]]) -> TextTable:
    rows = []
    for amplitude in config.amplitudes:
        row = [f"{1e6 * amplitude:g}"]
        for density in config.densities:
            arrays = traps[amplitude, density]
            before, after = (np.mean([one.stages[name].levels for one in arrays]) for name in ProgramResult.ROWS)
            done = 100 * np.mean([one.last.success.mean() for one in arrays])
            pulses = np.mean([one.pulses.mean() for one in arrays])
            row.append(f"{before:.0f}, {after:,.0f}; {done:.4g} %, {pulses:.1f}")
        rows.append(row)
    columns = ["amplitude [uS]", *(f"density {density:g}" for density in config.densities)]
    title = "Levels that 99 of 100 cells keep apart before, after denoising; successes, pulses per cell"
    return TextTable(title, columns, rows)


def _column_table(columns: Sequence[dict[str, dict[str, Any]]]) -> TextTable:
    rows = []
    for way in WAYS:
        found = [one[way] for one in columns]
        errors = [_rms(one["error"]) for one in found]
        within = [100 * float(np.mean(np.abs(one["error"]) <= 0.5)) for one in found]
        means = {name: np.mean([one[name] for one in found]) for name in ("reads", "pulses", "time", "energy", "small")}
        row = [
            way,
            mean_and_spread(errors, ".3g", ".1g"),
            f"{np.mean(within):.4g}",
            f"{means['reads']:,.0f}",
            f"{means['pulses']:.1f}",
        ]
        rows.append([*row, f"{1e3 * means['time']:.3g}", f"{1e6 * means['energy']:.3g}", f"{1e9 * means['small']:.3g}"])
    names = ["verification", "programming error [levels]", "within half a level [%]", "reads per column"]
    names += ["pulses per cell", "time [ms]", "energy per column [uJ]", "with conversions, 10 kohm, 10 ns [nJ]"]
    return TextTable("Columns of 64 cells, read noise of one level", names, rows)


def _data(
    config: LevelsConfig,
    off: np.ndarray,
    arrays: Sequence[ProgramResult],
    traps: dict[tuple[float, float], list[ProgramResult]],
    columns: Sequence[dict[str, dict[str, Any]]],
) -> dict[str, np.ndarray]:
    first, shape = arrays[0], (len(config.amplitudes), len(config.densities), len(config.seeds))
    data: dict[str, Any] = {"cell/least": off.min(1), "cell/most": off.max(1)}
    data = {name: value.astype(np.float32) for name, value in data.items()}
    for name, stage in first.stages.items():
        data[f"array/{name}/errors"] = np.histogram(np.clip(first.errors(stage), -2.5, 2.5), ERRORS)[0]
        data[f"array/{name}/sigma"] = np.histogram(np.clip(stage.sigma, SIGMAS[0], SIGMAS[-1]), SIGMAS)[0]
        data[f"array/{name}/traces"] = stage.traces.astype(np.float32)
        found = [one.stages[name] for several in traps.values() for one in several]
        data[f"traps/{name}"] = np.reshape([one.levels for one in found], shape)
        data[f"traps/{name}/success"] = np.reshape([one.success.mean() for one in found], shape)
        data[f"traps/{name}/pulses"] = np.reshape([np.mean(np.asarray(one.trace.pulses)) for one in found], shape)
    data["array/factor"] = np.quantile(_factor(first), np.linspace(0, 1, 101)).astype(np.float32)
    for seed, one in enumerate(arrays):
        # Every cell with a read beyond +-1 uS: place, and share of the reads within.
        places = np.argwhere(~one.last.success | (one.within < 1))
        data[f"missed/{seed}"] = places.astype(np.int16)
        data[f"missed/{seed}/within"] = one.within[tuple(places.T)].astype(np.float32)
    for way in WAYS:
        errors = np.concatenate([one[way]["error"].ravel() for one in columns])
        data[f"columns/{way}"] = np.histogram(np.clip(errors, -2.5, 2.5), ERRORS)[0]
    return data
