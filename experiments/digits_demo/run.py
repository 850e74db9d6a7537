"""The demo over three seeds: digits behind the wires of a 7-10 nm process."""

from pathlib import Path
from typing import Any

from experiments._network import NetworkConfig, run
from qsynapse_jax.cli import DEMO, StudyConfig

REACH = {
    "accuracy_of_float_software": ">= 97.0",
    "lost_by_deployment": ">= 10.0",
    "lost_when_trained_through_the_circuit": "<= 1.5",
}


def main(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Runs the experiment into `folder`; `quick` proves that it runs, not what it claims."""
    if quick:
        return run(NetworkConfig(StudyConfig(**{**DEMO, "hidden": (8,), "epochs": 1}), seeds=(0,)), folder, REACH)
    return run(NetworkConfig(StudyConfig(**DEMO)), folder, REACH)
