"""`qsynapse solve` and `spice`: the currents of one stored circuit, and what its wires cost; or its netlist."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from qsynapse_jax._arrays import write_arrays
from qsynapse_jax._fields import quantity
from qsynapse_jax.cli._cache import Cache
from qsynapse_jax.cli._output import check_output_file, print_line, print_written
from qsynapse_jax.crossbar import Circuit, Solution, read_circuit, solve, to_spice

# A table that fits a screen; of a longer one its two ends.
_LONGEST_TABLE, _SHOWN_AT_AN_END = 20, 8
# Beyond any crosspoint [S] and any read voltage [V] of a resistive memory; and a share of the voltage lost in wires at
# which nobody would build.
_LARGE_CONDUCTANCE, _LARGE_VOLTAGE, _ALMOST_ALL = 0.1, 10.0, 0.9


@dataclass(frozen=True)
class Solve:
    """Solve one crossbar, wires included: bit-line currents, node voltages, IR drop."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """The circuit, an .npz file with these arrays, in SI units:
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
    out: Path | None = None
    """Where to write i_out, v_word, v_bit, i_cell, iterations, solves, residual and power_balance (.npz)."""
    rtol: float | None = None
    """Relative residual at which to stop; 1e-7 in float32 and 1e-13 in float64 where not given."""
    max_steps: int | None = None
    """Steps after which to give up; 200 + 20 (word lines + bit lines) where not given."""
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

    def run(self, console: Console) -> None:
        circuit = read_circuit(self.file)
        if self.out is not None:
            check_output_file(self.out, source=self.file, suffix=".npz")
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
        arrays = _arrays(sol)
        # Before anything is printed: whoever reads may stop after the first lines.
        if self.out is not None:
            write_arrays(self.out, arrays)
        print_line(console, f"{self.file}: {circuit}")
        console.print(_currents(arrays["i_out"]))
        for line in _figures(circuit, arrays):
            print_line(console, line)
        for note in _notes(circuit, arrays):
            print_line(console, f"note: {note}")
        if self.out is not None:
            print_written(console, [self.out])


@dataclass(frozen=True)
class Spice:
    """Write one crossbar as a netlist for ngspice, which prints its bit-line currents."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """The circuit, an .npz file as for `qsynapse solve`, with one vector of voltages."""
    out: Path | None = None
    """The netlist; beside the input with the ending .cir where not given."""
    cache: Annotated[Cache, tyro.conf.arg(name="")] = field(default_factory=Cache)

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
        print_written(console, [out])
        print_line(console, f"Run it: ngspice -b {shlex.quote(str(out))}")


def _arrays(sol: Solution) -> dict[str, np.ndarray]:
    """What is kept of a solution."""
    kept = {name: getattr(sol, name) for name in ("i_out", "v_word", "v_bit", "i_cell")}
    figures = {name: getattr(sol.stats, name) for name in ("iterations", "solves", "residual", "power_balance")}
    return {name: np.asarray(value) for name, value in (kept | figures).items()}


def _currents(i_out: np.ndarray) -> Table:
    """The bit-line currents of every input, or the first and the last of them."""
    table = Table()
    batched = i_out.ndim > 1
    for name in ("input", "bit line", "current [A]")[not batched :]:
        table.add_column(name, justify="right")
    digits = 9 if i_out.dtype == np.float64 else 6
    rows = list(np.ndindex(i_out.shape))
    cut = _SHOWN_AT_AN_END if len(rows) > _LONGEST_TABLE else len(rows)
    for number, index in enumerate(rows):
        if number == cut:
            table.add_row(*["..."] * len(table.columns))
        if number < cut or number >= len(rows) - cut:
            place = [", ".join(map(str, index[:-1]))] if batched else []
            table.add_row(*place, str(index[-1]), f"{i_out[index]:.{digits}e}")
    return table


def _figures(circuit: Circuit, arrays: dict[str, np.ndarray]) -> Iterator[str]:
    """Lines below the table: how to get the rest, how good the solution is, what the wires cost."""
    if (size := arrays["i_out"].size) > _LONGEST_TABLE:
        yield f"{2 * _SHOWN_AT_AN_END} of {size} currents are shown; --out FILE.npz writes all of them as `i_out`."
    yield f"iterations     {arrays['iterations']}"
    yield f"linear solves  {arrays['solves']}"
    yield f"residual       {np.max(arrays['residual']):.1e} (relative)"
    yield f"power balance  {np.max(np.abs(arrays['power_balance'])):.1e} (relative)"
    applied, across = _applied(circuit), arrays["v_word"] - arrays["v_bit"]
    # Voltages of nodes that connect to nothing are NaN.
    drop = np.nan_to_num(np.abs(applied - across))
    worst = np.unravel_index(np.argmax(drop), drop.shape)
    *vector, word, bit = map(int, worst)
    place = f"word line {word}, bit line {bit}" + (f", input {', '.join(map(str, vector))}" if vector else "")
    yield f"worst IR drop  {drop[worst]:.4g} V of {abs(applied[worst]):.4g} V, at {place}"


def _applied(circuit: Circuit) -> np.ndarray:
    """Voltage between the terminals of the lines of every cell [V]."""
    v_out = np.zeros(circuit.g.shape[1], circuit.g.dtype) if circuit.v_out is None else circuit.v_out
    return circuit.v_in[..., :, None] - v_out[..., None, :]


def _notes(circuit: Circuit, arrays: dict[str, np.ndarray]) -> Iterator[str]:
    """What is possible, but more often a number in another unit."""
    finite = circuit.g[np.isfinite(circuit.g)]
    if finite.size and (largest := float(finite.max())) > _LARGE_CONDUCTANCE:
        yield (
            f"the largest conductance in `g` is {quantity(largest, 'S')}, a resistance of "
            f"{quantity(1 / largest, 'ohm')}; `g` is in S."
        )
    for name in ("v_in", "v_out"):
        volts = getattr(circuit, name)
        if volts is not None and volts.size and (largest := float(np.abs(volts).max())) > _LARGE_VOLTAGE:
            yield f"the largest voltage in `{name}` is {quantity(largest, 'V')}; `{name}` is in V."
    applied = float(np.abs(_applied(circuit)).sum())
    if applied > 0:
        lost = 1 - float(np.nansum(np.abs(arrays["v_word"] - arrays["v_bit"]))) / applied
        if lost > _ALMOST_ALL:
            yield (
                f"the wires take {100 * lost:.0f} % of the voltage, on average over the cells; the resistances of the "
                "wires are in ohm, `g` is in S."
            )
