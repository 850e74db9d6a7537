"""Picture of the result: `python -m experiments.codesign_pareto.pictures` draws the committed one anew."""

from pathlib import Path

from experiments._record import FOLDER, read_result
from qsynapse_jax.studies import Record


def draw(record: Record, folder: Path) -> None:
    """Designs of all seeds: error against power, area as color; the start as a cross."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    power, error, area = (record.data[name] for name in ("power_w", "error_lsb", "area_m2"))
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    points = axes.scatter(1e6 * power[:, 1:], error[:, 1:], c=1e12 * area[:, 1:], cmap="viridis", norm=LogNorm())
    axes.plot(1e6 * power[:, 0], error[:, 0], "x", color="tab:red", label="start: R, 2R, 4R on the narrowest wires")
    axes.set(
        xlabel="read power of a tile [uW]",
        ylabel="rms error of the weights [LSB]",
        title="A point per search and seed: what little error costs",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.colorbar(points, label="area of a weight [um2]")
    figure.savefig(folder / "codesign_pareto.png", dpi=130)


if __name__ == "__main__":
    draw(read_result("codesign_pareto"), FOLDER / "codesign_pareto")
