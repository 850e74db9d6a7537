"""Picture of the result: `python -m experiments.linear_solver.pictures` draws the committed one anew."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments._record import FOLDER, read_result
from qsynapse_jax.studies import Record

_DEVICES = {"cmo_0.2": "CMO/HfOx, written to 0.2 %", "wan": "HfOx after 1 s (up to 4 uS of 40 uS)"}
_WAYS = {
    "ideal": ("ideal wires", "0.4", "-"),
    "ignored": ("not measured", "tab:red", "-"),
    "measured": ("measured, cancelled by later arrays", "tab:blue", "-"),
    "compensated": ("compensated in each array", "tab:green", "--"),
}


def draw(record: Record, folder: Path) -> None:
    """Residuals against products, array by array, for two devices; and against arrays behind wires. First seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    *solves, wires = figure.subplots(1, 3)
    arrays = record.data["wan/ideal/error"].shape[1]
    for panel, (name, title) in zip(solves, _DEVICES.items(), strict=True):
        _courses(panel, record, name, arrays)
        panel.set(title=title, xlabel="products with the arrays")
    solves[0].set_ylabel("relative residual of the solution")
    solves[1].legend(fontsize=7, loc="lower left")
    counts = np.arange(1, arrays + 1)
    for way, (label, color, line) in _WAYS.items():
        wires.plot(counts, record.data[f"cmo_0.2/{way}/alone"][:, :, -1].T, color=color, ls=line, marker=".", lw=1)
        wires.plot([], [], color=color, ls=line, marker=".", label=label)
    wires.set(title="Arrays alone, 1 ohm per segment", xlabel="arrays per block", xticks=counts)
    wires.legend(fontsize=7)
    for panel in (*solves, wires):
        panel.set(yscale="log", ylim=(1e-17, 1e3))
        panel.axhline(1e-12, color="0.7", lw=0.8, ls=":")
    figure.savefig(folder / "linear_solver.png", dpi=130)


def counted(number: int) -> str:
    """So many arrays."""
    return "1 array" if number == 1 else f"{number} arrays"


def _courses(panel: Any, record: Record, name: str, arrays: int) -> None:
    from matplotlib import colormaps

    for k, color in enumerate(colormaps["viridis"](np.linspace(0, 0.9, arrays))):
        for what, line in (("alone", "-"), ("refined", "--")):
            course = record.data[f"{name}/ideal/{what}"][0, k]
            label = counted(k + 1) if what == "alone" else None
            panel.plot(np.arange(1, course.size + 1), course, color=color, ls=line, lw=1, label=label)
    panel.plot([], [], color="0.3", ls="--", lw=1, label="refined in digital")


if __name__ == "__main__":
    draw(read_result("linear_solver"), FOLDER / "linear_solver")
