"""The four-way comparison of `qsynapse train`, over seeds."""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments._progress import Lines
from experiments._record import write_result
from qsynapse_jax.studies import NetworkConfig, Record, claim, run_network


@dataclass(frozen=True)
class SeedsConfig:
    """A comparison and the seeds it is repeated with."""

    network: NetworkConfig
    seeds: tuple[int, ...] = (0, 1, 2)


def run(config: SeedsConfig, name: str, folder: Path, reach: dict[str, str]) -> Record:
    """Runs every seed and writes the result.

    Args:
        config: what to run.
        name: of the experiment.
        folder: where `result.json` goes.
        reach: what is asked of each claim, by name.
    """
    started = time.perf_counter()
    runs = []
    for seed in config.seeds:
        print(f"seed {seed}", flush=True)
        runs.append(run_network(dataclasses.replace(config.network, seed=seed), Lines()))
    rows = {name: [run.accuracies[name] for run in runs] for name in runs[0].accuracies}

    def lost(name: str) -> list[float]:
        return [reference - value for reference, value in zip(rows["float"], rows[name], strict=True)]

    values = {
        "accuracy_of_float_software": ("%", rows["float"]),
        "accuracy_quantized_with_ideal_wires": ("%", rows["quantized"]),
        "accuracy_of_the_same_weights_on_resistive_wires": ("%", rows["deployed"]),
        "accuracy_trained_through_the_circuit": ("%", rows["circuit"]),
        "lost_by_deployment": ("points", lost("deployed")),
        "lost_when_trained_through_the_circuit": ("points", lost("circuit")),
        "time_to_train_through_the_circuit": ("s", [run.seconds["circuit"] for run in runs]),
    }
    history = {
        f"history/{network}/{what}": np.array(
            [[getattr(epoch, what) for epoch in run.histories[network]] for run in runs]
        )
        for network in runs[0].histories
        for what in ("loss", "accuracy")
    }
    record = Record(
        name,
        config,
        config.seeds,
        time.perf_counter() - started,
        [claim(key, unit, found, reach=reach.get(key)) for key, (unit, found) in values.items()],
        data=history,
        notes=config.network.hardware(),
    )
    return write_result(folder, record)
