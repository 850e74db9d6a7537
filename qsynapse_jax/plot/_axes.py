"""Where a picture is drawn, and in which unit."""

from typing import Any

import numpy as np

from qsynapse_jax._fields import scaled


def new_figure(width: float, height: float, *panels: int, **options: Any) -> tuple[Any, Any]:
    """A Matplotlib figure without a window, and axes in it that pictures take as `ax`.

    Args:
        width: of the figure [inch].
        height: of the figure [inch].
        panels: rows and columns of axes; one pair of axes where not given.
        options: of Matplotlib's `Figure.subplots`, e.g. `sharex=True`.

    Returns:
        The figure, and its axes: one, or an array of shape (rows, columns), squeezed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(*panels, **options)


def axes_or_new(ax: Any, width: float, height: float) -> Any:
    """`ax` where it is given, or the axes of a new figure [inch]."""
    return new_figure(width, height)[1] if ax is None else ax


def shown_in(unit: str, *values: Any) -> tuple[float, str]:
    """What to divide `values` [unit] by in a picture, and the unit afterwards."""
    numbers = np.concatenate([np.ravel(np.asarray(one, float)) for one in values])
    finite = np.abs(numbers[np.isfinite(numbers)])
    largest = float(finite.max()) if finite.size else 0.0
    # Conductances of one device may reach from nanosiemens to millisiemens; the field writes all of them in uS.
    if unit == "S" and 1e-6 <= largest < 1e-2:
        return 1e-6, "uS"
    # An area has the prefix of its side: 1e-12 m2 are 1 um2.
    if unit == "m2":
        scale, prefixed = scaled(largest**0.5, "m")
        return scale**2, f"{prefixed}2"
    return scaled(largest, unit)


def whole_numbers(axis: Any) -> None:
    """No ticks between lines, epochs or counts."""
    axis.get_major_locator().set_params(integer=True)


def same_shape(name: str, values: np.ndarray, other: str, expected: np.ndarray) -> None:
    """Refuses `values` that do not belong to the numbers beside which they are drawn."""
    if values.shape != expected.shape:
        raise ValueError(
            f"Argument `{name}` must have the shape {expected.shape} of `{other}`, but has shape {values.shape}; "
            "pass those of the same array."
        )
