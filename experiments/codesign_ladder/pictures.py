"""Picture of the result: `python -m experiments.codesign_ladder.pictures` draws it anew from the committed result."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments._record import FOLDER, read_result
from qsynapse_jax import plot
from qsynapse_jax.studies import Record


def draw(record: Record, folder: Path) -> None:
    """INL and accuracy by design over the seeds, and the front of error against power and area."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    for panel, quantity, label in (
        (axes[0], "tile_inl", "INL of a tile [LSB]"),
        (axes[1], "accuracy", "test accuracy [%]"),
    ):
        drawn = {
            name.split("/", 2)[2]: values.mean(axis=1)
            for name, values in record.data.items()
            if name.startswith(f"measured/{quantity}/")
        }
        if drawn:
            _points_by_design(panel, drawn, label=label)
    front = {name.removeprefix("front/"): values for name, values in record.data.items() if name.startswith("front/")}
    # The first design is the one that the search began with.
    power, error, area = (front[name] for name in ("power_w", "error_lsb", "area_m2"))
    names = "read power of a tile", "rms error of the weights", "area of a weight"
    plot.front(
        dict(zip(names, (power[1:], error[1:], area[1:]), strict=True)),
        units=dict(zip(names, ("W", "LSB", "m2"), strict=True)),
        marked={"R, 2R, 4R on the narrowest wires": (float(power[0]), float(error[0]))},
        ax=axes[2],
        title="Designs of the front on 32 x 32 cells",
    )
    figure.savefig(folder / "codesign.png", dpi=130)


def _points_by_design(axes: Any, values: Mapping[str, Any], *, label: str) -> None:
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


if __name__ == "__main__":
    draw(read_result("codesign_ladder"), FOLDER / "codesign_ladder")
