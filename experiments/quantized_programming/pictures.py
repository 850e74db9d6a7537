"""Pictures of the committed result: `python -m experiments.quantized_programming.pictures`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments._record import FOLDER, read_result
from experiments.quantized_programming._technologies import NAMES
from experiments.quantized_programming._writing import CORNER, PUBLISHED_PULSES
from qsynapse_jax.plot import new_figure
from qsynapse_jax.studies import Record


def draw(record: Record, folder: Path) -> None:
    """Map of the speed-up, and accuracy against time since programming, from the data of a record."""
    data = record.data
    picture = speed_up(
        *(data[f"speed_up/{name}"] for name in ("n_verify", "t_iteration", "t_switch", "log10")),
        corner=(CORNER["n_verify"], CORNER["t_iteration"], CORNER["t_switch"]),
        published=[count for pair in PUBLISHED_PULSES.values() for count in pair],
    )
    picture.savefig(folder / "speed_up.png", dpi=110)
    accuracy = {label: data["retention/accuracy"][:, number] for number, label in enumerate(NAMES.values())}
    picture = retention(accuracy, data["retention/seconds"], data["retention/celsius"])
    picture.savefig(folder / "retention.png", dpi=110)


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


if __name__ == "__main__":
    draw(read_result("quantized_programming"), FOLDER / "quantized_programming")
