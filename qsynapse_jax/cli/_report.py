"""What a run prints and keeps: one table, one result file."""

import dataclasses
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

import qsynapse_jax
from qsynapse_jax.cli._config import StudyConfig
from qsynapse_jax.cli._study import ROWS, Study


def hardware_lines(config: StudyConfig) -> list[str]:
    """The physical setting in words: wires, cell range, tiles."""
    wires, cell, tile = config.wires(), config.cell, config.tile_shape()
    ladder = cell.build().cell
    low, high = (float(g) for g in ladder.conductance(np.asarray(ladder.code_range)))
    branches = ", ".join(ohm(2**k * cell.r_unit) for k in range(cell.bits))
    return [
        f"wires: {float(wires.r_word):g} ohm per word-line segment, {float(wires.r_bit):g} ohm per bit-line segment",
        f"cell:  two {cell.bits}-bit ladders a weight, branches {branches},",
        f"       switch {ohm(cell.r_on)} on, {ohm(cell.r_off)} off",
        f"       {1e6 * low:.3g} to {1e6 * high:.3g} uS ({ohm(1 / high)} to {ohm(1 / low)}) a ladder, "
        f"{2 ** (cell.bits + 1) - 1} signed levels",
        f"tile:  {tile[0]} word lines x {tile[1]} bit lines",
    ]


def ohm(resistance: float) -> str:
    """A resistance with three digits and a unit that suits it."""
    for size, unit in ((1e6, "Mohm"), (1e3, "kohm")):
        if resistance >= size:
            return f"{resistance / size:.3g} {unit}"
    return f"{resistance:.3g} ohm"


def table(accuracies: dict[str, float], n_test: int, *, title: str) -> Table:
    """Accuracy of every row beside its distance from float."""
    result = Table(title=title)
    result.add_column("network")
    result.add_column(f"test accuracy ({n_test:,} samples)", justify="right")
    result.add_column("against float", justify="right")
    for name, label in ROWS.items():
        change = accuracies[name] - accuracies["float"]
        result.add_row(label, f"{accuracies[name]:.2f} %", "" if name == "float" else f"{change:+.2f} points")
    return result


def environment() -> dict[str, Any]:
    """What a result depends on besides its config: versions and device."""
    packages = ("jax", "jaxlib", "flax", "equinox", "optax", "numpy")
    device = jax.devices()[0]
    return {
        "versions": {
            "qsynapse_jax": qsynapse_jax.__version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in packages},
        },
        "device": f"{device.platform}: {device.device_kind}",
    }


def result_content(config: StudyConfig, study: Study, n_test: int, seconds: float) -> dict[str, Any]:
    """Everything that `result.json` holds: config, seed, versions, device, wall time, figures."""
    return {
        "config": {**dataclasses.asdict(config), "out": str(config.out)},
        "hardware": hardware_lines(config),
        "seed": config.seed,
        **environment(),
        "wall_time_s": round(seconds, 2),
        "training_time_s": {name: round(value, 2) for name, value in study.seconds.items()},
        "test_samples": n_test,
        "figures": [
            {"name": f"test_accuracy_{name}", "label": ROWS[name], "unit": "%", "ours": round(value, 4)}
            for name, value in study.accuracies.items()
        ],
        "history": {
            name: [dataclasses.asdict(epoch) for epoch in history] for name, history in study.histories.items()
        },
    }


def print_files(console: Console, paths: list[Path]) -> None:
    """Where the run's files are, one a line."""
    for path in paths:
        console.print(f"  {path}", highlight=False, soft_wrap=True)
