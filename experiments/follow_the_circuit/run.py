"""Followed circuits against exact ones in every step, and against ideal wires in training: accuracy, work and time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from experiments._record import write_result
from experiments.follow_the_circuit.pictures import draw
from qsynapse_jax import nn, training
from qsynapse_jax.datasets import Dataset, load
from qsynapse_jax.studies import CellConfig, Claim, NetworkConfig, Record, TextTable, claim

# 3 bits, 8 kohm: the cell of the demo, which loads wires ten times as much as the default one.
CELL = CellConfig(bits=3, r_unit=8e3, r_on=400.0, r_off=400e3)
WAYS = ("followed", "exact", "deployed")


@dataclass(frozen=True)
class FollowConfig:
    """Networks, wires and seeds.

    Attributes:
        networks: what is trained, by data set; their wires are replaced.
        wires: word-line and bit-line segment [ohm], by data set.
        seeds: of initial weights and sample order.
    """

    networks: tuple[NetworkConfig, ...]
    wires: tuple[tuple[tuple[float, float], ...], ...]
    seeds: tuple[int, ...] = (0, 1, 2)

    def cases(self) -> list[tuple[str, NetworkConfig]]:
        """Every setting with its name."""
        return [
            (f"{network.dataset}_{word:g}_{bit:g}_ohm", replace(network, r_word=word, r_bit=bit))
            for network, pairs in zip(self.networks, self.wires, strict=True)
            for word, bit in pairs
        ]


FULL = FollowConfig(
    (
        NetworkConfig(cell=CELL, epochs=15),
        NetworkConfig(dataset="mnist", cell=CELL, epochs=2, hidden=(128,)),
    ),
    # 1 ohm; 22 nm and 7-10 nm with a transistor per cell (NeuroSim V1.3 geometry, as in the demo).
    (((1.0, 1.0), (2.12, 6.36), (7.06, 21.2)), ((2.12, 6.36), (7.06, 21.2))),
)
QUICK = FollowConfig(
    tuple(NetworkConfig(cell=CELL, epochs=1, hidden=(8,), tile_shape=(16, 16), batch_size=256) for _ in range(2)),
    (((1.0, 1.0), (2.12, 6.36), (7.06, 21.2)), ((2.12, 6.36), (7.06, 21.2))),
    (0,),
)


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, not what it claims."""
    config, started = QUICK if quick else FULL, time.perf_counter()
    found: dict[str, list[dict[str, Any]]] = {}
    # The quick run has digits in the place of MNIST, which may not be there, under the names of the full run.
    for (_, network), (title, _) in zip(config.cases(), FULL.cases(), strict=True):
        print(title, flush=True)
        found[title] = [_compare(replace(network, seed=seed)) for seed in config.seeds]
        print(
            "  " + ", ".join(f"{way} {np.mean([run[way] for run in found[title]]):.2f} %" for way in WAYS), flush=True
        )
    record = Record(
        "follow_the_circuit",
        config,
        config.seeds,
        time.perf_counter() - started,
        [one for name, runs in found.items() for one in _claims(name, runs)],
        tables={"accuracy": _table(found)},
        data={
            f"{name}/{way}/{what}": np.array([run[f"{way}/{what}"] for run in runs])
            for name, runs in found.items()
            for way in ("followed", "exact")
            for what in ("loss", "accuracy", "renewals", "seconds")
        },
        notes=config.networks[0].hardware()[1:],
    )
    draw(record, folder)
    return write_result(folder, record)


def _compare(config: NetworkConfig) -> dict[str, Any]:
    """One network trained three ways from the same weights, measured behind its wires."""
    data = load(config.dataset)
    start = nn.mlp((data.x_train.shape[1], *config.hidden_sizes, data.n_classes), rngs=nnx.Rngs(config.seed))
    ideal, _ = _train(nn.convert(start, config.tile(ideal_wires=True)), config, data, "always")
    deployed = nn.convert(ideal, config.tile())
    found: dict[str, Any] = {"deployed": _accuracy(deployed, data)}
    for way, refresh in (("followed", config.follow()), ("exact", "always")):
        network, history = _train(nn.convert(start, config.tile()), config, data, refresh)
        found[way] = _accuracy(network, data)
        found |= {f"{way}/{what}": [epoch[what] for epoch in history] for what in history[0]}
    return found


def _train(network: Any, config: NetworkConfig, data: Dataset, refresh: Any) -> tuple[Any, Sequence[dict[str, float]]]:
    steps = config.passes * (len(data.x_train) // config.samples_per_step)
    state = training.init(network, _rule(config.learning_rate, steps), key=jax.random.key(config.seed), refresh=refresh)
    history = []
    for _ in range(config.passes):
        renewals, began = _renewals(state), time.perf_counter()
        state, metrics = training.epoch(state, *data.train, config.samples_per_step)
        loss = float(metrics.loss)
        history.append(
            {
                "loss": loss,
                "seconds": time.perf_counter() - began,
                "renewals": _renewals(state) - renewals,
                "accuracy": _accuracy(training.model(state), data),
            }
        )
    return training.model(state), history


@lru_cache
def _rule(learning_rate: float, steps: int) -> optax.GradientTransformation:
    """One object for equal settings: a new one would be compiled anew."""
    return optax.adam(optax.cosine_decay_schedule(learning_rate, steps, alpha=0.01))


def _renewals(state: training.State) -> float:
    """Exact compilations of a layer until now, on average."""
    return float(np.mean([one.renewals for one in state.circuits.values()] or [0]))


def _accuracy(network: Any, data: Dataset) -> float:
    return 100 * float(training.accuracy(network, *data.test))


def _claims(name: str, runs: list[dict[str, Any]]) -> list[Claim]:
    followed, exact = ([run[way] for run in runs] for way in ("followed", "exact"))
    spread = max(np.std(followed, ddof=1), np.std(exact, ddof=1)) if len(runs) > 1 else np.nan
    apart = abs(np.mean(followed) - np.mean(exact))
    return [
        *(claim(f"{name}_{way}", "%", [run[way] for run in runs]) for way in WAYS),
        claim(f"{name}_followed_from_exact_in_seed_spreads", "", float(apart / spread), reach="<= 1"),
    ]


def _table(found: dict[str, list[dict[str, Any]]]) -> TextTable:
    """A row per setting: accuracies, compilations per epoch, and seconds per epoch without the first."""

    def mean(runs: list[dict[str, Any]], what: str) -> float:
        return float(np.mean([run[what] for run in runs]))

    def seconds(runs: list[dict[str, Any]], way: str) -> float:
        # The first epoch compiles its programs.
        return float(np.median([run[f"{way}/seconds"][1:] or run[f"{way}/seconds"] for run in runs]))

    columns = ["setting", *(f"{way} [%]" for way in WAYS), "compilations per epoch", "followed [s per epoch]", "exact"]
    rows = []
    for name, runs in found.items():
        renewals = float(np.mean([run["followed/renewals"] for run in runs]))
        times = [f"{seconds(runs, way):.3g}" for way in ("followed", "exact")]
        rows.append([name.replace("_", " "), *(f"{mean(runs, way):.2f}" for way in WAYS), f"{renewals:.1f}", *times])
    return TextTable("Followed against exact", columns, rows)
