"""A training step through the circuit, followed and exact, against the same step with ideal wires.

784-256-10 on 64 x 64 tiles of differential 3-bit ladders behind wires of 1 ohm, Adam. Exact: one step. Followed: an
epoch, exact compilations included. Inputs and labels are random, which costs the same.
`python -m experiments.bench.training [--quick]`.
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
from experiments.bench._timing import Contender, Timing, race, ratio
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
    small_batch: int = 64
    """Samples per step of the followed network once more."""
    steps: int = 58
    """Steps of an epoch."""
    budget: float = 30.0
    """Time one contender may take [s], about."""
    rounds: int = 25
    """At most."""


def main(config: Config) -> Path:
    """Runs the benchmark and writes its result."""
    if config.quick:
        config = Config(
            True, config.out, sizes=(12, 8, 4), tile=8, batch=16, small_batch=8, steps=3, budget=0.1, rounds=2
        )
    report = Report("training", config)
    cell = Differential(Ladder(3, r_unit=48e3, r_on=1e3, r_off=1e9))
    shape = (config.tile, config.tile)
    software = mlp(config.sizes, rngs=nnx.Rngs(0))
    ideal = convert(software, Tile(cell, shape=shape))
    circuit = convert(software, Tile(cell, wires=Wires(1.0, 1.0), shape=shape))
    networks = {"float software": software, "ideal wires": ideal, "wires of 1 ohm": circuit}
    batches = [samples(config, config.batch, seed) for seed in range(4)]
    contenders = [step_of(name, network, batches) for name, network in networks.items()]
    exact = race(contenders, budget_s=config.budget, rounds=config.rounds, progress=report.progress)
    table(report, f"A training step of {'-'.join(map(str, config.sizes))}, batch {config.batch}, float32", exact)
    followed = {}
    for batch in (config.batch, config.small_batch):
        data = samples(config, batch * config.steps, 0)
        contenders = [
            epoch_of("ideal wires", ideal, data, batch),
            epoch_of("wires of 1 ohm, followed", circuit, data, batch),
        ]
        followed[batch] = race(contenders, budget_s=config.budget, rounds=config.rounds, progress=report.progress)
        table(report, f"An epoch of {config.steps} steps, batch {batch}, float32", followed[batch])
    report.note("First call: with compilation. Each step takes the parameters and the state of the one before.")
    if not config.quick:
        report.figure("training_step", ratio(exact["wires of 1 ohm"], exact["ideal wires"]))
        for name, batch in (("training_followed", config.batch), ("training_followed_small", config.small_batch)):
            timings = followed[batch]
            report.figure(name, ratio(timings["wires of 1 ohm, followed"], timings["ideal wires"]))
    return report.write()


def samples(config: Config, n: int, seed: int) -> tuple[jax.Array, jax.Array]:
    """Random inputs and labels."""
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.random((n, config.sizes[0])), "float32")
    return x, jnp.asarray(rng.integers(0, config.sizes[-1], n))


def table(report: Report, title: str, timings: dict[str, Timing]) -> None:
    """A row per contender, against ideal wires."""
    rows = []
    for name, timing in timings.items():
        times = map(shown_time, (timing.first, timing.median, timing.least))
        rows.append([name, *times, str(ratio(timing, timings["ideal wires"]))])
        report.measure(job=title, step=name, time=timing.data())
    report.table(title, ["", "first call", "median", "minimum", "times ideal wires"], rows)


def step_of(name: str, network: nnx.Module, batches: list[tuple[jax.Array, jax.Array]]) -> Contender:
    """Steps of Adam on a network, one after the other, each with exact circuits."""
    state = training.init(network, optax.adam(3e-3), key=jax.random.key(0), refresh="always")
    step = jax.jit(training.step)

    def call(k: int) -> jax.Array:
        nonlocal state
        state, loss = step(state, *batches[k])
        return jax.block_until_ready(loss)

    return Contender(name, call, len(batches), compiled=True)


def epoch_of(name: str, network: nnx.Module, data: tuple[jax.Array, jax.Array], batch: int) -> Contender:
    """Epochs of Adam on a network, one after the other; circuits are followed."""
    state = training.init(network, optax.adam(3e-3), key=jax.random.key(0))

    def call(k: int) -> jax.Array:
        nonlocal state
        state, metrics = training.epoch(state, *data, batch)
        return jax.block_until_ready(metrics.losses)

    return Contender(name, call, 1, compiled=True)


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m experiments.bench.training", description=__doc__))
