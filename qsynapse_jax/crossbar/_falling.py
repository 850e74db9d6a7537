"""Laws whose current falls as the voltage rises: where the answer is the only one, and linear systems with such slopes.

One answer. Between two operating points that differ by x the cells have chords S = P - N, P, N >= 0, N at most the
steepest fall d of each cell, and x = Z_P N x with Z_P = (1 + Z P)^-1 Z the drops beside the rising part. Z is symmetric
and positive semi-definite, so Z_P <= Z, and the largest eigenvalue of sqrt(N) Z_P sqrt(N) is at most that of Z diag(d).
Its entries are not negative: that eigenvalue is at most the largest entry of Z d, one application of the wires. Below 1
there is no such x but 0.

No cell can have a voltage larger than the span of the terminals: all nodes lie between these (a maximum principle) if
every cell takes power, v I >= 0; and as no entry of Z is negative, every cell has its drive less what the largest and
the smallest currents that cells carry at such voltages drop. What lies beyond an open has no finite Z: nothing is said.

Signed slopes. D = P - N, and with the voltages x0 of the rising part alone, x = x0 + Z_P N x: in w = n x, n = sqrt(N),
it is T w = n x0 with T = 1 - n Z_P n, symmetric, and positive definite wherever the rule above holds. T costs one solve
of the rising part.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax.crossbar._impedance import Impedance
from qsynapse_jax.crossbar._iteration import dot, unit
from qsynapse_jax.crossbar._laws import AbstractLaw
from qsynapse_jax.crossbar._solver import AbstractSolver, Cells, Limits, Loaded, System

# Steps in which the voltages that a cell can have are looked at: twice roughly, to narrow them, then well. What is
# narrower than a hundredth of them is not seen. The steepest step is looked at again in parts, down to a millionth.
_LOOKS, _PARTS, _ZOOMS = (64, 64, 256), 16, 4

# Wires must be steeper than the law by a tenth: between two looks it may fall a little faster.
_STEEPER = 0.9


# A step of conjugate residuals that leaves more than this of the square of the residual is not followed by its like.
_SLOW = 0.8


class Falls(NamedTuple):
    """Whether there may be several operating points, the least voltage [V] beyond which the law falls, a start [V]."""

    ambiguous: Bool[Array, ""]
    beyond: Float[Array, ""]
    start: Cells


class _Look(NamedTuple):
    """What the cells do between two voltages: range of currents [A], steepest fall [S] and where that begins [V].

    `active`: power is delivered, v I < 0. `beyond`: the least voltage of any fall [V].
    """

    current: Cells
    least: Cells
    most: Cells
    steepest: Cells
    at: Cells
    active: Bool[Array, ""]
    beyond: Float[Array, ""]


def _look(law: AbstractLaw, g: Float[Array, "wl bl"], low: Cells, step: Cells, steps: int) -> _Look:
    rounding = 4 * float(jnp.finfo(g.dtype).eps)

    def one(k: Any, seen: _Look) -> _Look:
        left = low + k.astype(step.dtype) * step
        right = left + step
        i = law.current(g, right)
        drop = seen.current - i - rounding * jnp.maximum(jnp.abs(seen.current), jnp.abs(i))
        # Where the current is no number no cell can be: such comparisons are false.
        fall = jnp.where(drop > 0, drop / jnp.where(step > 0, step, 1), 0)
        nearest = jnp.where(fall > 0, jnp.minimum(jnp.abs(left), jnp.abs(right)), jnp.inf)
        return _Look(
            i,
            jnp.where(i < seen.least, i, seen.least),
            jnp.where(i > seen.most, i, seen.most),
            jnp.maximum(fall, seen.steepest),
            jnp.where(fall > seen.steepest, left, seen.at),
            seen.active | jnp.any(right * i < 0),
            jnp.minimum(seen.beyond, jnp.min(nearest)),
        )

    i = law.current(g, low)
    zero = jnp.zeros_like(i)
    least, most = (jnp.where(jnp.isnan(i), none, i) for none in (jnp.inf, -jnp.inf))
    first = _Look(i, least, most, zero, low + zero, jnp.any(low * i < 0), jnp.min(zero) + jnp.inf)
    return jax.lax.fori_loop(0, steps, one, first)


def falls(law: AbstractLaw, g: Float[Array, "wl bl"], z: Impedance, drive: Cells, span: Float[Array, ""]) -> Falls:
    """Whether the wires are steeper than the law wherever it falls; `drive` as in `System`, `span` of the terminals."""
    at_rest = law.current(g, jnp.zeros_like(drive[:1]))
    # A law that drives a current at 0 V takes the cells beyond the span by what this drops.
    reach = span + jnp.max(z(jnp.where(jnp.isfinite(at_rest), jnp.abs(at_rest), 0)))
    rounding = 16 * float(jnp.finfo(g.dtype).eps) * reach
    high = jnp.zeros_like(at_rest + drive) + reach
    low, active, somewhere = -high, jnp.asarray(False), jnp.asarray(False)
    # A law that delivers power must rise wherever it is looked at, any other where cells can be.
    for steps in _LOOKS:
        floor = jnp.min(low, 0, keepdims=True)
        step = (jnp.max(high, 0, keepdims=True) - floor) / steps
        look = _look(law, g, floor, step, steps)
        active, somewhere = active | look.active, somewhere | jnp.any(look.steepest > 0)
        if not any(z.opens):
            # Between two steps a peak may be higher by less than the steepest of them. Overflow narrows nothing.
            missed = look.steepest * step
            above, below = drive - z(look.most + missed) - rounding, drive - z(look.least - missed) + rounding
            low, high = jnp.where(above > low, above, low), jnp.where(below < high, below, high)

    def closer(_: Any, carry: tuple[Cells, Cells, Cells]) -> tuple[Cells, Cells, Cells]:
        steepest, at, step = carry
        # One step more on either side: the steepest may lie across its edge.
        low, step = at - step, 3 * step / _PARTS
        found = _look(law, g, low, step, _PARTS)
        return jnp.maximum(steepest, found.steepest), found.at, step

    zooms = jnp.where(jnp.any(look.steepest > 0), _ZOOMS, 0)
    steepest = jax.lax.fori_loop(0, zooms, closer, (look.steepest, look.at, step))[0]
    held = (jnp.max(z(steepest)) < _STEEPER) & ~active & (not any(z.opens))
    return Falls(somewhere & ~held, look.beyond, jnp.clip(0, low, high))


class _State(NamedTuple):
    """`phase`: 0 the rising part alone, 1 T of a direction, 2 with what was found, 3 ended.

    v: the next direction, before it is made conjugate; p, q = T p and the ones before; w so far, residual r = b - T w.
    """

    phase: Int[Array, ""]
    steps: Int[Array, ""]
    v: Cells
    p: Cells
    q: Cells
    old_p: Cells
    old_q: Cells
    w: Cells
    r: Cells
    target: Float[Array, " batch"]
    found: Loaded


class Falling(AbstractSolver):
    """Takes slopes of either sign, by a solver of those that are not negative."""

    rising: AbstractSolver

    def load(self, system: System, limits: Limits) -> Loaded:
        """Currents of all cells.

        By conjugate residuals. The loop has one solve for all its phases: others would be compiled once more.
        """
        z, scale = system.z, unit(system.drive)
        root = jnp.sqrt(jnp.maximum(-system.slope, 0))
        slope = jnp.maximum(system.slope, 0)

        def part(x: Cells, q: Cells) -> Float[Array, "batch 1 1"]:
            size = dot(q, q)
            return jnp.where(size > 0, dot(x, q) / jnp.where(size > 0, size, 1), 0)[:, None, None]

        def unfinished(r: Cells, target: jax.Array) -> jax.Array:
            energy = dot(r, r)
            return (energy > target) & jnp.isfinite(energy)

        def step(s: _State) -> _State:
            first, last = s.phase == 0, s.phase == 2
            given = jnp.where(first | last, 1 / scale, 0)
            source = root * jnp.where(last, s.w, s.v)
            drive, passed = given * system.drive + z(source), given[:, 0] * system.passed + z.passed(source)
            found = self.rising.load(System(slope, z, drive, passed), limits)
            image = root * (drive - z(found.current) + z.lift(found.phi, drive.shape[1:]))
            tv = jnp.where(first, 0, s.v - image)
            a, b = part(tv, s.q), part(tv, s.old_q)
            p, q = s.v - a * s.p - b * s.old_p, tv - a * s.q - b * s.old_q
            active = unfinished(s.r, s.target)[:, None, None] & (s.phase == 1)
            length = jnp.where(active, part(s.r, q), 0)
            r = jnp.where(first, image, s.r - length * q)
            target = jnp.where(first, limits.rtol**2 * dot(image, image), s.target)
            # Where T is indefinite r may be no direction, orthogonal to T r: the next is from K p. Or rounding has put
            # it along directions that it is kept from: now and then they are forgotten.
            slow = (dot(r, r) > _SLOW * dot(s.r, s.r))[:, None, None]
            forgotten = slow & (s.steps % 4 == 0)
            more = jnp.any(unfinished(r, target)) & (s.steps < limits.max_steps)
            return _State(
                phase=jnp.where(last, 3, jnp.where(more, 1, jnp.where(first, 3, 2))).astype(s.phase.dtype),
                steps=s.steps + 1,
                v=jnp.where(slow & ~forgotten, p - q, r),
                p=jnp.where(forgotten, 0, p),
                q=jnp.where(forgotten, 0, q),
                old_p=jnp.where(forgotten, 0, s.p),
                old_q=jnp.where(forgotten, 0, s.q),
                w=s.w + length * p,
                r=r,
                target=target,
                found=Loaded(
                    found.current, found.phi, s.found.steps + found.steps, s.found.converged & found.converged
                ),
            )

        zero, none = jnp.zeros_like(root * system.drive), jnp.zeros((), jnp.int32)
        # Like the numbers: inside `jax.shard_map` a loop must start with what differs between devices if it ends so.
        phase = jnp.zeros_like(zero[0, 0, 0], jnp.int32)
        blank = Loaded(zero, jnp.broadcast_to(zero[:, 0, :1], system.passed.shape), none, phase == 0)
        start = _State(phase, none, zero, zero, zero, zero, zero, zero, zero, dot(zero, zero), blank)
        s = jax.lax.while_loop(lambda s: s.phase < 3, step, start)
        found = s.found
        return Loaded(
            scale * (found.current - root * s.w),
            scale[:, 0] * found.phi,
            found.steps,
            found.converged & jnp.all(dot(s.r, s.r) <= s.target),
        )
