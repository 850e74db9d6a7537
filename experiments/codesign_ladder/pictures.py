"""Picture of the result: `python -m experiments.codesign_ladder.pictures` draws it anew from the committed result."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments._record import FOLDER, read_result
from qsynapse_jax.studies import Record


def draw(record: Record, folder: Path) -> None:
    """INL and accuracy by design over the seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    quantities = (("tile_inl", "INL of a tile [LSB]"), ("accuracy", "test accuracy [%]"))
    for panel, (quantity, label) in zip(figure.subplots(1, 2), quantities, strict=True):
        drawn = {
            name.split("/", 2)[2]: values.mean(axis=1)
            for name, values in record.data.items()
            if name.startswith(f"measured/{quantity}/")
        }
        if drawn:
            _points_by_design(panel, drawn, label=label)
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
