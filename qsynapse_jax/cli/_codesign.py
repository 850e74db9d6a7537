"""`qsynapse codesign`: branch resistors for given switches and wires, found by gradient."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax import plot
from qsynapse_jax.cli._output import Output, print_end, print_line, print_state, print_table
from qsynapse_jax.cli._progress import Bars
from qsynapse_jax.studies import CodesignConfig, run_codesign, run_folder, shown_resistor

_SHOWN_WITHOUT_LEVELS = ("R as found", "closed form")


@dataclass(frozen=True)
class Codesign:
    """Find the resistors of a ladder for given switches and wires; ends with 'use these resistors'."""

    config: Annotated[CodesignConfig, tyro.conf.arg(name="")] = field(default_factory=CodesignConfig)
    output: Annotated[Output, tyro.conf.arg(name="")] = field(default_factory=lambda: Output(Path("runs/codesign")))

    def run(self, console: Console) -> None:
        config, output, started = self.config, self.output, time.perf_counter()
        with run_folder(output.out, "codesign", config, overwrite=output.overwrite, resume=output.resume) as run:
            print_state(console, run, f"Its tables are in {output.out / 'result.json'}.")
            if run.complete:
                return
            for line in config.hardware():
                print_line(console, line)
            with Bars(console) as bars:
                result = run_codesign(config, bars, run=run)
            levels = {name: level for name, level in result.levels.items() if name not in _SHOWN_WITHOUT_LEVELS}
            designs = {name: r for name, r in result.designs.items() if name != "R as found"}
            picture = plot.levels_and_resistors(levels, designs)
            picture.savefig(run.folder / "codesign.png", dpi=150)
            run.publish(result.record(time.perf_counter() - started))
            print_table(console, result.resistor_table())
            print_table(console, result.measured_table())
            print_line(console, f"Use these resistors [ohm]: {', '.join(map(shown_resistor, result.advised))}")
            print_end(console, run, time.perf_counter() - started)
