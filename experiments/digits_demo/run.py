"""The demo over three seeds: digits behind the wires of a 7-10 nm process."""

import dataclasses
from pathlib import Path

from experiments._network import SeedsConfig, run
from qsynapse_jax.studies import NetworkConfig, Record

REACH = {
    "accuracy_of_float_software": ">= 97.0",
    "lost_by_deployment": ">= 10.0",
    "lost_when_trained_through_the_circuit": "<= 1.5",
}


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, not what it claims."""
    config = SeedsConfig(NetworkConfig.demo())
    if quick:
        config = SeedsConfig(dataclasses.replace(config.network, hidden=(8,), epochs=1), seeds=(0,))
    return run(config, "digits_demo", folder, REACH)
