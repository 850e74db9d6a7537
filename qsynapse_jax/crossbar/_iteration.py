"""Conjugate gradients in any inner product, for many right-hand sides at once, each of which ends on its own.

Reference: Hestenes and Stiefel, J. Res. NBS 49, 1952.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax.crossbar._solver import Cells, Limits


class _State(NamedTuple):
    x: Cells
    residual: Cells
    direction: tuple[Cells, ...]
    energy: Float[Array, " batch"]
    steps: Int[Array, ""]


class Ended(NamedTuple):
    """Solutions, steps of the slowest, and whether all have converged; NaN where a number was not finite."""

    x: Cells
    steps: Int[Array, ""]
    converged: Bool[Array, ""]


def dot(a: Cells, b: Cells) -> Float[Array, " batch"]:
    """Inner product of every input."""
    return jnp.sum(a * b, axis=(-2, -1))


def unit(b: Cells) -> Float[Array, "batch 1 1"]:
    """The largest entry of every input: divided by it, squares neither overflow nor underflow, whatever the units."""
    largest = jnp.max(jnp.abs(b), axis=(-2, -1), keepdims=True)
    return jnp.where(largest > 0, largest, 1)


def iterate(
    operator: Callable[..., Cells],
    dual: Callable[[Cells], tuple[Cells, ...]],
    residual: Cells,
    x: Cells,
    *,
    target: Float[Array, " batch"],
    limits: Limits,
) -> Ended:
    """Conjugate gradients for every right-hand side at once, from `x` with `residual` on.

    In an inner product <r, M r>: `dual` gives M r last, after what else of a residual a direction has to carry; all of
    it follows by recurrence. `operator` takes these parts to A p, `x` collects the last of them.

    It ends where <r, M r> is at most `target`. A right-hand side that has ended keeps its solution. NaN or infinity
    ends it too, unconverged, with NaN.
    """

    def unfinished(energy: jax.Array) -> jax.Array:
        return (energy > target) & jnp.isfinite(energy)

    def proceed(state: _State) -> jax.Array:
        return jnp.any(unfinished(state.energy)) & (state.steps < limits.max_steps)

    def step(state: _State) -> _State:
        # A finished right-hand side has steps of length 0, not 0/0.
        active = unfinished(state.energy)
        image = operator(*state.direction)
        curvature = dot(state.direction[-1], image)
        alpha = jnp.where(active, state.energy / jnp.where(active, curvature, 1), 0)[:, None, None]
        residual = state.residual - alpha * image
        parts = dual(residual)
        energy = dot(residual, parts[-1])
        beta = jnp.where(active, energy / jnp.where(active, state.energy, 1), 0)[:, None, None]
        return _State(
            x=state.x + alpha * state.direction[-1],
            residual=residual,
            direction=tuple(new + beta * old for new, old in zip(parts, state.direction, strict=True)),
            energy=energy,
            steps=state.steps + 1,
        )

    parts = dual(residual)
    first = _State(x, residual, parts, dot(residual, parts[-1]), jnp.zeros((), jnp.int32))
    last = jax.lax.while_loop(proceed, step, first)
    # An overflow gives a step of length 0: `x` would look like the result of too few steps, or of no current.
    x = jnp.where(jnp.isfinite(last.energy)[:, None, None], last.x, jnp.nan)
    return Ended(x, last.steps, jnp.all(last.energy <= target))
