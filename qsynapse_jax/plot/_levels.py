"""Pictures of arrays at precise levels: where cells are, how far from their targets, and how they fluctuate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qsynapse_jax.plot._pictures import new_figure

_BINS = 121
_CROWDED = 3000  # points of a staircase beyond which more of them show nothing


def conductance_map(g: Any, *, failed: Any = None, title: str = "") -> Any:
    """Conductance of every cell of an array.

    Args:
        g: conductances [S], shape (wl, bl).
        failed: cells that are marked, likewise.
        title: what is shown, in a sentence.
    """
    g = 1e6 * np.asarray(g, float)
    figure, axes = new_figure(6.2, 5.0)
    figure.colorbar(axes.imshow(g, cmap="viridis", interpolation="nearest"), label="conductance [uS]")
    if failed is not None and np.any(failed):
        rows, columns = np.nonzero(np.asarray(failed))
        label = f"{len(rows):,} cells that gave up"
        axes.plot(columns, rows, "s", markersize=4, markerfacecolor="none", color="tab:red", label=label)
        axes.legend(loc="upper right", fontsize=8)
    axes.set(xlabel="bit line", ylabel="word line", title=title)
    return figure


def staircase(target: Any, read: Any, *, step: float, title: str = "") -> Any:
    """Reads against targets, all of them and some levels enlarged.

    Args:
        target: of the cells [S], any shape.
        read: raw reads [S], shape (reads, *shape of `target`).
        step: distance of neighboring levels [S].
        title: what is shown, in a sentence.
    """
    target = 1e6 * np.ravel(np.asarray(target, float))
    read = 1e6 * np.reshape(np.asarray(read, float), (-1, target.size))
    order, width = np.argsort(target, kind="stable"), 1e6 * step
    figure, (whole, part) = new_figure(10.0, 4.2, 1, 2)
    shown = order[:: max(1, target.size // _CROWDED)]
    whole.plot(np.arange(target.size)[:: max(1, target.size // _CROWDED)], read[0, shown], ".", markersize=2)
    whole.set(xlabel="cells by target", ylabel="read [uS]", title=title)
    # A dozen levels around the middle, with every read of the cells there.
    middle = target[order[target.size // 2]]
    near = order[np.abs(target[order] - middle) <= 6.5 * width]
    level = (target[near] - middle) / width
    for number, one in enumerate(read[:, near]):
        label = "" if number else f"{len(read)} reads of each of {len(near):,} cells"
        place = np.arange(len(near))
        part.plot(place, one, ".", markersize=3, color="C0", alpha=0.35, label=label)
    part.step(np.arange(len(near)), middle + level * width, where="mid", color="k", linewidth=1, label="target")
    part.set(xlabel="cells by target", ylabel="read [uS]", title="A dozen levels in the middle")
    part.legend(loc="upper left", fontsize=8)
    for axes in (whole, part):
        axes.grid(alpha=0.3)
    return figure


def error_histogram(errors: Mapping[str, Any], *, tolerance: float, title: str = "") -> Any:
    """Distribution of reads less targets, on a logarithmic scale.

    Args:
        errors: in distances between levels, any shape, by label; the ends of the axis hold what is beyond.
        tolerance: half width of the band, likewise: dashed lines.
        title: what is shown, in a sentence.
    """
    figure, axes = new_figure(6.8, 4.0)
    end = 5 * tolerance
    edges = np.linspace(-end, end, _BINS + 1)
    for label, values in errors.items():
        values = np.ravel(values)
        within = f"{label}: {100 * np.mean(np.abs(values) <= tolerance):.4g} % within"
        weights = np.full(values.size, 1 / values.size)
        inside = np.clip(values, edges[0] + 1e-9, edges[-1] - 1e-9)
        axes.hist(inside, edges, weights=weights, histtype="stepfilled", alpha=0.5, label=within)
    for number, side in enumerate((-tolerance, tolerance)):
        axes.axvline(side, color="k", linestyle="--", linewidth=1, label="" if number else "tolerance")
    axes.set(yscale="log", xlabel="read less target [distances between levels]", ylabel="share of reads", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def noise_traces(traces: Mapping[str, Any], *, interval: float, band: float, cells: Sequence[str]) -> Any:
    """Conductance of a few cells over time, around its mean: a row per cell, a column per state.

    Args:
        traces: conductances [S], shape (samples, cells), by name of the state, e.g. before and after denoising.
        interval: from sample to sample [s].
        band: width of the band of a level [S], shaded.
        cells: names of the cells.
    """
    figure, axes = new_figure(9.0, 0.8 + 1.5 * len(cells), len(cells), len(traces), squeeze=False, sharex=True)
    for column, (name, values) in enumerate(traces.items()):
        values = 1e6 * np.asarray(values, float)
        for row, (cell, one) in enumerate(zip(cells, values.T, strict=True)):
            panel, mean = axes[row][column], one.mean()
            panel.axhspan(-5e5 * band, 5e5 * band, color="tab:green", alpha=0.15, linewidth=0)
            panel.plot(interval * np.arange(len(one)), one - mean, linewidth=0.6, color="C0")
            panel.text(0.01, 0.95, f"{cell}, {mean:.1f} uS", transform=panel.transAxes, va="top", fontsize=8)
            panel.grid(alpha=0.3)
        axes[0][column].set_title(name)
        axes[-1][column].set_xlabel("time [s]")
    for row in axes:
        # Both states of a cell on one scale.
        end = max(0.75e6 * band, *(1.1 * np.abs(panel.lines[0].get_ydata()).max() for panel in row))
        for panel in row:
            panel.set_ylim(-end, end)
    figure.supylabel("conductance less its mean [uS]; the band of a level is shaded", fontsize=9)
    return figure


def pulse_counts(pulses: Mapping[str, Any], *, title: str = "") -> Any:
    """How many cells took how many pulses, and the mean.

    Args:
        pulses: of the cells, any shape, by label.
        title: what is shown, in a sentence.
    """
    figure, axes = new_figure(6.8, 4.0)
    most = max(int(np.max(one)) for one in pulses.values())
    edges = np.arange(0, most + 2) - 0.5 if most < _BINS else np.linspace(-0.5, most + 0.5, _BINS)
    for label, one in pulses.items():
        one = np.ravel(one)
        text = f"{label}: {one.mean():.1f} on the mean, at most {one.max():,}"
        axes.hist(one, edges, histtype="stepfilled", alpha=0.5, label=text)
    axes.set(yscale="log", xlabel="pulses", ylabel="cells", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure
