"""Pictures of networks, of resistors found by gradient, and of programming.

A function returns a Matplotlib figure, or draws into the Matplotlib axes that it is given.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def accuracy(
    history: Mapping[str, Any], *, reference: Mapping[str, float] | None = None, title: str = "", colors: Any = None
) -> Any:
    """Test accuracy after every epoch.

    Args:
        history: accuracies [%], shape (epochs,), by label.
        reference: accuracies that have no course [%], by label: dashed lines.
        title: what is shown, in a sentence.
        colors: Matplotlib color by label.
    """
    colors = colors or {}
    figure, axes = new_figure(6.4, 4.0)
    for label, values in history.items():
        axes.plot(np.arange(1, len(values) + 1), values, ".-", color=colors.get(label), label=label)
    for label, value in (reference or {}).items():
        axes.axhline(value, color=colors.get(label), linestyle="--", label=label)
    axes.set(xlabel="epoch", ylabel="test accuracy [%]", title=title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def ir_drop(v_cell: Any, v_read: float) -> Any:
    """Voltage across every cell of a tile whose word lines are all driven.

    Args:
        v_cell: voltages of the cells [V], shape (wl, bl).
        v_read: voltage of the drivers [V].
    """
    v_cell = np.asarray(v_cell)
    figure, axes = new_figure(6.0, 4.8)
    image = axes.imshow(1e3 * v_cell, cmap="viridis", vmin=0, vmax=1e3 * v_read)
    figure.colorbar(image, label="cell voltage [mV]")
    worst = 100 * (1 - v_cell.min() / v_read)
    axes.set(
        xlabel="bit line (drivers are on the left)",
        ylabel="word line (sense amplifiers are below)",
        title=f"All word lines of this tile are driven with {1e3 * v_read:.0f} mV;\n"
        f"the wires take {worst:.0f} % of it from the worst cell",
    )
    return figure


def effective_weights(panels: Mapping[str, tuple[Any, Any]], *, colors: Any = None) -> Any:
    """What cells multiply with behind the wires, against what was written into them.

    Args:
        panels: intended and effective weights in [-1, 1], two arrays of one shape, by title of the panel.
        colors: Matplotlib color by title.
    """
    figure, axes = new_figure(4.2 * len(panels), 4.4, 1, len(panels), sharex=True, sharey=True, squeeze=False)
    for panel, (title, (intended, effective)) in zip(axes[0], panels.items(), strict=True):
        color = (colors or {}).get(title)
        panel.plot(np.ravel(intended), np.ravel(effective), ".", markersize=2, alpha=0.4, color=color)
        panel.plot([-1, 1], [-1, 1], color="0.3", linewidth=1, label="ideal wires")
        panel.set(xlabel="intended weight (that of its code)", title=title)
        panel.grid(alpha=0.3)
        panel.legend(loc="upper left")
    axes[0][0].set_ylabel("effective weight (behind the wires)")
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


def front(axes: Any, *, power: Any, error: Any, area: Any, start: tuple[float, float]) -> None:
    """Error against read power of the designs on a front, area as color, drawn into `axes`.

    Args:
        axes: Matplotlib axes.
        power: read power of a tile [W], shape (designs,).
        error: root mean square error of the weights [LSB], shape (designs,).
        area: area of a weight [m2], shape (designs,).
        start: power [W] and error [LSB] of the design that the search began with.
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


def speed_up(
    n_verify: Any,
    t_iteration: Any,
    t_switch: Any,
    log10_speed_up: Any,
    *,
    corner: tuple[float, float, float],
    published: Sequence[float],
) -> Any:
    """Map of the speed-up of one switch pulse over write-verify, with the line of a million.

    Args:
        n_verify: verify iterations per cell, shape (n,).
        t_iteration: time of one iteration [s], shape (m,).
        t_switch: time of one switch pulse [s], shape (k,): a panel each.
        log10_speed_up: shape (n, m, k).
        corner: iterations, time of one [s] and switch pulse [s] of a claimed factor, marked by a star.
        published: published pulse counts per cell, whose range is marked.
    """
    figure, axes = new_figure(13.0, 4.2, 1, len(t_switch), sharey=True, squeeze=False)
    panels, least, most = axes[0], min(published), max(published)
    filled = None
    for number, (panel, switch) in enumerate(zip(panels, t_switch, strict=True)):
        level = np.asarray(log10_speed_up)[:, :, number].T
        filled = panel.contourf(n_verify, t_iteration, level, levels=range(-2, 10), cmap="viridis", extend="both")
        panel.contour(n_verify, t_iteration, level, levels=[6], colors="red", linewidths=2)
        panel.axvspan(least, most, color="white", alpha=0.25)
        # On pulse count alone an iteration takes as long as a switch pulse.
        panel.plot([least, most], [switch] * 2, color="white", linewidth=3)
        if np.isclose(switch, corner[2]):
            panel.plot(corner[0], corner[1], "r*", markersize=14)
        panel.set(xscale="log", yscale="log", title=f"One switch pulse takes {switch * 1e9:g} ns")
        panel.set_xlabel("verify iterations per cell")
    panels[0].set_ylabel("time of an iteration [s]")
    figure.colorbar(filled, ax=panels, label="log10 of the speed-up")
    figure.suptitle(
        f"On the red line the speed-up is 10^6; the star is {corner[0]:,.0f} iterations of {1e6 * corner[1]:g} us "
        f"against one pulse of {1e9 * corner[2]:g} ns. The light band holds the published pulse counts; on the white "
        "line only the counts differ.",
        fontsize=9,
    )
    return figure


def retention(accuracy: Mapping[str, Any], seconds: Any, celsius: Any) -> Any:
    """Accuracy against time since programming, a panel per temperature.

    Args:
        accuracy: test accuracies [%], shape (seeds, temperatures, times), by label; their mean and standard deviation
            are drawn.
        seconds: times since programming [s], shape (times,).
        celsius: temperatures [C], shape (temperatures,).
    """
    figure, axes = new_figure(13.0, 4.2, 1, len(celsius), sharey=True, squeeze=False)
    shown = np.asarray(seconds) > 0
    for number, (panel, kept) in enumerate(zip(axes[0], celsius, strict=True)):
        for label, values in accuracy.items():
            found = np.asarray(values)[:, number, shown]
            spread = found.std(axis=0, ddof=1) if len(found) > 1 else None
            panel.errorbar(
                np.asarray(seconds)[shown], found.mean(axis=0), yerr=spread, marker="o", capsize=3, label=label
            )
        panel.set(xscale="log", xlabel="time since programming [s]", title=f"Kept and read at {kept:g} C")
    axes[0][0].set_ylabel("test accuracy [%]")
    axes[0][0].legend(fontsize=8)
    return figure


def pulse_fit(measured: Any, fitted: Any, *, sweeps: Any = None, label: str = "fit", title: str = "") -> Any:
    """Conductance against pulse number, measured and of a model, up and down side by side; below, the difference.

    Args:
        measured: mean curves up and down [S], one array each, of any length.
        fitted: likewise, of the same lengths.
        sweeps: single curves up and down [S], shape (..., pulses) each, drawn pale.
        label: name of the model.
        title: what is shown, in a sentence.
    """
    figure, rows = new_figure(8.4, 5.2, 2, 2, sharex="col", sharey="row", height_ratios=(3, 1))
    for column, name in enumerate(("up", "down")):
        upper, lower = rows[0][column], rows[1][column]
        data, model = np.asarray(measured[column]), np.asarray(fitted[column])
        for sweep in np.reshape(sweeps[column], (-1, len(data))) if sweeps is not None else ():
            upper.plot(1e6 * sweep, color="C0", alpha=0.15, linewidth=0.7)
        upper.plot(1e6 * data, ".", color="C0", label="measured")
        upper.plot(1e6 * model, color="C1", label=label)
        lower.plot(1e6 * (model - data), color="C1")
        lower.axhline(0, color="0.3", linewidth=1)
        lower.set_xlabel(f"pulses {name}")
        for axes in (upper, lower):
            axes.grid(alpha=0.3)
    rows[0][0].set_ylabel("conductance [uS]")
    rows[1][0].set_ylabel("error [uS]")
    rows[0][0].legend()
    figure.suptitle(title)
    return figure


def new_figure(width: float, height: float, *panels: int, **options: Any) -> tuple[Any, Any]:
    """A Matplotlib figure [inch] without a window, and its axes: one, or an array of (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(*panels, **options)


def heat_map(
    axes: Any,
    values: Any,
    *,
    x: Sequence[Any],
    y: Sequence[Any],
    label_x: str,
    label_y: str,
    low: float,
    high: float,
) -> Any:
    """Numbers over two quantities, each written into its cell, in axes that are given.

    Args:
        axes: Matplotlib axes.
        values: shape (y, x); NaN is left blank.
        x: values along the horizontal axis.
        y: values along the vertical axis.
        label_x: name and unit of `x`.
        label_y: name and unit of `y`.
        low: value of the darkest color.
        high: value of the brightest.

    Returns:
        The Matplotlib image, for a color bar.
    """
    values = np.asarray(values)
    image = axes.imshow(values, cmap="viridis", vmin=low, vmax=high, aspect="auto", origin="lower")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = value < (low + high) / 2
            axes.text(column, row, f"{value:.3g}", ha="center", va="center", size=7, color="w" if dark else "k")
    axes.set_xticks(range(len(x)), [f"{one:g}" for one in x], fontsize=7)
    axes.set_yticks(range(len(y)), [f"{one:g}" for one in y], fontsize=7)
    axes.set(xlabel=label_x, ylabel=label_y)
    return image
