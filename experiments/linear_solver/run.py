"""Poisson's equation in double precision on devices of two or three digits: residual programming and refinement."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments._record import write_result
from experiments.linear_solver._poisson import Slices, charges, matrix, sliced, solve
from experiments.linear_solver.pictures import counted, draw
from qsynapse_jax.cells import Differential, Multilevel
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.devices import presets
from qsynapse_jax.programming import residual
from qsynapse_jax.studies import Record, TextTable, claim
from qsynapse_jax.tile import Tile

# What arrays look like after writing, by name, the finest first.
DEVICES = {
    "cmo_0.2": lambda: presets.cmo_written(0.002),
    "cmo_2": lambda: presets.cmo_written(0.02),
    "wan": lambda: presets.wan_2022(),
}
WAYS = ("ideal", "ignored", "measured", "compensated")


@dataclass(frozen=True)
class SolverConfig:
    """A grid and arrays.

    Attributes:
        side: points of the grid along a line.
        rows, cols: of the blocks that the matrix is cut into: arrays of `rows` word lines and 2 `cols` bit lines.
        levels: that writing aims at, of a device.
        arrays: the most of them per block.
        products: of vectors with the arrays, in all.
        gain: to which an inner solve takes the residual down before it is taken anew in digital, where arrays reach
            that; `floor` times what they reach alone otherwise, and so the less often the more arrays there are.
        bits: of converters at inputs and outputs of arrays, in the runs that round.
        wires: resistance of a segment [ohm], in the runs with wires.
        fill: part of the window that compensated writing uses: the rest is for what wires take.
        seeds: of devices and of writing.
    """

    side: int = 32
    rows: int = 64
    cols: int = 32
    levels: int = 1024
    arrays: int = 6
    products: int = 400
    gain: float = 0.3
    floor: float = 3.0
    bits: tuple[int, int] = (8, 10)
    wires: float = 1.0
    fill: float = 0.9
    seeds: tuple[int, ...] = (0, 1, 2)


FULL = SolverConfig()
QUICK = SolverConfig(side=8, rows=16, cols=8, arrays=2, products=60, seeds=(0,))


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, on a coarse grid, not what it claims."""
    config, started = QUICK if quick else FULL, time.perf_counter()
    with jax.enable_x64(True):
        data = _measured(config)
    record = Record(
        "linear_solver",
        config,
        config.seeds,
        time.perf_counter() - started,
        _claims(config, data),
        tables={"arrays": _arrays(config, data), "wires": _wires(config, data)},
        data=data,
        notes=["Inputs and outputs of arrays are rounded where it says so; what was measured of an array stays."],
    )
    draw(record, folder)
    return write_result(folder, record)


def _measured(config: SolverConfig) -> dict[str, np.ndarray]:
    """By device and by way: errors of the matrix, and the courses of solves, by seed and number of arrays."""
    goal = sliced(matrix(config.side), config.rows, config.cols)
    runs = [(name, "ideal") for name in DEVICES] + [("cmo_0.2", way) for way in WAYS[1:]]
    data: dict[str, np.ndarray] = {}
    for name, way in runs:
        found = [_of_seed(config, goal, name, way, seed) for seed in config.seeds]
        for what in found[0]:
            data[f"{name}/{way}/{what}"] = np.array([one[what] for one in found])
        last = {what: data[f"{name}/{way}/{what}"][0, :, -1] for what in ("alone", "refined")}
        told = ", ".join(f"{what} {' '.join(f'{x:.1e}' for x in values)}" for what, values in last.items())
        print(f"{name}, wires {way}: {told}", flush=True)
    return data


def _of_seed(config: SolverConfig, goal: Slices, name: str, way: str, seed: int) -> dict[str, np.ndarray]:
    noise = DEVICES[name]()
    cell = Differential(Multilevel(config.levels, noise.g_min, noise.g_max))
    shape = (config.rows, 2 * config.cols)
    wires = None if way == "ideal" else Wires(r_word=config.wires, r_bit=config.wires)
    seen, real = (Tile(cell, wires=w, device=noise, shape=shape) for w in (None if way == "ignored" else wires, wires))
    write, fill = (seen.write_compensated, config.fill) if way == "compensated" else (seen.write, 1.0)
    found = residual(goal.blocks, write, config.arrays, key=jax.random.key(seed), fill=fill)
    # What was not measured is what wires do after all.
    held = jax.lax.map(real.matrix, found.states) if way == "ignored" else found.found
    sums = jnp.cumsum(found.scales[..., None, None] * held, axis=0)
    b, courses = jnp.asarray(charges(config.side)), {}
    gains = np.zeros(config.arrays)
    # Rounding to a number of bits is for one array: of more each has converters of its own.
    for what, bits, some in (("alone", None, sums), ("refined", None, sums), ("rounded", config.bits, sums[:1])):
        solved = [
            solve(goal._replace(blocks=s), b, jnp.asarray(gain), products=config.products, bits=bits)
            for s, gain in zip(some, gains, strict=False)
        ]
        courses[what] = np.array([one.residual for one in solved], np.float32)
        gains = np.minimum(config.gain, config.floor * courses["alone"][:, -1].astype(float))
    error = goal.blocks[None] - sums
    # Of the largest number in the matrix.
    return courses | {"error": np.asarray(jnp.max(jnp.abs(error), axis=(1, 2, 3)) / jnp.max(jnp.abs(goal.blocks)))}


_GOAL = 1e-12


def _products(course: np.ndarray) -> float:
    """Products until the residual is at the goal; infinite where it never is."""
    reached = np.nonzero(course <= _GOAL)[0]
    return float(reached[0] + 1) if reached.size else np.inf


def _claims(config: SolverConfig, data: dict[str, np.ndarray]) -> list[Any]:
    fine, relaxed = data["cmo_0.2/ideal/refined"], data["wan/ideal/refined"]
    three = min(3, config.arrays) - 1

    def last(course: np.ndarray, arrays: int) -> list[float]:
        return [float(one[arrays, -1]) for one in course]

    figures = [
        claim("residual_one_array_refined", "", last(fine, 0), reach="<= 1e-12"),
        claim("products_to_1e-12_one_array_refined", "", [_products(one[0]) for one in fine]),
        claim("products_to_1e-12_three_arrays_refined", "", [_products(one[three]) for one in fine]),
        claim("residual_one_array_refined_8_bit_inputs", "", last(data["cmo_0.2/ideal/rounded"], 0), reach="<= 1e-12"),
        claim("products_to_1e-12_8_bit_inputs", "", [_products(one[0]) for one in data["cmo_0.2/ideal/rounded"]]),
        claim("residual_most_arrays_without_refinement", "", last(data["cmo_0.2/ideal/alone"], -1), reach="<= 1e-12"),
        claim("residual_one_array_without_refinement", "", last(data["cmo_0.2/ideal/alone"], 0)),
        claim("residual_relaxed_cells_three_arrays_refined", "", last(relaxed, three), reach="<= 1e-12"),
        claim("residual_wires_ignored_one_array_refined", "", last(data["cmo_0.2/ignored/refined"], 0)),
        claim("residual_wires_compensated_one_array_refined", "", last(data["cmo_0.2/compensated/refined"], 0)),
    ]
    for name in DEVICES:
        error = np.maximum(data[f"{name}/ideal/error"], 1e-15)
        steps = np.log10(error[:, :-1] / error[:, 1:])
        figures.append(claim(f"digits_per_array_{name}", "", [float(one.mean()) for one in steps]))
    return figures


def _arrays(config: SolverConfig, data: dict[str, np.ndarray]) -> TextTable:
    rows = []
    for k in range(config.arrays):
        row = [str(k + 1)]
        for name in DEVICES:
            row += _cells(data, f"{name}/ideal", k)
        rows.append(row)
    columns = ["arrays", *(f"{name}: {what}" for name in DEVICES for what in _WHAT)]
    return TextTable("What arrays reach alone, and products to 1e-12 with refinement", columns, rows)


_WHAT = ("error of the matrix", "residual alone", "products, refined")


def _wires(config: SolverConfig, data: dict[str, np.ndarray]) -> TextTable:
    rows = []
    for way in WAYS:
        row = [way if way == "ideal" else f"{config.wires:g} ohm, {way}"]
        for k in (0, min(2, config.arrays - 1), config.arrays - 1):
            row += _cells(data, f"cmo_0.2/{way}", k)[1:]
        rows.append(row)
    numbers = (1, min(3, config.arrays), config.arrays)
    columns = ["wires", *(f"{counted(n)}: {what}" for n in numbers for what in _WHAT[1:])]
    return TextTable("Behind wires", columns, rows)


def _cells(data: dict[str, np.ndarray], name: str, k: int) -> list[str]:
    """Geometric mean of errors and residuals over the seeds, mean of products."""
    error, alone = data[f"{name}/error"][:, k], data[f"{name}/alone"][:, k, -1]
    products = [_products(one[k]) for one in data[f"{name}/refined"]]
    shown = f"{np.mean(products):.0f}" if np.isfinite(products).all() else "never"
    return [f"{np.exp(np.mean(np.log(np.maximum(x, 1e-17)))):.1e}" for x in (error, alone)] + [shown]
