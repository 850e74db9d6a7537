"""A figure without a window."""

from typing import Any


def new_figure(width: float, height: float, *panels: int, **options: Any) -> tuple[Any, Any]:
    """A Matplotlib figure [inch] and its axes: one, or an array of (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(*panels, **options)
