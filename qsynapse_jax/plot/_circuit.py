"""Pictures of one circuit: what its cells see or carry, with the lines drawn, and its currents."""

from typing import Any

import numpy as np

from qsynapse_jax.plot._pictures import new_figure

# Beyond so many lines, drawn lines would hide the cells.
_MOST_DRAWN = 24
# Half of the side of a cell, where one is the distance of lines.
_HALF = 0.36
_PREFIXES = {1.0: "", 1e-3: "m", 1e-6: "u", 1e-9: "n", 1e-12: "p"}


def crossbar(values: Any, *, ax: Any = None, label: str = "conductance", unit: str = "S", title: str = "") -> Any:
    """A number per cell as color where the cell sits: drivers on the left, sense amplifiers below.

    Args:
        values: of the cells, shape (wl, bl), e.g. conductances [S] or voltages [V]; NaN is left blank.
        ax: Matplotlib axes to draw into; new ones where not given.
        label: what is shown.
        unit: of `values`, without a prefix: the color bar chooses one; empty for a plain number.
        title: of the picture.

    Returns:
        The Matplotlib axes.

    Raises:
        ValueError: `values` without two axes.
    """
    from matplotlib.collections import PolyCollection

    values = np.asarray(values)
    if values.ndim != 2:
        raise ValueError(f"Argument `values` must have shape (wl, bl), but has shape {values.shape}.")
    ax = new_figure(6.0, 4.8)[1] if ax is None else ax
    scale, prefix = _prefix(values) if unit else (1.0, "")
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
    ax.figure.colorbar(shown, ax=ax, label=f"{label} [{prefix}{unit}]" if unit else label)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="bit line (drivers are on the left)", ylabel="word line (sense amplifiers are below)", title=title)
    return ax


def currents(i_out: Any, i_ideal: Any = None, *, ax: Any = None, title: str = "") -> Any:
    """Currents of the bit lines, beside those of ideal wires.

    Args:
        i_out: shape (bl,) [A].
        i_ideal: the same with ideal wires [A], shape (bl,); left out where not given.
        ax: Matplotlib axes to draw into; new ones where not given.
        title: of the picture; what the wires cost where `i_ideal` is given and no title is.

    Returns:
        The Matplotlib axes.
    """
    i_out = np.asarray(i_out)
    ax = new_figure(6.0, 4.2)[1] if ax is None else ax
    scale, prefix = _prefix(i_out if i_ideal is None else np.asarray(i_ideal))
    lines = np.arange(len(i_out))
    if i_ideal is not None:
        ideal = np.asarray(i_ideal)
        ax.step(lines, ideal / scale, where="mid", color="0.4", label="ideal wires")
        total = np.sum(np.abs(ideal))
        if not title and total > 0:
            title = f"The wires cost {100 * np.sum(np.abs(ideal - i_out)) / total:.3g} % of the currents"
    ax.bar(lines, i_out / scale, color="C0", label="with wires")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="bit line", ylabel=f"current [{prefix}A]", title=title)
    ax.legend()
    return ax


def _prefix(values: np.ndarray) -> tuple[float, str]:
    """The scale of the largest number, and its prefix."""
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max()) if finite.size else 0.0
    for scale, prefix in _PREFIXES.items():
        if largest >= scale:
            return scale, prefix
    return 1.0, ""
