"""Picture of the result: `python -m experiments.codesign_ladder.pictures` draws it anew from the committed result."""

from pathlib import Path

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
            plot.points_by_design(panel, drawn, label=label)
    front = {name.removeprefix("front/"): values for name, values in record.data.items() if name.startswith("front/")}
    power, error, area = (front[name] for name in ("power_w", "error_lsb", "area_m2"))
    plot.front(axes[2], power=power[1:], error=error[1:], area=area[1:], start=(float(power[0]), float(error[0])))
    figure.savefig(folder / "codesign.png", dpi=130)


if __name__ == "__main__":
    draw(read_result("codesign_ladder"), FOLDER / "codesign_ladder")
