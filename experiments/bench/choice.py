"""Whether `Auto` takes the quickest solver: its time over that of the best one by name, over a grid of circuits.

`python -m experiments.bench.choice [--quick]`. Draws `choice.png` beside the result.
"""

import itertools
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.bench._problems import MILD, WIDE, Cells
from experiments.bench._report import Report, shown_time
from experiments.bench._timing import Contender, Timing, precision, race
from qsynapse_jax import plot
from qsynapse_jax.crossbar import AbstractSolver, Auto, ConjugateGradient, Elimination, Modal, Solution, Wires, solve

SOLVERS: dict[str, AbstractSolver] = {
    "Auto": Auto(),
    "ConjugateGradient": ConjugateGradient(),
    "Modal": Modal(),
    "Elimination": Elimination(),
}

# One node after another: measured where it could win.
_MOST_ELIMINATED = 16 * 16

SIX_DECADES = Cells(1e3, 1e9)
SPARSE = "1 % of 10k-1M"
CELLS = (MILD, WIDE, SIX_DECADES, SPARSE)

# Steps after which a solver is given up: it has lost by then.
_MOST_STEPS = 3000


@dataclass(frozen=True)
class Config:
    """How much is measured."""

    quick: bool = False
    """Two small arrays: proves that it runs, not what it claims."""
    out: Path | None = None
    """Result file; beside this script where not given (if quick, in runs/quick/bench)."""
    sizes: tuple[int, ...] = (8, 16, 32, 64, 128, 256, 512)
    """Lines of the square arrays for one vector."""
    many_sizes: tuple[int, ...] = (16, 64, 128)
    """Likewise for many vectors."""
    inputs: int = 32
    """How many are many."""
    ohms: tuple[float, ...] = (1e-3, 1e-1, 1.0, 10.0, 100.0, 1e3)
    """Every wire segment [ohm]."""
    dtypes: tuple[str, ...] = ("float32", "float64")
    """Precisions."""
    budget: float = 0.3
    """Time one solver may take for one circuit [s], about."""
    rounds: int = 3
    """At most."""


def main(config: Config) -> Path:
    """Runs the benchmark, draws its picture and writes its result."""
    if config.quick:
        config = Config(True, config.out, (8, 20), (8,), 3, (1.0, 100.0), ("float32",), 0.05, 1)
    report = Report("choice", config)
    found: dict[str, np.ndarray] = {}
    panels = [(dtype, inputs) for dtype in config.dtypes for inputs in (1, config.inputs)]
    for dtype, inputs in panels:
        sizes = config.sizes if inputs == 1 else config.many_sizes
        times = np.full((len(SOLVERS), len(CELLS), len(config.ohms), len(sizes)), np.nan)
        for at, n in enumerate(sizes):
            report.progress(f"{dtype}, {inputs} vectors, {n} x {n}")
            times[..., at] = one_size(config, n, inputs, dtype)
        found[title(dtype, inputs)] = ratios(times)
        report.measure(dtype=dtype, inputs=inputs, sizes=list(sizes), times_s=times)
        summary(report, title(dtype, inputs), times, sizes, config.ohms)
    everywhere = np.concatenate([x[np.isfinite(x)] for x in found.values()])
    nobody = sum(x.size for x in found.values()) - everywhere.size
    at_most = int(np.sum(everywhere <= 1.5))
    middle, tail = np.quantile(everywhere, (0.5, 0.99))
    report.note(
        f"{at_most} of {everywhere.size} circuits take `Auto` at most 1.5 times as long as the best solver, the median "
        f"{middle:.2f}, the 99th percentile {tail:.2f}. `Elimination` takes part up to 16 x 16 cells; a solver that "
        f"needs more than {_MOST_STEPS} steps has lost. Left out: {nobody}, which no solver takes (too delicate for "
        "the precision, or too many steps)."
    )
    if not config.quick:
        report.figure("choice", float(np.max(everywhere)), f"{at_most} of {everywhere.size} circuits at most 1.5")
    path = report.write()
    draw(found, config, path.with_suffix(".png"))
    return path


def title(dtype: str, inputs: int) -> str:
    """Of a panel."""
    return f"{dtype}, {'one vector' if inputs == 1 else f'{inputs} vectors'}"


def one_size(config: Config, n: int, inputs: int, dtype: str) -> np.ndarray:
    """Median times of all solvers, by solver, cells and wires [s]; NaN where one does not solve."""
    times = np.full((len(SOLVERS), len(CELLS), len(config.ohms)), np.nan)
    programs = {name: jax.jit(partial(one_solve, solver)) for name, solver in SOLVERS.items()}
    rng = np.random.default_rng([n, inputs])
    for (kind, cells), (at, r) in itertools.product(enumerate(CELLS), enumerate(config.ohms)):
        g = conductances(cells, n, rng)
        v = rng.uniform(0, 1, (inputs, n))
        with precision(dtype):
            ready = (jnp.asarray(g, dtype), jnp.asarray(v, dtype), Wires(r, r))
        contenders = [
            Contender(name, partial(call, program, ready, dtype), compiled=True)
            for name, program in programs.items()
            if name != "Elimination" or n * n <= _MOST_ELIMINATED
        ]
        raced = race(contenders, budget_s=config.budget, rounds=config.rounds)
        for number, name in enumerate(SOLVERS):
            if name in raced and solved(raced[name]):
                times[number, kind, at] = raced[name].median
    return times


def one_solve(solver: AbstractSolver, g: jax.Array, v: jax.Array, wires: Wires) -> Solution:
    """All node voltages, without the check that raises."""
    return solve(g, v, wires, solver=solver, throw=False, max_steps=_MOST_STEPS)


def call(program: jax.stages.Wrapped, ready: tuple[jax.Array, jax.Array, Wires], dtype: str, _: int) -> Solution:
    """One solve of a circuit that lies on the device."""
    with precision(dtype):
        return jax.block_until_ready(program(*ready))


def solved(timing: Timing) -> bool:
    """Whether the numbers are there."""
    return bool(np.all(np.isfinite(timing.result.i_out)) & (np.max(timing.result.stats.iterations) < _MOST_STEPS))


def conductances(cells: Cells | str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Cells log-uniform in their range, or 1 % of them, one at least [S]."""
    if isinstance(cells, Cells):
        return cells.draw((n, n), rng)
    conducting = rng.permutation(n * n) < max(1, n * n // 100)
    return MILD.draw((n, n), rng) * conducting.reshape(n, n)


def ratios(times: np.ndarray) -> np.ndarray:
    """Time of `Auto` over that of the best, itself included: at least 1; infinite where it alone fails, else NaN."""
    best = np.min(np.where(np.isfinite(times), times, np.inf), axis=0)
    return np.where(np.isfinite(best), np.where(np.isfinite(times[0]), times[0], np.inf) / best, np.nan)


def summary(report: Report, name: str, times: np.ndarray, sizes: tuple[int, ...], ohms: tuple[float, ...]) -> None:
    """A row for each size: the worst circuit."""
    rows = []
    ratio = ratios(times)
    for at, n in enumerate(sizes):
        kind, wire = np.unravel_index(np.nanargmax(ratio[..., at]), ratio.shape[:2])
        here = times[:, kind, wire, at]
        best = list(SOLVERS)[int(np.nanargmin(here))]
        within = f"{int(np.sum(ratio[..., at] <= 1.5))} of {ratio[..., at].size}"
        where = f"{ohms[wire]:g} ohm, {label(CELLS[kind])}"
        rows.append([f"{n} x {n}", within, f"{ratio[kind, wire, at]:.2f}", where, shown_time(here[0]), best])
    report.table(name, ["", "at most 1.5", "worst", "there", "`Auto`", "best there"], rows)


def label(cells: Cells | str) -> str:
    """In words."""
    return cells if isinstance(cells, str) else cells.label


def draw(found: dict[str, np.ndarray], config: Config, path: Path) -> None:
    """A panel for each kind of cells, precision and number of vectors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.2 + 2.1 * len(found)), layout="constrained")
    panels = figure.subplots(len(found), len(CELLS), squeeze=False)
    for row, (name, ratio) in zip(panels, found.items(), strict=True):
        sizes = config.sizes if ratio.shape[2] == len(config.sizes) else config.many_sizes
        for axes, cells, values in zip(row, CELLS, ratio, strict=True):
            plot.heat_map(
                values,
                x=sizes,
                y=config.ohms,
                label_x="lines",
                label_y="segment [ohm]",
                limits=(1.0, 3.0),
                ax=axes,
            )
            axes.set_title(f"{name}\n{label(cells)} ohm", fontsize=8)
    figure.colorbar(panels[0][0].images[0], ax=panels, label="time of Auto over that of the best solver")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m experiments.bench.choice", description=__doc__))
