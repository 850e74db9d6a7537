"""What straightness costs: error against power and area, resistors and wire widths moved together."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qsynapse_jax.cells import Resistor
from qsynapse_jax.codesign import Bounded, LadderTask, pareto_front
from qsynapse_jax.cost import lines, metal_of_node
from qsynapse_jax.devices import Switch


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


def front(config: FrontConfig) -> dict[str, np.ndarray]:
    """Designs of one search per weighting, on one draw of codes and devices, by quantity; the start comes first."""
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
            print(f"front: step {number} of {config.steps}, mean objective {loss:.3f}", flush=True)

    found = pareto_front(objectives, start, jnp.asarray(config.weights), steps=config.steps, on_step=on_step)
    begun = {name: part.value for name, part in start.items()}
    measured = {name: jax.jit(function)(begun) for name, function in objectives.items()}
    columns = {name: np.stack([begun[name], *found.values[name]]) for name in begun}
    columns |= {name: np.stack([measured[name], *found.objectives[name]]) for name in objectives}
    return columns | {"weights": np.array(config.weights), "efficient": np.asarray(found.efficient)}
