"""Plans: which points of a study are asked for."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from qsynapse_jax._fields import as_quantity, as_whole, described
from qsynapse_jax._provenance import plain
from qsynapse_jax.sweep._axes import Axis, find
from qsynapse_jax.sweep._study import Study

# Points that are written together, and lost together where a process is killed.
_CHUNK = 256
# Settings hold the values of an axis up to this many, and of more their checksum.
_LISTED = 64


class Span(NamedTuple):
    """From one value to another: `count` of them on a grid, any between them in a random plan.

    Args:
        low, high: both ends, in SI units or as texts with a unit ("0.35 ohm").
        count: how many on a grid.
        log: whether they are evenly spread in the logarithm.
    """

    low: Any
    high: Any
    count: int | None = None
    log: bool = False

    def ends(self, axis: Axis) -> tuple[float, float]:
        """Both ends as numbers that keep the rule of the axis."""
        if not axis.numeric:
            raise ValueError(f"`{axis.name}` is no number, so it has no span; list its values.")
        low, high = (as_quantity(axis.value(end), axis.name, axis.unit) for end in (self.low, self.high))
        if not low < high:
            raise ValueError(f"`{axis.name}` must rise from low to high, but these are {low:g} and {high:g}.")
        if self.log and low <= 0:
            raise ValueError(f"`{axis.name}` must be positive for even steps of its logarithm, but begins at {low:g}.")
        return low, high

    def grid(self, axis: Axis) -> np.ndarray:
        """Values of a grid; of an axis of integers the nearest ones, each once."""
        low, high = self.ends(axis)
        if self.count is None:
            raise ValueError(f"`{axis.name}` needs a count on a grid, e.g. Span({self.low!r}, {self.high!r}, 5).")
        count = as_whole(self.count, f"{axis.name}.count", 2)
        values = np.geomspace(low, high, count) if self.log else np.linspace(low, high, count)
        # The ends as they were given, to the last digit.
        values[0], values[-1] = low, high
        return axis.values(np.unique(np.round(values)) if axis.whole else values)

    def draw(self, axis: Axis, count: int, rng: np.random.Generator) -> np.ndarray:
        """Random values."""
        low, high = self.ends(axis)
        if axis.whole:
            # Every integer has an interval of 1 around it.
            low, high = low - 0.5 + 1e-9, high + 0.5 - 1e-9
        drawn = rng.uniform(*((math.log(low), math.log(high)) if self.log else (low, high)), count)
        values = np.exp(drawn) if self.log else drawn
        return axis.values(np.round(values) if axis.whole else np.clip(values, low, high))


@dataclass(frozen=True)
class Plan:
    """Points of a study, made by `grid`, `random`, `table` or `read_plan`.

    Attributes:
        study: what is asked at every point.
        columns: values of the axes that vary, by name, one per point.
        shape: names and lengths of the axes of a grid, the last of which varies fastest; empty for other plans.
        kind: grid, random or table, with what it was made from, as settings.
        fixed: values of axes that do not vary, where they differ from the study's.
        chunk: points of one shape that are computed and written together.
    """

    study: Study
    columns: Mapping[str, np.ndarray]
    shape: Mapping[str, int] = field(default_factory=dict)
    kind: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    chunk: int = _CHUNK

    __repr__ = described

    def __post_init__(self):
        as_whole(self.chunk, "chunk", 1)
        if twice := sorted(self.columns.keys() & self.fixed.keys()):
            raise ValueError(f"`{twice[0]}` is an axis and fixed as well; leave one out.")
        if not self.columns or not self.size:
            axes = ", ".join(self.study.axes)
            raise ValueError(f"A plan must have points, but this one has none; axes of {self.study.name!r}: {axes}.")

    @property
    def size(self) -> int:
        """Number of points."""
        return len(next(iter(self.columns.values())))

    @cached_property
    def constants(self) -> dict[str, Any]:
        """Values of the axes that do not vary."""
        return {
            name: self.fixed.get(name, a.default) for name, a in self.study.axes.items() if name not in self.columns
        }

    def groups(self) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
        """Values of the static axes, and the points that have them: those are compiled together."""
        axes = self.study.axes
        static = [name for name in self.columns if axes[name].static]
        if not static:
            yield {}, np.arange(self.size)
            return
        members: dict[tuple[Any, ...], list[int]] = {}
        for number, key in enumerate(zip(*(self.columns[name].tolist() for name in static), strict=True)):
            members.setdefault(key, []).append(number)
        for key, numbers in members.items():
            yield dict(zip(static, key, strict=True)), np.asarray(numbers)

    def settings(self) -> dict[str, Any]:
        """What is asked for, as a file can hold it: two plans with equal settings have the same points."""
        return {
            "study": self.study.name,
            "plan": plain(self.kind),
            "points": self.size,
            "axes": {name: _described(values, self.study.axes[name]) for name, values in self.columns.items()},
            "constants": {name: plain(_number(value)) for name, value in self.constants.items()},
            "chunk": self.chunk,
        }


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _described(values: np.ndarray, axis: Axis) -> dict[str, Any]:
    distinct = list(dict.fromkeys(values.tolist()))
    shown = plain(distinct) if len(distinct) <= _LISTED else f"{len(distinct)} from {min(distinct)} to {max(distinct)}"
    # In a fixed byte order, and texts as such: the same on every machine.
    content = repr(values.tolist()).encode()
    return {"unit": axis.unit, "values": shown, "sha256": hashlib.sha256(content).hexdigest()[:16]}


def grid(study: Study, *, chunk: int = _CHUNK, fixed: Mapping[str, Any] | None = None, **axes: Any) -> Plan:
    """Every combination of the values of the axes.

    Args:
        study: what is asked.
        chunk: points computed and written together.
        fixed: other values for axes that do not vary.
        axes: by name, a sequence of values or a `Span`; numbers in SI units, or texts with a unit. The last one varies
            fastest.
    """
    values = {}
    for name, given in axes.items():
        axis = find(study.axes, name, study.name)
        values[name] = given.grid(axis) if isinstance(given, Span) else axis.values(_several(given, name))
        if not len(values[name]):
            raise ValueError(f"`{name}` must have values, but has none.")
        if len(set(values[name].tolist())) < len(values[name]):
            raise ValueError(f"`{name}` must not hold a value twice, but is {values[name].tolist()}.")
    shape = {name: len(one) for name, one in values.items()}
    places = np.meshgrid(*map(np.arange, shape.values()), indexing="ij")
    columns = {name: values[name][place.ravel()] for name, place in zip(values, places, strict=True)}
    return Plan(study, columns, shape, {"kind": "grid"}, _fixed(study, fixed), chunk)


def random(
    study: Study,
    points: int,
    *,
    draw: int = 0,
    chunk: int = _CHUNK,
    fixed: Mapping[str, Any] | None = None,
    **axes: Any,
) -> Plan:
    """Points at random, every axis by itself.

    Args:
        study: what is asked.
        points: how many.
        draw: seed of the draw.
        chunk: points computed and written together.
        fixed: other values for axes that do not vary.
        axes: by name, a `Span`, evenly between its ends or in the logarithm, or values of which one is taken. An axis
            of seeds is best given as `Span(0, 2**31 - 1)`.
    """
    as_whole(points, "points", 1, what="of a random plan")
    rng, columns = np.random.default_rng(draw), {}
    for name, given in axes.items():
        axis = find(study.axes, name, study.name)
        if isinstance(given, Span):
            columns[name] = given.draw(axis, points, rng)
        else:
            values = axis.values(_several(given, name))
            columns[name] = values[rng.integers(0, max(1, len(values)), points)] if len(values) else values
    return Plan(study, columns, {}, {"kind": "random", "draw": draw}, _fixed(study, fixed), chunk)


def table(
    study: Study, columns: Mapping[str, Any], *, chunk: int = _CHUNK, fixed: Mapping[str, Any] | None = None
) -> Plan:
    """Points one by one: a column of values for every axis, all of one length."""
    lengths = {name: len(_several(column, name)) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"All columns of a table must be of one length, but these are {lengths}.")
    values = {name: find(study.axes, name, study.name).values(column) for name, column in columns.items()}
    return Plan(study, values, {}, {"kind": "table"}, _fixed(study, fixed), chunk)


def _several(given: Any, name: str) -> Sequence[Any]:
    if isinstance(given, str) or not isinstance(given, Sequence | np.ndarray | range):
        raise ValueError(f"`{name}` must be a sequence of values or a Span, but is {given!r}; one value is `fixed`.")
    return given.tolist() if isinstance(given, np.ndarray) else given


def _fixed(study: Study, fixed: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: find(study.axes, name, study.name).value(value) for name, value in (fixed or {}).items()}
