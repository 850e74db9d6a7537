"""Command line: `demo`, `train`, `evaluate`, `insitu`: networks; `program`: arrays; `codesign`, `solve`, `spice`."""

from qsynapse_jax.cli._main import main as main
