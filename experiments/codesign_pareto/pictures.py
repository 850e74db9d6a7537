"""Picture of the result: `python -m experiments.codesign_pareto.pictures` draws the committed one anew."""

from pathlib import Path

from experiments._record import FOLDER, read_result
from qsynapse_jax import plot
from qsynapse_jax.studies import Record


def draw(record: Record, folder: Path) -> None:
    """Designs of all seeds: error against power, area as color; where the searches began as crosses."""
    # The first design of a seed is the one that its search began with.
    power, error, area = (record.data[name] for name in ("power_w", "error_lsb", "area_m2"))
    starts = zip(power[:, 0].tolist(), error[:, 0].tolist(), strict=True)
    axes = plot.front(
        {
            "read power of a tile": power[:, 1:].ravel(),
            "rms error of the weights": error[:, 1:].ravel(),
            "area of a weight": area[:, 1:].ravel(),
        },
        units={"read power of a tile": "W", "rms error of the weights": "LSB", "area of a weight": "m2"},
        marked={f"start of the searches, seed {seed}": place for seed, place in enumerate(starts)},
        title="A point per search and seed",
    )
    axes.figure.savefig(folder / "codesign_pareto.png", dpi=130)


if __name__ == "__main__":
    draw(read_result("codesign_pareto"), FOLDER / "codesign_pareto")
