"""Operating point of an array of cells with any law, with exact derivatives of every order.

Word-line voltages w, bit-line voltages b and cell currents I meet

    w + Zw(I) = a        a, b0: terminal voltages of the word and bit lines, spread over the cells
    b - Zb(I) = b0
    I = f(g, w - b)      f: the law of the cells; g (w - b) for linear ones

Linear cells: subtracting, and writing I = s y with s = sqrt(g), gives the symmetric positive definite system
(1 + s Z s) y = s (a - b0), from which the currents and both voltages follow by one application of the wires. No
division by `g` or by a wire conductance occurs: open cells and ideal wires are exact.

Nonlinear cells: Newton's method on F(u) = u - (a - b0) + Z(f(g, u)), whose step (1 + Z D) du = -F with D = df/du is the
same symmetric solve, du = -F - Z(s y) with (1 + s Z s) y = -s F, s = sqrt(D). Steps are halved while |F| does not fall.

Tangents meet dI = D dx + df with dx = dw - db and df the change of the law at fixed voltage, so
(1 + Z D) dx = (da - dZw(I)) - (db0 + dZb(I)) - Z(df): the same solve again. The transposed system
(1 + D Z) p = c, which reverse mode needs, is p = c - D q with (1 + Z D) q = Z c: the same solve once more.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax.crossbar._impedance import Impedance
from qsynapse_jax.crossbar._laws import AbstractLaw
from qsynapse_jax.crossbar._loaded import Tolerance, loaded_current

Cells = Float[Array, "batch wl bl"]

# A step is halved this often before the law is given up as not monotonic: 2^-20 of a Newton step moves nothing.
_HALVINGS = 20


class OperatingPoint(NamedTuple):
    """Node voltages [V] and cell currents [A] for a batch of inputs, and how the iteration went."""

    word: Cells
    bit: Cells
    current: Cells
    steps: Int[Array, ""]
    solves: Int[Array, ""]
    converged: Bool[Array, ""]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def operating_point(
    tolerance: Tolerance, law: AbstractLaw, g: Float[Array, "wl bl"], a: Cells, b: Cells, z: Impedance
) -> OperatingPoint:
    """Solves one array for a batch of terminal voltages `a` (word lines) and `b` (bit lines) [V]."""
    drive = a - b
    if law.linear:
        slope = conductance(law, g, jnp.zeros_like(drive[:1]))
        current, steps, converged = loaded_current(tolerance, slope, z, drive)
        solves = jnp.ones((), jnp.int32)
    else:
        current, steps, solves, converged = _newton(tolerance, law, g, drive, z)
    return OperatingPoint(a - z.word_drop(current), b + z.bit_drop(current), current, steps, solves, converged)


def conductance(law: AbstractLaw, g: Float[Array, "wl bl"], v: Cells) -> Cells:
    """Small-signal conductance df/dv of every cell [S]."""
    return jax.jvp(lambda v: law.current(g, v), (v,), (jnp.ones_like(v),))[1]


class _Newton(NamedTuple):
    u: Cells
    norm: Float[Array, " batch"]
    steps: Int[Array, ""]
    solves: Int[Array, ""]
    stuck: Bool[Array, " batch"]


def _newton(
    tolerance: Tolerance, law: AbstractLaw, g: Float[Array, "wl bl"], drive: Cells, z: Impedance
) -> tuple[Cells, Int[Array, ""], Int[Array, ""], Bool[Array, ""]]:
    """Currents of nonlinear cells, all inputs at once."""

    def residual(u: Cells) -> Cells:
        return u - drive + z(law.current(g, u))

    def size(f: Cells) -> jax.Array:
        return jnp.max(jnp.abs(f), axis=(-2, -1))

    target = tolerance.newton * size(drive)

    def unfinished(state: _Newton) -> jax.Array:
        return (state.norm > target) & ~state.stuck

    def proceed(state: _Newton) -> jax.Array:
        return jnp.any(unfinished(state)) & (state.solves < tolerance.max_solves)

    def step(state: _Newton) -> _Newton:
        f = residual(state.u)
        change, steps, _ = loaded_current(tolerance, conductance(law, g, state.u), z, -f)
        du = -f - z(change)
        active = unfinished(state)

        def try_length(best: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
            u, norm, length = best
            shorter = (norm >= state.norm) | ~jnp.isfinite(norm)
            length = jnp.where(shorter, length / 2, length)
            trial = state.u + length[:, None, None] * du
            return jnp.where(shorter[:, None, None], trial, u), jnp.where(shorter, size(residual(trial)), norm), length

        full = state.u + du
        first = (full, size(residual(full)), jnp.ones_like(state.norm))

        def halve(carry):
            n, best = carry
            return n + 1, try_length(best)

        def too_long(carry):
            n, (_, norm, _) = carry
            return (n < _HALVINGS) & jnp.any(active & ((norm >= state.norm) | ~jnp.isfinite(norm)))

        _, (u, norm, _) = jax.lax.while_loop(too_long, halve, (0, first))
        better = active & (norm < state.norm)
        return _Newton(
            u=jnp.where(better[:, None, None], u, state.u),
            norm=jnp.where(better, norm, state.norm),
            steps=state.steps + steps,
            solves=state.solves + 1,
            stuck=state.stuck | (active & ~better),
        )

    zero = jnp.zeros((), jnp.int32)
    start = jnp.zeros_like(drive)
    first = _Newton(start, size(drive), zero, zero, jnp.zeros(drive.shape[0], bool))
    last = jax.lax.while_loop(proceed, step, first)
    # Rounding may leave the last halvings without progress just above the target: within 10 of it is converged.
    converged = jnp.all(last.norm <= jnp.where(last.stuck, 10, 1) * target)
    return law.current(g, last.u), last.steps, last.solves, converged


def _operating_point_jvp(tolerance: Tolerance, primals: Any, tangents: Any) -> Any:
    law, g, a, b, z = primals
    dlaw, dg, da, db, dz = tangents
    point = operating_point(tolerance, law, g, a, b, z)
    v = point.word - point.bit
    at_word, at_bit, injected = [], [], []
    if not isinstance(da, SymbolicZero):
        at_word.append(da)
    if not isinstance(db, SymbolicZero):
        at_bit.append(db)
    if not is_zero((dlaw, dg)):
        injected.append(tangent_of(lambda law, g: law.current(g, v), (law, g), (dlaw, dg)))
    if not is_zero(dz.word):
        at_word.append(-tangent_of(lambda line: line.drop(point.current), (z.word,), (dz.word,)))
    if not is_zero(dz.bit):
        at_bit.append(tangent_of(lambda line: line.drop(point.current), (z.bit,), (dz.bit,)))

    # Absent terms are left out, not zero-filled: a product with zeros costs as much as any other.
    rhs: Any = sum(at_word) - sum(at_bit) - sum(map(z, injected))
    slope = conductance(law, g, v[:1] if law.linear else v)
    current = slope * _cell_voltages(tolerance, slope, z, rhs) + sum(injected)
    unmoved: Any = np.zeros((), jax.dtypes.float0)
    # Around a point that is not the operating point a tangent means nothing, even if its own solve has converged.
    one_or_nan = jnp.where(point.converged, 1.0, jnp.nan).astype(g.dtype)
    tangent = OperatingPoint(
        one_or_nan * (sum(at_word) - z.word_drop(current)),
        one_or_nan * (sum(at_bit) + z.bit_drop(current)),
        one_or_nan * current,
        unmoved,
        unmoved,
        unmoved,
    )
    return point, tangent


operating_point.defjvp(_operating_point_jvp, symbolic_zeros=True)


def is_zero(tangents: Any) -> bool:
    """Whether nothing in a tree of tangents moves."""
    return all(isinstance(leaf, SymbolicZero) for leaf in _leaves(tangents))


def _leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree, is_leaf=lambda leaf: isinstance(leaf, SymbolicZero))


def tangent_of(function: Any, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> jax.Array:
    """Directional derivative of `function`, symbolic zeros filled in."""

    def filled(primal: Any, tangent: Any) -> Any:
        return jnp.zeros_like(primal) if isinstance(tangent, SymbolicZero) else tangent

    return jax.jvp(function, primals, jax.tree.map(filled, primals, tangents))[1]


def _cell_voltages(tolerance: Tolerance, slope: Float[Array, "lines wl bl"], z: Impedance, rhs: Cells) -> Cells:
    """Solves (1 + Z D) x = rhs, D = `slope`; linear in `rhs`, with a transpose. Failure is NaN."""
    held_slope = jax.lax.stop_gradient(slope)
    held = jax.lax.stop_gradient(z)

    def loaded(x: Cells) -> Cells:
        return x + z(slope * x)

    def weighted(rhs: Cells) -> Cells:
        current, _, converged = loaded_current(tolerance, held_slope, held, rhs)
        return jnp.where(converged, current, jnp.nan)

    def solve(_: Any, rhs: Cells) -> Cells:
        return rhs - held(weighted(rhs))

    def transpose_solve(_: Any, c: Cells) -> Cells:
        zc = held(c)
        return c - held_slope * (zc - held(weighted(zc)))

    return jax.lax.custom_linear_solve(loaded, rhs, solve, transpose_solve)
