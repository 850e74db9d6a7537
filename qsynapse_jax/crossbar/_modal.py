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

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax.crossbar._impedance import EXACT, Impedance, Line, kernel_of

Cells = Float[Array, "batch wl bl"]

# Halvings of an interval of 1/n: to the last bit of float64.
_BISECTIONS = 54


class Modes(NamedTuple):
    """Eigenvectors (columns) and eigenvalues [ohm] of both lines."""

    word: Float[Array, "bl bl"]
    bit: Float[Array, "wl wl"]
    values: Float[Array, "wl bl"]


def modes(z: Impedance) -> Modes:
    """Modes of an array whose lines are all equal and uniform."""
    (word, word_values), (bit, bit_values) = _line_modes(z.word), _line_modes(z.bit)
    return Modes(word, bit, bit_values[:, None] + word_values[None, :])


def _line_modes(line: Line) -> tuple[Float[Array, "n n"], Float[Array, " n"]]:
    assert line.reach is not None
    dtype, n = line.reach.dtype, len(line.reach)
    end = jnp.mean(line.end)
    first = line.reach[-1 if line.from_end else 0]
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

    low, high = jnp.zeros(n, dtype), jnp.ones(n, dtype)
    # The sign just above the lower end, p0 hold, is taken from p0 alone: without segments hold is 0 and the end itself
    # is the root.
    side = jnp.sign(shape(low, jnp.asarray(2 * n - 1)))
    low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, (low, high))
    j = jnp.arange(n)[::-1] if line.from_end else jnp.arange(n)
    vectors = jax.vmap(shape, in_axes=(None, 0))((low + high) / 2, 2 * n - 1 - 2 * j)
    vectors = vectors / jnp.sqrt(jnp.sum(vectors**2, axis=0, keepdims=True))
    # Not the line's own, which would be made for milder arrays too, and not used.
    kernel = kernel_of(line.reach, line.from_end) + end
    return vectors, jnp.sum(vectors * jnp.matmul(kernel, vectors, precision=EXACT), axis=0)


class _State(NamedTuple):
    drop: Cells
    residual: Cells
    direction: Cells
    direction_drop: Cells
    energy: Float[Array, " batch"]
    steps: Int[Array, ""]


def modal_voltages(
    slope: Float[Array, "lines wl bl"],
    z: Impedance,
    basis: Modes,
    drive: Cells,
    *,
    chosen: Bool[Array, ""],
    rtol: float,
    max_steps: int,
) -> tuple[Cells, Int[Array, ""]]:
    """Cell voltages of an array with cell conductances `slope`, and the steps taken; none unless `chosen`."""
    mean = jnp.mean(slope, axis=(-2, -1), keepdims=True)
    damping = 1 / (1 + mean * basis.values[None])

    def precondition(x: Cells) -> Cells:
        modal = jnp.matmul(jnp.matmul(basis.bit.T, x, precision=EXACT), basis.word, precision=EXACT)
        return jnp.matmul(jnp.matmul(basis.bit, damping * modal, precision=EXACT), basis.word.T, precision=EXACT)

    def dot(x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.sum(x * y, axis=(-2, -1))

    largest = jnp.max(jnp.abs(drive), axis=(-2, -1), keepdims=True)
    scale = jnp.where(largest > 0, largest, 1)
    drive = drive / scale
    target = rtol**2 * dot(slope * drive, drive)

    def unfinished(energy: jax.Array) -> jax.Array:
        return (energy > target) & jnp.isfinite(energy)

    def proceed(state: _State) -> jax.Array:
        return chosen & jnp.any(unfinished(state.energy)) & (state.steps < max_steps)

    def step(state: _State) -> _State:
        active = unfinished(state.energy)
        image = state.direction + slope * state.direction_drop
        curvature = dot(state.direction_drop, image)
        alpha = jnp.where(active, state.energy / jnp.where(active, curvature, 1), 0)[:, None, None]
        residual = state.residual - alpha * image
        preconditioned = precondition(residual)
        preconditioned_drop = z(preconditioned)
        energy = jnp.where(active, dot(residual, preconditioned_drop), state.energy)
        beta = jnp.where(active, energy / jnp.where(active, state.energy, 1), 0)[:, None, None]
        return _State(
            drop=state.drop + alpha * state.direction_drop,
            residual=residual,
            direction=preconditioned + beta * state.direction,
            direction_drop=preconditioned_drop + beta * state.direction_drop,
            energy=energy,
            steps=state.steps + 1,
        )

    residual = slope * drive
    first = precondition(residual)
    first_drop = z(first)
    energy = dot(residual, first_drop)
    start = _State(jnp.zeros_like(drive), residual, first, first_drop, energy, jnp.zeros((), jnp.int32))
    last = jax.lax.while_loop(proceed, step, start)
    # The drops, not the currents, have converged: the inner product does not see currents that cause no drop.
    return scale * (drive - last.drop), last.steps
