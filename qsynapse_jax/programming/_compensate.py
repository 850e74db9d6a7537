"""Conductances behind wires: those whose effective conductance is a target, or comes nearest to it within bounds."""

from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.sparse.linalg import bicgstab
from jaxtyping import Array, Bool, Float

from qsynapse_jax._checks import as_floating, as_real, is_concrete
from qsynapse_jax._fields import Model, as_whole, check, non_negative, positive, quantity
from qsynapse_jax.crossbar import Wires, effective_conductance

# A fixed point whose error falls by less than this from one step to the next gives way to the descent.
_GAIN = 0.9
# The descent ends where a step of the gradient would move no conductance by more than this part of the largest target,
# or where steps have shrunk by this: rounding is all that is left then.
_STILL = {4: 1e-6, 8: 1e-12}
# Relative residual of the linear equations of a derivative.
_SLOPE = {4: 1e-6, 8: 1e-11}
_RTOL = {4: 1e-4, 8: 1e-6}


class Compensated(Model):
    """Conductances for an array with wires.

    Attributes:
        g: of the crosspoints [S].
        error: their effective conductance less the target [S].
        success: where that is at most `rtol` times the target.
    """

    g: Float[Array, "*tiles wl bl"] = eqx.field(metadata={"unit": "S"})
    error: Float[Array, "*tiles wl bl"] = eqx.field(metadata={"unit": "S"})
    success: Bool[Array, "*tiles wl bl"]


def compensate(
    target: Float[Array, "*tiles wl bl"],
    wires: Wires,
    bounds: tuple[Any, Any] | None = None,
    *,
    rtol: float | None = None,
    max_steps: int = 300,
) -> Compensated:
    """The conductances that act like `target` behind the wires: `effective_conductance(g, wires) == target`.

        first   g <- clip(g target/g_eff(g)),    while it gains a tenth per step: exact where `bounds` leave room
        then    least sum over (g_eff - target)^2 within `bounds`, by projected gradients with steps of Barzilai and
                Borwein, until none of them moves a conductance: the best of what is out of reach

    What can be reached at all: the target of a word line, sum_n target[m, n], must be less than what its driver and
    first segment let pass, 1/(r_driver + r_word), that of a bit line less than 1/(r_sense + r_bit). That is necessary
    and not enough: some current goes round every cell, and where more than its target does, the cell would have to be
    negative. So a target of 0 beside others is never reached to the last digit; the error says how much is left. Where
    `bounds` stop some cells, the best leaves errors in their neighbours as well.

    Args:
        target: effective conductance of each crosspoint [S], shape (wl, bl), or (*tiles, wl, bl) for arrays behind
            equal wires, which are taken one after another; `jax.vmap` takes them side by side.
        wires: resistances of the array [ohm].
        bounds: (g_min, g_max), what the devices can be [S]; by default anything that is not negative.
        rtol: relative error that counts as a success; 1e-6 in float64, 1e-4 in float32 by default.
        max_steps: the most steps of both stages together. Static.

    Returns:
        Conductances, the error that is left, and where it is none, see `Compensated`. The error is NaN where the
        circuit of the target was not solved, which `effective_conductance` explains.

    Raises:
        ValueError: a target that is negative, no number, or out of bounds; bounds that hold nothing; wires that do not
            fit.

    Gradients: of `g`, in reverse mode, in `target` and every wire value, by the inverse of the derivative of
        `effective_conductance`, an iteration; NaN where not all of a tile is a success. None of `error`.
    Accuracy: 64 x 64 cells, 1 ohm per segment, 10 to 100 uS: within 3e-8 of every target in float64, 3e-6
        in float32, in 0.2 s on two cores; cells need up to 132 uS. Stopped at 100 uS, the worst cell misses 22 %.

    Reference: steps: J. Barzilai and J. Borwein, IMA J. Numer. Anal. 8, 141, 1988; projected, not monotone: E. Birgin,
        J. Martinez and M. Raydan, SIAM J. Optim. 10, 1196, 2000; what a step must undercut: H. Zhang and W. Hager, SIAM
        J. Optim. 14, 1043, 2004. [D] for the use of both here.
    """
    target = as_floating(target, "target")
    check(target, "target", "S", non_negative)
    if target.ndim < 2:
        raise ValueError(f"Argument `target` must have shape (*tiles, wl, bl), but has shape {target.shape}.")
    low, high = _bounds(bounds, target)
    rtol = _RTOL[target.dtype.itemsize] if rtol is None else rtol
    check(rtol, "rtol", "", positive)
    max_steps = as_whole(max_steps, "max_steps", 1)
    wires.check_shape(target.shape[-2:])
    # Once traced they are counted no more.
    wires = replace(wires, opens=max(wires.count_opens(target.shape[-2:])) or None)
    return _compensated(target, low, high, wires, jnp.asarray(rtol, target.dtype), max_steps=max_steps)


def _bounds(bounds: Any, target: Array) -> tuple[Array, Array]:
    low, high = (as_real(x, "bounds").astype(target.dtype) for x in ((0.0, jnp.inf) if bounds is None else bounds))
    if not is_concrete(low, high):
        return low, high
    check(low, "bounds", "S", non_negative)
    window = f"{quantity(float(low), 'S')} to {quantity(float(high), 'S')}"
    if not float(low) < float(high):
        raise ValueError(f"Argument `bounds` must be (g_min, g_max) with g_min < g_max, but is {window}.")
    if is_concrete(target):
        values = np.asarray(target)
        # Ends of the window as they are computed elsewhere.
        beyond = (values < float(low) * (1 - 1e-5)) | (values > float(high) * (1 + 1e-5))
        if beyond.any():
            raise ValueError(
                f"Argument `target` must lie within `bounds`, {window}, but holds "
                f"{quantity(float(values[beyond][0]), 'S')}: wires only ever lower a conductance. Widen `bounds` or "
                "scale the target."
            )
    return low, high


@partial(jax.jit, static_argnames="max_steps")
def _compensated(target: Array, low: Array, high: Array, wires: Wires, rtol: Array, *, max_steps: int) -> Compensated:
    def of_tile(target: Array) -> tuple[Array, Array]:
        # In units of the largest target: squares of conductances are no numbers for float32.
        unit = jnp.max(lax.stop_gradient(target))
        unit = jnp.where(unit > 0, unit, 1)

        wanted, known = target / unit, lax.stop_gradient((target / unit, low / unit, high / unit))
        g, error = _nearest(partial(_effective, unit=unit, wires=lax.stop_gradient(wires)), *known, rtol, max_steps)
        reached = jnp.all(jnp.abs(error) <= rtol * known[0])
        return _with_slope(wanted, wires, g, reached, unit) * unit, error * unit

    g, error = lax.map(of_tile, target.reshape(-1, *target.shape[-2:]))
    g, error = g.reshape(target.shape), error.reshape(target.shape)
    return Compensated(g, error, jnp.abs(error) <= rtol * target)


def _effective(g: Array, wires: Wires, unit: Array) -> Array:
    return effective_conductance(g * unit, wires, throw=False) / unit


@jax.custom_vjp
def _with_slope(wanted: Array, wires: Wires, g: Array, reached: Array, unit: Array) -> Array:
    """`g`, which solves g_eff(g, wires) = wanted where that is `reached`."""
    return g


def _forth(wanted: Array, *known: Any) -> tuple[Array, Any]:
    return known[1], known


def _back(known: Any, slope: Array) -> tuple[Any, ...]:
    # dg_eff/dg dg = dwanted - dg_eff/dwires dwires, transposed; elsewhere there is no such equation, and no number.
    wires, g, reached, unit = known
    _, pull = jax.vjp(lambda g, wires: _effective(g, wires, unit), g, wires)
    of_target, _ = bicgstab(lambda x: pull(x)[0], slope, tol=_SLOPE[g.dtype.itemsize])
    of_target *= jnp.where(reached, 1, jnp.nan).astype(g.dtype)
    return of_target, pull(-of_target)[1], None, None, None


_with_slope.defvjp(_forth, _back)


class _Search(eqx.Module):
    g: Array
    square: Array  # half the sum of squared errors
    slope: Array
    error: Array
    bar: Array  # what the next square must undercut: a mean of the last ones
    length: Array
    gains: Array  # whether the fixed point still does
    steps: Array


def _nearest(
    effective: Any, target: Array, low: Array, high: Array, rtol: Array, max_steps: int
) -> tuple[Array, Array]:
    def square(g: Array) -> tuple[Array, Array]:
        error = effective(g) - target
        return jnp.sum(error**2) / 2, error

    look = jax.value_and_grad(square, has_aux=True)
    still = _STILL[target.dtype.itemsize]

    def goes_on(now: _Search) -> Array:
        reached = jnp.all(jnp.abs(now.error) <= rtol / 10 * target)
        free = jnp.max(jnp.abs(jnp.clip(now.g - now.slope, low, high) - now.g))
        moves = ~reached & (now.gains | (free > still)) & (now.length > still)
        return (now.steps == 0) | moves & (now.steps <= max_steps)

    def step(now: _Search) -> _Search:
        # One program of the circuit serves both stages: it is what takes long to compile.
        found = now.error + target
        scaled = now.g * target / jnp.where(found > 0, found, 1)
        g = jnp.clip(jnp.where(now.gains, scaled, now.g - now.length * now.slope), low, high)
        g = jnp.where(now.steps == 0, now.g, g)
        (value, error), slope = look(g)
        moved, turned = g - now.g, slope - now.slope
        curved = jnp.sum(moved * turned)
        length = jnp.where(curved > 0, jnp.sum(moved**2) / jnp.where(curved > 0, curved, 1), 1)
        gains = now.gains & (value < _GAIN**2 * now.square)
        tried = _Search(g, value, slope, error, (now.bar + value) / 2, length, gains, now.steps + 1)
        # The first look is of a bar that is infinite; a NaN is no better than anything.
        tried = replace(tried, bar=jnp.where(now.steps == 0, value, tried.bar))
        shorter = jnp.where(now.gains, now.length, now.length / 4)
        stays = replace(now, gains=gains, length=shorter, steps=now.steps + 1)
        better = value < now.bar
        return jax.tree.map(lambda a, b: jnp.where(better, a, b), tried, stays)

    none, one, far = jnp.zeros_like(target), jnp.ones((), target.dtype), jnp.asarray(jnp.inf, target.dtype)
    start = _Search(
        jnp.clip(target, low, high), far, none, none, far, one, jnp.asarray(True), jnp.asarray(0, jnp.int32)
    )
    done = lax.while_loop(goes_on, step, start)
    return done.g, jnp.where(jnp.isinf(done.square), jnp.nan, done.error)
