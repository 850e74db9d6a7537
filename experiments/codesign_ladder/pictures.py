"""Figure of the result: `python -m experiments.codesign_ladder.pictures [FOLDER]` draws it anew from result.json."""

import json
import sys
from pathlib import Path

import numpy as np


def draw(folder: Path) -> Path:
    """INL and accuracy by design over the seeds, and the front of error against power and area."""
    from matplotlib.figure import Figure

    result = json.loads((folder / "result.json").read_text())
    figure = Figure(figsize=(12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    designs = list(result["measured"][0])
    for axes, line, label in ((left, "tile_inl", "INL of a tile [LSB]"), (middle, "accuracy", "test accuracy [%]")):
        for place, design in enumerate(designs):
            by_seed = [np.mean(measured[design][line]) for measured in result["measured"]]
            axes.plot([place] * len(by_seed), by_seed, "o", color=f"C{place}", alpha=0.7)
        axes.set(xticks=range(len(designs)), ylabel=label, title="a point a seed")
        axes.set_xticklabels(designs, rotation=20)
        axes.grid(alpha=0.3)
    start, *found = result["front"]
    area = np.array([1e12 * row["area_m2"] for row in found])
    points = right.scatter(
        [1e6 * row["power_w"] for row in found], [row["error_lsb"] for row in found], c=area, cmap="viridis"
    )
    right.plot(1e6 * start["power_w"], start["error_lsb"], "x", color="tab:red", label="R, 2R, 4R, narrow wires")
    right.set(xlabel="read power of a tile [uW]", ylabel="rms error of weights [LSB]")
    right.set_title("the front, 32 x 32 cells")
    right.grid(alpha=0.3)
    right.legend()
    figure.colorbar(points, label="area of a weight [um2]")
    path = folder / "codesign.png"
    figure.savefig(path, dpi=130)
    return path


if __name__ == "__main__":
    print(draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
