"""`effective_conductance` against a sparse factor and one solve per line (SciPy's LU, CHOLMOD); many tiles at once.

`python -m experiments.bench.effective [--quick]`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.bench import _peers
from experiments.bench._problems import MILD, Problem, make, worst
from experiments.bench._report import Report, shown_time
from experiments.bench._timing import Contender, Timing, ours, precision, race, ratio
from qsynapse_jax.crossbar import Wires, effective_conductance


@dataclass(frozen=True)
class Config:
    """How much is measured."""

    quick: bool = False
    """Small arrays and few rounds: proves that it runs, not what it claims."""
    out: Path | None = None
    """Result file; beside this script where not given (if quick, in runs/quick/bench)."""
    sizes: tuple[int, ...] = (32, 64, 128, 256)
    """Lines of the square arrays."""
    tiles: tuple[int, ...] = (52, 108)
    """How many tiles are compiled together."""
    tile: int = 64
    """Lines of a tile."""
    precisions: tuple[str, ...] = ("float32", "float64")
    """Of ours; the peers know only float64."""
    budget: float = 8.0
    """Time one contender may take for one problem [s], about."""
    rounds: int = 15
    """At most."""

    @classmethod
    def small(cls, out: Path | None) -> "Config":
        """Seconds."""
        return cls(True, out, sizes=(8,), tiles=(3,), tile=8, precisions=("float32",), budget=0.1, rounds=2)


def main(config: Config) -> Path:
    """Runs the benchmark and writes its result."""
    if config.quick:
        config = Config.small(config.out)
    report = Report("effective", config)
    found, missing = _peers.find(("CHOLMOD",))
    for line in missing:
        report.note(line)
    for n in config.sizes:
        one_array(report, found, n)
    report.note(
        "Peers: one factor, then one solve per word line, one at a time with SuperLU (which takes longer with a matrix "
        "of right-hand sides) and all at once with CHOLMOD. Error: the largest against sparse LU in float64 with one "
        "refinement, relative to the largest effective conductance. First call: with compilation."
    )
    if config.tiles:
        for gradient in (False,) if config.quick else (False, True):
            many_tiles(report, gradient=gradient)
    report.peers = _peers.versions(found)
    return report.write()


@jax.jit
def forward(g: jax.Array, wires: Wires) -> jax.Array:
    """The matrix that the array is."""
    return effective_conductance(g, wires)


def total(g: jax.Array, weights: jax.Array, wires: Wires) -> jax.Array:
    """A scalar of all entries."""
    return jnp.sum(weights * effective_conductance(g, wires))


def one_array(report: Report, found: dict[str, Any], n: int) -> None:
    """One square array, 1 ohm, cells 10k-1M ohm."""
    title = f"Effective conductance, {n} x {n}, 1 ohm, cells {MILD.label} ohm"
    report.progress(title)
    problems = [make(n, MILD, seed=seed) for seed in range(2)]
    # The voltages of the peers: 1 V on one word line after the other.
    problems = [Problem(p.g, np.eye(n), p.r) for p in problems]
    dtypes = report.config.precisions
    entries = [ours(f"ours, {dtype}", forward, [(p.g,) for p in problems], 1.0, dtype) for dtype in dtypes]
    entries.append(_peers.sparse_lu(problems))
    if n <= 64:
        entries += _peers.orderings_of_lu(problems[0])
    if "CHOLMOD" in found:
        entries += _peers.cholmod(found["CHOLMOD"], problems)
    expected = problems[0].reference()
    timings = race(entries, budget_s=report.config.budget, rounds=report.config.rounds)
    base = entries[0].name
    errors = {one.name: worst(timings[one.name].result, expected) for one in entries}
    rows = []
    for one in entries:
        timing = timings[one.name]
        times = map(shown_time, (timing.first, timing.median, timing.least))
        shown = "" if one.name == base else str(ratio(timing, timings[base]))
        rows.append([one.name, *times, f"{errors[one.name]:.1e}", shown])
    report.table(title, ["", "first call", "median", "minimum", "error", f"times `{base}`"], rows)
    report.measure(title=title, errors=errors, times={name: timing.data() for name, timing in timings.items()})
    if n == 128:
        claims(report, timings, base)


def claims(report: Report, timings: dict[str, Timing], base: str) -> None:
    """Ratios to the peers at 128 lines."""
    report.figure("effective_lu", ratio(timings["SciPy LU"], timings[base]))
    if "CHOLMOD" in timings:
        kept = ratio(timings["CHOLMOD, analysis kept"], timings[base])
        report.figure(
            "effective_cholmod", ratio(timings["CHOLMOD"], timings[base]), f"{kept} against its kept analysis"
        )


def many_tiles(report: Report, *, gradient: bool) -> None:
    """Time per tile of many under `vmap`, and of one alone, in float32."""
    n, most = report.config.tile, max(report.config.tiles)
    rng = np.random.default_rng(1)
    tiles = MILD.draw((most, n, n), rng)
    weights = rng.normal(size=(most, n, n))
    what = "value and gradient" if gradient else "forward"
    title = f"Tiles of {n} x {n} at once, {what}, float32"
    report.progress(title)
    function = jax.value_and_grad(total) if gradient else lambda g, _, wires: effective_conductance(g, wires)

    def entry(name: str, count: int) -> Contender:
        if count == 1:
            return ours(name, jax.jit(function), [(tiles[k], weights[k]) for k in range(min(most, 8))], 1.0, "float32")
        # A leading axis is taken in groups that stay in cache, `vmap` all together.
        mapped = jax.jit(function if "leading" in name else jax.vmap(function, in_axes=(0, 0, None)))
        return ours(name, mapped, [(tiles[:count], weights[:count])], 1.0, "float32")

    entries = {"one alone": 1, **{f"{count} under vmap": count for count in report.config.tiles}}
    entries |= {f"{count} as a leading axis": count for count in report.config.tiles}
    contenders = [entry(name, count) for name, count in entries.items()]
    timings = race(contenders, budget_s=report.config.budget, rounds=report.config.rounds)
    alone = timings["one alone"]
    rows = []
    for name, count in entries.items():
        timing = timings[name]
        each = ratio(timing, alone)
        each = type(each)(*(x / count for x in each))
        rows.append([name, *map(shown_time, (timing.first, timing.median, timing.median / count)), str(each)])
        if name == "52 under vmap" and n == 64 and not gradient:
            report.figure("effective_tiles", each)
    report.table(title, ["", "first call", "median", "a tile", "a tile, times one alone"], rows)
    report.measure(title=title, counts=entries, times={name: timing.data() for name, timing in timings.items()})
    if not gradient:
        check_tiles(report, tiles)


def check_tiles(report: Report, tiles: np.ndarray) -> None:
    """The error of the tiles under `vmap`, the first three against sparse LU."""
    with precision("float32"):
        found = jax.vmap(forward, in_axes=(0, None))(jnp.asarray(tiles[:3], "float32"), Wires(1.0, 1.0))
    stored = tiles[:3].astype(np.float32).astype(float)
    errors = [worst(f, Problem(g, np.eye(len(g)), 1.0).reference()) for f, g in zip(found, stored, strict=True)]
    report.note(f"Tiles under `vmap`: error {max(errors):.1e} of the largest effective conductance.")
    report.measure(title="error of tiles under vmap", error=max(errors))


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m experiments.bench.effective", description=__doc__))
