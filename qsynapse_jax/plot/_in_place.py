"""Pictures of arrays that learn in place: their weights, and how their devices answer to pulses."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qsynapse_jax.plot._pictures import new_figure

_BINS = 41


def weight_histograms(panels: Mapping[str, tuple[Any, Any]], *, bounds: tuple[float, float], rows: int = 1) -> Any:
    """How weights are distributed before and after training, a panel per array.

    Args:
        panels: weights before and after, two arrays of one shape, by title of the panel.
        bounds: lowest and highest weight of the mean device, marked by dashed lines.
        rows: rows of panels; `panels` go from left to right in each.
    """
    columns = -(-len(panels) // rows)
    figure, axes = new_figure(max(4.8, 3.6 * columns), 0.6 + 2.9 * rows, rows, columns, squeeze=False)
    # An odd number of bins, as far to both sides: devices that never moved stand in the one around 0.
    end = 1.02 * max(*(float(np.max(np.abs(w))) for pair in panels.values() for w in pair), *map(abs, bounds))
    edges = np.linspace(-end, end, _BINS + 1)
    for panel, (title, (first, last)) in zip(axes.flat, panels.items(), strict=False):
        panel.hist(np.ravel(first), edges, color="0.75", label="before training")
        panel.hist(np.ravel(last), edges, histtype="step", color="tab:green", linewidth=1.5, label="after training")
        for number, bound in enumerate(bounds):
            label = "" if number else "bounds of the mean device"
            panel.axvline(bound, color="tab:red", linestyle="--", linewidth=1, label=label)
        panel.set(title=title, xlabel="weight of a device")
        panel.yaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
    for row in axes:
        row[0].set_ylabel("devices")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def pulse_response(pulses: Any, g: Any, *, title: str = "") -> Any:
    """Conductance of several devices under pulses up, then down.

    Args:
        pulses: pulses received until a point, shape (points,); the middle point is where pulses down begin.
        g: conductances [S], shape (points, devices).
        title: what is shown, in a sentence.
    """
    pulses, g = np.asarray(pulses), 1e6 * np.asarray(g)
    figure, axes = new_figure(6.8, 4.0)
    for number, curve in enumerate(g.T):
        axes.plot(pulses, curve, color="C0", alpha=0.35, linewidth=0.9, label="" if number else "one device")
    axes.plot(pulses, g.mean(axis=1), color="k", linewidth=1.8, label="their mean")
    turn = pulses[len(pulses) // 2]
    axes.axvline(turn, color="0.3", linestyle=":", linewidth=1)
    axes.set(xlabel="pulses received: up, then down from the dotted line", ylabel="conductance [uS]", title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower center")
    return figure
