"""A sweep over random arrays against a loop over badcrossbar on the same points.

Four axes at random: wires, on/off ratio, levels, seed. `sweep.run` is timed as a whole, from the plan to the store on
disk, compilation included; after every chunk its clock stops while badcrossbar solves one of the points, so that both
meet the same machine. The loop is extrapolated from those.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from experiments.bench import _peers
from experiments.bench._problems import Problem, worst
from experiments.bench._report import Report, shown_time
from experiments.bench._timing import Ratio
from qsynapse_jax import sweep
from qsynapse_jax.studies import RANDOM_ARRAY, RandomArray


@dataclass(frozen=True)
class Config:
    """How much is measured."""

    quick: bool = False
    """A few small arrays: proves that it runs, not what it claims."""
    out: Path | None = None
    """Result file; beside this script where not given (if quick, in runs/quick/bench)."""
    lines: int = 64
    """Word lines, and as many bit lines."""
    points: int = 10_000
    """Of the sweep of one input vector per array."""
    inputs: int = 8
    """Vectors of the second sweep."""
    points_many: int = 2_000
    """Of the second sweep."""


def main(config: Config) -> Path:
    """Runs the benchmark and writes its result."""
    if config.quick:
        config = Config(True, config.out, lines=6, points=300, inputs=2, points_many=20)
    report = Report("sweep", config)
    found, missing = _peers.find(("badcrossbar",))
    for line in missing:
        report.note(line)
    report.peers = _peers.versions(found)
    title = (
        f"A sweep of random arrays, {config.lines} x {config.lines}, 0.35-10 ohm, cells of 10 kohm and above, float32"
    )
    rows = []
    for points, inputs in ((config.points, 1), (config.points_many, config.inputs)):
        report.progress(f"{points:,} points of {inputs} inputs")
        one = measured(report, found.get("badcrossbar"), points, inputs)
        rows += one.rows
        if inputs == 1 and one.ratio is not None:
            note = f"{one.samples} of the points solved by badcrossbar; {one.later:.3g} x without compilation"
            report.figure("sweep_badcrossbar", one.ratio, note)
    report.table(
        title,
        ["", "first chunk", "a point later", "in all", "badcrossbar, a point", "in all", "times", "processor time"],
        rows,
    )
    return report.write()


@dataclass
class _Measured:
    """One sweep beside the loop."""

    rows: list[list[str]]
    ratio: Ratio | None
    later: float
    samples: int


def measured(report: Report, module: Any, points: int, inputs: int) -> _Measured:
    """Times one sweep and, in its pauses, the loop."""
    lines, span = report.config.lines, sweep.Span
    plan = sweep.random(
        RANDOM_ARRAY,
        points,
        fixed={"lines": lines, "inputs": inputs},
        r_wire=span("0.35 ohm", "10 ohm", log=True),
        on_off=span(10, 1000, log=True),
        levels=span(2, 64),
        seed=span(0, 2**31 - 1),
    )
    rng, paused, loop, ends, solved = np.random.default_rng(0), np.zeros(2), [], [], {}

    def pause(progress: sweep.Progress) -> None:
        nonlocal paused
        begun = clocks()
        if progress.computed:
            ends.append((progress.computed, (begun - started - paused)[0]))
            if module is not None:
                where = int(rng.integers(points))
                problem = problem_of(plan, where)
                contender = _peers.badcrossbar(module, [problem])
                clock = clocks()
                solved[where] = contender.call(0), problem
                loop.append(clocks() - clock)
        paused = paused + clocks() - begun

    with tempfile.TemporaryDirectory() as folder:
        started = clocks()
        ds = sweep.run(plan, Path(folder) / "sweep", on_progress=pause)
        total, busy = clocks() - started - paused
    if ds.attrs["failed"]:
        report.note(f"{ds.attrs['failed']} points failed: {ds.error.values[ds.status.values == 2][0]}")
    (first, until), (last, end) = ends[0], ends[-1]
    later = (end - until) / max(1, last - first)
    name = f"{points:,} points, {inputs} {'inputs' if inputs > 1 else 'input'} each"
    row = [name, shown_time(until), shown_time(later), shown_time(total)]
    times = {"total_s": total, "busy_s": busy, "first_s": until, "later_s": later, "badcrossbar_s": np.asarray(loop)}
    report.measure(points=points, inputs=inputs, **times)
    if not loop:
        return _Measured([[*row, "", "", "", ""]], None, 0.0, 0)
    errors = [abs(float(ds.i_mean[k]) / float(np.mean(out)) - 1) for k, (out, _) in solved.items()]
    true = [worst(out, problem.reference()) for out, problem in list(solved.values())[:3]]
    report.note(
        f"{name}: mean currents agree with badcrossbar to {max(errors):.1e}, it with the LU to {max(true):.1e}."
    )
    # The median: a call that something else on the machine held up must not count for a hundred others.
    (low, each, high), theirs = np.quantile(np.asarray(loop)[:, 0], [0.25, 0.5, 0.75]).tolist(), np.asarray(loop)[:, 1]
    ratio = Ratio(each * points / total, low * points / total, high * points / total)
    row += [shown_time(each), shown_time(each * points), str(ratio), f"{np.median(theirs) * points / busy:.3g}"]
    return _Measured([row], ratio, each / later if later else 0.0, len(loop))


def clocks() -> np.ndarray:
    """Wall time and processor time [s]."""
    return np.asarray([time.perf_counter(), time.process_time()])


def problem_of(plan: sweep.Plan, where: int) -> Problem:
    """The circuit of one point, as badcrossbar takes it."""
    values = {name: column[where].item() for name, column in plan.columns.items()}
    point = RandomArray(**values, **plan.fixed)
    return Problem(np.asarray(point.conductances()[1], float), np.asarray(point.voltages(), float), float(point.r_wire))


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m experiments.bench.sweep", description=__doc__))
