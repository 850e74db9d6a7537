"""The picture of a search for resistors: levels on a full tile before and after, and the resistors."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qsynapse_jax.cli._store import write_whole

COLOURS = ("tab:red", "tab:orange", "tab:blue", "tab:green", "tab:purple")


def draw_codesign(config: Any, designs: dict[str, np.ndarray], folder: Path) -> Path:
    """Deviation of every level from the best line, with its spread, and the resistors against R, 2R, 4R."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    task, key = config.task(), jax.random.key(1_000_003 * (config.seed + 1))
    largest = 2**task.bits - 1
    codes = np.arange(-largest, largest + 1)
    shown = [name for name in designs if name not in ("closed form", "R as found")]
    for (name, r), colour in zip(designs.items(), COLOURS, strict=False):
        if name == "R as found":
            continue
        right.plot(range(task.bits), r / (r[0] * 2.0 ** np.arange(task.bits)), "o-", color=colour, label=name)
        if name not in shown:
            continue
        levels = task.levels(jnp.asarray(r, jnp.float32), key=key, tiles=(4, 2))
        mean = largest * np.asarray(levels.mean / levels.gain) - codes
        spread = largest * np.asarray(levels.spread / levels.gain)
        left.plot(codes, mean, ".-", color=colour, label=f"{name}: rms error {float(levels.error):.2f} LSB")
        left.fill_between(codes, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
    left.axhline(0, color="0.3", linewidth=1)
    left.set(xlabel="code", ylabel="effective weight less the best line [LSB]", title="Levels on a full tile, ± 1 σ")
    right.axhline(1, color="0.3", linewidth=1)
    right.set(
        xlabel="branch k (0 is the most significant bit)",
        ylabel="R_k / (2^k R_0)",
        title="Resistors against R, 2R, 4R",
        xticks=range(task.bits),
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    path = folder / "codesign.png"
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=150))
    return path
