"""Picture of the result: `python -m experiments.published_network.pictures` draws it anew from the committed result."""

import math
from pathlib import Path

from experiments._record import FOLDER, read_result
from experiments.published_network._published import CLOSED_FORMS, LOOP
from qsynapse_jax.studies import Record

_STYLES = {"DMR": "s", "alpha-beta": "^", "Jeong": "D", "fused DMR-Jeong": "v"}


def draw(record: Record, folder: Path) -> None:
    """Accuracy against the lines of a tile: ours, what was published, and what that gives on the exact circuit."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    found = {one.name.removeprefix("accuracy_"): one for one in record.figures if one.name.startswith("accuracy_")}
    tiles = [name for name in found if name.startswith("offset_tile_") and name.split("_")[2] == name.split("_")[-1]]
    for names, label, mark, color in (
        (tiles, "ours, one cell per weight", "o-", "C0"),
        (["differential_tile_64"], "ours, pairs of cells", "*", "C2"),
        (["offset_tile_64_published_start"], "ours, from the published start", "o", "C1"),
    ):
        x = [int(name.split("_")[2]) for name in names]
        y = [math.nan if (ours := found[name].ours) is None else ours for name in names]
        error = [found[name].spread or 0.0 for name in names]
        axes.errorbar(x, y, error, fmt=mark, color=color, markersize=9 if mark == "*" else 6, label=label, zorder=3)
    axes.plot(list(LOOP), [one.exact for one in LOOP.values()], "k.--", label="published, iterated solution")
    for number, (name, networks) in enumerate(CLOSED_FORMS.items()):
        style = {"marker": _STYLES[name], "color": f"C{number + 3}", "linewidth": 0.8}
        axes.plot(list(networks), [one.accuracy for one in networks.values()], ":", mfc="none", **style)
        axes.plot(list(networks), [one.exact for one in networks.values()], label=f"published, {name}", **style)
    axes.plot([], [], ":", color="gray", marker="s", mfc="none", label="what these were published with")
    axes.set(
        xscale="log",
        xlabel="lines of a tile",
        ylabel="test accuracy on the exact circuit [%]",
        title="MNIST, 784-128-10, cells of 1 to 40 kohm, wires of 2 ohm per segment",
        ylim=(0, 100),
    )
    ticks = sorted({tile for networks in (LOOP, *CLOSED_FORMS.values()) for tile in networks})
    axes.set_xticks(ticks, labels=[str(tile) for tile in ticks], minor=False)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)
    figure.savefig(folder / "accuracy.png", dpi=130)


if __name__ == "__main__":
    draw(read_result("published_network"), FOLDER / "published_network")
