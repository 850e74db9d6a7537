"""Time and peak memory against cells, a process for every size, and the exponents that fit them.

`python -m experiments.bench.scale [--quick] [--sizes 64 128 256 512 1024 2048]`.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.bench._problems import MILD
from experiments.bench._report import Report, shown_time
from experiments.bench._timing import Contender, race
from qsynapse_jax.crossbar import Wires, effective_conductance, solve

SOLVE, UNEQUAL, EFFECTIVE = "`solve`", "`solve`, every segment of its own", "`effective_conductance`"


@dataclass(frozen=True)
class Config:
    """How much is measured."""

    quick: bool = False
    """Two small arrays: proves that it runs, not what it claims."""
    out: Path | None = None
    """Result file; beside this script where not given (if quick, in runs/quick/bench)."""
    sizes: tuple[int, ...] = (64, 128, 256, 512, 1024)
    """Lines of the square arrays for one `solve`; 2048 works too and takes a minute more."""
    effective_sizes: tuple[int, ...] = (32, 64, 128, 256)
    """Likewise for `effective_conductance`."""
    budget: float = 6.0
    """Time the calls at one size may take [s], about."""
    child: tuple[str, int] | None = None
    """Used by the script itself: one job at one size, its figures printed as JSON."""


def main(config: Config) -> Path | None:
    """Runs the benchmark and writes its result."""
    if config.child is not None:
        print(json.dumps(one_size(*config.child, budget_s=config.budget)))
        return None
    if config.quick:
        config = Config(True, config.out, sizes=(8, 16), effective_sizes=(8,), budget=0.1)
    report = Report("scale", config)
    for job, sizes in ((SOLVE, config.sizes), (UNEQUAL, config.sizes), (EFFECTIVE, config.effective_sizes)):
        results = []
        for n in sizes:
            report.progress(f"{job}, {n} x {n}")
            results.append(in_process(job, n, config.budget))
            report.measure(job=job, **results[-1])
        show(report, job, results)
    report.note(
        "Peak memory: resident memory of the process at its highest during the first call, less that before it (all is "
        "compiled then), plus the inputs; on an accelerator its own counter. XLA: inputs, outputs and buffers by the "
        "compiled program's own account. Both in arrays of the size of `g`. Cores: processor time over wall time."
    )
    return report.write()


def show(report: Report, job: str, results: list[dict[str, Any]]) -> None:
    """The table of a job and the exponents."""
    rows = []
    for one in results:
        peak = "not known" if one["peak_arrays"] is None else f"{one['peak_arrays']:.3g}"
        times = map(shown_time, (one["compile_s"], one["median_s"], one["min_s"]))
        steps = "" if one["iterations"] is None else str(one["iterations"])
        xla = f"{one['xla_arrays']:.3g}"
        rows.append([f"{one['lines']} x {one['lines']}", *times, f"{one['cores']:.2f}", steps, peak, xla])
        if job == SOLVE and one["lines"] == 1024:
            resident = one["peak_arrays"]
            report.figure("memory_1024", one["xla_arrays"] if resident is None else resident, f"XLA says {xla}")
    columns = ["", "compile", "median", "minimum", "cores", "iterations", "peak memory", "by XLA"]
    wires = "1 ohm" if job != UNEQUAL else "0.5 to 1.5 ohm"
    report.table(f"{job}, {wires}, cells {MILD.label} ohm, float32; memory in arrays", columns, rows)
    if len(results) > 1:
        cells = np.log([one["lines"] ** 2 for one in results])
        fits = {key: np.log([one[key] for one in results]) for key in ("median_s", "xla_b")}
        exponent = {key: np.polyfit(cells, logs, 1)[0] for key, logs in fits.items()}
        # Small arrays cost what a call costs, so the fit over all sizes flatters.
        last = np.diff(fits["median_s"][-2:])[0] / np.diff(cells[-2:])[0]
        text = f"time ~ cells^{exponent['median_s']:.2f} over all sizes, cells^{last:.2f} between the last two"
        report.note(f"{job}: {text}; memory by XLA ~ cells^{exponent['xla_b']:.2f}.")
        report.measure(job=job, exponent_time=exponent["median_s"], last=last, exponent_memory=exponent["xla_b"])


def in_process(job: str, n: int, budget: float) -> dict[str, Any]:
    """Measures one size in a process of its own."""
    command = [sys.executable, "-m", "experiments.bench.scale", "--child", job, str(n), "--budget", str(budget)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise SystemExit(f"{job} at {n} lines failed with status {run.returncode}:\n{run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def one_size(job: str, n: int, *, budget_s: float) -> dict[str, Any]:
    """Compile time, run time and memory of one job at one size."""
    rng = np.random.default_rng(n)
    wires, shape = Wires(1.0, 1.0), (n, n)
    g, v = jnp.asarray(MILD.draw(shape, rng), "float32"), jnp.asarray(rng.uniform(0, 1, n), "float32")
    if job == UNEQUAL:
        word, bit = jnp.asarray(rng.uniform(0.5, 1.5, (2, *shape)), "float32")
        wires = Wires(word, bit)
    function = solve if job != EFFECTIVE else lambda g, _, wires: effective_conductance(g, wires)
    started = time.perf_counter()
    compiled = jax.jit(function).lower(g, v, wires).compile()
    compile_s = time.perf_counter() - started
    jax.block_until_ready((g, v))
    known = reset_peak()
    before = memory("VmRSS") if known else 0
    result = jax.block_until_ready(compiled(g, v, wires))
    peak = memory("VmHWM") - before + g.nbytes + v.nbytes if known else None
    statistics = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if statistics is not None:
        peak = statistics["peak_bytes_in_use"]
    analysis = compiled.memory_analysis()
    parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
    xla = sum(getattr(analysis, part) for part in parts)
    iterations = None if job == EFFECTIVE else int(result.stats.iterations)
    one = Contender(job, lambda _: compiled(g, v, wires))
    wall, cpu = time.perf_counter(), time.process_time()
    timing = race([one], budget_s=budget_s)[job]
    idle = 0.04 * len(timing.rounds)
    cores = (time.process_time() - cpu) / (time.perf_counter() - wall - idle)
    return {
        "lines": n,
        "cells": n * n,
        "compile_s": compile_s,
        **timing.data(),
        "cores": cores,
        "iterations": iterations,
        "peak_b": peak,
        "peak_arrays": None if peak is None else peak / g.nbytes,
        "xla_b": xla,
        "xla_arrays": xla / g.nbytes,
        "xla_parts_b": {part: getattr(analysis, part) for part in parts},
    }


def reset_peak() -> bool:
    """Sets the peak of resident memory back to what is resident now; whether that worked (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return memory("VmHWM") <= memory("VmRSS") + (1 << 20)
    except OSError:
        return False


def memory(field: str) -> int:
    """A field of this process's status in bytes."""
    (line,) = [one for one in Path(f"/proc/{os.getpid()}/status").read_text().splitlines() if one.startswith(field)]
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m experiments.bench.scale", description=__doc__))
