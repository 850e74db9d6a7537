"""Sections of a sweep: every result against its axes, results against one another, the table, where it comes from."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from qsynapse_jax.report._page import Section, plot, shown, table, text, verbatim

# What tells of a point, not of the question.
_ABOUT = ("status", "error", "wall_time")
_SEED = "seed"
# Curves in a picture, choices in a menu, rows of the table, and a range of values that asks for decades.
_CURVES, _CHOICES, _ROWS, _DECADE = 8, 12, 200, 10.0
_LOWER = ("error", "loss", "power", "energy", "time", "area", "residual", "lost")


def sweep_sections(ds: Any) -> tuple[str, list[Section]]:
    """One sentence and the sections of a sweep, an `xarray.Dataset` of `qsynapse_jax.sweep.open`."""
    names = _results(ds)
    if not names:
        # Results along lines or cells alone: their means.
        inner = {dim for dim in ds.dims if dim not in ds["status"].dims}
        long = [name for name, one in ds.data_vars.items() if inner.intersection(one.dims)]
        ds = ds.assign({name: ds[name].mean(inner.intersection(ds[name].dims), keep_attrs=True) for name in long})
        names = _results(ds)
    axes = [name for name in ds.coords if ds[name].size > 1]
    count, failed = ds.attrs["points"], ds.attrs["failed"]
    lead = (
        f"{count:,} points of the study {ds.attrs['study']}: {', '.join(_told(ds, name) for name in axes)}. "
        f"{ds.attrs['finished']:,} are computed, {failed:,} failed."
    )
    meaning = [[name, ds[name].attrs.get("units", ""), ds[name].attrs.get("long_name", "")] for name in names]
    sections = [
        Section("What was asked", _axes_table(ds) + table(["result", "unit", "what it is"], meaning)),
    ]
    is_grid = "point" not in ds.dims
    mean, spread = _over_seeds(ds[names])
    for name in names:
        body = _lines(mean, spread, name) + _heat(mean, name) if is_grid else _scatter(ds, name, axes)
        if body:
            sections.append(Section(_label(ds, name), body))
    points = _points(mean if is_grid else ds, names)
    if len(names) > 1:
        sections.append(Section("One result against another", _trade_off(ds, points, names)))
    if failed:
        sections.append(Section("What failed", _failures(ds)))
    sections.append(Section("The numbers", _numbers(ds, points, names)))
    sections.append(Section("Where it comes from", _provenance(ds)))
    return lead, sections


def _results(ds: Any) -> list[str]:
    """Results that are one number per point."""
    per_point = set(ds["status"].dims)
    return [
        name
        for name, one in ds.data_vars.items()
        if name not in _ABOUT and set(one.dims) == per_point and np.issubdtype(one.dtype, np.number)
    ]


def _label(ds: Any, name: str) -> str:
    unit = ds[name].attrs.get("units", "")
    return f"{name} [{unit}]" if unit else name


def _told(ds: Any, name: str) -> str:
    """An axis in words."""
    values, unit = ds[name].values, ds[name].attrs.get("units", "")
    if not np.issubdtype(values.dtype, np.number):
        return f"{name} of {len(np.unique(values))} kinds"
    ends = f"{shown(values.min())} to {shown(values.max())} {unit}".rstrip()
    return f"{name} {ends}"


def _axes_table(ds: Any) -> str:
    settings = json.loads(ds.attrs["settings"])
    rows = []
    for name in ds.coords:
        values = np.unique(ds[name].values)
        few = ", ".join(map(shown, values)) if len(values) <= _CURVES else f"{len(values):,} values"
        rows.append([name, ds[name].attrs.get("units", ""), few])
    rows += [[name, "", shown(value)] for name, value in settings.get("constants", {}).items()]
    return table(["axis or constant", "unit", "values"], rows)


def _over_seeds(ds: Any) -> tuple[Any, Any]:
    """Mean and standard deviation over seeds, where they are an axis of a grid."""
    if _SEED not in ds.dims:
        return ds, None
    kept = ds.mean(_SEED, keep_attrs=True)
    return kept, ds.std(_SEED, ddof=1) if ds.sizes[_SEED] > 1 else None


def _by_size(one: Any) -> list[str]:
    """Dimensions with several values, the longest of numbers first."""
    dims = [dim for dim in one.dims if one.sizes[dim] > 1]
    return sorted(dims, key=lambda dim: (not np.issubdtype(one[dim].dtype, np.number), -one.sizes[dim]))


def _choices(one: Any, rest: Sequence[str]) -> list[dict[str, int]]:
    """Places along the dimensions that a picture does not show, the first of each at first."""
    return [
        dict(zip(rest, places, strict=True))
        for places in itertools.islice(itertools.product(*(range(one.sizes[dim]) for dim in rest)), _CHOICES)
    ]


def _choice_label(one: Any, choice: dict[str, int]) -> str:
    return ", ".join(f"{dim} {shown(one[dim].values[place])}" for dim, place in choice.items())


def _axis(one: Any, name: str) -> dict[str, Any]:
    """Title and scale of an axis of a picture."""
    values = one[name].values
    wide = np.issubdtype(values.dtype, np.number) and values.min() > 0 and values.max() >= _DECADE * values.min()
    kind = "log" if wide else ("linear" if np.issubdtype(values.dtype, np.number) else "category")
    return {"title": _label(one, name), "type": kind}


def _menu(figure: Any, labels: Sequence[str], of_choice: Sequence[int]) -> None:
    """A menu that shows the traces of one choice."""
    if len(labels) < 2:
        return
    buttons = [
        {"label": label, "method": "update", "args": [{"visible": [k == number for k in of_choice]}]}
        for number, label in enumerate(labels)
    ]
    place = {"x": 0, "xanchor": "left", "y": 1.18, "yanchor": "top"}
    figure.update_layout(updatemenus=[{"buttons": buttons, "direction": "down", "showactive": True, **place}])


def _lines(mean: Any, spread: Any, name: str) -> str:
    """A result against the longest axis, a curve per value of the next, a menu for the others."""
    import plotly.graph_objects as go

    one, dims = mean[name], _by_size(mean[name])
    if not dims:
        return ""
    x, color, rest = dims[0], dims[1] if len(dims) > 1 else None, dims[2:]
    figure, choices, of_choice = go.Figure(), _choices(one, rest), []
    for number, choice in enumerate(choices):
        for place in range(min(one.sizes[color], _CURVES)) if color else [0]:
            where = choice | ({color: place} if color else {})
            label = f"{color} {shown(one[color].values[place])}" if color else name
            bars = None if spread is None else {"array": spread[name].isel(where).values, "thickness": 1}
            figure.add_scatter(
                x=one[x].values,
                y=one.isel(where).values,
                error_y=bars,
                mode="lines+markers",
                name=label,
                visible=number == 0,
            )
            of_choice.append(number)
    _menu(figure, [_choice_label(one, choice) for choice in choices], of_choice)
    figure.update_layout(xaxis=_axis(mean, x), yaxis={"title": _label(mean, name)}, hovermode="closest")
    what = one.attrs.get("long_name", name)
    seeds = "; bars are the standard deviation over seeds" if spread is not None else ""
    return plot(figure, f"{what[:1].upper()}{what[1:]}, against {x}{f', a curve per {color}' if color else ''}{seeds}.")


def _heat(mean: Any, name: str) -> str:
    """The same as a map over two axes."""
    import plotly.graph_objects as go

    one, dims = mean[name], _by_size(mean[name])
    if len(dims) < 2:
        return ""
    x, y, rest = dims[0], dims[1], dims[2:]
    figure, choices = go.Figure(), _choices(one, rest)
    label_x, label_y = ([shown(v) for v in one[dim].values] for dim in (x, y))
    for number, choice in enumerate(choices):
        values = one.isel(choice).transpose(y, x).values
        figure.add_heatmap(
            x=label_x,
            y=label_y,
            z=values,
            text=[[shown(v) for v in row] for row in values],
            texttemplate="%{text}",
            colorscale="Viridis",
            colorbar={"title": one.attrs.get("units", "")},
            visible=number == 0,
        )
    _menu(figure, [_choice_label(one, choice) for choice in choices], list(range(len(choices))))
    sides = {"type": "category"}
    figure.update_layout(xaxis={"title": _label(mean, x)} | sides, yaxis={"title": _label(mean, y)} | sides)
    return plot(figure, f"The same as a map: {name} over {x} and {y}.")


def _scatter(ds: Any, name: str, axes: Sequence[str]) -> str:
    """A result of points that are no grid, against one axis at a time."""
    import plotly.graph_objects as go

    figure = go.Figure()
    shown_axes = [axis for axis in axes if axis != _SEED][:_CHOICES]
    for number, axis in enumerate(shown_axes):
        figure.add_scattergl(
            x=ds[axis].values,
            y=ds[name].values,
            mode="markers",
            marker={"size": 5, "opacity": 0.6},
            name=axis,
            showlegend=False,
            visible=number == 0,
        )
    if not shown_axes:
        return ""
    scales = [_axis(ds, axis) for axis in shown_axes]
    buttons = [
        {
            "label": axis,
            "method": "update",
            "args": [
                {"visible": [k == number for k in range(len(shown_axes))]},
                {"xaxis.title.text": scale["title"], "xaxis.type": scale["type"]},
            ],
        }
        for number, (axis, scale) in enumerate(zip(shown_axes, scales, strict=True))
    ]
    menu = {"buttons": buttons, "direction": "down", "x": 0, "xanchor": "left", "y": 1.18, "yanchor": "top"}
    figure.update_layout(updatemenus=[menu], xaxis=scales[0], yaxis={"title": _label(ds, name)})
    what = ds[name].attrs.get("long_name", name)
    return plot(figure, f"{what[:1].upper()}{what[1:]}; the menu chooses the axis.")


def _points(ds: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
    """All points as columns, axes first; seeds are averaged in a grid."""
    if not names:
        return {}
    first = ds[names[0]]
    columns = {axis: ds[axis].broadcast_like(first).transpose(*first.dims).values.ravel() for axis in ds.coords}
    return columns | {name: ds[name].transpose(*first.dims).values.ravel() for name in names}


def _trade_off(ds: Any, points: dict[str, np.ndarray], names: Sequence[str]) -> str:
    """Any two results against each other, with the points that no other beats in both."""
    import plotly.graph_objects as go

    axes = [name for name in points if name not in names]
    labels = ["<br>".join(f"{name} {shown(points[name][k])}" for name in axes) for k in range(len(points[names[0]]))]
    pairs = list(itertools.islice(itertools.combinations(names, 2), _CHOICES))
    figure, of_choice, titles = go.Figure(), [], []
    for number, (x, y) in enumerate(pairs):
        front = _front(*(points[name] if _is_lower(name) else -points[name] for name in (x, y)))
        options = {"x": points[x], "y": points[y], "text": labels, "visible": number == 0}
        figure.add_scatter(**options, mode="markers", name="points", marker={"opacity": 0.5, "size": 6})
        best = {"x": points[x][front], "y": points[y][front], "text": [labels[k] for k in front]}
        figure.add_scatter(**best, mode="lines+markers", name="beaten by none", visible=number == 0)
        of_choice += [number, number]
        titles.append(" and ".join(f"{'lower' if _is_lower(name) else 'higher'} {name}" for name in (x, y)))
    buttons = [
        {
            "label": f"{x}, {y}",
            "method": "update",
            "args": [
                {"visible": [k == number for k in of_choice]},
                {"xaxis.title.text": _label(ds, x), "yaxis.title.text": _label(ds, y), "title.text": titles[number]},
            ],
        }
        for number, (x, y) in enumerate(pairs)
    ]
    menu = {"buttons": buttons, "direction": "down", "x": 1, "xanchor": "right", "y": 1.18, "yanchor": "top"}
    first = pairs[0]
    figure.update_layout(
        updatemenus=[menu],
        title={"text": titles[0], "font": {"size": 13}},
        xaxis={"title": _label(ds, first[0])},
        yaxis={"title": _label(ds, first[1])},
    )
    return plot(
        figure,
        "The line joins the points that no other beats in both (Pareto front), for what the title asks for.",
    )


def _is_lower(name: str) -> bool:
    """Whether less of a result is better."""
    return any(word in name for word in _LOWER)


def _front(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Places of the points that no other beats in both, the smaller the better, in ascending x."""
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    order = known[np.lexsort((y[known], x[known]))]
    best = np.minimum.accumulate(y[order])
    return order[np.concatenate([[True], best[1:] < best[:-1]])] if len(order) else order


def _failures(ds: Any) -> str:
    messages, counts = np.unique([one for one in ds["error"].values.ravel() if one], return_counts=True)
    return table(["points", "why"], [[str(n), message] for message, n in zip(messages, counts, strict=True)])


def _numbers(ds: Any, points: dict[str, np.ndarray], names: Sequence[str]) -> str:
    axes = [name for name in points if name not in names]
    columns = [_label(ds, name) for name in (*axes, *names)]
    count = len(points[names[0]]) if names else 0
    rows = [[shown(points[name][k]) for name in (*axes, *names)] for k in range(min(count, _ROWS))]
    said = "Means over seeds. " if _SEED in ds.dims else ""
    more = f"The first {_ROWS} of {count:,} points; " if count > _ROWS else "All points; "
    return text(f"{said}{more}all results: qsynapse_jax.sweep.open(DIR), an xarray.Dataset.") + table(columns, rows)


def _provenance(ds: Any) -> str:
    runs = json.loads(ds.attrs["runs"])
    rows = [[one["started"], one["device"], ", ".join(f"{k} {v}" for k, v in one["versions"].items())] for one in runs]
    settings = json.loads(ds.attrs["settings"])
    return table(["started", "machine", "versions"], rows) + verbatim(json.dumps(settings, indent=1)[:20_000])
