"""MNIST on 3-bit ladders: 784-256-10 on 64 x 64 tiles with 1 ohm wires, over three seeds."""

from pathlib import Path
from typing import Any

from experiments._network import NetworkConfig, run
from qsynapse_jax.cli import StudyConfig

REACH = {"accuracy_trained_through_the_circuit": ">= 97.0"}


def main(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Runs the experiment into `folder`; `quick` proves that it runs, on digits, not what it claims."""
    if quick:
        return run(NetworkConfig(StudyConfig(dataset="digits", hidden=(8,), epochs=1), seeds=(0,)), folder, REACH)
    return run(NetworkConfig(StudyConfig(dataset="mnist")), folder, REACH)
