"""Picture of the result: `python -m experiments.residual_learning.pictures` draws the committed one anew."""

from pathlib import Path

import numpy as np

from experiments._record import FOLDER, read_result
from qsynapse_jax.studies import Record


def draw(record: Record, folder: Path) -> None:
    """Error on test images after every epoch, one line for each way to learn."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter, MaxNLocator

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    panel = figure.subplots()
    for name, accuracy in record.data.items():
        way, error = name.removesuffix("/accuracy"), 100 - accuracy.mean(0)
        line = ":" if way == "software" else "-"
        panel.plot(np.arange(1, len(error) + 1), error, marker=".", label=way, ls=line)
    panel.set(title="LeNet-5, devices of 10 states", xlabel="epoch", ylabel="error on test images [%]", yscale="log")
    for formatter in (panel.yaxis.set_major_formatter, panel.yaxis.set_minor_formatter):
        formatter(FormatStrFormatter("%g"))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend(fontsize=8)
    figure.savefig(folder / "residual_learning.png", dpi=130)


if __name__ == "__main__":
    draw(read_result("residual_learning"), FOLDER / "residual_learning")
