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
    """A tile at 22 nm whose resistors and wires are to be found.

    Attributes:
        bits: of a ladder.
        r_unit: its smallest resistor at the beginning [ohm].
        r_on, r_off: of the switches [ohm].
        sigma_on, sigma_off: spread of their logarithms from device to device.
        sigma_r: relative mismatch of the smallest resistor.
        tile: word lines and bit lines.
        node: of the metal [nm].
        width, widest: of a line [m]; the search begins at the least.
        steps: of a search.
        weights: how much error, power and area count, one search each.
        seeds: of the codes and devices that a search sees; it is measured on others.
    """

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
    widest: float = 400e-9
    steps: int = 150
    weights: tuple[tuple[float, float, float], ...] = (
        (1.0, 0.0, 0.0),
        (1.0, 0.3, 0.0),
        (1.0, 1.0, 0.0),
        (1.0, 3.0, 0.0),
        (1.0, 0.0, 0.3),
        (1.0, 0.0, 1.0),
        (1.0, 0.0, 3.0),
        (1.0, 1.0, 1.0),
    )
    seeds: tuple[int, ...] = (0, 1, 2)


def front(config: FrontConfig, seed: int) -> dict[str, np.ndarray]:
    """Designs of one search per weighting, by quantity, the start first; measured on codes and devices of their own."""
    metal = metal_of_node(config.node)
    seen, unseen = jax.random.split(jax.random.key(seed))
    spread: dict[str, Any] = {"sigma_on_device": config.sigma_on, "sigma_off_device": config.sigma_off}
    switch = Switch(config.r_on, config.r_off, **spread)

    def task(design: dict[str, jax.Array]) -> tuple[LadderTask, jax.Array]:
        drawn = lines(metal, design["word_width"], design["bit_width"])
        resistor = Resistor(sigma_unit=config.sigma_r)
        return LadderTask(config.bits, switch, resistor, drawn.wires, (config.tile, config.tile)), drawn.cell_area

    def objectives(key: jax.Array) -> dict[str, Any]:
        return {
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
            print(f"seed {seed}: step {number} of {config.steps}, mean objective {loss:.3f}", flush=True)

    weights = jnp.asarray(config.weights)
    found = pareto_front(objectives(seen), start, weights, steps=config.steps, on_step=on_step)
    # All designs along a first axis.
    designs = {name: jnp.concatenate([part.value[None], found.values[name]]) for name, part in start.items()}
    measured = {name: jax.jit(jax.vmap(function))(designs) for name, function in objectives(unseen).items()}
    return {name: np.asarray(values) for name, values in (designs | measured).items()}
