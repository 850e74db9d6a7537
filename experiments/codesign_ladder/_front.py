"""What straightness costs: error against power and area, resistors and wire widths moved together."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console

from qsynapse_jax.codesign import Bounded, LadderTask, pareto_front
from qsynapse_jax.cost import lines, metal_of_node
from qsynapse_jax.devices import Resistor, Switch


@dataclass(frozen=True)
class FrontConfig:
    """A tile at 22 nm whose wires may be widened."""

    bits: int = 4
    r_unit: float = 8e3
    r_on: float = 400.0
    r_off: float = 400e3
    sigma_on: float = 0.1
    sigma_off: float = 0.4
    sigma_r: float = 0.01
    tile: int = 32
    node: int = 22
    width: float = 40e-9
    """Least width of a line [m]."""
    widest: float = 400e-9
    steps: int = 150
    # How much error, power and area count.
    weights: tuple[tuple[float, float, float], ...] = (
        (1.0, 0.0, 0.0),
        (1.0, 0.1, 0.0),
        (1.0, 0.0, 0.1),
        (1.0, 0.1, 0.1),
        (1.0, 0.3, 0.3),
        (1.0, 1.0, 0.3),
        (1.0, 0.3, 1.0),
        (1.0, 1.0, 1.0),
    )


def front(config: FrontConfig, console: Console) -> list[dict[str, Any]]:
    """Designs of one search a weighting, on one draw of codes and devices; the start first."""
    metal, key = metal_of_node(config.node), jax.random.key(0)
    spread: dict[str, Any] = {"sigma_on_device": config.sigma_on, "sigma_off_device": config.sigma_off}
    switch = Switch(config.r_on, config.r_off, **spread)

    def task(design: dict[str, jax.Array]) -> tuple[LadderTask, jax.Array]:
        drawn = lines(metal, design["word_width"], design["bit_width"])
        resistor = Resistor(sigma_unit=config.sigma_r)
        return LadderTask(config.bits, switch, resistor, drawn.wires, (config.tile, config.tile)), drawn.cell_area

    objectives = {
        "error_lsb": lambda d: task(d)[0].levels(d["r_branch"], key=key).error,
        "power_w": lambda d: task(d)[0].power(d["r_branch"], key=key),
        # Lines of both columns of a weight, and its resistors above them: the larger would do, the sum is smooth.
        "area_m2": lambda d: 2 * task(d)[1] + task(d)[0].area(d["r_branch"]),
    }
    plain = config.r_unit * 2.0 ** jnp.arange(config.bits)
    start = {
        "r_branch": Bounded(plain, plain / 4, plain * 64),
        "word_width": Bounded(config.width * 1.01, config.width, config.widest),
        "bit_width": Bounded(config.width * 1.01, config.width, config.widest),
    }

    def on_step(number: int, loss: float) -> None:
        if number % 50 == 0:
            console.print(f"front: step {number} of {config.steps}, mean objective {loss:.3f}", highlight=False)

    found = pareto_front(objectives, start, jnp.asarray(config.weights), steps=config.steps, on_step=on_step)
    begun = {name: part.value for name, part in start.items()}
    rows = [_row(begun, {name: jax.jit(f)(begun) for name, f in objectives.items()}, None, efficient=False)]
    for i, weights in enumerate(config.weights):
        design = {name: part[i] for name, part in found.values.items()}
        measured = {name: part[i] for name, part in found.objectives.items()}
        rows.append(_row(design, measured, weights, efficient=bool(found.efficient[i])))
    return rows


def _row(design: dict[str, Any], measured: dict[str, Any], weights: Any, *, efficient: bool) -> dict[str, Any]:
    return {
        "weights": weights,
        "r_branch_ohm": [round(float(r), 1) for r in design["r_branch"]],
        **{f"{name}_nm": round(1e9 * float(design[name]), 2) for name in ("word_width", "bit_width")},
        **{name: float(f"{float(value):.4g}") for name, value in measured.items()},
        "efficient": efficient,
    }
