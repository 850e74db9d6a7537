"""`qsynapse solve` and `spice`: the currents of one stored circuit, and what its wires cost; or its netlist."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from qsynapse_jax.cli._cache import Cache
from qsynapse_jax.cli._output import PICTURES, check_output_file, print_line, print_written
from qsynapse_jax.cli._solution import (
    OUTPUTS,
    currents_table,
    draw_solution,
    figures,
    notes,
    solution_arrays,
    write_solution,
)
from qsynapse_jax.crossbar import Circuit, read_circuit, read_numbers, solve, to_spice, wires_at_node


@dataclass(frozen=True)
class Source:
    """Where a circuit comes from."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A measured map: .csv, .txt, .npy, .npz or .mat,
    a row per word line and a column per bit line, in
    --unit. Or an .npz file with these arrays, in SI units:
    g: cells (word lines, bit lines) [S]
    v_in: drivers (word lines) or (..., word lines) [V]
    v_out: terminals of the bit lines [V], default 0
    r_word, r_bit, r_driver, r_sense [ohm], default 0
    r_driver_far, r_sense_far [ohm], default open
    law: ohmic (default), sinh, series or polynomial
    k [1/V], r [ohm] or coefficients, for that law
    Shapes and meaning are those of the arguments of
    qsynapse_jax.crossbar.solve and Wires; the precision
    is that of g. Made e.g. by
    numpy.savez('array.npz', g=g, v_in=v_in, r_word=1.0)"""
    unit: Annotated[str | None, tyro.conf.arg(metavar="S|mS|uS|nS|ohm|kohm|Mohm")] = None
    """Of the numbers of the map; S for an .npz file where not given."""
    array: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Name of the map in an .npz or .mat file with several."""
    v_in: Annotated[str | None, tyro.conf.arg(metavar="V|FILE")] = None
    """Of all word lines, e.g. 0.2 [V]; or a file of text with a voltage per word line, or a row for each of several
    inputs. In place of that of FILE; 0.2 V where neither says."""
    wires: Annotated[str | None, tyro.conf.arg(metavar="OHM|OHM,OHM|NODE")] = None
    """In place of those of the file: resistance per cell of all lines, e.g. 1.0; of word lines and bit lines, e.g.
    2.12,6.36; or a technology node, e.g. 22nm (a transistor per cell) or 22nm-crossbar (none)."""

    def circuit(self) -> Circuit:
        """The circuit, as the file and the options say."""
        r_word, r_bit = _wires(self.wires)
        return read_circuit(
            self.file, unit=self.unit, array=self.array, v_in=_voltages(self.v_in), r_word=r_word, r_bit=r_bit
        )


@dataclass(frozen=True)
class Solve(Source):
    """Solve one crossbar, wires included: currents beside those of ideal wires, node voltages, IR drop."""

    out: Path | None = None
    """Where to write the solution: .npz has i_out, i_ideal, v_word, v_bit, i_cell, iterations, solves, residual and
    power_balance; .csv the currents, a row per bit line; .json the currents and the other numbers."""
    picture: Path | None = None
    """Where to draw the currents and the voltages of the cells (.png, .svg or .pdf)."""
    rtol: float | None = None
    """Relative residual at which to stop; 1e-7 in float32 and 1e-13 in float64 where not given."""
    max_steps: int | None = None
    """Steps after which to give up; 200 + 20 (word lines + bit lines) where not given."""
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        circuit = self.circuit()
        if self.out is not None:
            check_output_file(self.out, source=self.file, suffixes=OUTPUTS)
        if self.picture is not None:
            check_output_file(self.picture, source=self.file, suffixes=PICTURES, name="picture")
        with circuit.precision():
            sol = solve(
                circuit.g,
                circuit.v_in,
                circuit.wires(),
                v_out=circuit.v_out,
                law=circuit.law(),
                rtol=self.rtol,
                max_steps=self.max_steps,
            )
            arrays = solution_arrays(circuit, sol)
        # Before anything is printed: whoever reads may stop after the first lines.
        if self.out is not None:
            write_solution(self.out, circuit, arrays)
        if self.picture is not None:
            draw_solution(self.picture, circuit, arrays)
        print_line(console, f"{self.file}: {circuit}")
        console.print(currents_table(arrays["i_out"], arrays["i_ideal"]))
        for line in figures(circuit, arrays):
            print_line(console, line)
        for note in (*circuit.remarks, *notes(circuit, arrays)):
            print_line(console, f"note: {note}")
        written = [path for path in (self.out, self.picture) if path is not None]
        if written:
            print_written(console, written)


@dataclass(frozen=True)
class Spice(Source):
    """Write one crossbar as a netlist for ngspice, which prints its bit-line currents."""

    out: Path | None = None
    """The netlist; beside the input with the ending .cir where not given."""
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        circuit = self.circuit()
        if circuit.v_in.ndim > 1:
            raise ValueError(
                f"Argument `v_in` must be one vector of voltages for a netlist, but has shape {circuit.v_in.shape}; "
                "store each in a file of its own, e.g. with `v_in=v_in[0]`."
            )
        out = self.file.with_suffix(".cir") if self.out is None else self.out
        check_output_file(out, source=self.file)
        with circuit.precision():
            to_spice(circuit.g, circuit.v_in, circuit.wires(), circuit.law(), out, v_out=circuit.v_out)
        for note in circuit.remarks:
            print_line(console, f"note: {note}")
        print_written(console, [out])
        print_line(console, f"Run it: ngspice -b {shlex.quote(str(out))}")


def _voltages(said: str | None) -> Any:
    """A number, or the numbers of a file."""
    if said is None:
        return None
    try:
        return float(said)
    except ValueError:
        path = Path(said)
    if not path.is_file():
        raise ValueError(
            f"Argument `v_in` must be a voltage, e.g. 0.2, or a file of voltages, but is {said!r}, which is neither."
        )
    values = read_numbers(path)
    return values[0] if len(values) == 1 else values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _wires(said: str | None) -> tuple[float | None, float | None]:
    """Resistances of a word-line and a bit-line segment [ohm]."""
    if said is None:
        return None, None
    try:
        numbers = [float(one) for one in said.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) in (1, 2):
        return numbers[0], numbers[-1]
    node, _, cell = said.partition("-")
    try:
        wires = wires_at_node(node, cell or "1T1R")
    except ValueError as error:
        raise ValueError(
            f"Argument `wires` must be ohm per cell, e.g. 1.0 or 2.12,6.36, or a node, e.g. 22nm or 22nm-crossbar, but "
            f"is {said!r}. {error}"
        ) from None
    return float(wires.r_word), float(wires.r_bit)
