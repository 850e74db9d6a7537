"""Picture of the result: `python -m experiments.four_systems.pictures` draws the committed one anew."""

from pathlib import Path

import numpy as np

from experiments._record import FOLDER, read_result
from qsynapse_jax.studies import Record

# Columns of a written network in the data: `Found`.
_FRESH, _KEPT, _TIME, _ENERGY, _READ = range(5)


def draw(record: Record, folder: Path) -> None:
    """Accuracy of every system, fresh and old, a point per seed; and what writing and reading cost."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    runs = {name: values for name, values in record.data.items() if "/" in name}
    labels = []
    for place, (name, values) in enumerate(runs.items()):
        way, system = name.split("/", 1)
        labels.append(f"{system},\n{'written' if way == 'written' else 'learnt in place'}")
        left.plot([place - 0.08] * len(values), values[:, _FRESH], "o", color="C0", alpha=0.7)
        if way == "written" and np.any(values[:, _KEPT] != values[:, _FRESH]):
            left.plot([place + 0.08] * len(values), values[:, _KEPT], "s", color="C1", alpha=0.7)
    left.axhline(record.data["software"].mean(), color="0.3", linestyle="--", linewidth=1)
    for marker, color, label in (("o", "C0", "fresh"), ("s", "C1", "after ten years at 85 C")):
        left.plot([], [], marker, color=color, label=label)
    left.plot([], [], "--", color="0.3", label="software")
    left.set_xticks(range(len(labels)), labels, fontsize=7)
    left.set(ylabel="accuracy on test images [%]", title="The same network, a point per seed")
    left.grid(alpha=0.3, axis="y")
    left.legend(fontsize=8)
    written = {name.split("/", 1)[1]: values.mean(0) for name, values in runs.items() if name.startswith("written/")}
    quantities = (
        ("time to write [ms]", _TIME, 1e3),
        ("energy to write [uJ]", _ENERGY, 1e6),
        ("energy of a read [nJ]", _READ, 1e9),
    )
    width = 0.8 / len(written)
    for number, (system, values) in enumerate(written.items()):
        heights = [values[column] * unit for _, column, unit in quantities]
        right.bar(np.arange(len(quantities)) + (number - 1) * width, heights, width, label=system)
    right.set_yscale("log")
    right.set_xticks(range(len(quantities)), [label for label, _, _ in quantities], fontsize=8)
    right.set(title="What written arrays cost")
    right.grid(alpha=0.3, axis="y")
    right.legend(fontsize=8)
    figure.savefig(folder / "four_systems.png", dpi=130)


if __name__ == "__main__":
    draw(read_result("four_systems"), FOLDER / "four_systems")
