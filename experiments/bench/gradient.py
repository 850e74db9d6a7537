"""What gradients of `solve` and `effective_conductance` cost, in forward computations, and whether they are right.

Both are jitted scalar losses; the gradient is `value_and_grad`, so its time includes the forward pass.
`python -m experiments.bench.gradient [--quick]`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments.bench._problems import MILD
from experiments.bench._reach import CLAIMED
from experiments.bench._report import Report, shown_time
from experiments.bench._timing import Contender, Ratio, precision, race, ratio
from qsynapse_jax.crossbar import Wires, effective_conductance, solve


@dataclass(frozen=True)
class Config:
    """How much is measured."""

    quick: bool = False
    """One small array and few rounds: proves that it runs, not what it claims."""
    out: Path | None = None
    """Result file; beside this script where not given (if quick, in runs/quick/bench)."""
    sizes: tuple[int, ...] = (32, 64, 128, 256)
    """Lines of the square arrays."""
    budget: float = 6.0
    """Time one contender may take for one problem [s], about."""
    rounds: int = 15
    """At most."""

    @classmethod
    def small(cls, out: Path | None) -> "Config":
        """A minute or less."""
        return cls(True, out, sizes=(8,), budget=0.1, rounds=2)


Arguments = dict[str, Any]
RESISTANCES = ("r_word", "r_bit", "r_driver", "r_sense")

# Steps of central differences, relative to the value: the currents are a ratio of linear functions of a conductance or
# a resistance and bend little, so that steps can be wide, and the rounding of a solve to 1e-13 is lost beside them.
_STEP = 1e-3


def main(config: Config) -> Path:
    """Runs the benchmark and writes its result."""
    if config.quick:
        config = Config.small(config.out)
    report = Report("gradient", config)
    worst: dict[str, Ratio] = {}
    for name, loss in (("solve", solve_loss), ("effective_conductance", effective_loss)):
        rows = []
        for n in config.sizes:
            report.progress(f"{name}, {n} x {n}")
            rows.append(measure(report, name, loss, n, worst))
        title = f"Gradients of `{name}`, 1 ohm, cells {MILD.label} ohm, float32; checked in float64"
        columns = ["lines", "forward", "in g, forwards", "in all, forwards", "first call: forward", "in g", "in all"]
        report.table(title, [*columns, "float64 against differences", "float32 against float64"], rows)
    report.note(
        "Times in forwards include the forward pass. In all: every resistance, and for `solve` every voltage too. "
        "Checked: the largest difference between a derivative and central differences in float64, relative to the "
        "derivative, over four conductances, four resistances, and one direction through conductances and voltages. "
        "First call: with compilation."
    )
    if set(config.sizes) >= CLAIMED:
        report.figure("gradient_solve", worst["solve"])
        report.figure("gradient_effective", worst["effective_conductance"])
    return report.write()


def solve_loss(x: Arguments, weights: jax.Array) -> jax.Array:
    """A weighted sum of the bit-line currents."""
    wires = Wires(*(x[name] for name in RESISTANCES))
    return jnp.sum(weights[0] * solve(x["g"], x["v_in"], wires, v_out=x["v_out"]).i_out)


def effective_loss(x: Arguments, weights: jax.Array) -> jax.Array:
    """A weighted sum of all effective conductances."""
    return jnp.sum(weights * effective_conductance(x["g"], Wires(*(x[name] for name in RESISTANCES))))


def arguments(n: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Values of everything, and weights of a loss."""
    rng = np.random.default_rng([seed, n])
    x = {"g": MILD.draw((n, n), rng), "v_in": rng.uniform(0, 1, n), "v_out": rng.uniform(0, 0.2, n)}
    x |= {name: np.asarray(1.0) for name in RESISTANCES}
    weights = rng.normal(size=(n, n))
    return {key: value.astype(np.float32) for key, value in x.items()}, weights.astype(np.float32)


def in_g(loss: Callable[..., jax.Array]) -> Callable[..., Any]:
    """The loss and its derivative in the conductances alone."""

    def function(x: Arguments, weights: jax.Array) -> Any:
        return jax.value_and_grad(lambda g: loss({**x, "g": g}, weights))(x["g"])

    return function


def measure(report: Report, name: str, loss: Callable[..., jax.Array], n: int, worst: dict[str, Ratio]) -> list[str]:
    """A row of the table: times, ratios and errors at one size."""
    functions = {"forward": loss, "in g": in_g(loss), "in all": jax.value_and_grad(loss)}
    inputs = [arguments(n, seed) for seed in range(2)]
    ready = [jax.tree.map(jnp.asarray, one) for one in inputs]

    def contender(key: str) -> Contender:
        compiled = jax.jit(functions[key])
        return Contender(key, lambda k: compiled(*ready[k]), len(ready), compiled=True)

    timings = race([contender(key) for key in functions], budget_s=report.config.budget, rounds=report.config.rounds)
    ratios = {key: ratio(timings[key], timings["forward"]) for key in ("in g", "in all")}
    worst[name] = max(worst.get(name, ratios["in g"]), ratios["in g"])
    exact, single = check(loss, *inputs[0])
    report.measure(
        job=name,
        lines=n,
        ratios={key: one._asdict() for key, one in ratios.items()},
        error_float64=exact,
        error_float32=single,
        times={key: timing.data() for key, timing in timings.items()},
    )
    first = [shown_time(timings[key].first) for key in functions]
    shown = [shown_time(timings["forward"].median), str(ratios["in g"]), str(ratios["in all"])]
    return [str(n), *shown, *first, f"{exact:.1e}", f"{single:.1e}"]


def check(loss: Callable[..., jax.Array], x: dict[str, np.ndarray], weights: np.ndarray) -> tuple[float, float]:
    """Error of the float64 gradient against central differences, and of the float32 one against that of float64."""
    rng = np.random.default_rng(2)
    with precision("float64"):
        wide = {key: jnp.asarray(value, "float64") for key, value in x.items()}
        w = jnp.asarray(weights, "float64")
        value, slopes = jax.jit(loss), jax.jit(jax.grad(loss))(wide, w)
        directions = [{"g": _at(x["g"], rng.integers(0, x["g"].shape))} for _ in range(4)]
        directions += [{name: np.ones(())} for name in RESISTANCES]
        directions.append({key: x[key] * rng.normal(size=x[key].shape) for key in ("g", "v_in", "v_out")})
        errors = []
        for direction in directions:
            up, down = (
                value({**wide, **{key: wide[key] + s * _STEP * d for key, d in direction.items()}}, w) for s in (1, -1)
            )
            expected = float(up - down) / (2 * _STEP)
            found = sum(float(jnp.sum(slopes[key] * d)) for key, d in direction.items())
            errors.append(abs(found - expected) / abs(found) if found else abs(expected))
    single = jax.jit(jax.grad(loss))({key: jnp.asarray(one) for key, one in x.items()}, jnp.asarray(weights))
    wanted = np.asarray(slopes["g"])
    return max(errors), float(np.max(np.abs(np.asarray(single["g"], float) - wanted)) / np.max(np.abs(wanted)))


def _at(g: np.ndarray, place: np.ndarray) -> np.ndarray:
    """A change of one conductance by ten times as much as itself; times `_STEP`, so by one percent."""
    change = np.zeros(g.shape)
    change[tuple(place)] = 10 * g[tuple(place)]
    return change


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m experiments.bench.gradient", description=__doc__))
