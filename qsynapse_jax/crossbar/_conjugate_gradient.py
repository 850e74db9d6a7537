"""Conjugate gradients for the loaded array: (1 + s Z s) y = b with s = sqrt(g).

The operator is symmetric with eigenvalues in [1, 1 + about 0.8 r g N^2] whatever the cells, so the error of `y` is
never larger than its residual and no preconditioner is needed until that product is large.

Reference: Hestenes and Stiefel, J. Res. NBS 49, 1952.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax.crossbar._impedance import Impedance


class _State(NamedTuple):
    x: Float[Array, "batch wl bl"]
    residual: Float[Array, "batch wl bl"]
    direction: Float[Array, "batch wl bl"]
    norm2: Float[Array, " batch"]
    steps: Int[Array, ""]


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.sum(a * b, axis=(-2, -1))


def conjugate_gradient(
    root_g: Float[Array, "lines wl bl"],
    impedance: Impedance,
    b: Float[Array, "batch wl bl"],
    *,
    start: Float[Array, "batch wl bl"] | None = None,
    constrain: Callable[[jax.Array], jax.Array] = lambda x: x,
    chosen: Bool[Array, ""],
    rtol: float,
    max_steps: int,
) -> tuple[Float[Array, "batch wl bl"], Int[Array, ""], Bool[Array, ""]]:
    """Solves for every right-hand side at once, to `|residual| <= rtol |b|` each; not at all unless `chosen`.

    With `constrain`, a symmetric map B with eigenvalues in [0, 1], it solves (B^-1 + s Z s) y = b in the range of B, by
    iterating on x with y = B x: then B is never inverted. `start` is a guess of x.

    Returns:
        The solutions `y`, the number of steps taken (of the slowest), and whether all have converged. NaN or
        infinity in a right-hand side, or met on the way, ends its own iteration, unconverged, with `y` NaN.
    """

    def operator(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        y = constrain(x)
        return y, x + root_g * impedance(root_g * y)

    # Scaled to a largest entry of 1, squares neither overflow nor underflow, whatever the units of the input.
    largest = jnp.max(jnp.abs(b), axis=(-2, -1), keepdims=True)
    scale = jnp.where(largest > 0, largest, 1)
    b = b / scale
    target = rtol**2 * _dot(b, b)

    def unfinished(norm2: jax.Array) -> jax.Array:
        return (norm2 > target) & jnp.isfinite(norm2)

    def proceed(state: _State) -> jax.Array:
        return chosen & jnp.any(unfinished(state.norm2)) & (state.steps < max_steps)

    def step(state: _State) -> _State:
        # A finished right-hand side keeps its solution: its step lengths are 0, not 0/0.
        active = unfinished(state.norm2)
        along, image = operator(state.direction)
        curvature = _dot(along, image)
        alpha = jnp.where(active, state.norm2 / jnp.where(active, curvature, 1), 0)[:, None, None]
        x = state.x + alpha * state.direction
        residual = state.residual - alpha * image
        norm2 = jnp.where(active, _dot(residual, constrain(residual)), state.norm2)
        beta = jnp.where(active, norm2 / jnp.where(active, state.norm2, 1), 0)[:, None, None]
        return _State(x, residual, residual + beta * state.direction, norm2, state.steps + 1)

    # From x = 0 the first step needs no product to start, and ends at x = b exactly when wires are ideal.
    x = jnp.zeros_like(b) if start is None else start / scale
    residual = b if start is None else b - operator(x)[1]
    first = _State(x, residual, residual, _dot(residual, constrain(residual)), jnp.zeros((), jnp.int32))
    last = jax.lax.while_loop(proceed, step, first)
    # An overflow gives a step of length 0: `y` would look like the result of too few steps, or of no current.
    y = jnp.where(jnp.isfinite(last.norm2)[:, None, None], scale * constrain(last.x), jnp.nan)
    return y, last.steps, jnp.all(last.norm2 <= target)
