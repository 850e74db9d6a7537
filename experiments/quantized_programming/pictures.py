"""Pictures of the committed result: `python -m experiments.quantized_programming.pictures`."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments._record import FOLDER, read_result
from experiments.quantized_programming._technologies import NAMES


def speed_up(result: dict[str, Any], path: Path) -> None:
    """Map of the speed-up, with the corner of a million and what published pulse counts support."""
    from matplotlib.figure import Figure

    found = result["speed_up"]
    corner = found["corner"]
    picture = Figure(figsize=(13, 4.2), layout="constrained")
    panels = picture.subplots(1, len(found["t_switch"]), sharey=True)
    counts = [n for pair in found["published_pulses"].values() for n in pair]
    for number, (axes, t_switch) in enumerate(zip(panels, found["t_switch"], strict=True)):
        level = np.asarray(found["log10_speed_up"])[:, :, number].T
        filled = axes.contourf(
            found["n_verify"], found["t_iteration"], level, levels=range(-2, 10), cmap="viridis", extend="both"
        )
        axes.contour(found["n_verify"], found["t_iteration"], level, levels=[6], colors="red", linewidths=2)
        axes.axvspan(min(counts), max(counts), color="white", alpha=0.25)
        # On pulse count alone an iteration takes as long as a switch pulse.
        axes.plot([min(counts), max(counts)], [t_switch] * 2, color="white", linewidth=3)
        if np.isclose(t_switch, corner["t_switch"]):
            axes.plot(corner["n_verify"], corner["t_iteration"], "r*", markersize=14)
        axes.set(xscale="log", yscale="log", title=f"one switch pulse of {t_switch * 1e9:g} ns")
        axes.set_xlabel("verify iterations a cell")
    panels[0].set_ylabel("time of an iteration [s]")
    picture.colorbar(filled, ax=panels, label="log10 of the speed-up")
    picture.suptitle(
        "Red: a factor of 10^6, star its corner (1,000 x 100 us against 100 ns). Light: published pulse counts; white "
        "line: pulse count alone",
        fontsize=10,
    )
    picture.savefig(path, dpi=110)


def retention(result: dict[str, Any], path: Path) -> None:
    """Accuracy against time since programming, a panel a temperature, bars over seeds."""
    from matplotlib.figure import Figure

    rows = result["rows"]["retention"]
    temperatures = list(dict.fromkeys(row["celsius"] for row in rows))
    picture = Figure(figsize=(13, 4.2), layout="constrained")
    panels = picture.subplots(1, len(temperatures), sharey=True, squeeze=False)[0]
    for axes, celsius in zip(panels, temperatures, strict=True):
        for name, label in NAMES.items():
            mine = [row for row in rows if (row["technology"], row["celsius"]) == (name, celsius)]
            times = [t for t in dict.fromkeys(row["seconds"] for row in mine) if t > 0]
            found = [[row["accuracy"] for row in mine if row["seconds"] == t] for t in times]
            mean = [np.mean(values) for values in found]
            spread = [np.std(values, ddof=1) if len(values) > 1 else 0 for values in found]
            axes.errorbar(times, mean, yerr=spread, marker="o", capsize=3, label=label)
        axes.set(xscale="log", xlabel="time since programming [s]", title=f"{celsius:g} C")
    panels[0].set_ylabel("test accuracy [%]")
    panels[0].legend(fontsize=8)
    picture.savefig(path, dpi=110)


def main(folder: Path = FOLDER / "quantized_programming") -> None:
    """Draws both from the result beside which they are put."""
    result = read_result("quantized_programming")
    speed_up(result, folder / "speed_up.png")
    retention(result, folder / "retention.png")


if __name__ == "__main__":
    main()
