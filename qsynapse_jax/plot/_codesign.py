"""Pictures of resistors found by gradient: their levels, what they are worth, and what they cost."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qsynapse_jax.plot._figure import new_figure


def levels_and_resistors(levels: Mapping[str, Mapping[str, Any]], designs: Mapping[str, Any]) -> Any:
    """Deviation of every level of a full tile from the best line, and the resistors against R, 2R, 4R.

    Args:
        levels: by name of the design: `mean` and `spread` [LSB], shape (codes,), of the effective weights of cells that
            hold a code, after the gain is taken out; `error`, their root mean square error [LSB].
        designs: branch resistors [ohm], shape (bits,), by name.

    Returns:
        A Matplotlib figure.
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


def points_by_design(axes: Any, values: Mapping[str, Any], *, label: str) -> None:
    """One point per seed of every design, drawn into `axes`.

    Args:
        axes: Matplotlib axes.
        values: a number per seed, by design.
        label: quantity and unit.
    """
    for place, by_seed in enumerate(values.values()):
        axes.plot([place] * len(by_seed), by_seed, "o", color=f"C{place}", alpha=0.7)
    axes.set(xticks=range(len(values)), ylabel=label, title="Every point is one seed")
    axes.set_xticklabels(values, rotation=20)
    axes.grid(alpha=0.3)


def front(axes: Any, *, power: Any, error: Any, area: Any, start: tuple[float, float]) -> Any:
    """Error against read power of the designs on a front, area as color, drawn into `axes`.

    Args:
        axes: Matplotlib axes.
        power: read power of a tile [W], shape (designs,).
        error: root mean square error of the weights [LSB], shape (designs,).
        area: area of a weight [m2], shape (designs,).
        start: power [W] and error [LSB] of the design that the search began with.

    Returns:
        The points, e.g. for a color bar.
    """
    points = axes.scatter(1e6 * np.asarray(power), error, c=1e12 * np.asarray(area), cmap="viridis")
    axes.plot(1e6 * start[0], start[1], "x", color="tab:red", label="R, 2R, 4R on the narrowest wires")
    axes.set(
        xlabel="read power of a tile [uW]",
        ylabel="rms error of the weights [LSB]",
        title="Designs of the front on 32 x 32 cells",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")
    axes.figure.colorbar(points, label="area of a weight [um2]")
    return points
