"""The one linear system behind everything, and the choice of how to solve it.

Cells of conductances D carry I = D (u0 + C phi - Z I), where phi are the voltages across the opens of the lines and C
spreads them over the cells beyond. Without opens there is no phi; with them, their currents C'I have given values.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax.crossbar._conjugate_gradient import conjugate_gradient
from qsynapse_jax.crossbar._impedance import EXACT, Impedance
from qsynapse_jax.crossbar._modal import modal_voltages, modes

Cells = Float[Array, "batch wl bl"]
Solver = Literal["auto", "conjugate_gradient", "modal"]
EffectiveSolver = Literal["auto", "elimination", "conjugate_gradient", "modal"]

# Cells of all inputs that are iterated on together on a CPU: one array of 128 x 128, whose five arrays of numbers stay
# in the second cache. 128 inputs took 45 ms so, 60 ms by 32 or all at once.
_CELLS_TOGETHER = 128 * 128

# Mean conductance times the largest row sums of Kw and Kb, about 1.2 times the largest eigenvalue of g Z. A modal step
# costs four products of matrices more than a plain one, on a CPU three to five times as much. Plain and modal solves of
# cells of 1k-1M ohm took 1.8 and 4.8 ms at 72 (128 x 128), 17 and 17 ms at 95 (256 x 256), 206 and 356 ms at 152
# (1024 x 1024), 89 and 80 ms at 380 (512 x 512).
_SEVERE = 200.0

# Cells up to which the plain iteration is taken whatever the drop: it ends after about as many steps as there are
# cells, and half of the compilation is spared.
_SMALL = 16 * 16

# Rounding of the start is amplified by g Z, up to 5000 at 100 ohm and 1 kohm: in float32 a residual of 1e-7 would take
# 41 plain steps there, of 1e-6 four, for a gain that currents do not show. In units of the rounding of the precision:
_FINEST_AFTER_MODES = 10.0


# Each takes an error of the potentials of floating pieces down by the condition of their network times 8 roundings.
_REFINEMENTS = 2


class Tolerance(NamedTuple):
    """How to solve and when to stop; static.

    Attributes:
        rtol, max_steps: of a linear solve.
        newton: of the equations of nonlinear cells, relative to the largest voltage.
        max_solves: linear solves of Newton's method.
        solver: "auto", or one of the two by name.
    """

    rtol: float
    max_steps: int
    newton: float
    max_solves: int
    solver: EffectiveSolver


class Loaded(NamedTuple):
    """Cell currents [A], voltages across the opens [V], steps taken, and whether all inputs have converged."""

    current: Cells
    phi: Float[Array, "batch opens"]
    steps: Int[Array, ""]
    converged: Bool[Array, ""]


def load(
    tolerance: Tolerance,
    slope: Float[Array, "lines wl bl"],
    z: Impedance,
    drive: Cells,
    passed: Float[Array, "batch opens"],
) -> Loaded:
    """Currents of cells with conductances `slope` driven by `drive` [V], with `passed` through the opens [A]."""
    batch, cells = drive.shape[0], drive[0].size
    size = max(1, _CELLS_TOGETHER // cells)
    # Inputs that lie on several devices are iterated on there: taken in groups, all would come to each.
    if batch <= size or z.spread > 1:
        return _load_together(tolerance, slope, z, drive, passed)
    groups = -(-batch // size)

    def in_groups(slope: jax.Array, drive: jax.Array, passed: jax.Array) -> Loaded:
        def grouped(x: jax.Array) -> jax.Array:
            padded = jnp.pad(x, ((0, groups * size - batch), *((0, 0) for _ in x.shape[1:])))
            return padded.reshape(groups, size, *x.shape[1:])

        parts = (grouped(drive), grouped(passed), *([grouped(slope)] if len(slope) > 1 else []))

        def one(part: tuple[jax.Array, ...]) -> Loaded:
            drive, passed, *own = part
            return _load_together(tolerance, own[0] if own else slope, z, drive, passed)

        found = jax.lax.map(one, parts)
        current, phi = (x.reshape(groups * size, *x.shape[2:])[:batch] for x in found[:2])
        return Loaded(current, phi, jnp.max(found.steps), jnp.all(found.converged))

    # A processor's caches want few inputs at a time, an accelerator's many units all of them.
    together = partial(_load_together, tolerance)
    return jax.lax.platform_dependent(
        slope,
        drive,
        passed,
        cpu=in_groups,
        default=lambda slope, drive, passed: together(slope, z, drive, passed),
    )


def _load_together(
    tolerance: Tolerance,
    slope: Float[Array, "lines wl bl"],
    z: Impedance,
    drive: Cells,
    passed: Float[Array, "batch opens"],
) -> Loaded:
    """`load` for all inputs in one iteration."""
    limits = {"rtol": tolerance.rtol, "max_steps": tolerance.max_steps}

    def plain(chosen: Bool[Array, ""]) -> Loaded:
        root = jnp.sqrt(slope)
        y, steps, converged = conjugate_gradient(root, z, root * drive, chosen=chosen, **limits)
        return Loaded(root * y, passed, steps, converged)

    def modal(chosen: Bool[Array, ""]) -> Loaded:
        voltages, steps = modal_voltages(slope, z, modes(z), drive, chosen=chosen, **limits)
        root = jnp.sqrt(after(steps, slope))
        # What is left is rough, and small where cells conduct better than their wires and voltages cancel: the plain
        # iteration ends it in a step or two, and its residual is the one that is promised.
        finest = _FINEST_AFTER_MODES * float(jnp.finfo(drive.dtype).eps)
        last = {**limits, "rtol": max(tolerance.rtol, finest)}
        y, more, converged = conjugate_gradient(root, z, root * drive, start=root * voltages, chosen=chosen, **last)
        return Loaded(root * y, passed, steps + more, converged)

    if any(z.opens):
        return _with_opens(tolerance, jnp.sqrt(slope), z, drive, passed)
    small = tolerance.solver == "auto" and drive[0].size <= _SMALL
    if tolerance.solver == "conjugate_gradient" or small or not z.has_modes:
        return plain(jnp.asarray(True))
    if tolerance.solver == "modal":
        return modal(jnp.asarray(True))
    # Under `vmap` both branches are computed for all arrays: the iteration not chosen is told to end at once.
    severe = severity(slope, z) > _SEVERE
    return jax.lax.cond(severe, lambda: modal(severe), lambda: plain(~severe))


def after(steps: Int[Array, ""], x: jax.Array) -> jax.Array:
    """`x`, once an iteration has ended: what it is needed for then must not take up memory during the iteration.

    A condition that always holds, but not for the compiler, which is free to drop `jax.lax.optimization_barrier` and
    does so for CPUs. Of 1024 x 1024 cells a solve needed 20 arrays without it.
    """
    return jnp.where(steps >= 0, x, 0)


def _with_opens(
    tolerance: Tolerance,
    root: Float[Array, "lines wl bl"],
    z: Impedance,
    drive: Cells,
    passed: Float[Array, "batch opens"],
) -> Loaded:
    """The same with the opens eliminated.

    Let y = I / s, s = sqrt(D), R = C's, and H phi what the voltages across the opens drive through far ends:

        y + s Z s y - R' phi = s u0        R y + H phi = passed

    give M phi = passed + R (s Z s y - s u0) with M = R R' + H, and thus y = R' M^-1 passed + B (s u0 - s Z s y) with
    B = 1 - R' M^-1 R: a system in the range of B, whatever is open.
    """
    shape = root.shape[1:]
    inverse = _gram_inverse(root**2, z)

    def spread(current: jax.Array) -> jax.Array:
        return root * z.lift(inverse(current), shape)

    particular = spread(passed)
    y, steps, converged = conjugate_gradient(
        root,
        z,
        root * (drive - z(root * particular)),
        constrain=lambda x: x - spread(z.passed(root * x)),
        chosen=jnp.asarray(True),
        rtol=tolerance.rtol,
        max_steps=tolerance.max_steps,
    )
    current = root * (y + particular)
    phi = inverse(passed + z.passed(root**2 * (z(current) - drive)))
    return Loaded(current, phi, steps, converged)


def _gram_inverse(
    slope: Float[Array, "lines wl bl"], z: Impedance
) -> Callable[[Float[Array, "batch opens"]], Float[Array, "batch opens"]]:
    """Applies (C'DC + H)^-1: potentials [V] of the pieces beyond the opens for currents [A] into them."""
    opens = sum(z.opens)

    def column(unit: jax.Array) -> jax.Array:
        return z.passed(slope * z.lift(unit[None], slope.shape[1:]), jnp.broadcast_to(unit, (slope.shape[0], opens)))

    gram = jnp.moveaxis(jax.lax.map(column, jnp.eye(opens, dtype=slope.dtype), batch_size=8), 0, 1)
    diagonal = jnp.diagonal(gram, axis1=1, axis2=2)
    # What no cell connects, and places in reserve, stay at phi = 0.
    scale = jnp.where(diagonal > 0, 1 / jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1)), 0)
    # Pieces connected to each other alone have no potential of their own either: the bit of conductance that fixes it
    # is taken out again by refinement where it mattered.
    regular = scale[:, :, None] * gram * scale[:, None, :]
    pinned = jnp.where(diagonal > 0, 8 * float(jnp.finfo(slope.dtype).eps), 1)
    factor = jnp.linalg.cholesky(regular + pinned[:, :, None] * jnp.eye(opens, dtype=slope.dtype)[None])

    def once(current: jax.Array) -> jax.Array:
        scaled = (scale * current)[..., None]
        factors = jnp.broadcast_to(factor, (current.shape[0], opens, opens))
        half = jax.lax.linalg.triangular_solve(factors, scaled, left_side=True, lower=True)
        whole = jax.lax.linalg.triangular_solve(factors, half, left_side=True, lower=True, transpose_a=True)
        return scale * whole[..., 0]

    def inverse(current: jax.Array) -> jax.Array:
        phi = once(current)
        for _ in range(_REFINEMENTS):
            phi += once(
                current
                - jnp.einsum("bij,bj->bi", jnp.broadcast_to(gram, (phi.shape[0], opens, opens)), phi, precision=EXACT)
            )
        return phi

    return inverse


def severity(slope: Float[Array, "lines wl bl"], z: Impedance) -> Float[Array, ""]:
    """Cheap estimate of the IR drop: mean conductance times what resists a smooth current, about r g N^2."""
    resistance = jnp.zeros((), slope.dtype)
    for line in (z.word, z.bit):
        assert line.reach is not None  # lines that have modes
        # The row of the kernel for the farthest cell, which is the largest.
        resistance += jnp.sum(line.reach) + len(line.reach) * jnp.max(line.end)
    return jnp.mean(slope) * resistance
