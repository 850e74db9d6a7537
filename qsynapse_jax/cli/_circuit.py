"""The commands for a single circuit, stored as a file: solve it, or hand it to ngspice."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from qsynapse_jax.cli._problem import Problem, read_problem
from qsynapse_jax.cli._report import print_files
from qsynapse_jax.cli._store import prepare_file, write_arrays
from qsynapse_jax.crossbar import Solution, solve, to_spice

# A table that fits a screen; of a longer one its two ends.
LONGEST_TABLE, SHOWN_AT_AN_END = 20, 8


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

    def run(self, console: Console) -> None:
        problem = read_problem(self.file)
        if self.out is not None:
            prepare_file(self.out, source=self.file)
        with problem.precision():
            sol = solve(
                problem.g,
                problem.v_in,
                problem.wires(),
                v_out=problem.v_out,
                cell=problem.cell(),
                rtol=self.rtol,
                max_steps=self.max_steps,
            )
        arrays = _arrays(sol)
        console.print(f"{self.file}: {problem}", highlight=False, markup=False, soft_wrap=True)
        console.print(_currents(arrays["i_out"]))
        for line in _figures(problem, arrays, all_shown=arrays["i_out"].size <= LONGEST_TABLE):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        if self.out is not None:
            write_arrays(self.out, arrays)
            console.print("Written:")
            print_files(console, [self.out])


@dataclass(frozen=True)
class Spice:
    """Write one crossbar as a netlist for ngspice, which prints its bit-line currents."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """The circuit, an .npz file as for `qsynapse solve`, with one vector of voltages."""
    out: Path | None = None
    """The netlist; beside the input with the ending .cir where not given."""

    def run(self, console: Console) -> None:
        problem = read_problem(self.file)
        if problem.v_in.ndim > 1:
            raise ValueError(
                f"Argument `v_in` must be one vector of voltages for a netlist, but has shape {problem.v_in.shape}; "
                "store each in a file of its own, e.g. with `v_in=v_in[0]`."
            )
        out = self.file.with_suffix(".cir") if self.out is None else self.out
        prepare_file(out, source=self.file)
        with problem.precision():
            to_spice(problem.g, problem.v_in, problem.wires(), problem.cell(), out, v_out=problem.v_out)
        console.print("Written:")
        print_files(console, [out])
        console.print(f"Run it: ngspice -b {shlex.quote(str(out))}", highlight=False, markup=False, soft_wrap=True)


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
    cut = SHOWN_AT_AN_END if len(rows) > LONGEST_TABLE else len(rows)
    for number, index in enumerate(rows):
        if number == cut:
            table.add_row(*["..."] * len(table.columns))
        if number < cut or number >= len(rows) - cut:
            place = [", ".join(map(str, index[:-1]))] if batched else []
            table.add_row(*place, str(index[-1]), f"{i_out[index]:.{digits}e}")
    return table


def _figures(problem: Problem, arrays: dict[str, np.ndarray], *, all_shown: bool) -> Iterator[str]:
    """Lines below the table: how to get the rest, how good the solution is, what the wires cost."""
    if not all_shown:
        shown = 2 * SHOWN_AT_AN_END
        yield f"{shown} of {arrays['i_out'].size} currents are shown; --out FILE.npz writes all of them as `i_out`."
    yield f"iterations     {arrays['iterations']}"
    yield f"linear solves  {arrays['solves']}"
    yield f"residual       {np.max(arrays['residual']):.1e} (relative)"
    yield f"power balance  {np.max(np.abs(arrays['power_balance'])):.1e} (relative)"
    v_out = np.zeros(problem.g.shape[1], problem.g.dtype) if problem.v_out is None else problem.v_out
    applied = problem.v_in[..., :, None] - v_out[..., None, :]
    drop = np.abs(applied - (arrays["v_word"] - arrays["v_bit"]))
    worst = np.unravel_index(np.argmax(drop), drop.shape)
    *vector, word, bit = map(int, worst)
    place = f"word line {word}, bit line {bit}" + (f", input {', '.join(map(str, vector))}" if vector else "")
    yield f"worst IR drop  {drop[worst]:.4g} V of {abs(applied[worst]):.4g} V, at {place}"
