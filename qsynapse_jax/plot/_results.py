"""Pictures of what was found: accuracy over training, designs on a front, numbers over two quantities."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qsynapse_jax.plot._axes import axes_or_new, same_shape, shown_in, whole_numbers


def accuracy(
    history: Mapping[str, Any],
    *,
    reference: Mapping[str, float] | None = None,
    colors: Mapping[str, Any] | None = None,
    ax: Any = None,
    title: str = "",
) -> Any:
    """Test accuracy after every epoch.

    Args:
        history: accuracies [%], shape (epochs,), by label.
        reference: accuracies that have no course [%], by label: dashed lines.
        colors: Matplotlib color by label.
        ax: Matplotlib axes to draw into; new ones where not given.
        title: of the picture.

    Returns:
        The Matplotlib axes.
    """
    ax, colors = axes_or_new(ax, 6.4, 4.0), colors or {}
    for label, values in history.items():
        ax.plot(np.arange(1, len(values) + 1), values, ".-", color=colors.get(label), label=label)
    for label, value in (reference or {}).items():
        ax.axhline(value, color=colors.get(label), linestyle="--", label=label)
    ax.set(xlabel="epoch", ylabel="test accuracy [%]", title=title)
    whole_numbers(ax.xaxis)
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def front(
    objectives: Mapping[str, Any],
    *,
    units: Mapping[str, str] | None = None,
    efficient: Any = None,
    marked: Mapping[str, tuple[float, float]] | None = None,
    ax: Any = None,
    title: str = "",
) -> Any:
    """A Pareto front: a point per design, its first two objectives as place and a third one as color.

    Of two objectives, a line joins the efficient designs.

    Args:
        objectives: values to be made small, shape (designs,) each, by name: two or three, e.g. `Front.objectives` of
            `codesign.pareto_front`. Names are the labels of the axes.
        units: unit of an objective, without a prefix, by its name: the axis chooses one; a plain number where not
            given.
        efficient: whether a design is one of the front, shape (designs,), e.g. `Front.efficient`; the others are drawn
            pale. All are where not given.
        marked: designs that are marked by a cross, e.g. where the search began: the first two objectives by label.
        ax: Matplotlib axes to draw into; new ones where not given.
        title: of the picture.

    Returns:
        The Matplotlib axes.

    Raises:
        ValueError: fewer than two objectives or more than three, or objectives of different lengths.
    """
    names, values = list(objectives), [np.asarray(one, float) for one in objectives.values()]
    if len(names) not in (2, 3):
        raise ValueError(
            f"Argument `objectives` must hold two or three, but holds {len(names)}; pass those that shall be drawn."
        )
    for name, one in zip(names[1:], values[1:], strict=True):
        same_shape(f"objectives[{name!r}]", one, names[0], values[0])
    kept = np.ones(values[0].shape, bool) if efficient is None else np.asarray(efficient, bool)
    same_shape("efficient", kept, names[0], values[0])
    ax = axes_or_new(ax, 6.0, 4.4)
    units, marked = units or {}, marked or {}
    scaled, labels = [], []
    for place, (name, one) in enumerate(zip(names, values, strict=True)):
        scale, unit = shown_in(units.get(name, ""), one, [point[place] for point in marked.values() if place < 2])
        scaled.append((scale, one / scale))
        labels.append(f"{name} [{unit}]" if unit else name)
    (scale_x, x), (scale_y, y), *color = scaled
    alpha = np.where(kept, 1.0, 0.3)
    if color:
        shown = ax.scatter(x, y, c=color[0][1], alpha=alpha, cmap="viridis")
        ax.figure.colorbar(shown, ax=ax, label=labels[2])
    else:
        ax.scatter(x, y, color="tab:green", alpha=alpha)
        along = np.argsort(x[kept], kind="stable")
        ax.plot(x[kept][along], y[kept][along], color="tab:green", zorder=1)
    for label, point in marked.items():
        ax.plot(point[0] / scale_x, point[1] / scale_y, "x", color="tab:red", label=label)
    ax.set(xlabel=labels[0], ylabel=labels[1], title=title)
    ax.grid(alpha=0.3)
    if marked:
        ax.legend()
    return ax


def heat_map(
    values: Any,
    *,
    x: Sequence[Any],
    y: Sequence[Any],
    label_x: str,
    label_y: str,
    label: str = "",
    limits: tuple[float, float] | None = None,
    ax: Any = None,
    title: str = "",
) -> Any:
    """Numbers over two quantities, each written into its cell.

    Args:
        values: shape (y, x); NaN is left blank.
        x: values along the horizontal axis.
        y: values along the vertical axis.
        label_x: name and unit of `x`.
        label_y: name and unit of `y`.
        label: name and unit of `values`, which a color bar says; no bar where not given.
        limits: values of the darkest and the brightest color, for pictures that are compared; the smallest and the
            largest of `values` where not given.
        ax: Matplotlib axes to draw into; new ones where not given.
        title: of the picture.

    Returns:
        The Matplotlib axes; `ax.images[0]` is what a color bar of several of them takes.

    Raises:
        ValueError: `values` without a number for each of `y` and `x`.
    """
    values = np.asarray(values, float)
    if values.shape != (len(y), len(x)):
        raise ValueError(
            f"Argument `values` must have shape (y, x), here ({len(y)}, {len(x)}), but has shape {values.shape}; "
            "transpose it, or pass the `x` and `y` that belong to it."
        )
    ax = axes_or_new(ax, 1.6 + 0.5 * len(x), 1.2 + 0.4 * len(y))
    finite = values[np.isfinite(values)]
    low, high = limits or ((finite.min(), finite.max()) if finite.size else (0.0, 1.0))
    image = ax.imshow(values, cmap="viridis", vmin=low, vmax=high, aspect="auto", origin="lower")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = value < (low + high) / 2
            ax.text(column, row, f"{value:.3g}", ha="center", va="center", size=7, color="w" if dark else "k")
    ax.set_xticks(range(len(x)), [f"{one:g}" for one in x], fontsize=7)
    ax.set_yticks(range(len(y)), [f"{one:g}" for one in y], fontsize=7)
    ax.set(xlabel=label_x, ylabel=label_y, title=title)
    if label:
        ax.figure.colorbar(image, ax=ax, label=label)
    return ax
