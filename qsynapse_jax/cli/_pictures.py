"""Pictures of a run, made from its weights and records after the work is done."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from qsynapse_jax.cli._config import StudyConfig
from qsynapse_jax.cli._store import write_whole
from qsynapse_jax.cli._study import ROWS, Study
from qsynapse_jax.crossbar import solve
from qsynapse_jax.nn import with_wires
from qsynapse_jax.tile import split

COLOURS = {"float": "0.45", "quantized": "tab:blue", "deployed": "tab:red", "circuit": "tab:green"}


def draw(config: StudyConfig, study: Study, folder: Path) -> list[Path]:
    """Draws all pictures of a run into its folder."""
    from matplotlib.figure import Figure

    pictures = {
        "accuracy.png": (_accuracy, (6.4, 4.0)),
        "ir_drop.png": (_ir_drop, (6.0, 4.8)),
        "weights.png": (_weights, (8.4, 4.4)),
    }
    paths = []
    for name, (picture, size) in pictures.items():
        figure = Figure(figsize=size, layout="constrained")
        picture(figure, config, study)
        path = folder / name
        write_whole(path, lambda temporary, figure=figure: figure.savefig(temporary, dpi=150))
        paths.append(path)
    return paths


def _accuracy(figure: Any, config: StudyConfig, study: Study) -> None:
    axes = figure.subplots()
    for name, history in study.histories.items():
        epochs = [epoch.number for epoch in history]
        axes.plot(epochs, [100 * e.accuracy for e in history], ".-", color=COLOURS[name], label=ROWS[name])
    axes.axhline(study.accuracies["deployed"], color=COLOURS["deployed"], linestyle="--", label=ROWS["deployed"])
    axes.set(xlabel="epoch", ylabel="test accuracy [%]", title=f"{config.dataset}: same network, four ways")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()


def _ir_drop(figure: Any, config: StudyConfig, study: Study) -> None:
    layer = with_wires(study.networks["circuit"], config.wires()).layers[0]
    tile = np.asarray(split(layer.array.conductance(layer.master_weight()), layer.tile)[0, 0])
    sol = solve(tile, jnp.full(tile.shape[0], layer.v_read, tile.dtype), config.wires())
    axes = figure.subplots()
    image = axes.imshow(1e3 * np.asarray(sol.v_cell), cmap="viridis", vmin=0, vmax=1e3 * layer.v_read)
    figure.colorbar(image, label="cell voltage [mV]")
    worst = 100 * (1 - float(jnp.min(sol.v_cell)) / layer.v_read)
    axes.set(
        xlabel="bit line (drivers are on the left)",
        ylabel="word line (sense amplifiers are below)",
        title=f"IR drop in one tile, all word lines at {1e3 * layer.v_read:.0f} mV\n"
        f"the worst cell loses {worst:.0f} % of it",
    )


def _weights(figure: Any, config: StudyConfig, study: Study) -> None:
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    wires = config.wires()
    for axes, name, network in zip(panels, ("deployed", "circuit"), ("quantized", "circuit"), strict=True):
        layer = with_wires(study.networks[network], wires).layers[0]
        intended, effective = np.asarray(layer.intended_weight()), np.asarray(layer.effective_weight())
        axes.plot(intended.ravel(), effective.ravel(), ".", markersize=2, alpha=0.4, color=COLOURS[name])
        axes.plot([-1, 1], [-1, 1], color="0.3", linewidth=1, label="ideal wires")
        axes.set(xlabel="intended weight (its code)", title=f"{ROWS[name]}: {study.accuracies[name]:.1f} %")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left")
    panels[0].set_ylabel("effective weight (behind the wires)")
