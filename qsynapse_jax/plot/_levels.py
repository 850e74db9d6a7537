"""Pictures that one study alone draws: errors, fluctuation and pulses of levels; levels and resistors of a ladder."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qsynapse_jax.plot._axes import new_figure

_BINS = 121


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


def levels_and_resistors(levels: Mapping[str, Mapping[str, Any]], designs: Mapping[str, Any]) -> Any:
    """Deviation of every level of a full tile from the best line, and the resistors against R, 2R, 4R.

    Args:
        levels: by name of the design: `mean` and `spread` [LSB], shape (codes,), of the effective weights of cells that
            hold a code, after the gain is taken out; `error`, their root mean square error [LSB].
        designs: branch resistors [ohm], shape (bits,), by name.
    """
    figure, (left, right) = new_figure(10.5, 4.2, 1, 2, width_ratios=(3, 2))
    colors = {name: f"C{number}" for number, name in enumerate(designs)}
    for name, level in levels.items():
        mean, spread = np.asarray(level["mean"]), np.asarray(level["spread"])
        codes = np.arange(len(mean)) - len(mean) // 2
        label = f"{name}: rms error {float(level['error']):.2f} LSB"
        left.plot(codes, mean - codes, ".-", color=colors[name], label=label)
        low, high = mean - codes - spread, mean - codes + spread
        left.fill_between(codes, low, high, color=colors[name], alpha=0.15, linewidth=0)
    for name, r in designs.items():
        r = np.asarray(r)
        right.plot(range(len(r)), r / (r[0] * 2.0 ** np.arange(len(r))), "o-", color=colors[name], label=name)
    left.axhline(0, color="0.3", linewidth=1)
    left.set(
        xlabel="code",
        ylabel="effective weight less the best line [LSB]",
        title="How far the levels of a full tile are from a line\n(mean and standard deviation over its cells)",
    )
    right.axhline(1, color="0.3", linewidth=1)
    right.set(
        xlabel="branch k (0 is the most significant bit)",
        ylabel="R_k / (2^k R_0)",
        title="How far the resistors are from R, 2R, 4R",
        xticks=range(len(next(iter(designs.values())))),
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    return figure
