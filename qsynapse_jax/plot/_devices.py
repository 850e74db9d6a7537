"""Pictures of devices: how they answer to pulses, how near they are to their levels, and which weights they hold."""

from typing import Any

import numpy as np

from qsynapse_jax.plot._axes import axes_or_new, same_shape, shown_in, whole_numbers

_BINS = 41
_CROWDED = 1000  # cells of a staircase beyond which single levels cannot be seen
_SHOWN = 3000  # and those beyond which more of them show nothing


def pulse_response(pulses: Any, g: Any, *, ax: Any = None, title: str = "") -> Any:
    """Conductance of several devices under pulses up, then down, and their mean.

    Args:
        pulses: pulses received until a point, shape (points,); the middle point is where pulses down begin.
        g: conductances [S], shape (points, devices).
        ax: Matplotlib axes to draw into; new ones where not given.
        title: of the picture.

    Returns:
        The Matplotlib axes.

    Raises:
        ValueError: `g` without a row per point.
    """
    pulses, g = np.asarray(pulses), np.asarray(g)
    if g.ndim != 2 or pulses.shape != g.shape[:1]:
        raise ValueError(
            f"Argument `g` must have shape (points, devices), with {pulses.size} points as `pulses`, but has shape "
            f"{g.shape}; of one device pass `g[:, None]`."
        )
    ax = axes_or_new(ax, 6.8, 4.0)
    scale, prefixed = shown_in("S", g)
    for number, curve in enumerate(g.T / scale):
        ax.plot(pulses, curve, color="C0", alpha=0.35, linewidth=0.9, label="" if number else "one device")
    ax.plot(pulses, g.mean(axis=1) / scale, color="k", linewidth=1.8, label="their mean")
    ax.axvline(pulses[len(pulses) // 2], color="0.3", linestyle=":", linewidth=1)
    ax.set(xlabel="pulses received: up, then down from the dotted line", ylabel=f"conductance [{prefixed}]")
    ax.set_title(title)
    ax.grid(alpha=0.3)
    ax.legend(loc="lower center")
    return ax


def pulse_fit(
    measured: Any, fitted: Any, *, sweeps: Any = None, label: str = "fit", ax: Any = None, title: str = ""
) -> Any:
    """Conductance against pulse number, measured and of a model, first up, then down; below, the difference.

    Args:
        measured: mean curves up and down [S], one array of shape (pulses,) each, of any length.
        fitted: likewise, of the same lengths.
        sweeps: single curves up and down [S], shape (..., pulses) each, drawn pale.
        label: name of the model.
        ax: Matplotlib axes to draw into; new ones where not given. The difference goes below them.
        title: of the picture.

    Returns:
        The Matplotlib axes; those of the difference are `ax.child_axes[0]`.

    Raises:
        ValueError: curves of other lengths than the measured ones.
    """
    ax = axes_or_new(ax, 8.4, 5.2)
    # No higher: the figure makes room below in two rounds, of which each misses by a share of that height.
    below = ax.inset_axes((0.0, -0.28, 1.0, 0.25), sharex=ax)
    measured, fitted = ([np.asarray(curve) for curve in pair] for pair in (measured, fitted))
    scale, prefixed = shown_in("S", *measured)
    first = 0
    for number, (data, model) in enumerate(zip(measured, fitted, strict=True)):
        same_shape("fitted", model, "measured", data)
        pulses = first + np.arange(len(data))
        for sweep in np.reshape(sweeps[number], (-1, len(data))) if sweeps is not None else ():
            ax.plot(pulses, sweep / scale, color="C0", alpha=0.15, linewidth=0.7)
        ax.plot(pulses, data / scale, ".", color="C0", label="" if number else "measured")
        ax.plot(pulses, model / scale, color="C1", label="" if number else label)
        below.plot(pulses, (model - data) / scale, color="C1")
        first += len(data)
    below.axhline(0, color="0.3", linewidth=1)
    for panel in (ax, below):
        panel.axvline(len(measured[0]) - 0.5, color="0.3", linestyle=":", linewidth=1)
        panel.grid(alpha=0.3)
    ax.tick_params(labelbottom=False)
    ax.set(ylabel=f"conductance [{prefixed}]", title=title)
    below.set(xlabel="pulses: up, then down from the dotted line", ylabel=f"error [{prefixed}]")
    ax.legend()
    return ax


def staircase(target: Any, read: Any, *, ax: Any = None, title: str = "") -> Any:
    """Reads of cells against their targets, in the order of the targets.

    Of more than 1,000 cells one read each is drawn, of more than 6,000 every so many cells: more points would show
    nothing more. To see single levels, pass the cells of a few.

    Args:
        target: of the cells [S], any shape.
        read: raw reads [S], shape (reads, *shape of `target`).
        ax: Matplotlib axes to draw into; new ones where not given.
        title: of the picture.

    Returns:
        The Matplotlib axes.

    Raises:
        ValueError: reads of other cells.
    """
    target, read = np.asarray(target, float), np.asarray(read, float)
    if read.shape[1:] != target.shape or read.ndim != target.ndim + 1:
        raise ValueError(
            f"Argument `read` must have shape (reads, *{target.shape}), the cells of `target`, but has shape "
            f"{read.shape}; of one read pass `read[None]`."
        )
    ax = axes_or_new(ax, 6.8, 4.2)
    scale, prefixed = shown_in("S", target)
    crowded, every = target.size > _CROWDED, max(1, target.size // _SHOWN)
    order = np.argsort(target, axis=None, kind="stable")[::every]
    place, reads = every * np.arange(len(order)), read.reshape(len(read), -1)[: 1 if crowded else None, order]
    # Of many cells the line would hide reads that meet their targets; of few it runs between them.
    size, alpha, over = (2, 1.0, 1) if crowded else (3, 0.35, 3)
    cells = f"{len(order):,} of {target.size:,}" if every > 1 else f"{target.size:,}"
    label = f"{len(reads)} {'read' if len(reads) == 1 else 'reads'} of each of {cells} cells"
    for one in reads:
        ax.plot(place, one / scale, ".", markersize=size, color="C0", alpha=alpha, label=label, zorder=2)
        label = ""
    goal = target.ravel()[order] / scale
    ax.step(place, goal, where="mid", color="k", linewidth=1, label="target", zorder=over)
    whole_numbers(ax.xaxis)
    ax.set(xlabel="cells by target", ylabel=f"read [{prefixed}]", title=title)
    ax.grid(alpha=0.3)
    ax.legend(loc="upper left", fontsize=8)
    return ax


def weight_histogram(
    before: Any, after: Any, *, bounds: tuple[float, float], end: float | None = None, ax: Any = None, title: str = ""
) -> Any:
    """How the weights of an array are distributed before and after training.

    Args:
        before: weights before training, any shape, no unit.
        after: weights after it, of the same shape.
        bounds: lowest and highest weight of the mean device, marked by dashed lines.
        end: the axis reaches from `-end` to `end`, for pictures that are compared; to the largest weight or bound
            where not given.
        ax: Matplotlib axes to draw into; new ones where not given.
        title: of the picture.

    Returns:
        The Matplotlib axes.

    Raises:
        ValueError: weights of different shapes.
    """
    before, after = np.asarray(before), np.asarray(after)
    same_shape("after", after, "before", before)
    ax = axes_or_new(ax, 4.8, 3.8)
    weight_bars(ax, before, after, bounds, largest_weight(before, after, bounds) if end is None else end)
    # Room for the legend above the bars.
    ax.set_ylim(top=1.35 * ax.get_ylim()[1])
    ax.set(title=title, ylabel="devices")
    ax.legend(loc="upper left", fontsize=8)
    return ax


def weight_bars(ax: Any, before: Any, after: Any, bounds: tuple[float, float], end: float) -> None:
    """The bars and the bounds of a `weight_histogram`."""
    # An odd number of bins, as far to both sides: devices that never moved stand in the one around 0.
    edges = np.linspace(-1.02 * end, 1.02 * end, _BINS + 1)
    ax.hist(np.ravel(before), edges, color="0.75", label="before training")
    ax.hist(np.ravel(after), edges, histtype="step", color="tab:green", linewidth=1.5, label="after training")
    for number, bound in enumerate(bounds):
        label = "" if number else "bounds of the mean device"
        ax.axvline(bound, color="tab:red", linestyle="--", linewidth=1, label=label)
    ax.set_xlabel("weight of a device")
    whole_numbers(ax.yaxis)
    ax.grid(alpha=0.3)


def largest_weight(*weights: Any) -> float:
    """The largest magnitude in several arrays."""
    return max(float(np.max(np.abs(np.asarray(one)))) for one in weights)
