"""`solve` against badcrossbar, SciPy's sparse LU, CHOLMOD and KLU: time and error, side by side in one process.

One vector and 128 vectors; severe IR drop; nonlinear cells. `python -m experiments.bench.solver [--quick]`.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.bench import _peers
from experiments.bench._problems import LOW, MILD, WIDE, Cells, Problem, make, sinh_reference, worst
from experiments.bench._report import Report, shown_time
from experiments.bench._timing import Timing, ours, precision, race, ratio
from qsynapse_jax.crossbar import Sinh, Wires, effective_conductance, solve


@dataclass(frozen=True)
class Config:
    """How much is measured."""

    quick: bool = False
    """Small arrays and few rounds: proves that it runs, not what it claims."""
    out: Path | None = None
    """Result file; beside this script where not given (if quick, in runs/quick/bench)."""
    sizes: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Lines of the square arrays for one vector."""
    many: int = 128
    """Lines of the array, and vectors, where many are solved at once."""
    severe: tuple[int, int] = (512, 256)
    """Lines of the arrays of 10 and of 100 ohm per segment."""
    nonlinear: int = 128
    """Lines of the array of sinh cells."""
    precisions: tuple[str, ...] = ("float32", "float64")
    """Of ours; the peers know only float64."""
    budget: float = 4.0
    """Time one contender may take for one problem [s], about."""
    rounds: int = 15
    """At most."""

    @classmethod
    def small(cls, out: Path | None) -> "Config":
        """A minute or less."""
        sizes = {"sizes": (16,), "many": 16, "severe": (16, 16), "nonlinear": 16}
        return cls(True, out, precisions=("float32",), budget=0.2, rounds=3, **sizes)


def main(config: Config) -> Path:
    """Runs the benchmark and writes its result."""
    if config.quick:
        config = Config.small(config.out)
    report = Report("solver", config)
    found, missing = _peers.find()
    for line in missing:
        report.note(line)
    for cells in (MILD, WIDE):
        for n in config.sizes:
            one_vector(report, found, n, cells)
    for cells in (MILD, WIDE):
        many_vectors(report, found, config.many, cells)
    if "CHOLMOD" in found or "klujax" in found:
        report.note("`analysis kept`: only values have changed since the last call; orderings and patterns are reused.")
    report.note(
        "First call: with compilation where there is any. Error: largest of the bit-line currents against sparse LU in "
        "float64 with one refinement, relative to the largest. Ratios: of the medians, quartiles over the rounds in "
        "brackets. badcrossbar's time has the assembly of its equations in it, which its one call does; the others get "
        "them ready."
    )
    severe(report, config.severe[0], WIDE, 10.0, "severe_512")
    severe(report, config.severe[1], LOW, 100.0, "severe_256")
    nonlinear(report, config.nonlinear)
    report.peers = _peers.versions(found)
    return report.write()


@jax.jit
def in_jit(g: jax.Array, v: jax.Array, wires: Wires) -> Any:
    """`solve` inside a jitted program."""
    return solve(g, v, wires)


@jax.jit
def unchecked(g: jax.Array, v: jax.Array, wires: Wires) -> Any:
    """`solve` inside a jitted program, its outcome returned, not raised."""
    return solve(g, v, wires, throw=False)


@jax.jit
def currents_only(g: jax.Array, v: jax.Array, wires: Wires) -> jax.Array:
    """Bit-line currents of all vectors by way of the effective conductance."""
    return jnp.matmul(v, effective_conductance(g, wires), precision="highest")


def one_vector(report: Report, found: dict[str, Any], n: int, cells: Cells) -> None:
    """One input vector: every peer, and ours as called and inside jit."""
    problems = [make(n, cells, seed=seed) for seed in range(2)]
    inputs = [(p.g, p.v_in[0]) for p in problems]
    entries = []
    for dtype in report.config.precisions:
        entries.append(ours(f"solve, {dtype}", solve, inputs, 1.0, dtype))
        entries.append(ours(f"solve in jit, {dtype}", in_jit, inputs, 1.0, dtype))
        entries.append(ours(f"solve in jit, throw=False, {dtype}", unchecked, inputs, 1.0, dtype))
    entries += _peers.contenders(found, problems)
    title = f"One vector, {n} x {n}, 1 ohm, cells {cells.label} ohm"
    timings = compare(report, title, problems, entries, f"solve in jit, {report.config.precisions[0]}")
    if n == 128:
        wide = "wide_" if cells == WIDE else ""
        peers = ("badcrossbar", "CHOLMOD")
        ratios(report, timings, "solve in jit, float32", f"one_vector_{wide}", peers, plain="solve, float32")
        if cells == MILD:
            report.figure("one_vector_error", report.measurements[-1]["errors"]["solve in jit, float32"])


def many_vectors(report: Report, found: dict[str, Any], n: int, cells: Cells) -> None:
    """As many vectors as lines: all node voltages, and currents only."""
    problems = [make(n, cells, inputs=n, seed=seed) for seed in range(2)]
    inputs = [(p.g, p.v_in) for p in problems]
    entries = []
    for dtype in report.config.precisions:
        entries.append(ours(f"solve (all voltages), {dtype}", in_jit, inputs, 1.0, dtype))
        entries.append(ours(f"effective (currents only), {dtype}", currents_only, inputs, 1.0, dtype))
    entries += _peers.contenders(found, problems)
    title = f"{n} vectors, {n} x {n}, 1 ohm, cells {cells.label} ohm"
    timings = compare(report, title, problems, entries, "solve (all voltages), float32")
    if n == 128 and cells == WIDE:
        ratios(report, timings, "solve (all voltages), float32", "many_", ("badcrossbar", "klujax"))
        ratios(report, timings, "effective (currents only), float32", "many_currents_", ("badcrossbar", "klujax"))


def compare(report: Report, title: str, problems: list[Problem], entries: list[Any], base: str) -> dict[str, Timing]:
    """Races the contenders, and prints times, errors and ratios to `base`."""
    report.progress(title)
    expected = problems[0].reference()
    told = {} if problems[0].g.size < 256**2 else {"progress": report.progress}
    timings = race(entries, budget_s=report.config.budget, rounds=report.config.rounds, **told)
    errors = {one.name: worst(_currents(timings[one.name].result), expected) for one in entries}
    rows = []
    for one in entries:
        timing = timings[one.name]
        times = [shown_time(s) for s in (timing.first, timing.median, timing.least)]
        shown = "" if one.name == base else str(ratio(timing, timings[base]))
        rows.append([one.name, *times, f"{errors[one.name]:.1e}", shown])
    columns = ["", "first call", "median", "minimum", "error", f"times `{base}`"]
    report.table(title, columns, rows)
    report.measure(
        title=title, errors=errors, times={name: timing.data() for name, timing in timings.items()}, base=base
    )
    return timings


def _currents(result: Any) -> np.ndarray:
    found = np.asarray(getattr(result, "i_out", result), float)
    return found.reshape(-1, found.shape[-1])


def ratios(
    report: Report,
    timings: dict[str, Timing],
    base: str,
    key: str,
    peers: tuple[str, ...],
    *,
    plain: str | None = None,
) -> None:
    """Keeps the claims that are ratios to peers which are installed."""
    for peer in peers:
        if peer not in timings:
            continue
        notes, kept = [], f"{peer}, analysis kept"
        if kept in timings:
            notes.append(f"{ratio(timings[kept], timings[base])} against its kept analysis")
        if plain is not None:
            notes.append(f"{ratio(timings[peer], timings[plain])} as a plain call outside jit")
        report.figure(key + peer.lower(), ratio(timings[peer], timings[base]), "; ".join(notes))


def severe(report: Report, n: int, cells: Cells, r: float, key: str) -> None:
    """One vector where wires take most of the voltage: iterations, error, time."""
    title = f"Severe IR drop: one vector, {n} x {n}, {r:g} ohm, cells {cells.label} ohm"
    report.progress(title)
    problem = make(n, cells, r=r)
    entries = [ours(dtype, solve, [(problem.g, problem.v_in[0])], r, dtype) for dtype in report.config.precisions]
    entries.append(_peers.sparse_lu([problem]))
    expected = problem.reference()
    timings = race(entries, budget_s=report.config.budget, rounds=report.config.rounds)
    rows, errors, iterations = [], {}, {}
    for one in entries:
        timing, result = timings[one.name], timings[one.name].result
        errors[one.name] = worst(_currents(result), expected)
        stats = getattr(result, "stats", None)
        iterations[one.name] = None if stats is None else int(stats.iterations)
        steps, residual = ("", "") if stats is None else (str(int(stats.iterations)), f"{float(stats.residual):.1e}")
        name = one.name if stats is None else f"solve, {one.name}"
        rows.append([name, steps, residual, f"{errors[one.name]:.1e}", *map(shown_time, (timing.first, timing.median))])
    report.table(title, ["", "iterations", "residual", "error", "first call", "median"], rows)
    times = {name: timing.data() for name, timing in timings.items()}
    report.measure(title=title, errors=errors, iterations=iterations, times=times)
    if not report.config.quick:
        report.figure(f"{key}_error", errors["float32"])
        if key == "severe_512":
            steps = iterations["float32"]
            assert steps is not None
            report.figure("severe_512_iterations", steps)


def nonlinear(report: Report, n: int) -> None:
    """Sinh cells, k = 3 /V, inputs up to 1 V, 1 ohm, 10k-1M ohm: linear solves, error against Newton over LU."""
    title = f"Nonlinear cells: one vector, {n} x {n}, 1 ohm, sinh k = 3 /V, cells {MILD.label} ohm, inputs of 0 to 1 V"
    report.progress(title)
    problem, law = make(n, MILD), Sinh(3.0)
    expected = sinh_reference(problem, law)
    rows, errors, solves = [], {}, {}
    for dtype in report.config.precisions:
        with precision(dtype):
            one = ours(dtype, partial(solve, law=Sinh(3.0)), [(problem.g, problem.v_in[0])], 1.0, dtype)
        timing = race([one], budget_s=report.config.budget / 3, rounds=5)[dtype]
        result = timing.result
        errors[dtype], solves[dtype] = worst(_currents(result), expected), int(result.stats.solves)
        steps = str(int(result.stats.iterations))
        times = map(shown_time, (timing.first, timing.median))
        rows.append([f"solve, {dtype}", str(solves[dtype]), steps, f"{errors[dtype]:.1e}", *times])
        report.measure(title=title, dtype=dtype, error=errors[dtype], solves=solves[dtype], time=timing.data())
    report.table(title, ["", "linear solves", "iterations in all", "error", "first call", "median"], rows)
    if not report.config.quick:
        report.figure("nonlinear_solves", solves["float32"], f"error {errors['float32']:.1e} of the largest current")


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m experiments.bench.solver", description=__doc__))
