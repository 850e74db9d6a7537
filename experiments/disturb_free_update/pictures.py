"""Picture of the result: `python -m experiments.disturb_free_update.pictures` draws the committed one anew."""

from pathlib import Path

import numpy as np

from experiments._record import FOLDER, read_result
from qsynapse_jax.studies import Record


def draw(record: Record, folder: Path) -> None:
    """Accuracy after every epoch of plain descent and of AGAD, and the steps that wires leave of an update."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    maps = [name for name in record.data if name.startswith("map/gate") and name.endswith("/u")]
    titles = {"sgd": "Plain descent, half-selects", "agad": "AGAD, spread 0.18", "wires": "AGAD behind wires, digits"}
    figure = Figure(figsize=(12, 7.4), layout="constrained")
    panels = figure.subplots(2, len(titles)).ravel()
    for panel, (rule, title) in zip(panels, titles.items(), strict=False):
        for name in (name for name in record.data if name.startswith(f"{rule}/")):
            accuracy = record.data[name]
            epochs = np.arange(1, accuracy.shape[1] + 1)
            label = name.partition("/")[2].removesuffix("/accuracy")
            line = panel.plot(epochs, accuracy.mean(0), label=label, marker=".")
            panel.fill_between(epochs, accuracy.min(0), accuracy.max(0), color=line[0].get_color(), alpha=0.2, lw=0)
        panel.set(title=title, xlabel="epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.legend(fontsize=8)
    panels[0].set_ylabel("accuracy on test images [%]")
    for panel in panels[len(titles) + len(maps) :]:
        panel.axis("off")
    for panel, name in zip(panels[len(titles) :], maps, strict=False):
        image = panel.imshow(100 * record.data[name], cmap="viridis")
        figure.colorbar(image, ax=panel, label="step [% of nominal]", shrink=0.8)
        panel.set(title=f"SET step, gates, {name.split('/')[2]}", xlabel="bit line", ylabel="word line")
    figure.savefig(folder / "disturb_free_update.png", dpi=130)


if __name__ == "__main__":
    draw(read_result("disturb_free_update"), FOLDER / "disturb_free_update")
