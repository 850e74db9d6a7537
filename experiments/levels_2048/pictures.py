"""Pictures of the result: `python -m experiments.levels_2048.pictures` draws the committed one anew."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments._record import FOLDER, read_result
from qsynapse_jax import plot
from qsynapse_jax.studies import Record

_COLORS = {"coarse": ("not denoised", "tab:blue"), "denoised": ("denoised", "tab:orange")}
_SHOWN = 24


def draw(record: Record, folder: Path) -> None:
    """Draws both."""
    _levels(record).savefig(folder / "levels_2048.png", dpi=130)
    _influence(record).savefig(folder / "influence.png", dpi=130)


def _setting(record: Record, name: str) -> Any:
    config = record.config
    return config[name] if isinstance(config, dict) else getattr(config, name)


def _levels(record: Record) -> Any:
    """One cell at its levels, reads of an array, fluctuation of its cells, and that of one over time."""
    from matplotlib.figure import Figure

    data = record.data
    figure = Figure(figsize=(11, 7.6), layout="constrained")
    (steps, errors), (noise, trace) = figure.subplots(2, 2)
    least, most = data["cell/least"][:, 0], data["cell/most"][:, 0]
    count = len(least)
    step = (4144 - 50) / (_setting(record, "levels") - 1)
    levels = 50 + np.arange(count) * step * (_setting(record, "levels") // count)
    middle = slice(max(0, count // 2 - _SHOWN // 2), count // 2 + _SHOWN // 2)
    steps.vlines(levels[middle], levels[middle] + least[middle] * step, levels[middle] + most[middle] * step, lw=3)
    steps.plot(levels[middle], levels[middle] + (least + most)[middle] / 2 * step, "o", ms=3, color="C0")
    for sign in (-0.5, 0.5):
        steps.plot(levels[middle], levels[middle] + sign * step, "k--", lw=0.8)
    steps.set(
        title=f"{len(levels[middle])} of {count:,} levels of one cell: range of all reads, band",
        xlabel="level [uS]",
        ylabel="read [uS]",
    )
    inset = steps.inset_axes((0.62, 0.1, 0.35, 0.35))
    inset.plot(levels, levels + (least + most) / 2 * step, lw=1)
    inset.set_title("all of them", fontsize=8)
    inset.tick_params(labelsize=7)
    edges = np.linspace(-2.5, 2.5, len(data["array/coarse/errors"]) + 1)
    sigmas = np.geomspace(1e-3, 30, len(data["array/coarse/sigma"]) + 1)
    for name, (label, color) in _COLORS.items():
        for panel, what, bins in ((errors, "errors", edges), (noise, "sigma", sigmas)):
            counts = data[f"array/{name}/{what}"]
            panel.stairs(counts / counts.sum(), bins, label=label, color=color, fill=True, alpha=0.5)
        one = 1e6 * data[f"array/{name}/traces"][:, 1].astype(float)
        trace.plot(
            1e-3 * np.arange(len(one)), one - one.mean(), color=color, lw=0.8, label=f"{label}, {one.mean():.0f} uS"
        )
    for sign in (-0.5, 0.5):
        errors.axvline(sign, color="k", ls="--", lw=0.8)
        trace.axhline(2 * sign, color="k", ls="--", lw=0.8)
    noise.axvline(step / 6, color="k", ls="--", lw=0.8, label="a sixth of the distance of levels")
    title = "Raw reads of an array less their targets"
    errors.set(yscale="log", title=title, xlabel="distances between levels; ends hold what is beyond", ylabel="share")
    title = "Standard deviation of the reads of a cell"
    noise.set(
        xscale="log", title=title, xlabel="standard deviation [uS]; ends hold what is beyond", ylabel="share of cells"
    )
    trace.set(title="One cell over time, less its mean", xlabel="time [s]", ylabel="conductance [uS]")
    for panel in (errors, noise, trace):
        panel.legend(fontsize=8, loc="upper right")
    return figure


def _influence(record: Record) -> Any:
    """What the levels owe to the traps, and what verification leaves where reads are noisy."""
    from matplotlib.figure import Figure

    data = record.data
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    before, cost, columns = figure.subplots(1, 3, width_ratios=(1, 1, 1.2))
    amplitudes, densities = (_setting(record, name) for name in ("amplitudes", "densities"))
    pulses = np.sum([data[f"traps/{name}/pulses"] for name in _COLORS], axis=0)
    shown = (
        (before, np.log2(data["traps/coarse"]), (4.0, 11.0), "Bits that 99 of 100 cells\nkeep apart, not denoised"),
        (cost, pulses, (5.0, 20.0), "Pulses per cell to 2,048 levels,\ndenoised"),
    )
    for panel, values, (low, high), title in shown:
        y, labels = [1e6 * one for one in amplitudes], ("trap density", "trap amplitude [uS]")
        options = {"label_x": labels[0], "label_y": labels[1], "limits": (low, high)}
        plot.heat_map(values.mean(2), x=densities, y=y, ax=panel, **options)
        panel.set_title(title, fontsize=10)
    names = [name.removeprefix("columns/") for name in data if name.startswith("columns/")]
    for name in names:
        counts = data[f"columns/{name}"]
        columns.stairs(counts / counts.sum(), np.linspace(-2.5, 2.5, len(counts) + 1), label=name, lw=1.3)
    title = "64-cell columns under read noise of one level"
    columns.set(title=title, xlabel="programming error [levels]", ylabel="share of cells", yscale="log")
    columns.legend(fontsize=7)
    return figure


if __name__ == "__main__":
    draw(read_result("levels_2048"), FOLDER / "levels_2048")
