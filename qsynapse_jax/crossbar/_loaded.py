"""The one linear system behind everything: I + D Z I = D u0, and the choice of how to solve it."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax.crossbar._cg import conjugate_gradient
from qsynapse_jax.crossbar._impedance import Impedance
from qsynapse_jax.crossbar._modal import modal_voltages, modes

Cells = Float[Array, "batch wl bl"]
Solver = Literal["auto", "conjugate_gradient", "modal"]

# Mean conductance times the largest row sums of Kw and Kb, about 1.2 times the largest eigenvalue of g Z. A modal step
# costs six products of matrices, a plain one two; at 20 they took 13 and 30 steps (128 x 128, 10 ohm, 1k-1M ohm), at
# 300 14 and 105 (512 x 512), so they break even between.
_SEVERE = 60.0

# Rounding of the start is amplified by g Z, up to 5000 at 100 ohm and 1 kohm: in float32 a residual of 1e-7 would take
# 41 plain steps there, of 1e-6 four, for a gain that currents do not show. In units of the rounding of the precision:
_FINEST_AFTER_MODES = 10.0


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
    solver: Solver


def loaded_current(
    tolerance: Tolerance, slope: Float[Array, "lines wl bl"], z: Impedance, drive: Cells
) -> tuple[Cells, Int[Array, ""], Bool[Array, ""]]:
    """Currents of cells with conductances `slope` driven by `drive` [V]; also the steps, and whether all converged."""
    root = jnp.sqrt(slope)
    limits = {"rtol": tolerance.rtol, "max_steps": tolerance.max_steps}

    def plain(chosen: Bool[Array, ""]) -> tuple[Cells, Int[Array, ""], Bool[Array, ""]]:
        y, steps, converged = conjugate_gradient(root, z, root * drive, chosen=chosen, **limits)
        return root * y, steps, converged

    def modal(chosen: Bool[Array, ""]) -> tuple[Cells, Int[Array, ""], Bool[Array, ""]]:
        voltages, steps = modal_voltages(slope, z, modes(z), drive, chosen=chosen, **limits)
        # What is left is rough, and small where cells conduct better than their wires and voltages cancel: the plain
        # iteration ends it in a step or two, and its residual is the one that is promised.
        finest = _FINEST_AFTER_MODES * float(jnp.finfo(drive.dtype).eps)
        last = {**limits, "rtol": max(tolerance.rtol, finest)}
        y, more, converged = conjugate_gradient(root, z, root * drive, start=root * voltages, chosen=chosen, **last)
        return root * y, steps + more, converged

    if tolerance.solver == "conjugate_gradient" or not z.has_modes:
        return plain(jnp.asarray(True))
    if tolerance.solver == "modal":
        return modal(jnp.asarray(True))
    # Under `vmap` both branches are computed for all arrays: the iteration not chosen is told to end at once.
    severe = severity(slope, z) > _SEVERE
    return jax.lax.cond(severe, lambda: modal(severe), lambda: plain(~severe))


def severity(slope: Float[Array, "lines wl bl"], z: Impedance) -> Float[Array, ""]:
    """Cheap estimate of the IR drop: mean conductance times what resists a smooth current, about r g N^2."""
    one = jnp.ones_like(slope[:1])
    return jnp.mean(slope) * jnp.max(z(one))
