"""Density of vacancies after a rectangular pulse: time as a function of the state, integrated and inverted.

At a constant voltage dC/dt = f(C) depends on C alone and keeps its sign, so with y = |ln(C/C_0)| and r(y) = |d ln C/dt|

    t(y) = integral from 0 to y of dy'/r(y'),    y(width) where t(y) = width.

The integral needs no small steps where r is large or falls over decades: there is nothing stiff in it. The loop goes
from state to state by the length that would use up the time left if ln r went on along its tangent, integrates 1/r over
that length, and takes what it used from the time left; the last steps are Newton's method for t(y) = width, forward or
back.

Derivatives follow from t(y; C_0, V, numbers) = width,

    dy = r(y) (d width - dt at fixed y),

with t over a fixed set of nodes, which JAX differentiates forward and in reverse.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from qsynapse_jax.devices._cmo_law import Cell, Dome, cell

# Lobatto's rule of five nodes on (0, 1), exact to the seventh power; the first node is the last of the step before. And
# Simpson's among the same nodes, which says where a step is too long.
_NODES = np.array([0.5 - np.sqrt(3 / 28), 0.5, 0.5 + np.sqrt(3 / 28), 1.0])
_WEIGHTS = np.array([1 / 20, 49 / 180, 16 / 45, 49 / 180, 1 / 20])
_SIMPSON = np.array([1 / 6, 0, 4 / 6, 0, 1 / 6])
# Derivative of the polynomial through the five nodes, at the last of them.
_SLOPE = 2 * np.array([1 / 2, -7 / 3 / (1 + np.sqrt(3 / 7)), 8 / 3, -7 / 3 / (1 - np.sqrt(3 / 7)), 5])
# A step is at most this long in ln r by its tangent, and in ln C; and it counts if both rules agree so far. Then
# Lobatto's is within 1e-6 of the time, or 1e-8; what is left at the end moves ln C by `_CLOSE` of its change.
_LONGEST_RATE, _LONGEST = {"float32": 2.2, "float64": 1.2}, 1.0
_AGREE, _CLOSE = {"float32": 0.03, "float64": 7e-4}, {"float32": 1e-6, "float64": 1e-11}
# Counted: 2 or 3 for a pulse of 1 us; 10 to 30 in float32, 50 to 110 in float64 for 100 s and more. This is a failure.
_MOST_STEPS = 300
# Derivatives: panels along the path, and Gauss's nodes on (-1, 1) in each.
_PANELS = 16
_GAUSS = np.polynomial.legendre.leggauss(4)


class Path(NamedTuple):
    """|ln(C/C_0)| after a pulse, and the integral of the conductance over its time [S s]."""

    y: Array
    charge: Array


class _Walk(NamedTuple):
    y: Array
    left: Array  # of the width, 1 at first
    charge: Array  # mean conductance so far, over the width
    here: Cell
    slope: Cell  # in y
    longest: Array
    steps: Array


def density_at(c: Array, v: Array, y: Array) -> Array:
    """Density after a change `y` of its logarithm in the direction of the voltage."""
    return c * jnp.exp(jnp.sign(v) * y)


def _kink(p: Dome, c: Array, v: Array) -> Array:
    """Change of the logarithm at which the distance of traps becomes its least: the rate has a kink there."""
    least = p.hop_density * (1 - jnp.minimum(p.hop_least / p.hop, 1))
    return jnp.sign(v) * jnp.log(least / c)


def _rate(here: Cell, width: Array) -> Array:
    """Rate of the logarithm times the width."""
    return jnp.exp(jnp.minimum(here.log_rate + jnp.log(width), 60.0))


def _along(nodes: np.ndarray, x: Array) -> Array:
    """Products with `nodes` along a new first axis."""
    return jnp.asarray(nodes, x.dtype).reshape(-1, *(1 for _ in x.shape)) * x[None]


def _sum(weights: np.ndarray, x: Array) -> Array:
    """Weighted sum over the first axis."""
    # Written out: a product of matrices for five numbers is slower, five times so under `vmap`.
    return sum(float(w) * x[k] for k, w in enumerate(weights) if w)  # pyright: ignore


@jax.custom_jvp
def march(p: Dome, c: Array, v: Array, width: Array) -> Path:
    """Path of densities [1e25 m^-3] through a rectangular pulse of `v` [V] and `width` [s], all of one shape.

    NaN where it does not come to an end, or where a number is one.
    """
    tiny = jnp.finfo(v.dtype).tiny
    agree, close, longest = (of[v.dtype.name] for of in (_AGREE, _CLOSE, _LONGEST_RATE))
    # A pulse of no time has no logarithm.
    width_or_1 = jnp.where(width > 0, width, 1)

    start, slope = jax.jvp(lambda y: cell(p, density_at(c, v, y), v), (jnp.zeros_like(v),), (jnp.ones_like(v),))
    # By its first rate alone: what is too slow to be integrated.
    idle = (width <= 0) | (v == 0) | (start.log_rate + jnp.log(width_or_1) < np.log(tiny) / 2)

    kink = jnp.where(c > 0, _kink(p, c, v), jnp.inf)
    touching = 8 * jnp.finfo(v.dtype).eps

    def remains(walk: _Walk) -> Array:
        off = jnp.abs(walk.left) * _rate(walk.here, width_or_1)
        return ~idle & ~(off <= close * walk.y)

    def proceed(walk: _Walk) -> Array:
        return jnp.any(remains(walk)) & (walk.steps < _MOST_STEPS)

    def step(walk: _Walk) -> _Walk:
        k = walk.slope.log_rate
        flat = walk.left * _rate(walk.here, width_or_1)
        # Time left at a rate e^(k s): s = -ln(1 - k flat)/k, the whole allowed length where that has no solution.
        bend = k * flat
        straight = jnp.abs(bend) < 1e-3
        curved = -jnp.log(jnp.maximum(1 - bend, tiny)) / jnp.where(k == 0, 1, k)
        s = jnp.where(straight, flat * (1 + bend / 2), curved)
        limit = jnp.minimum(walk.longest, longest / jnp.maximum(jnp.abs(k), tiny))
        # Nor across the kink.
        to_kink = kink - walk.y
        limits = jnp.where(to_kink > touching, jnp.minimum(limit, to_kink), limit)
        s = jnp.clip(s, -jnp.where(to_kink < -touching, jnp.minimum(limit, -to_kink), limit), limits)
        # Not before the beginning.
        s = jnp.maximum(s, -walk.y / 2)
        places = walk.y[None] + _along(_NODES, s)
        near = walk.here.z[None] + _along(_NODES, walk.slope.z * s)
        points = jax.vmap(lambda y, z: cell(p, density_at(c, v, y), v, z))(places, near)
        points = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), walk.here, points)
        slow = jax.vmap(lambda point: 1 / _rate(point, width_or_1))(points)
        used = s * _sum(_WEIGHTS, slow)
        charge = s * _sum(_WEIGHTS, slow * points.g)
        good = jnp.abs(used - s * _sum(_SIMPSON, slow)) <= agree * jnp.abs(used)
        ends = jax.tree.map(lambda x: _sum(_SLOPE, x) / jnp.where(s == 0, 1, s), points)
        moves = remains(walk)
        taken = moves & good

        def new(new: Array, old: Array) -> Array:
            return jnp.where(taken, new, old)

        return _Walk(
            y=new(walk.y + s, walk.y),
            left=new(walk.left - used, walk.left),
            charge=new(walk.charge + charge, walk.charge),
            here=jax.tree.map(lambda x, old: new(x[-1], old), points, walk.here),
            # Of a short step the difference is rounding.
            slope=jax.tree.map(lambda x, old: jnp.where(taken & (jnp.abs(s) > 1e-3), x, old), ends, walk.slope),
            longest=jnp.where(good, jnp.minimum(2 * walk.longest, _LONGEST), jnp.abs(s) / 2),
            steps=walk.steps + 1,
        )

    zero = jnp.zeros_like(start.log_rate)
    first = _Walk(zero, zero + 1, zero, start, slope, zero + _LONGEST, jnp.zeros((), jnp.int32))
    last = jax.lax.while_loop(proceed, step, first)
    failed = jnp.where(remains(last), jnp.nan, 0).astype(v.dtype)
    # What is idle may still be warm.
    return Path(last.y + failed, jnp.where(idle, start.g, last.charge) * width + failed)


def _over(p: Dome, c: Array, v: Array, y: Array) -> tuple[Array, Array]:
    """Time [s] and integral of the conductance [S s] that a path of length `y` takes, over fixed nodes."""
    nodes, weights = _GAUSS
    # Panels, moved so that the kink is the end of one.
    kink = jax.lax.stop_gradient(_kink(p, c, v))
    kink = jnp.where((kink > 0) & (kink < y), kink, y)
    before = jnp.clip(jnp.round(_PANELS * kink / jnp.where(y > 0, y, 1)), 1, jnp.where(kink < y, _PANELS - 1, _PANELS))

    def between(low: Array, high: Array, part: Array) -> Array:
        """By ln C; upwards half by C, in which the barrier is linear, so that ln r falls with it at the end."""
        straight = low + part * (high - low)
        start, stop = jnp.exp(low), jnp.exp(high)
        return jnp.where(v < 0, straight, (straight + jnp.log(start + part * (stop - start))) / 2)

    def end(k: Array) -> Array:
        after = jnp.maximum(k - before, 0) / jnp.maximum(_PANELS - before, 1)
        return jnp.where(k <= before, between(0 * y, kink, jnp.minimum(k / before, 1)), between(kink, y, after))

    # What a gradient needs of a panel is computed once more: to keep it takes 4 kB for every cell.
    @jax.checkpoint
    def panel(total: tuple[Array, Array], k: Array) -> tuple[tuple[Array, Array], None]:
        low, high = end(k), end(k + 1)
        places = low[None] + _along((1 + nodes) / 2, high - low)
        here = jax.vmap(lambda y: cell(p, density_at(c, v, y), v))(places)
        # Where nothing moves the rate may be 0.
        slow = _along(weights / 2, high - low) * jnp.exp(-jnp.where(y[None] > 0, here.log_rate, 0))
        return (total[0] + jnp.sum(slow, 0), total[1] + jnp.sum(slow * here.g, 0)), None

    zero = jnp.zeros_like(y)
    return jax.lax.scan(panel, (zero, zero), jnp.arange(_PANELS, dtype=y.dtype))[0]


@march.defjvp
def _march_jvp(primals: tuple[Dome, Array, Array, Array], tangents: tuple[Dome, Array, Array, Array]) -> tuple:
    p, c, v, width = primals
    dp, dc, dv, dwidth = tangents
    path = march(p, c, v, width)
    moved = path.y > 0
    # A path of no length has no derivative but that of its end.
    y = jnp.where(moved, path.y, 0)
    end = cell(p, density_at(c, v, y), v)
    _, (dtime, dcharge) = jax.jvp(lambda p, c, v: _over(p, c, v, y), (p, c, v), (dp, dc, dv))
    rate = jnp.where(v == 0, 0, jnp.exp(end.log_rate))
    dy = rate * (dwidth - dtime)
    # y at the end adds G/r dy to the charge.
    return path, Path(dy, dcharge + end.g * (dwidth - dtime))
