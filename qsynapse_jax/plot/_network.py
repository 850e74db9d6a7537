"""Pictures of a trained network: its course, the IR drop of a tile, and what wires make of its weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qsynapse_jax.plot._figure import new_figure


def accuracy(
    history: Mapping[str, Any], *, reference: Mapping[str, float] | None = None, title: str = "", colors: Any = None
) -> Any:
    """Test accuracy after every epoch.

    Args:
        history: accuracies [%], shape (epochs,), by label.
        reference: accuracies that have no course [%], by label: dashed lines.
        title: what is shown, in a sentence.
        colors: Matplotlib color by label.

    Returns:
        A Matplotlib figure.
    """
    colors = colors or {}
    figure, axes = new_figure(6.4, 4.0)
    for label, values in history.items():
        axes.plot(np.arange(1, len(values) + 1), values, ".-", color=colors.get(label), label=label)
    for label, value in (reference or {}).items():
        axes.axhline(value, color=colors.get(label), linestyle="--", label=label)
    axes.set(xlabel="epoch", ylabel="test accuracy [%]", title=title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def ir_drop(v_cell: Any, v_read: float) -> Any:
    """Voltage across every cell of a tile whose word lines are all driven.

    Args:
        v_cell: voltages of the cells [V], shape (wl, bl).
        v_read: voltage of the drivers [V].

    Returns:
        A Matplotlib figure.
    """
    v_cell = np.asarray(v_cell)
    figure, axes = new_figure(6.0, 4.8)
    image = axes.imshow(1e3 * v_cell, cmap="viridis", vmin=0, vmax=1e3 * v_read)
    figure.colorbar(image, label="cell voltage [mV]")
    worst = 100 * (1 - v_cell.min() / v_read)
    axes.set(
        xlabel="bit line (drivers are on the left)",
        ylabel="word line (sense amplifiers are below)",
        title=f"All word lines of this tile are driven with {1e3 * v_read:.0f} mV;\n"
        f"the wires take {worst:.0f} % of it from the worst cell",
    )
    return figure


def effective_weights(panels: Mapping[str, tuple[Any, Any]], *, colors: Any = None) -> Any:
    """What cells multiply with behind the wires, against what was written into them.

    Args:
        panels: intended and effective weights in [-1, 1], two arrays of one shape, by title of the panel.
        colors: Matplotlib color by title.

    Returns:
        A Matplotlib figure.
    """
    figure, axes = new_figure(4.2 * len(panels), 4.4, 1, len(panels), sharex=True, sharey=True, squeeze=False)
    for panel, (title, (intended, effective)) in zip(axes[0], panels.items(), strict=True):
        color = (colors or {}).get(title)
        panel.plot(np.ravel(intended), np.ravel(effective), ".", markersize=2, alpha=0.4, color=color)
        panel.plot([-1, 1], [-1, 1], color="0.3", linewidth=1, label="ideal wires")
        panel.set(xlabel="intended weight (that of its code)", title=title)
        panel.grid(alpha=0.3)
        panel.legend(loc="upper left")
    axes[0][0].set_ylabel("effective weight (behind the wires)")
    return figure
