"""Soft bounds fitted to a curve of conductance against pulses, measured or of a compact model."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax._fields import as_whole, quantity

# Steps of Levenberg and Marquardt's method: from the first guess it takes 10 to 20, here all within one compiled loop.
_STEPS = 40


class _Soft(NamedTuple):
    """In units of the range of the curve, from its lowest point: bounds, and rates as they are iterated."""

    low: Array
    high: Array
    log_up: Array
    log_down: Array


class SoftBoundsFit(eqx.Module):
    """Soft bounds that follow a curve, and how far off they are.

        pulse up    g <- g + up (g_max - g)
        pulse down  g <- g - down (g - g_min)

    Attributes:
        g_min, g_max: bounds [S].
        up, down: part of the way to the bound that one pulse goes.
        curve: conductances of the fit, pulse by pulse from the first point of the data [S].
        error: root mean square of fit less data [S].
        worst: the largest distance [S].
    """

    g_min: Float[Array, ""]
    g_max: Float[Array, ""]
    up: Float[Array, ""]
    down: Float[Array, ""]
    curve: Float[Array, " n"]
    error: Float[Array, ""]
    worst: Float[Array, ""]

    @property
    def symmetry_point(self) -> Float[Array, ""]:
        """Where a pulse up and a pulse down do the same [S]."""
        return (self.up * self.g_max + self.down * self.g_min) / (self.up + self.down)

    @property
    def step(self) -> Float[Array, ""]:
        """What one pulse does there [S]."""
        return self.up * (self.g_max - self.symmetry_point)

    @property
    def states(self) -> Float[Array, ""]:
        """Range over the mean step in its middle: the number of states of Rasch et al., Nat. Commun. 15:7133, 2024."""
        return 4 / (self.up + self.down)

    @property
    def asymmetry(self) -> Float[Array, ""]:
        """(up - down)/(up + down): their rho over delta."""
        return (self.up - self.down) / (self.up + self.down)

    def __repr__(self) -> str:
        """Bounds, states, symmetry point and error, in words; of traced values the names alone."""
        if not is_concrete(self) or np.ndim(self.g_min):
            return "<SoftBoundsFit>"
        low, high, symmetry, error = (
            quantity(float(g), "S") for g in (self.g_min, self.g_max, self.symmetry_point, self.error)
        )
        # Of the curve: a bound may lie far beyond what was seen.
        share = float(self.error) / np.ptp(np.asarray(self.curve))
        return (
            f"<SoftBoundsFit: {low} to {high}, {float(self.states):.3g} states, symmetry point {symmetry}, "
            f"error {error} or {share:.1%} of the curve's range>"
        )


def fit_soft_bounds(g: Any, up: int, down: int) -> SoftBoundsFit:
    """Soft bounds whose curve over cycles of `up` and `down` pulses is nearest to `g` in the sense of least squares.

    The whole curve is followed from its first point, so errors of a step add up as they do in use. Found by gradient:
    Levenberg and Marquardt's method with exact derivatives.

    Args:
        g: conductance before and after every pulse [S], shape (1 + cycles (up + down),), e.g. of
            `CmoFilament.pulse_response`; `jax.vmap` fits many.
        up: pulses up of a cycle. Static.
        down: pulses down after them. Static.

    Returns:
        Bounds, rates and error, see `SoftBoundsFit`.

    Raises:
        ValueError: a curve of another length, one that is not finite, or one that does not move.

    Gradients: forward and reverse in `g`, through the iteration.
    """
    g, up, down = as_floating(g, "g"), as_whole(up, "up", 1), as_whole(down, "down", 1)
    if g.ndim != 1 or g.size < 2 or (g.size - 1) % (up + down):
        raise ValueError(
            f"Argument `g` must have 1 + cycles ({up} + {down}) conductances, the first one before any pulse, but has "
            f"shape {g.shape}."
        )
    if is_concrete(g):
        bad = np.flatnonzero(~np.isfinite(np.asarray(g)))
        if bad.size:
            raise ValueError(f"Argument `g` must be finite [S], but g[{bad[0]}] is {float(g[bad[0]])}.")
        if np.ptp(np.asarray(g)) == 0:
            raise ValueError("Argument `g` must move with the pulses, but all conductances are equal.")
    return _fit(g, jnp.tile(jnp.arange(up + down) < up, (g.size - 1) // (up + down)))


def _follow(soft: _Soft, first: Array, ups: Array) -> Array:
    """The curve of soft bounds, first point included."""
    up, down = (-jnp.expm1(-jnp.exp(rate)) for rate in (soft.log_up, soft.log_down))

    def step(x: Array, is_up: Array) -> tuple[Array, Array]:
        x = jnp.where(is_up, x + up * (soft.high - x), x - down * (x - soft.low))
        return x, x

    return jnp.concatenate([first[None], jax.lax.scan(step, first, ups)[1]])


@jax.jit
def _fit(g: Array, ups: Array) -> SoftBoundsFit:
    low, span = jnp.min(g), jnp.max(g) - jnp.min(g)
    data = (g - low) / span

    def off(x: Array) -> Array:
        return _follow(_Soft(*x), data[0], ups) - data

    def step(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        x, damping = carry
        residual, slope = off(x), jax.jacfwd(off)(x)
        square = slope.T @ slope
        trial = x - jnp.linalg.solve(square + damping * jnp.diag(jnp.diag(square) + 1e-6), slope.T @ residual)
        better = jnp.sum(off(trial) ** 2) < jnp.sum(residual**2)
        return jnp.where(better, trial, x), jnp.where(better, damping / 4, damping * 4).clip(1e-9, 1e9)

    # Bounds at the ends of the curve, and a tenth of the way for a pulse.
    start = jnp.asarray([0.0, 1.0, np.log(0.1), np.log(0.1)], g.dtype)
    best, _ = jax.lax.scan(lambda carry, k: (step(k, carry), None), (start, jnp.asarray(1e-2, g.dtype)), None, _STEPS)[
        0
    ]
    soft = _Soft(*best)
    error = off(best) * span
    return SoftBoundsFit(
        g_min=low + soft.low * span,
        g_max=low + soft.high * span,
        up=-jnp.expm1(-jnp.exp(soft.log_up)),
        down=-jnp.expm1(-jnp.exp(soft.log_down)),
        curve=g + error,
        error=jnp.sqrt(jnp.mean(error**2)),
        worst=jnp.max(jnp.abs(error)),
    )
