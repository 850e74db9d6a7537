"""The four-way comparison of `qsynapse train`, over seeds."""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments._record import figure, record, write_result
from qsynapse_jax.cli import StudyConfig, hardware_lines, run_study
from qsynapse_jax.datasets import load


@dataclass(frozen=True)
class NetworkConfig:
    """A study and the seeds it is repeated with."""

    study: StudyConfig
    seeds: tuple[int, ...] = (0, 1, 2)


def run(config: NetworkConfig, folder: Path, reach: dict[str, str]) -> dict[str, Any]:
    """Runs every seed and writes the result file.

    Args:
        config: what to run.
        folder: where `result.json` goes.
        reach: what is asked of each figure, by name.
    """
    started = time.perf_counter()
    console = Console()
    runs = []
    for seed in config.seeds:
        console.print(f"seed {seed}")
        study = dataclasses.replace(config.study, seed=seed)
        runs.append(run_study(study, load(study.dataset, seed=seed), console))
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
    figures = [figure(name, unit, found, reach=reach.get(name)) for name, (unit, found) in values.items()]
    content = record(config, figures, started=started, extra={"hardware": hardware_lines(config.study)})
    console.print(f"Written: {write_result(folder, content)}", highlight=False, soft_wrap=True)
    return content
