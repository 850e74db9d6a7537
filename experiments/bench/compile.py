"""How long JAX compiles `solve`, `effective_conductance` and their gradients, every one from nothing.

Tracing and XLA apart. `python -m experiments.bench.compile [--quick]`.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from experiments.bench._reach import CLAIMED
from experiments.bench._report import Report, shown_time
from experiments.bench.gradient import arguments, effective_loss, in_g, solve_loss
from qsynapse_jax.crossbar import Wires, effective_conductance, solve


@dataclass(frozen=True)
class Config:
    """How much is measured."""

    quick: bool = False
    """One small array: proves that it runs, not what it claims."""
    out: Path | None = None
    """Result file; beside this script where not given (if quick, in runs/quick/bench)."""
    sizes: tuple[int, ...] = (32, 64, 128, 256)
    """Lines of the square arrays."""
    repeats: int = 3
    """Compilations of each; the median counts."""


def main(config: Config) -> Path:
    """Runs the benchmark and writes its result."""
    if config.quick:
        config = Config(True, config.out, sizes=(8,), repeats=1)
    report = Report("compile", config)
    # A cache on disk, where one is set, would spare the work that is measured.
    jax.config.update("jax_enable_compilation_cache", False)
    # Whatever JAX does once in a process is not this package's.
    jax.jit(lambda x: x @ x)(np.ones((2, 2), np.float32)).block_until_ready()
    found: dict[str, dict[int, list[tuple[float, float, float]]]] = {}
    for repeat in range(config.repeats):
        for n in config.sizes:
            report.progress(f"repeat {repeat + 1} of {config.repeats}, {n} lines")
            for name, (function, inputs) in jobs(n).items():
                found.setdefault(name, {}).setdefault(n, []).append(compile_once(function, inputs))
    keys = ("compile_solve", "compile_solve_gradient", "compile_effective", "compile_effective_gradient")
    rows = []
    for name, sizes in found.items():
        for n, times in sizes.items():
            tracing, xla, run = np.median(np.asarray(times), axis=0)
            total = [sum(one[:2]) for one in times]
            row = [f"{name}, {n} x {n}", *map(shown_time, (tracing, xla, float(np.median(total)), min(total), run))]
            rows.append(row)
            report.measure(job=name, lines=n, tracing_s=[t[0] for t in times], xla_s=[t[1] for t in times], run_s=run)
    report.table("Compile times, float32", ["", "tracing", "XLA", "both, median", "both, minimum", "first run"], rows)
    report.note("Medians over the repeats; JAX's caches are emptied before each. Gradient: value and gradient in g.")
    if set(config.sizes) >= CLAIMED:
        for key, sizes in zip(keys, found.values(), strict=True):
            report.figure(key, max(float(np.median([sum(one[:2]) for one in times])) for times in sizes.values()))
    return report.write()


def jobs(n: int) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """What is compiled at a size, and with what inputs."""
    x, weights = arguments(n, 0)
    wires = Wires(np.float32(1.0), np.float32(1.0))
    return {
        "solve": (lambda g, v, wires: solve(g, v, wires), (x["g"], x["v_in"], wires)),
        "gradient of solve": (in_g(solve_loss), (x, weights)),
        "effective_conductance": (lambda g, wires: effective_conductance(g, wires), (x["g"], wires)),
        "gradient of effective_conductance": (in_g(effective_loss), (x, weights)),
    }


def compile_once(function: Any, inputs: tuple[Any, ...]) -> tuple[float, float, float]:
    """Seconds of tracing and lowering, of XLA, and of the first run."""
    jax.clear_caches()
    started = time.perf_counter()
    lowered = jax.jit(function).lower(*inputs)
    traced = time.perf_counter()
    compiled = lowered.compile()
    done = time.perf_counter()
    jax.block_until_ready(compiled(*inputs))
    return traced - started, done - traced, time.perf_counter() - done


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m experiments.bench.compile", description=__doc__))
