"""Command line: `demo`, `train`, `evaluate`, `insitu` for networks, `codesign`, `solve`, `spice` for circuits."""

from qsynapse_jax.cli._main import main as main
