"""Axes: whatever a point of a study is made of, by name, with its unit and its rule."""

import dataclasses
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from qsynapse_jax._fields import Rule, as_quantity, check, described


class Axis(NamedTuple):
    """One parameter of a point.

    Attributes:
        name: by which plans and results call it.
        path: fields that lead to it, from the point.
        unit: of its numbers, "" where they have none.
        static: whether it is part of the compiled program: points that differ in it are compiled apart.
        default: what it is where a plan does not say.
        rule: what a number must be.
        convert: from what is given to what a static field holds.
    """

    name: str
    path: tuple[str, ...]
    unit: str
    static: bool
    default: Any
    rule: Rule | None
    convert: Any

    __repr__ = described

    @property
    def whole(self) -> bool:
        """Whether its values are integers."""
        if self.static:
            return isinstance(self.default, int) and not isinstance(self.default, bool)
        return bool(jnp.issubdtype(jnp.asarray(self.default).dtype, jnp.integer))

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers."""
        return self.whole or not self.static or isinstance(self.default, float)

    def value(self, given: Any) -> Any:
        """One value, converted and checked; `ValueError` names the axis."""
        if not self.numeric:
            return given if self.convert is None else self.convert(given)
        if not self.static:
            return self.values([given])[0].item()
        number = as_quantity(given, self.name, self.unit)
        number = int(number) if self.whole and number == int(number) else number
        return number if self.convert is None else self.convert(number)

    def values(self, given: Iterable[Any]) -> np.ndarray:
        """Values of many points."""
        given = list(given)
        if self.static or not self.numeric:
            # Each of them once: there are few, and a check of its own takes long.
            found = {one: self.value(one) for one in dict.fromkeys(given)}
            return np.asarray([found[one] for one in given])
        numbers = np.asarray([as_quantity(one, self.name, self.unit) for one in given], float)
        if self.whole and np.any(odd := numbers != np.floor(numbers)):
            raise ValueError(f"`{self.name}` must be an integer, but is {numbers[odd][0]:g}.")
        if self.rule is not None:
            check(numbers, self.name, self.unit, self.rule)
        return numbers.astype(np.int64) if self.whole else numbers


def axes_of(point: Any) -> dict[str, Axis]:
    """The axes of a point by name: its fields, and those of what it holds; long names where short ones meet twice."""
    found = list(_fields(point, ()))
    last = [axis.path[-1] for axis in found]
    named = [
        axis._replace(name=axis.path[-1] if last.count(axis.path[-1]) == 1 else ".".join(axis.path)) for axis in found
    ]
    return {axis.name: axis for axis in named}


def _fields(holder: Any, path: tuple[str, ...]) -> Iterable[Axis]:
    for one in dataclasses.fields(holder):
        value, here = getattr(holder, one.name), (*path, one.name)
        if isinstance(value, eqx.Module):
            yield from _fields(value, here)
            continue
        convert = one.metadata.get("converter")
        static = bool(one.metadata.get("static", False))
        # What is neither a number nor static, an array or an optional thing that is not there, does not vary.
        if static or (value is not None and np.ndim(value) == 0):
            unit = getattr(convert, "unit", "") or one.metadata.get("unit", "")
            rule = getattr(convert, "rule", None)
            yield Axis("", here, unit, static, value, rule, convert)


def find(axes: Mapping[str, Axis], name: str, study: str) -> Axis:
    """The axis of that name, or an error that shows the nearest ones."""
    if name not in axes:
        near = get_close_matches(name, axes, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(map(repr, near))}? Its axes" if near else "its axes"
        raise ValueError(f"Study {study!r} has no axis {name!r}; {hint} are {', '.join(axes)}.")
    return axes[name]


def place(point: Any, values: Mapping[tuple[str, ...], Any]) -> Any:
    """A point with other values at these paths; what checks a point checks this one."""
    own = {path[0]: value for path, value in values.items() if len(path) == 1}
    inner: dict[str, dict[tuple[str, ...], Any]] = {}
    for path, value in values.items():
        if len(path) > 1:
            inner.setdefault(path[0], {})[path[1:]] = value
    nested = {name: place(getattr(point, name), below) for name, below in inner.items()}
    return dataclasses.replace(point, **own, **nested)
