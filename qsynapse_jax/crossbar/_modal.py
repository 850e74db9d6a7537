"""Conjugate gradients preconditioned by the modes of the lines, for severe IR drop.

With equal segments Kw and Kb have cosine eigenvectors, so Z is diagonal in their products, with eigenvalues
L[a, b] = bit mode a + word mode b. An array whose cells all had the mean conductance g would be solved by one division
by 1 + g L; with the true cells that division is a preconditioner, good because only smooth modes have large L, and
those see the mean of many cells.

The system I + D Z I = D u0 for the cell currents is self-adjoint in the inner product <I, J> = I . Z J, and so is
B = (1 + g Z)^-1. Conjugate gradients in that product need Z of the preconditioned residual only: everything else
follows by recurrence, the drops Z I included. Iterations grow neither with size nor with r, only with the spread of
conductances: 15 for 512 x 512 at 10 ohm with cells of 1 kohm to 1 Mohm, 2 where all cells are equal.

The modes of one line. Segments r, end resistance e, n cells: with rho = (e + r) / r the eigenvectors of K are
cos(theta (n - 1/2 - j)), flat at the open far end, where theta solves the condition at the terminal,
p0 / rho + (p0 - p1) = (2 - 2 cos theta) p0. There is one root in each ((k, k+1) pi / n), found by bisection.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from qsynapse_jax.crossbar._conjugate_gradient import Start, plain
from qsynapse_jax.crossbar._iteration import dot, iterate, unit
from qsynapse_jax.crossbar._line_sums import EXACT
from qsynapse_jax.crossbar._lines import Dense, kernel_of
from qsynapse_jax.crossbar._solver import AbstractSolver, Cells, Limits, Loaded, System, capped
from qsynapse_jax.crossbar._wires import Wires

# Halvings of an interval of 1/n: to the last bit of float64.
_BISECTIONS = 54


def _modes(line: Dense) -> tuple[Float[Array, "n n"], Float[Array, " n"]]:
    """Eigenvectors (columns) and eigenvalues [ohm] of lines that are all equal and uniform."""
    dtype, n, from_end = line.along.dtype, line.way.cells, line.way.from_end
    end = jnp.mean(line.end)
    first = line.along[-1 if from_end else 0]
    # Terminal conductance over segment conductance; without segments a line is one node, whose modes are those of a
    # line that is insulated at both ends.
    hold = jnp.where(first > 0, first / jnp.where(first > 0, first + end, 1), 0)
    k = jnp.arange(n)

    def shape(fraction: jax.Array, distance: jax.Array) -> jax.Array:
        # cos(pi (k + fraction) d / (2 n)), d = 2 (n - 1/2 - j): the whole periods of k d are taken out in integers,
        # without which float32 loses orthogonality.
        turns = (k * distance) % (4 * n)
        return jnp.cos(jnp.pi / (2 * n) * (turns.astype(dtype) + fraction * distance.astype(dtype)))

    def condition(fraction: jax.Array) -> jax.Array:
        p0, p1 = shape(fraction, jnp.asarray(2 * n - 1)), shape(fraction, jnp.asarray(abs(2 * n - 3)))
        theta = jnp.pi / n * (k.astype(dtype) + fraction)
        # 2 - 2 cos, without its cancellation
        return hold * p0 + (p0 - p1) - 4 * jnp.sin(theta / 2) ** 2 * p0

    def halve(_: Any, interval: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = interval
        middle = (low + high) / 2
        below = jnp.sign(condition(middle)) == side
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    low, high = jnp.zeros_like(line.along), jnp.ones_like(line.along)
    # The sign just above the lower end, p0 hold, is taken from p0 alone: without segments hold is 0 and the end itself
    # is the root.
    side = jnp.sign(shape(low, jnp.asarray(2 * n - 1)))
    low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, (low, high))
    j = jnp.arange(n)[::-1] if from_end else jnp.arange(n)
    vectors = jax.vmap(shape, in_axes=(None, 0))((low + high) / 2, 2 * n - 1 - 2 * j)
    vectors = vectors / jnp.sqrt(jnp.sum(vectors**2, axis=0, keepdims=True))
    # Not the line's own, which would be made for milder arrays too, and not used.
    kernel = kernel_of(line.along, from_end) + end
    return vectors, jnp.sum(vectors * jnp.matmul(kernel, vectors, precision=EXACT), axis=0)


class Modal(AbstractSolver):
    """Conjugate gradients preconditioned by the modes of the lines: for severe IR drop.

    Only for lines whose segments are all equal along the array, connected at one end.
    """

    crossing: ClassVar[bool] = True

    def refusal(self, wires: Wires, shape: tuple[int, ...], opens: tuple[int, int]) -> str | None:
        """Why it cannot take these wires."""
        uneven = [name for name in ("r_word", "r_bit") if getattr(wires, name).ndim == 2]
        far = [name for name in ("r_driver_far", "r_sense_far") if getattr(wires, name) is not None]
        if any(opens):
            return "open or very large resistances"
        if uneven:
            return f"segments that differ from line to line (`{uneven[0]}`)"
        return f"lines connected at both ends (`{far[0]}`)" if far else None

    def load(self, system: System, limits: Limits) -> Loaded:
        """Currents of all cells."""
        return plain(system, limits, lambda: smooth(system, limits))


def smooth(system: System, limits: Limits, *, chosen: Bool[Array, ""] | None = None) -> Start:
    """By the modal iteration, for the plain one to end; no step unless `chosen`."""
    z, drive = system.z, system.drive
    slope = capped(system.slope, z)[0]
    assert z.alike is not None, "other wires are refused"
    (word, word_values), (bit, bit_values) = map(_modes, z.alike)
    mean = jnp.mean(slope, axis=(-2, -1), keepdims=True)
    damping = 1 / (1 + mean * (bit_values[:, None] + word_values[None])[None])

    def precondition(x: Cells) -> Cells:
        modal = jnp.matmul(jnp.matmul(bit.T, x, precision=EXACT), word, precision=EXACT)
        return jnp.matmul(jnp.matmul(bit, damping * modal, precision=EXACT), word.T, precision=EXACT)

    def dual(residual: Cells) -> tuple[Cells, Cells]:
        direction = precondition(residual)
        return direction, z(direction)

    scale = unit(drive)
    scaled = drive / scale
    first = slope * scaled
    target = limits.rtol**2 * dot(first, scaled)
    ended = iterate(
        lambda current, drop: current + slope * drop,
        dual,
        first,
        jnp.zeros_like(first),
        target=target if chosen is None else jnp.where(chosen, target, jnp.inf),
        limits=limits,
    )
    # The drops, not the currents, have converged: the inner product does not see currents that cause no drop. What is
    # left is rough, and small where cells conduct better than their wires and voltages cancel: the plain iteration ends
    # it in a step or two, and its residual is the one that is promised.
    return Start(drive - scale * ended.x, ended.steps)
