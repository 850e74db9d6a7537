"""The plain iteration for the loaded array: (alpha + s Z s) y = s u0 with s = sqrt(Gamma), I = s y (`_solver`).

Where no cell is capped, alpha is 1, s = sqrt(D), and the eigenvalues lie in [1, 1 + about 0.8 r g N^2] whatever the
cells: the error of `y` is never larger than its residual, and no preconditioner is needed until that product is large.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from qsynapse_jax.crossbar._iteration import dot, iterate, unit
from qsynapse_jax.crossbar._opens import load_with_opens
from qsynapse_jax.crossbar._solver import AbstractSolver, Cells, Limits, Loaded, System, after, capped

# Rounding of a start is amplified by g Z, up to 5000 at 100 ohm and 1 kohm: in float32 a residual of 1e-7 would take
# 41 plain steps there, of 1e-6 four, for a gain that currents do not show. In units of the rounding of the precision:
_FINEST_AFTER_START = 10.0


class Start(NamedTuple):
    """Voltages of the cells [V] from which to iterate, and the steps that led to them."""

    voltage: Cells
    steps: Int[Array, ""]


class ConjugateGradient(AbstractSolver):
    """Plain conjugate gradients: for any wires; steps grow with the IR drop, as the root of r g N^2.

    Where lines are open it also eliminates the voltages across the opens (`_opens`), in one dense matrix of their
    number squared.
    """

    def load(self, system: System, limits: Limits) -> Loaded:
        """Currents of all cells."""
        if any(system.z.opens):
            return load_with_opens(system, limits)
        return plain(system, limits)


def plain(
    system: System, limits: Limits, start: Callable[[], Start] | None = None, *, chosen: Bool[Array, ""] | bool = True
) -> Loaded:
    """Without opens; from `start` on, where there is one and it is `chosen`."""
    z, slope = system.z, system.slope
    found = None
    if start is not None:
        blank = Start(jnp.zeros_like(system.drive), jnp.zeros((), jnp.int32))
        found = start() if chosen is True else jax.lax.cond(chosen, start, lambda: blank)
        slope = after(found.steps, slope)
    gamma, alpha = capped(slope, z)
    root = jnp.sqrt(gamma)
    b = root * system.drive
    scale = unit(b)
    b = b / scale

    def operator(y: Cells) -> Cells:
        return alpha * y + root * z(root * y)

    # A short drives more than all other cells together: what is asked of these is measured by them alone.
    ordinary = jnp.where(alpha < 1, 0, b)
    all_drive, theirs = dot(b, b), dot(ordinary, ordinary)
    target = limits.rtol**2 * jnp.where(theirs > 0, theirs, all_drive)
    # From y = 0 the first step needs no product to start, and ends at y = b exactly when wires are ideal.
    y, residual = jnp.zeros_like(b), b
    if found is not None:
        y, factor = root * found.voltage / scale, (_finest(limits, b.dtype) / limits.rtol) ** 2
        residual = b - operator(y) if chosen is True else jax.lax.cond(chosen, lambda: b - operator(y), lambda: b)
        target = target * jnp.where(chosen, factor, 1).astype(b.dtype)
    ended = iterate(operator, lambda r: (r,), residual, y, target=target, limits=limits)
    steps = ended.steps if found is None else ended.steps + found.steps
    return Loaded(scale * root * ended.x, system.passed, steps, ended.converged)


def _finest(limits: Limits, dtype: jnp.dtype) -> float:
    """Relative residual that is asked for after a start."""
    return max(limits.rtol, _FINEST_AFTER_START * float(jnp.finfo(dtype).eps))
