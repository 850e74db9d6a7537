"""The plain iteration for the loaded array: (alpha + s Z s) y = s u0 with s = sqrt(Gamma), I = s y (`_solver`).

Where no cell is capped, alpha is 1, s = sqrt(D), and the eigenvalues lie in [1, 1 + about 0.8 r g N^2] whatever the
cells: the error of `y` is never larger than its residual, and no preconditioner is needed until that product is large.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool

from qsynapse_jax.crossbar._iteration import dot, iterate, unit
from qsynapse_jax.crossbar._opens import load_with_opens
from qsynapse_jax.crossbar._solver import AbstractSolver, Cells, Limits, Loaded, System, capped


class ConjugateGradient(AbstractSolver):
    """Plain conjugate gradients: for any wires; steps grow with the IR drop, as the root of r g N^2.

    Where lines are open it also eliminates the voltages across the opens (`_opens`), in one dense matrix of their
    number squared.
    """

    def load(self, system: System, limits: Limits) -> Loaded:
        """Currents of all cells."""
        if any(system.z.opens):
            return load_with_opens(system, limits)
        return plain(system, limits, chosen=jnp.asarray(True))


def plain(system: System, limits: Limits, *, chosen: Bool[Array, ""], start: Cells | None = None) -> Loaded:
    """Without opens; `start` is a guess of the voltages of the cells."""
    z = system.z
    gamma, alpha = capped(system.slope, z)
    root = jnp.sqrt(gamma)
    b = root * system.drive
    scale = unit(b)
    b = b / scale

    def operator(y: Cells) -> Cells:
        return alpha * y + root * z(root * y)

    # From y = 0 the first step needs no product to start, and ends at y = b exactly when wires are ideal.
    y = jnp.zeros_like(b) if start is None else root * start / scale
    residual = b if start is None else b - operator(y)
    # A short drives more than all other cells together: what is asked of these is measured by them alone.
    ordinary = jnp.where(alpha < 1, 0, b)
    all_drive, theirs = dot(b, b), dot(ordinary, ordinary)
    target = limits.rtol**2 * jnp.where(theirs > 0, theirs, all_drive)
    ended = iterate(operator, lambda r: (r,), residual, y, target=target, chosen=chosen, limits=limits)
    return Loaded(scale * root * ended.x, system.passed, ended.steps, ended.converged)
