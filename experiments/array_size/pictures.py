"""Picture of the result: `python -m experiments.array_size.pictures` draws the committed one anew."""

from pathlib import Path

import numpy as np

from experiments._record import FOLDER, read_result
from qsynapse_jax.plot import heat_map, new_figure
from qsynapse_jax.studies import Record


def draw(record: Record, folder: Path) -> None:
    """Bits that are left, over lines and wires, a panel per cell; the line of four bits is where colors turn."""
    names = [key.rpartition("/")[0] for key in record.data if key.endswith("/bits")]
    figure, panels = new_figure(3.6 * len(names) + 1, 4.0, 1, len(names), squeeze=False)
    for panel, name in zip(panels[0], names, strict=True):
        heat_map(
            np.nanmean(record.data[f"{name}/bits"], -1).T,
            x=np.asarray(record.data["lines"]).tolist(),
            y=np.asarray(record.data["wires"]).tolist(),
            label_x="lines of the array",
            label_y="ohm per segment",
            limits=(0.0, 8.0),
            ax=panel,
            title=name,
        )
    figure.colorbar(panels[0][0].images[0], ax=panels[0], label="bits left of a current")
    figure.savefig(folder / "array_size.png", dpi=130)


if __name__ == "__main__":
    draw(read_result("array_size"), FOLDER / "array_size")
