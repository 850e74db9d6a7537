"""Picture of the result: `python -m experiments.hybrid_synapse.pictures` draws the committed one anew."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments._record import FOLDER, read_result
from qsynapse_jax.studies import Record

_STYLES = {
    "software": ("float software", "0.45"),
    "hybrid": ("coarse and fine, with a carry", "tab:green"),
    "in_turn": ("coarse, then fine", "tab:blue"),
    "single": ("one array", "tab:red"),
}


def draw(record: Record, folder: Path) -> None:
    """Accuracy after every epoch, and against the states of a device; the seeds' mean and range."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    states = sorted({int(name.split("/")[1]) for name in record.data if name.count("/") == 2})
    for way, (label, color) in _STYLES.items():
        accuracy = record.data[f"{way}/accuracy"]
        _band(left, np.arange(1, accuracy.shape[1] + 1), accuracy.T, label=label, color=color)
        if way != "software":
            last = np.array([record.data[f"{way}/{n}/accuracy"][:, -1] for n in states])
            _band(right, states, last, label=label, color=color)
    switch = len(record.config["coarse"]) if isinstance(record.config, dict) else len(record.config.coarse)
    left.axvline(switch + 0.5, color=_STYLES["in_turn"][1], lw=1, ls=":")
    left.annotate(
        "coarse, then fine:\nfine from here", (switch + 0.55, 0.03), xycoords=("data", "axes fraction"), fontsize=8
    )
    left.set(title="Devices of 50 states", xlabel="epoch", ylabel="accuracy on test images [%]")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.set(title="Short runs, after the last epoch", xlabel="states of a device", xscale="log")
    right.set_xticks(states, [str(n) for n in states])
    right.minorticks_off()
    left.legend(loc="center right")
    figure.savefig(folder / "hybrid_synapse.png", dpi=130)


def _band(panel: Any, x: Any, y: np.ndarray, *, label: str, color: str) -> None:
    """Mean over the last axis as a line, the range as a band."""
    panel.plot(x, y.mean(1), label=label, color=color, marker=".")
    panel.fill_between(x, y.min(1), y.max(1), color=color, alpha=0.2, lw=0)


if __name__ == "__main__":
    draw(read_result("hybrid_synapse"), FOLDER / "hybrid_synapse")
