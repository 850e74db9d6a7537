"""Command line: `demo`, `train`, `evaluate`, `insitu` for networks, `codesign` for resistors, `solve`, `spice` for a circuit."""

from qsynapse_jax.cli._main import main as main
