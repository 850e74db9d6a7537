"""What a sweep runs: a function of one point, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from qsynapse_jax._fields import Model, described, shown
from qsynapse_jax.sweep._axes import Axis, axes_of


class Labelled(eqx.Module):
    """An array with the names of its dimensions and its unit.

    Args:
        value: the array.
        dims: a name for each of its dimensions, e.g. ("bl",).
        unit: of its numbers, "" where they have none.
        what: what it is, in words.
    """

    value: Any
    dims: tuple[str, ...] = eqx.field(default=(), static=True, converter=tuple)
    unit: str = eqx.field(default="", static=True)
    what: str = eqx.field(default="", static=True)

    def __repr__(self) -> str:
        dims = f", dims=({', '.join(self.dims)})" if self.dims else ""
        return f"Labelled({shown(self.value, self.unit)}{dims}{self.what and ', ' + self.what})"


class Check(Model):
    """A condition under which a point has failed: its arrays are left out and the message takes their place.

    Args:
        failed: whether it has.
        message: what is wrong and what to do.
    """

    failed: Any
    message: str = eqx.field(static=True)


@dataclass(frozen=True)
class Study:
    """A question that can be asked at many points.

    Args:
        function: from a point to results by name: numbers, `Labelled` arrays and `Check`s. It is traced: `jax.numpy` on
            what varies, no `if` on values.
        make_point: gives the point that the axes start from, an `equinox.Module`; its class where everything has a
            default. Each of its fields, and of the modules it holds, is an axis: traced where it is a number, compiled
            in where it is static.
        name: by which plans and stores call it; that of the function where not given.
    """

    function: Callable[[Any], Mapping[str, Any]]
    make_point: Any
    name: str = ""

    __repr__ = described

    def __post_init__(self):
        if not callable(self.make_point):
            raise ValueError(
                f"Argument `make_point` must be a function or a class, but is {self.make_point!r:.60}; a point that is "
                "there is given as `lambda: point`."
            )
        if not self.name:
            object.__setattr__(self, "name", self.function.__name__)

    @cached_property
    def point(self) -> Any:
        """Where the axes start from. Not made before it is asked for: its numbers are arrays, which start JAX."""
        made = self.make_point()
        if not isinstance(made, eqx.Module):
            raise ValueError(f"A point of study {self.name!r} must be an equinox.Module, but is {made!r:.60}.")
        return made

    @cached_property
    def axes(self) -> dict[str, Axis]:
        """Everything that can vary, by name."""
        return axes_of(self.point)

    def __call__(self, point: Any) -> dict[str, Labelled | Check]:
        """What the function gives at one point, each result labelled."""
        given = self.function(point)
        if not isinstance(given, Mapping) or not given:
            raise TypeError(f"Study {self.name!r} must return results by name, but returned {given!r:.60}.")
        return {name: _labelled(name, result, self.name) for name, result in given.items()}


def _labelled(name: str, result: Any, study: str) -> Labelled | Check:
    if isinstance(result, Check):
        return Check(jnp.asarray(result.failed, bool), result.message)
    if not isinstance(result, Labelled):
        result = Labelled(result)
    value: Array = jnp.asarray(result.value)
    if value.ndim != len(result.dims):
        raise TypeError(
            f"Study {study!r} must name every dimension of `{name}`, but its shape is {value.shape} and its names are "
            f"{result.dims}; return sweep.Labelled(value, dims=(...), unit=...)."
        )
    return Labelled(value, result.dims, result.unit, result.what)
