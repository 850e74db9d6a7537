"""`qsynapse program`: an array that is written to precise levels, with its table and its pictures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax import plot
from qsynapse_jax._fields import quantity
from qsynapse_jax.cli._cache import Cache
from qsynapse_jax.cli._run import Output, run_study
from qsynapse_jax.studies import ProgramConfig, ProgramResult, run_program


@dataclass(frozen=True)
class Program:
    """Write an array of memristors that fluctuate to precise levels, denoise them, and check them by raw reads."""

    config: Annotated[ProgramConfig, tyro.conf.arg(name="")] = field(default_factory=ProgramConfig)
    output: Annotated[Output, tyro.conf.arg(name="")] = field(default_factory=lambda: Output(Path("runs/program")))
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        elsewhere = f"Its table is in {self.output.out / 'result.json'}."
        run_study("program", run_program, self.config, self.output, console, report=_draw, elsewhere=elsewhere)


def _draw(result: ProgramResult, folder: Path) -> list[str]:
    """The pictures of a run, and what became of the array in words."""
    config, last, words = result.config, result.last, result.ROWS
    step, asked = quantity(config.step, "S"), f"{config.levels:,} levels"
    stages = result.stages.items()
    pulses = {words[name]: stage.trace.pulses for name, stage in stages}
    pictures = {
        "conductance": plot.conductance_map(
            result.read[0], failed=~last.success, title=f"One read of {result.target.size:,} cells at {asked}"
        ),
        "staircase": plot.staircase(
            result.target, result.read, step=config.step, title=f"Reads of all cells, sorted by target; {step} apart"
        ),
        "errors": plot.error_histogram(
            {words[name]: result.errors(stage) for name, stage in stages},
            tolerance=config.tolerance,
            title=f"How far raw reads are from their targets, {step} from level to level",
        ),
        "traces": plot.noise_traces(
            {words[name]: stage.traces for name, stage in stages},
            interval=config.interval,
            band=2 * config.tolerance * config.step,
            cells=[f"cell {i}, {j}" for i, j in result.followed],
        ),
        "pulses": plot.pulse_counts(pulses, title="Pulses per cell, denoising ones included"),
    }
    for name, picture in pictures.items():
        picture.savefig(folder / f"{name}.png", dpi=150)
    return result.verdict()
