"""Open and very large resistances in the lines, for the iterative solver: their voltages are eliminated.

Let y = I / s, s = sqrt(D), R = C's, and H phi what the voltages across the opens drive through far ends:

    y + s Z s y - R' phi = s u0        R y + H phi = passed

give M phi = passed + R (s Z s y - s u0) with M = R R' + H, and thus y = R' M^-1 passed + B (s u0 - s Z s y) with
B = 1 - R' M^-1 R: a system in the range of B, whatever is open.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._impedance import Impedance
from qsynapse_jax.crossbar._iteration import dot, iterate, unit
from qsynapse_jax.crossbar._line_sums import EXACT
from qsynapse_jax.crossbar._solver import Cells, Limits, Loaded, System

# Each takes an error of the potentials of floating pieces down by the condition of their network times 8 roundings.
_REFINEMENTS = 2

# A piece floats near the voltage of a terminal, its cells at differences of which rounding has left little. Solved once
# more with that voltage part of the drive, where it cancels exactly, the differences have their digits.
_PASSES = 3


def load_with_opens(system: System, limits: Limits) -> Loaded:
    """Currents of the cells and voltages across the opens."""
    slope, z, drive, passed = system.slope, system.z, system.drive, system.passed
    shape, root = slope.shape[1:], jnp.sqrt(slope)
    inverse = _gram_inverse(slope, z)

    def spread(current: jax.Array) -> jax.Array:
        return root * z.lift(inverse(current), shape)

    def constrained(r: Cells) -> tuple[Cells, Cells]:
        return r, r - spread(z.passed(root * r))

    def once(drive: Cells, passed: jax.Array) -> tuple[jax.Array, ...]:
        particular = spread(passed)
        b = root * (drive - z(root * particular))
        scale = unit(b)
        b = b / scale
        ended = iterate(
            lambda x, y: x + root * z(root * y),
            constrained,
            b,
            jnp.zeros_like(b),
            target=limits.rtol**2 * dot(b, b),
            limits=limits,
        )
        current = root * (scale * ended.x + particular)
        phi = inverse(passed + z.passed(slope * (z(current) - drive)))
        return current, phi, ended.steps, ended.converged

    def again(_: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        _, phi, steps, converged = state
        current, change, more, well = once(drive + z.lift(phi, shape), passed - z.linked(phi, shape))
        return current, phi + change, steps + more, converged & well

    current, phi, steps, converged = jax.lax.fori_loop(1, _PASSES, again, once(drive, passed))
    return Loaded(current, phi, steps, converged, _defect(system, current, phi))


def _defect(system: System, current: Cells, phi: jax.Array) -> Float[Array, " batch"]:
    """What is left of the law of the cells and of the balance of the pieces [A]; none of it is lost on the way out."""
    slope, z = system.slope, system.z
    u = (system.drive + z.lift(phi, slope.shape[1:])) - z(current)
    rounding = 4 * float(jnp.finfo(u.dtype).eps)
    off = jnp.abs(slope * u - current) - rounding * (jnp.abs(slope * u) + jnp.abs(current))
    return jnp.sum(jnp.maximum(off, 0), (-2, -1)) + jnp.sum(jnp.abs(z.passed(current, phi) - system.passed), -1)


def _gram_inverse(slope: Float[Array, "lines wl bl"], z: Impedance) -> Callable[[jax.Array], jax.Array]:
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
            phi += once(current - jnp.matmul(gram, phi[..., None], precision=EXACT)[..., 0])
        return phi

    return inverse
