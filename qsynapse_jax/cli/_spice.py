"""`qsynapse spice`: one stored circuit as a netlist for ngspice."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from qsynapse_jax.cli._output import print_files, print_line
from qsynapse_jax.crossbar import read_circuit, to_spice
from qsynapse_jax.studies import check_output_file


@dataclass(frozen=True)
class Spice:
    """Write one crossbar as a netlist for ngspice, which prints its bit-line currents."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """The circuit, an .npz file as for `qsynapse solve`, with one vector of voltages."""
    out: Path | None = None
    """The netlist; beside the input with the ending .cir where not given."""

    def run(self, console: Console) -> None:
        circuit = read_circuit(self.file)
        if circuit.v_in.ndim > 1:
            raise ValueError(
                f"Argument `v_in` must be one vector of voltages for a netlist, but has shape {circuit.v_in.shape}; "
                "store each in a file of its own, e.g. with `v_in=v_in[0]`."
            )
        out = self.file.with_suffix(".cir") if self.out is None else self.out
        check_output_file(out, source=self.file)
        with circuit.precision():
            to_spice(circuit.g, circuit.v_in, circuit.wires(), circuit.law(), out, v_out=circuit.v_out)
        console.print("Written:")
        print_files(console, [out])
        print_line(console, f"Run it: ngspice -b {shlex.quote(str(out))}")
