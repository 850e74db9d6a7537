"""Training through circuits that are followed: compiled exactly now and then, and by a model of them in between.

How long a reference serves is found as a solver of differential equations finds its step. Whenever a reference is
renewed, the exact matrix tells how far the model was off, in currents and, by a few random solves, in its derivative;
the next interval is as long as the tolerance of currents allows if errors grow in proportion to steps, and at most
twice the last. Where the derivative of a new model is off, every step has a reference of its own and, by solves of all
lines, the exact derivative, until a model is tried again.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from qsynapse_jax._fields import Model, as_whole, check, positive
from qsynapse_jax.nn import MasterKernel, Reference, crossbar_layers

# What float32 holds: an exact matrix is right within 2e-6 of its largest entry.
_LEAST = 1e-5

# Share of the tolerance that an interval aims at, and how much intervals change at most.
_AIM, _SHRINK, _GROW = 0.8, 0.25, 2.0

# Steps with exact derivatives before a model is tried again.
_PAUSE = 16


@dataclass(frozen=True)
class Follow:
    """How closely circuits are followed in training.

    Args:
        tolerance: error of a current at the end of an interval, as a share of the largest current.
        slope: error of the derivative in all conductances, relative to it (2-norms); above it circuits are solved.
        longest: steps from one exact compilation to the next, at most.

    Raises:
        ValueError: a tolerance that is not positive, or below 1e-5, what float32 can hold; `longest` below 1.
    """

    tolerance: float = 0.01
    slope: float = 0.3
    longest: int = 100

    def __post_init__(self) -> None:
        for name in ("tolerance", "slope"):
            value = getattr(self, name)
            check(value, name, "", positive)
            if value < _LEAST:
                raise ValueError(
                    f"Argument `{name}` must be at least {_LEAST:g}, since float32 holds no less, but is {value:g}; "
                    'for exact circuits in every step give `refresh="always"`.'
                )
        as_whole(self.longest, "longest", 1)


# How circuits are followed unless something else is asked for.
FOLLOW = Follow()


class Circuits(Model):
    """The circuits of one kernel in training.

    Attributes:
        followed: the model and its reference, a `crossbar.Followed`.
        interval: steps from this reference to the next.
        left: steps until then.
        pause: steps with exact derivatives until a model is tried again.
        exact: whether derivatives are exact; every step has a reference of its own then.
        renewals: exact compilations until now.
        exact_steps: steps until now with exact derivatives.
    """

    followed: Any
    interval: Int[Array, ""]
    left: Int[Array, ""]
    pause: Int[Array, ""]
    exact: Bool[Array, ""]
    renewals: Int[Array, ""]
    exact_steps: Int[Array, ""]


def checked_refresh(refresh: Any) -> Follow | None:
    """`Follow`, or `None` for "always"."""
    if isinstance(refresh, Follow):
        return refresh
    if isinstance(refresh, str) and refresh == "always":
        return None
    raise ValueError(
        'Argument `refresh` must be a `training.Follow`, e.g. `Follow(tolerance=0.01)`, or "always", which solves the '
        f"circuits in every step, but is {refresh!r}."
    )


def begin(model: Any, follow: Follow | None) -> dict[str, Circuits]:
    """The circuits of a model by the path of their layer, with references that the first step replaces."""
    if follow is None:
        return {}
    zero, no = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    return {
        path: Circuits(_nothing(kernel), zero + 1, zero, zero, no, zero, zero)
        for path, kernel in _behind_wires(model).items()
    }


def _nothing(kernel: MasterKernel) -> Any:
    """A model of the circuits of a kernel without numbers; it knows their wires, and how many of these are open."""
    tile = kernel.tile.get_value()
    shapes = jax.eval_shape(lambda: tile.follow(kernel.crosspoints(), throw=False))
    wires = jax.tree.unflatten(jax.tree.structure(shapes.wires), jax.tree.leaves(tile.wires))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return eqx.tree_at(lambda followed: followed.wires, zeros, wires)


def renewed(model: Any, circuits: dict[str, Circuits], follow: Follow | None, key: PRNGKeyArray) -> dict[str, Circuits]:
    """The circuits for the step that comes: those whose interval has ended have the model as their reference."""
    if follow is None:
        return circuits
    behind = _behind_wires(model)
    keys = dict(zip(sorted(circuits), jax.random.split(key, len(circuits)), strict=True)) if circuits else {}
    return {path: _next(behind[path], circuits[path], follow, keys[path]) for path in circuits}


def install(model: Any, circuits: dict[str, Circuits]) -> None:
    """Puts the models into the kernels of a model."""
    for path, kernel in _behind_wires(model).items() if circuits else ():
        kernel.reference = Reference((circuits[path].followed, circuits[path].exact))


def _behind_wires(model: Any) -> dict[str, MasterKernel]:
    """Kernels whose circuits are solved, by the path of their layer; one that layers share by the first of them."""
    found: dict[int, tuple[str, MasterKernel]] = {}
    for path, layer in crossbar_layers(model).items():
        kernel = layer.kernel
        if isinstance(kernel, MasterKernel) and kernel.tile.get_value().wires is not None:
            found.setdefault(id(kernel), (path, kernel))
    return dict(found.values())


def _next(kernel: MasterKernel, circuits: Circuits, follow: Follow, key: PRNGKeyArray) -> Circuits:
    now = jax.lax.cond(circuits.left <= 0, lambda: _compiled(kernel, circuits, follow, key), lambda: circuits)
    return eqx.tree_at(
        lambda c: (c.left, c.exact_steps), now, (now.left - 1, now.exact_steps + now.exact.astype(jnp.int32))
    )


def _compiled(kernel: MasterKernel, circuits: Circuits, follow: Follow, key: PRNGKeyArray) -> Circuits:
    tile, g = kernel.tile.get_value(), jax.lax.stop_gradient(kernel.crosspoints())
    # With exact derivatives a model is tried now and then. Otherwise what the derivative is made of is renewed in time:
    # at half of what is allowed.
    trying = (circuits.pause <= 0) | ~circuits.exact
    worst = jnp.where(trying, 0.5 * follow.slope, jnp.inf)
    new, before, after = tile.renew(circuits.followed, g, key=key, slope=worst)
    off = before.value / follow.tolerance
    factor = jnp.clip(_AIM / jnp.where(off > 0, off, 1e-9), _SHRINK, _GROW)
    factor = jnp.where(before.slope <= follow.slope, factor, jnp.minimum(factor, 0.5))
    longer = circuits.interval * factor
    interval = jnp.where(factor > 1, jnp.ceil(longer), jnp.floor(longer)).astype(jnp.int32)
    exact = jnp.where(trying, ~(after.slope <= follow.slope), circuits.exact)
    interval = jnp.where(exact, 1, jnp.clip(interval, 1, follow.longest))
    pause = jnp.where(trying, _PAUSE, circuits.pause) - 1
    return Circuits(new, interval, interval, pause, exact, circuits.renewals + 1, circuits.exact_steps)
