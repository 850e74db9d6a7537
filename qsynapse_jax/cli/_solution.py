"""The solution of one stored circuit: what is printed, written and drawn of it."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich.table import Table

from qsynapse_jax import plot
from qsynapse_jax._arrays import write_arrays, write_whole
from qsynapse_jax._fields import quantity
from qsynapse_jax.crossbar import Circuit, Solution

# Endings of the files that a solution can be written into.
OUTPUTS = (".npz", ".csv", ".json")
# A table that fits a screen; of a longer one its two ends.
_LONGEST_TABLE, _SHOWN_AT_AN_END = 20, 8
# Beyond any crosspoint [S] and any read voltage [V] of a resistive memory; and a share of the voltage lost in wires at
# which nobody would build.
_LARGE_CONDUCTANCE, _LARGE_VOLTAGE, _ALMOST_ALL = 0.1, 10.0, 0.9
# Percent of a current that no solution in double precision is exact to.
_ROUNDING = 1e-9


def solution_arrays(circuit: Circuit, sol: Solution) -> dict[str, np.ndarray]:
    """What is kept of a solution, and what ideal wires would carry [A]."""
    kept = {name: getattr(sol, name) for name in ("i_out", "v_word", "v_bit", "i_cell")}
    figures = {name: getattr(sol.stats, name) for name in ("iterations", "solves", "residual", "power_balance")}
    v = _applied(circuit).astype(circuit.g.dtype)
    ideal = jnp.sum(circuit.law().current(jnp.asarray(circuit.g), jnp.asarray(v)), -2)
    return {name: np.asarray(value) for name, value in (kept | {"i_ideal": ideal} | figures).items()}


def lost(i_out: np.ndarray, i_ideal: np.ndarray) -> np.ndarray:
    """Part of the ideal current that the wires cost [%]; NaN where there is none to lose."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(i_ideal != 0, 100 * (1 - i_out / i_ideal), np.nan)


def currents_table(i_out: np.ndarray, i_ideal: np.ndarray) -> Table:
    """The bit-line currents of every input beside those of ideal wires, or the first and the last of them."""
    table = Table()
    batched = i_out.ndim > 1
    for name in ("input", "bit line", "current [A]", "ideal wires [A]", "lost [%]")[not batched :]:
        table.add_column(name, justify="right")
    digits = 9 if i_out.dtype == np.float64 else 6
    part = lost(i_out, i_ideal)
    rows = list(np.ndindex(i_out.shape))
    cut = _SHOWN_AT_AN_END if len(rows) > _LONGEST_TABLE else len(rows)
    for number, index in enumerate(rows):
        if number == cut:
            table.add_row(*["..."] * len(table.columns))
        if number < cut or number >= len(rows) - cut:
            place = [", ".join(map(str, index[:-1]))] if batched else []
            shown = f"{_whole_zero(part[index]):.3g}" if np.isfinite(part[index]) else "-"
            table.add_row(*place, str(index[-1]), f"{i_out[index]:.{digits}e}", f"{i_ideal[index]:.{digits}e}", shown)
    return table


def _whole_zero(percent: Any) -> float:
    """A difference that rounding made is none."""
    return 0.0 if abs(percent) < _ROUNDING else float(percent)


def figures(circuit: Circuit, arrays: dict[str, np.ndarray]) -> Iterator[str]:
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
    total = np.sum(np.abs(arrays["i_ideal"]))
    if np.isfinite(total) and total > 0:
        missing = _whole_zero(100 * np.sum(np.abs(arrays["i_out"] - arrays["i_ideal"])) / total)
        yield f"lost in wires  {missing:.3g} % of the currents, in all"
    yield f"worst IR drop  {drop[worst]:.4g} V of {abs(applied[worst]):.4g} V, at {place}"


def _applied(circuit: Circuit) -> np.ndarray:
    """Voltage between the terminals of the lines of every cell [V]."""
    v_out = np.zeros(circuit.g.shape[1], circuit.g.dtype) if circuit.v_out is None else circuit.v_out
    return circuit.v_in[..., :, None] - v_out[..., None, :]


def notes(circuit: Circuit, arrays: dict[str, np.ndarray]) -> Iterator[str]:
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
    if not circuit.resistances:
        yield "the wires are ideal; `--wires` gives them a resistance, e.g. `--wires 1.0` [ohm per cell] or 22nm."
    applied = float(np.abs(_applied(circuit)).sum())
    if applied > 0:
        lost = 1 - float(np.nansum(np.abs(arrays["v_word"] - arrays["v_bit"]))) / applied
        if lost > _ALMOST_ALL:
            yield (
                f"the wires take {100 * lost:.0f} % of the voltage, on average over the cells; the resistances of the "
                "wires are in ohm, `g` is in S."
            )


def write_solution(path: Path, circuit: Circuit, arrays: dict[str, np.ndarray]) -> None:
    """Writes a solution in the format of the file's ending."""
    if path.suffix == ".npz":
        write_arrays(path, arrays)
        return
    write_whole(path, lambda file: (_write_csv if path.suffix == ".csv" else _write_json)(file, circuit, arrays))


def _write_csv(path: Path, circuit: Circuit, arrays: dict[str, np.ndarray]) -> None:
    """A row per input and bit line."""
    i_out, i_ideal = arrays["i_out"], arrays["i_ideal"]
    part, batched = lost(i_out, i_ideal), i_out.ndim > 1
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["input", "bit_line", "current_A", "ideal_A", "lost_percent"][not batched :])
        for index in np.ndindex(i_out.shape):
            place = [" ".join(map(str, index[:-1]))] if batched else []
            table.writerow([*place, index[-1], *(repr(float(x[index])) for x in (i_out, i_ideal, part))])


def _write_json(path: Path, circuit: Circuit, arrays: dict[str, np.ndarray]) -> None:
    """The currents and the figures; what is not a number is null."""

    def plain(value: np.ndarray) -> Any:
        shown = value.astype(object)
        shown[~np.isfinite(value)] = None
        return shown.tolist()

    shown = {"circuit": str(circuit), "unit": "A", "i_out": plain(arrays["i_out"]), "i_ideal": plain(arrays["i_ideal"])}
    shown |= {"lost_percent": plain(lost(arrays["i_out"], arrays["i_ideal"]))}
    shown |= {name: plain(arrays[name]) for name in ("iterations", "solves", "residual", "power_balance")}
    shown |= {"remarks": list(circuit.remarks)}
    path.write_text(json.dumps(shown, indent=1) + "\n")


def draw_solution(path: Path, circuit: Circuit, arrays: dict[str, np.ndarray]) -> None:
    """Currents beside those of ideal wires, and the voltages that the cells see, of the first input."""
    first = (0,) * (circuit.v_in.ndim - 1)
    figure, (left, right) = plot.new_figure(11.0, 4.4, 1, 2)
    plot.currents(arrays["i_out"][first], arrays["i_ideal"][first], ax=left)
    plot.crossbar(arrays["v_word"][first] - arrays["v_bit"][first], ax=right, label="voltage of the cell", unit="V")
    write_whole(path, lambda file: figure.savefig(file, dpi=130))
