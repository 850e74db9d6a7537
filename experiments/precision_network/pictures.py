"""Picture of the result: `python -m experiments.precision_network.pictures` draws the committed one anew."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments._record import FOLDER, read_result
from qsynapse_jax.studies import Record

_WAYS = {
    "ideal": ("ideal wires", "0.45"),
    "wires": ("22 nm wires", "tab:red"),
    "compensated": ("compensated", "tab:green"),
}
_STATES = {"denoised": "-", "not denoised": ":"}


def draw(record: Record, folder: Path) -> None:
    """Accuracy against levels for both data sets, and against the window that is used; the seeds' mean and range."""
    from matplotlib.figure import Figure

    config = record.config if isinstance(record.config, dict) else vars(record.config)
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    *by_levels, by_span = figure.subplots(1, 3)
    for panel, (name, title) in zip(by_levels, (("mnist", "MNIST"), ("fashion", "Fashion-MNIST")), strict=True):
        for way, (label, color) in _WAYS.items():
            for state, line in _STATES.items():
                values = record.data[f"{name}/levels/{way}/{state}"]
                _band(panel, config["levels"], values, color, line, label if line == "-" else "")
        panel.axhline(record.data[f"{name}/float"].mean(), color="k", lw=0.8, ls="--", label="float")
        low = 1e6 * config["span"]
        panel.set(title=f"{title}, {low:g} uS used", xlabel="levels of a device", xscale="log")
        panel.set_xticks(config["levels"], [str(n) for n in config["levels"]], fontsize=7)
        panel.minorticks_off()
    spans = [1e6 * span for span in config["spans"]]
    for way, (_, color) in _WAYS.items():
        for state, line in _STATES.items():
            values = [record.data[f"fashion/span{k}/{way}/{state}"][:, -1] for k in range(len(spans))]
            _band(by_span, spans, np.array(values).T, color, line, "")
    by_span.axhline(record.data["fashion/float"].mean(), color="k", lw=0.8, ls="--")
    by_span.plot([], [], color="0.3", ls=":", label="not denoised")
    by_span.set(
        title=f"Fashion-MNIST, {config['span_levels']} levels", xlabel="conductance that is used [uS]", xscale="log"
    )
    by_levels[0].set_ylabel("accuracy on test images [%]")
    by_levels[0].legend(fontsize=7)
    by_span.legend(fontsize=7)
    figure.savefig(folder / "precision_network.png", dpi=130)


def _band(panel: Any, x: Any, values: np.ndarray, color: str, line: str, label: str) -> None:
    """Mean over the seeds as a line, the range as a band."""
    panel.plot(x, values.mean(0), color=color, ls=line, marker=".", lw=1, label=label or None)
    panel.fill_between(x, values.min(0), values.max(0), color=color, alpha=0.15, lw=0)


if __name__ == "__main__":
    draw(read_result("precision_network"), FOLDER / "precision_network")
