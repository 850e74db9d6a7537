"""MNIST on 3-bit ladders: 784-256-10 on 64 x 64 tiles with 1 ohm wires, over three seeds."""

from pathlib import Path

from experiments._network import SeedsConfig, run
from qsynapse_jax.studies import NetworkConfig, Record

REACH = {"accuracy_trained_through_the_circuit": ">= 97.0"}


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, on digits, not what it claims."""
    config = SeedsConfig(NetworkConfig(dataset="mnist"))
    if quick:
        config = SeedsConfig(NetworkConfig(dataset="digits", hidden=(8,), epochs=1), seeds=(0,))
    return run(config, "mnist_ladder", folder, REACH)
