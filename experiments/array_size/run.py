"""The design chart: what wires leave of a matrix product, against lines, wires and the cells of the four systems."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments._record import write_result
from experiments.array_size.pictures import draw
from qsynapse_jax import sweep
from qsynapse_jax.studies import RANDOM_ARRAY, Claim, Record, TextTable, claim

# Conductances [uS] and levels of one device of each system: the quantized synapse as in quantized_programming (4 bits
# of 80 kohm), the hybrid one with its paper's 50 states over the window of the package's step devices, the 2,048-level
# memristor (Rao et al., Nature 615:823, 2023), the CMO/HfOx ReRAM (27 states).
CELLS = {
    "quantized synapse": (2.6, 21.9, 16),
    "hybrid synapse": (1.0, 10.0, 50),
    "2,048-level memristor": (50.0, 4144.0, 2048),
    "CMO/HfOx ReRAM": (25.0, 90.0, 27),
}
# A bit line that loses no more than a level of 4 bits: rms error after one gain for the array, relative to the largest
# current, of a converter of 4 bits.
BITS = 4.0


@dataclass(frozen=True)
class SizeConfig:
    """What is drawn and solved.

    Attributes:
        lines: word lines, and as many bit lines.
        wires: of every segment [ohm].
        inputs: vectors of voltages per array.
        seeds: of levels and voltages.
    """

    lines: tuple[int, ...] = (16, 32, 64, 128, 256, 512, 1024)
    wires: tuple[float, ...] = (0.35, 1.0, 2.5, 5.0, 10.0)
    inputs: int = 8
    seeds: tuple[int, ...] = (0, 1, 2)


FULL = SizeConfig()
QUICK = SizeConfig((8, 16), (0.35, 10.0), 4, (0,))
RESULTS = ("bits", "agreement", "current_error", "loss")


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, on small arrays."""
    config, started = QUICK if quick else FULL, time.perf_counter()
    found = {name: _swept(config, folder, name) for name in CELLS}
    data = {f"{name}/{what}": values for name, results in found.items() for what, values in results.items()}
    record = Record(
        "array_size",
        config,
        config.seeds,
        time.perf_counter() - started,
        _claims(config, found),
        tables={"bits": _table(config, found, "bits"), "largest": _largest(config, found)},
        data=data | {"lines": np.array(config.lines), "wires": np.array(config.wires)},
        notes=[
            "Levels and voltages are drawn evenly; wires of one resistance along both kinds of line, ideal ends.",
            f"{_refused(found)} points are blank: single precision does not do for them, and the solve refused.",
        ],
    )
    draw(record, folder)
    return write_result(folder, record)


def _swept(config: SizeConfig, folder: Path, name: str) -> dict[str, np.ndarray]:
    """Every result of one cell, shape (lines, wires, seeds); NaN where a solve refused."""
    low, high, levels = CELLS[name]
    fixed = {"r_on": 1e6 / high, "on_off": high / low, "levels": levels, "inputs": config.inputs}
    plan = sweep.grid(
        RANDOM_ARRAY, lines=list(config.lines), r_wire=list(config.wires), seed=list(config.seeds), fixed=fixed, chunk=8
    )
    # A sweep that was interrupted goes on where it was.
    store = folder / "parts" / name.replace("/", " ")
    store.parent.mkdir(exist_ok=True)
    ds = sweep.run(plan, store, resume=True)
    return {what: ds[what].transpose("lines", "r_wire", "seed").values for what in RESULTS}


def _refused(found: dict[str, dict[str, np.ndarray]]) -> int:
    return sum(int(np.isnan(results["bits"]).sum()) for results in found.values())


def _claims(config: SizeConfig, found: dict[str, dict[str, np.ndarray]]) -> list[Claim]:
    """Bits that are left of arrays of 64 lines, or the largest there are, behind 1 ohm, or the least."""
    line = config.lines.index(64) if 64 in config.lines else -1
    wire = config.wires.index(1.0) if 1.0 in config.wires else 0
    return [
        claim(
            f"bits_left_{_slug(name)}",
            "bit",
            [float(one) for one in results["bits"][line, wire]],
            label=f"bits left of 64 x 64, 1 ohm, {name}",
        )
        for name, results in found.items()
    ]


def _slug(name: str) -> str:
    return name.lower().replace(",", "").replace(" ", "_").replace("/", "_").replace("-", "_")


def _table(config: SizeConfig, found: dict[str, dict[str, np.ndarray]], what: str) -> TextTable:
    """Means over seeds behind 1 ohm, or the least wires."""
    wire = config.wires.index(1.0) if 1.0 in config.wires else 0
    rows = [
        [f"{lines} x {lines}", *(f"{np.nanmean(results[what][k, wire]):.1f}" for results in found.values())]
        for k, lines in enumerate(config.lines)
    ]
    return TextTable(f"Bits left, {config.wires[wire]:g} ohm per segment", ["array", *found], rows)


def _largest(config: SizeConfig, found: dict[str, dict[str, np.ndarray]]) -> TextTable:
    """The largest array that keeps so many bits, by wires."""
    rows = []
    for wire, r in enumerate(config.wires):
        row = [f"{r:g} ohm"]
        for results in found.values():
            kept = [
                n
                for n, bits in zip(config.lines, np.nanmean(results["bits"][:, wire], -1), strict=True)
                if bits >= BITS
            ]
            row.append(f"{kept[-1]} x {kept[-1]}" if kept else f"below {config.lines[0]}")
        rows.append(row)
    return TextTable(f"The largest array that keeps {BITS:g} bits", ["per segment", *found], rows)
