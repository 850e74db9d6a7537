"""A training step through the circuit against the same step with ideal wires.

784-256-10 on 64 x 64 tiles of differential 3-bit ladders behind wires of 1 ohm, batch 1024, Adam: what `training.epoch`
does per batch. Inputs and labels are random, which costs the same. `python -m experiments.bench.training [--quick]`.
"""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import nnx

from experiments.bench._report import Report, shown_time
from experiments.bench._timing import Contender, race, ratio
from qsynapse_jax import training
from qsynapse_jax.cells import Differential, Ladder
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.nn import convert, mlp
from qsynapse_jax.tile import Tile


@dataclass(frozen=True)
class Config:
    """How much is measured."""

    quick: bool = False
    """A small network: proves that it runs, not what it claims."""
    out: Path | None = None
    """Result file; beside this script where not given (if quick, in runs/quick/bench)."""
    sizes: tuple[int, ...] = (784, 256, 10)
    """Layers."""
    tile: int = 64
    """Lines of a tile."""
    batch: int = 1024
    """Samples per step."""
    budget: float = 30.0
    """Time one of the two may take [s], about."""
    rounds: int = 25
    """At most."""


def main(config: Config) -> Path:
    """Runs the benchmark and writes its result."""
    if config.quick:
        config = Config(True, config.out, sizes=(12, 8, 4), tile=8, batch=16, budget=0.1, rounds=2)
    report = Report("training", config)
    cell = Differential(Ladder(3, r_unit=48e3, r_on=1e3, r_off=1e9))
    shape = (config.tile, config.tile)
    software = mlp(config.sizes, rngs=nnx.Rngs(0))
    ideal = convert(software, Tile(cell, shape=shape))
    circuit = convert(software, Tile(cell, wires=Wires(1.0, 1.0), shape=shape))
    rng = np.random.default_rng(0)
    batches = []
    for _ in range(4):
        x = jnp.asarray(rng.random((config.batch, config.sizes[0])), "float32")
        batches.append((x, jnp.asarray(rng.integers(0, config.sizes[-1], config.batch))))
    networks = {"float software": software, "ideal wires": ideal, "wires of 1 ohm": circuit}
    contenders = [step_of(name, network, batches) for name, network in networks.items()]
    timings = race(contenders, budget_s=config.budget, rounds=config.rounds, progress=report.progress)
    base = timings["ideal wires"]
    rows = []
    for name, timing in timings.items():
        times = map(shown_time, (timing.first, timing.median, timing.least))
        rows.append([name, *times, str(ratio(timing, base))])
        report.measure(step=name, time=timing.data())
    title = f"A training step of {'-'.join(map(str, config.sizes))}, batch {config.batch}, float32"
    report.table(title, ["", "first call", "median", "minimum", "times ideal wires"], rows)
    report.note("First call: with compilation. Each step takes the parameters and the state of the one before.")
    if not config.quick:
        report.figure("training_step", ratio(timings["wires of 1 ohm"], base))
    return report.write()


def step_of(name: str, network: nnx.Module, batches: list[tuple[jax.Array, jax.Array]]) -> Contender:
    """Steps of Adam on a network, one after the other."""
    state = training.init(network, optax.adam(3e-3), key=jax.random.key(0))
    step = jax.jit(training.step)

    def call(k: int) -> jax.Array:
        nonlocal state
        state, loss = step(state, *batches[k])
        return jax.block_until_ready(loss)

    return Contender(name, call, len(batches), compiled=True)


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m experiments.bench.training", description=__doc__))
