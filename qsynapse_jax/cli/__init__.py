"""Command line: `demo`, `train`, `evaluate` for networks, `codesign` for resistors, `solve`, `spice` for a circuit."""

import sys
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax.cli._circuit import Solve, Spice
from qsynapse_jax.cli._codesign import Codesign
from qsynapse_jax.cli._codesign import CodesignConfig as CodesignConfig
from qsynapse_jax.cli._commands import Demo, Evaluate, Train
from qsynapse_jax.cli._config import DEMO as DEMO
from qsynapse_jax.cli._config import CellConfig as CellConfig
from qsynapse_jax.cli._config import StudyConfig as StudyConfig
from qsynapse_jax.cli._report import environment as environment
from qsynapse_jax.cli._report import hardware_lines as hardware_lines
from qsynapse_jax.cli._store import write_json as write_json
from qsynapse_jax.cli._study import Study as Study
from qsynapse_jax.cli._study import run_study as run_study
from qsynapse_jax.crossbar import ConvergenceError

Command = (
    Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Codesign, tyro.conf.subcommand("codesign")]
    | Annotated[Solve, tyro.conf.subcommand("solve")]
    | Annotated[Spice, tyro.conf.subcommand("spice")]
)


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; wrong use ends in one message and status 2, without a traceback."""
    try:
        command = tyro.cli(
            Command,  # pyright: ignore[reportArgumentType]
            args=arguments,
            prog="qsynapse",
            description="Resistive-memory crossbars by Kirchhoff's equations: trained networks and single circuits.",
        )
        command.run(Console())
    except (ValueError, OSError, ConvergenceError) as error:
        Console(stderr=True).print(f"qsynapse: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        Console(stderr=True).print("qsynapse: interrupted; nothing was written.", style="red")
        sys.exit(130)
