"""Pictures of one circuit: what its cells see or carry, with the lines drawn, its currents, and its weights."""

from typing import Any

import numpy as np

from qsynapse_jax.plot._axes import axes_or_new, same_shape, shown_in, whole_numbers

# Beyond so many lines, drawn lines would hide the cells.
_MOST_DRAWN = 24
# Half of the side of a cell, where one is the distance of lines.
_HALF = 0.36


def crossbar(
    values: Any,
    *,
    label: str = "conductance",
    unit: str = "S",
    limits: tuple[float, float] | None = None,
    ax: Any = None,
    title: str = "",
) -> Any:
    """A number per cell as color where the cell sits: drivers on the left, sense amplifiers below.

    The lines are drawn up to 24 of them; of more, the cells alone.

    Args:
        values: of the cells, shape (wl, bl), e.g. conductances [S] or voltages [V]; NaN is left blank.
        label: what is shown.
        unit: of `values`, without a prefix: the color bar chooses one; empty for a plain number.
        limits: values of the darkest and the brightest color, in `unit`, for pictures that are compared; the
            smallest and the largest of `values` where not given.
        ax: Matplotlib axes to draw into; new ones where not given.
        title: of the picture.

    Returns:
        The Matplotlib axes.

    Raises:
        ValueError: `values` without two axes.
    """
    from matplotlib.collections import PolyCollection

    values = np.asarray(values)
    if values.ndim != 2:
        raise ValueError(
            f"Argument `values` must have shape (wl, bl), but has shape {values.shape}; pass those of one array."
        )
    ax = axes_or_new(ax, 6.0, 4.8)
    scale, prefixed = shown_in(unit, values, limits or ())
    n_rows, n_cols = values.shape
    if max(values.shape) <= _MOST_DRAWN:
        # Word lines come in from the left, bit lines go out below; cells stand on their crossings.
        ax.hlines(range(n_rows), -1, n_cols - 1, color="0.6", lw=1, zorder=0)
        ax.vlines(range(n_cols), 0, n_rows, color="0.6", lw=1, zorder=0)
        rows, columns = np.mgrid[:n_rows, :n_cols]
        # Squares in units of the axes: they leave the lines visible whatever size the axes have.
        centers = np.stack([columns.ravel(), rows.ravel()], axis=1)[:, None]
        squares = centers + _HALF * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        shown = ax.add_collection(PolyCollection(list(squares), array=np.ravel(values / scale), cmap="viridis"))
        ax.set(xlim=(-1, n_cols - 0.4), ylim=(n_rows, -0.6), aspect="equal")
    else:
        shown = ax.imshow(values / scale, cmap="viridis", aspect="equal", interpolation="nearest")
    if limits is not None:
        shown.set_clim(limits[0] / scale, limits[1] / scale)
    ax.figure.colorbar(shown, ax=ax, label=f"{label} [{prefixed}]" if prefixed else label)
    whole_numbers(ax.xaxis)
    whole_numbers(ax.yaxis)
    ax.set(xlabel="bit line (drivers are on the left)", ylabel="word line (sense amplifiers are below)", title=title)
    return ax


def currents(i_out: Any, i_ideal: Any = None, *, ax: Any = None, title: str = "") -> Any:
    """Currents of the bit lines, beside those of ideal wires.

    Args:
        i_out: of one input, shape (bl,) [A].
        i_ideal: the same with ideal wires, shape (bl,) [A]; left out where not given.
        ax: Matplotlib axes to draw into; new ones where not given.
        title: of the picture; what the wires cost where `i_ideal` is given and no title is.

    Returns:
        The Matplotlib axes.

    Raises:
        ValueError: currents of several inputs, or of other bit lines.
    """
    i_out = np.asarray(i_out)
    ideal = None if i_ideal is None else np.asarray(i_ideal)
    if i_out.ndim != 1:
        raise ValueError(
            f"Argument `i_out` must have shape (bl,), but has shape {i_out.shape}; pass the currents of one input."
        )
    if ideal is not None:
        same_shape("i_ideal", ideal, "i_out", i_out)
    ax = axes_or_new(ax, 6.0, 4.2)
    scale, prefixed = shown_in("A", i_out if ideal is None else ideal)
    lines = np.arange(len(i_out))
    if ideal is not None:
        ax.step(lines, ideal / scale, where="mid", color="0.4", label="ideal wires")
        total = np.sum(np.abs(ideal))
        if not title and total > 0:
            title = f"The wires cost {100 * np.sum(np.abs(ideal - i_out)) / total:.3g} % of the currents"
    ax.bar(lines, i_out / scale, color="C0", label="with wires")
    whole_numbers(ax.xaxis)
    ax.set(xlabel="bit line", ylabel=f"current [{prefixed}]", title=title)
    ax.legend()
    return ax


def effective_weights(intended: Any, effective: Any, *, color: Any = None, ax: Any = None, title: str = "") -> Any:
    """What cells multiply with behind the wires, against what was written into them: a point per weight.

    Args:
        intended: weights in [-1, 1] as they were written, any shape, no unit.
        effective: weights behind the wires, of the same shape.
        color: Matplotlib color of the points.
        ax: Matplotlib axes to draw into; new ones where not given.
        title: of the picture.

    Returns:
        The Matplotlib axes.

    Raises:
        ValueError: weights of different shapes.
    """
    intended, effective = np.asarray(intended), np.asarray(effective)
    same_shape("effective", effective, "intended", intended)
    ax = axes_or_new(ax, 4.2, 4.4)
    ax.plot(np.ravel(intended), np.ravel(effective), ".", markersize=2, alpha=0.4, color=color)
    ax.plot([-1, 1], [-1, 1], color="0.3", linewidth=1, label="ideal wires")
    ax.set(xlabel="intended weight (that of its code)", ylabel="effective weight (behind the wires)", title=title)
    ax.grid(alpha=0.3)
    ax.legend(loc="upper left")
    return ax
