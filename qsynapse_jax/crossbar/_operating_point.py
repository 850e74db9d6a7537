"""Operating point of an array of cells with any law, with exact derivatives of every order.

Word-line voltages w, bit-line voltages b and cell currents I meet

    w + Zw(I) - Cw phi = a       a, b0: terminal voltages of the word and bit lines, spread over the cells
    b - Zb(I) - Cb phi = b0      phi: voltages across the opens in the lines, if any (`_impedance`)
    I = f(g, w - b)              f: the law of the cells; g (w - b) for linear ones
    C'I + H phi = 0              C = Cw - Cb; no current passes an open

Linear cells: subtracting, and writing I = s y with s = sqrt(g), gives the symmetric positive definite system
(1 + s Z s) y = s (a - b0), from which the currents and both voltages follow by one application of the wires. No
division by `g` or by a wire conductance occurs: open cells and ideal wires are exact.

Nonlinear cells: Newton's method on F(u) = u - (a - b0) + Z(f(g, u)), whose step (1 + Z D) du = -F with D = df/du is the
same symmetric solve, du = -F - Z(s y) with (1 + s Z s) y = -s F, s = sqrt(D). Steps are halved while |F| does not fall.
Where D may be negative the solver is one that takes that, `_falling.Falling`; nothing else changes.

Tangents meet dI = D dx + df with dx = dw - db and df the change of the law at fixed voltage, so
(1 + Z D) dx - C dphi = (da - dZw(I)) - (db0 + dZb(I)) - Z(df) and C'D dx + H dphi = -C'df: the same solve again. The
transposed system, p + D (Z p + C q) = c and H q - C'p = d, which reverse mode needs, is p = c - D r with
(1 + Z D) r - C q = Z c and C'D r + H q = C'c + d: the same solve once more.
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
from qsynapse_jax.crossbar._solver import AbstractSolver, Cells, Limits, Nodes, System, capped, load

# A step is halved this often before the law is given up as not monotonic: 2^-20 of a Newton step moves nothing.
_HALVINGS = 20


class Tolerance(NamedTuple):
    """How to solve and when to stop; static.

    Attributes:
        limits: of a linear solve.
        newton: of the equations of nonlinear cells, relative to the largest voltage.
        max_solves: linear solves of Newton's method.
        solver: of the linear systems.
    """

    limits: Limits
    newton: float
    max_solves: int
    solver: AbstractSolver


class OperatingPoint(NamedTuple):
    """Node voltages [V] and cell currents [A] for a batch of inputs, and how the iteration went.

    `converged` is 1 or 0, a number because it has a tangent inside `jax.shard_map`; `defect` as in `Loaded`.
    """

    word: Cells
    bit: Cells
    out: Float[Array, "batch bl"]
    current: Cells
    phi: Float[Array, "batch opens"]
    steps: Int[Array, ""]
    solves: Int[Array, ""]
    converged: Float[Array, ""]
    defect: Float[Array, " batch"] | None


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def operating_point(
    tolerance: Tolerance,
    law: AbstractLaw,
    g: Float[Array, "wl bl"],
    a: Cells,
    b: Cells,
    z: Impedance,
    start: Cells | None = None,
) -> OperatingPoint:
    """Solves one array for a batch of terminal voltages `a` (word lines) and `b` (bit lines) [V].

    `start` is where Newton's method begins, the voltages of the cells [V]; not differentiated.
    """
    drive = a - b
    if law.linear:
        slope = conductance(law, g, jnp.zeros_like(drive[:1]))
        nothing = _nothing(drive, sum(z.opens))
        system = System(slope, z, drive, nothing, terminals=(a[:, :, 0], b[:, 0]))
        current, phi, steps, converged, defect, nodes = load(tolerance.solver, system, tolerance.limits)
        solves = jnp.ones((), jnp.int32)
    else:
        current, phi, steps, solves, converged = _newton(tolerance, law, g, drive, z, start)
        defect = nodes = None
    if nodes is None:
        nodes = Nodes(a + z.word_voltage(current, phi), b + z.bit_voltage(current, phi), jnp.sum(current, axis=-2))
    return OperatingPoint(*nodes, current, phi, steps, solves, converged.astype(drive.dtype), defect)


def _nothing(like: Cells, opens: int) -> Float[Array, "batch opens"]:
    """No voltage across, or current through, any open."""
    return jnp.broadcast_to(jnp.zeros_like(like[:, 0, :1]), (like.shape[0], opens))


def conductance(law: AbstractLaw, g: Float[Array, "wl bl"], v: Cells) -> Float[Array, "lines wl bl"]:
    """Small-signal conductance df/dv of every cell [S]."""
    return jax.jvp(lambda v: law.current(g, v), (v,), (jnp.ones_like(v),))[1]


class _Newton(NamedTuple):
    u: Cells
    phi: Float[Array, "batch opens"]
    norm: Float[Array, " batch"]
    steps: Int[Array, ""]
    solves: Int[Array, ""]
    stuck: Bool[Array, " batch"]


def _newton(
    tolerance: Tolerance, law: AbstractLaw, g: Float[Array, "wl bl"], drive: Cells, z: Impedance, start: Cells | None
) -> tuple[Cells, Float[Array, "batch opens"], Int[Array, ""], Int[Array, ""], Bool[Array, ""]]:
    """Currents of nonlinear cells and voltages across the opens, all inputs at once."""
    shape = drive.shape[1:]

    def residual(u: Cells, phi: jax.Array) -> tuple[Cells, jax.Array]:
        current = law.current(g, u)
        return u - drive - z.lift(phi, shape) + z(current), z.passed(current, phi)

    # Amperes beside volts: what an open passes, over a conductance that is that of its cells in order of magnitude.
    beyond = z.passed(g[None] * z.lift(jnp.ones((1, sum(z.opens)), g.dtype), shape))
    unit = jnp.where(beyond > 0, 1 / jnp.where(beyond > 0, beyond, 1), 0)

    def size(f: tuple[Cells, jax.Array]) -> jax.Array:
        volts = jnp.max(jnp.abs(f[0]), axis=(-2, -1))
        return jnp.maximum(volts, jnp.max(jnp.abs(unit * f[1]), axis=-1, initial=0.0))

    target = tolerance.newton * jnp.max(jnp.abs(drive), axis=(-2, -1))

    def unfinished(state: _Newton) -> jax.Array:
        return (state.norm > target) & ~state.stuck

    def proceed(state: _Newton) -> jax.Array:
        return jnp.any(unfinished(state)) & (state.solves < tolerance.max_solves)

    def step(state: _Newton) -> _Newton:
        f, passed = residual(state.u, state.phi)
        system = System(conductance(law, g, state.u), z, -f, -passed)
        change = load(tolerance.solver, system, tolerance.limits)
        du = z.lift(change.phi, shape) - f - z(change.current)
        active = unfinished(state)

        def fails(norm: jax.Array) -> jax.Array:
            return active & ((norm >= state.norm) | ~jnp.isfinite(norm))

        def trial(length: jax.Array) -> tuple[Cells, jax.Array]:
            return state.u + length[:, None, None] * du, state.phi + length[:, None] * change.phi

        def halve(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
            n, length, norm = carry
            length = jnp.where(fails(norm), length / 2, length)
            return n + 1, length, size(residual(*trial(length)))

        def too_long(carry: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
            return (carry[0] < _HALVINGS) & jnp.any(fails(carry[2]))

        full = jnp.ones_like(state.norm)
        first = (jnp.zeros((), jnp.int32), full, size(residual(*trial(full))))
        _, length, norm = jax.lax.while_loop(too_long, halve, first)
        better = active & (norm < state.norm)
        u, phi = trial(length)
        return _Newton(
            u=jnp.where(better[:, None, None], u, state.u),
            phi=jnp.where(better[:, None], phi, state.phi),
            norm=jnp.where(better, norm, state.norm),
            steps=state.steps + change.steps,
            solves=state.solves + 1,
            stuck=state.stuck | (active & ~better),
        )

    zero = jnp.zeros((), jnp.int32)
    # Like the currents: inside `jax.shard_map` a loop must start with what differs between devices if it ends so.
    u = jnp.zeros_like(law.current(g, drive))
    u = u if start is None else u + start
    phi, stuck = _nothing(u, sum(z.opens)), jnp.zeros_like(u[:, 0, 0], bool)
    last = jax.lax.while_loop(proceed, step, _Newton(u, phi, size(residual(u, phi)), zero, zero, stuck))
    # Rounding may leave the last halvings without progress just above the target: within 10 of it is converged.
    converged = jnp.all(last.norm <= jnp.where(last.stuck, 10, 1) * target)
    return law.current(g, last.u), last.phi, last.steps, last.solves, converged


def _operating_point_jvp(tolerance: Tolerance, primals: Any, tangents: Any) -> Any:
    law, g, a, b, z, start = primals
    dlaw, dg, da, db, dz, _ = tangents
    point = operating_point(tolerance, law, g, a, b, z, start)
    v = point.word - point.bit
    at_word, at_bit, injected, passed = [], [], [], []
    if not isinstance(da, SymbolicZero):
        at_word.append(da)
    if not isinstance(db, SymbolicZero):
        at_bit.append(db)
    if not is_zero((dlaw, dg)):
        change = tangent_of(lambda law, g: law.current(g, v), (law, g), (dlaw, dg))
        # A short stays one.
        injected.append(jnp.where(jnp.isinf(g)[None], 0, change))
    if not is_zero(dz.word):
        at_word.append(tangent_of(lambda z: z.word_voltage(point.current, point.phi), (z,), (dz,)))
    if not is_zero(dz.bit):
        at_bit.append(tangent_of(lambda z: z.bit_voltage(point.current, point.phi), (z,), (dz,)))
    if any(z.opens):
        passed += [z.passed(current) for current in injected]
        if not is_zero(dz):
            passed.append(tangent_of(lambda z: z.passed(point.current, point.phi), (z,), (dz,)))

    # Absent terms are left out, not zero-filled: a product with zeros costs as much as any other.
    rhs: Any = sum(at_word) - sum(at_bit) - sum(map(z, injected))
    slope = conductance(law, g, v[:1] if law.linear else v)
    q, dphi = _cell_voltages(tolerance, slope, z, rhs, jnp.zeros_like(point.phi) - sum(passed))
    current = capped(slope, z)[0] * q + sum(injected)
    unmoved: Any = np.zeros((), jax.dtypes.float0)
    # Around a point that is not the operating point a tangent means nothing, even if its own solve has converged.
    one_or_nan = jnp.where(point.converged > 0, 1.0, jnp.nan).astype(g.dtype)
    tangent = OperatingPoint(
        one_or_nan * (sum(at_word) + z.word_voltage(current, dphi)),
        one_or_nan * (sum(at_bit) + z.bit_voltage(current, dphi)),
        one_or_nan * jnp.sum(current, axis=-2),
        one_or_nan * current,
        one_or_nan * dphi,
        unmoved,
        unmoved,
        jnp.zeros_like(point.converged),
        None if point.defect is None else jnp.zeros_like(point.defect),
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
        if not isinstance(tangent, SymbolicZero):
            return tangent
        real = jnp.issubdtype(jnp.result_type(primal), jnp.inexact)
        return jnp.zeros_like(primal) if real else np.zeros(jnp.shape(primal), jax.dtypes.float0)

    return jax.jvp(function, primals, jax.tree.map(filled, primals, tangents))[1]


def _cell_voltages(
    tolerance: Tolerance,
    slope: Float[Array, "lines wl bl"],
    z: Impedance,
    rhs: Cells,
    passed: Float[Array, "batch opens"],
) -> tuple[Cells, Float[Array, "batch opens"]]:
    """Solves alpha x + Z G x - C q = rhs and C'G x + H q = passed, G = Gamma, for (x, q); linear, with a transpose.

    Failure is NaN.
    """
    gamma, alpha = capped(slope, z)
    held_gamma, held_alpha, held_slope, held = jax.lax.stop_gradient((gamma, alpha, slope, z))
    beyond = held_alpha < 1
    shape = rhs.shape[1:]

    # One array for both unknowns: `custom_linear_solve` refuses to be transposed where one of several does not depend
    # on what is differentiated.
    def packed(x: Cells, q: jax.Array) -> jax.Array:
        return jnp.concatenate([x.reshape(x.shape[0], -1), q], axis=1) if any(z.opens) else x

    def unpacked(both: jax.Array) -> tuple[Cells, jax.Array]:
        if not any(z.opens):
            return both, passed
        x, q = jnp.split(both, [shape[0] * shape[1]], axis=1)
        return x.reshape(-1, *shape), q

    def loaded(unknown: jax.Array) -> jax.Array:
        x, q = unpacked(unknown)
        current = gamma * x
        image = alpha * x + z(current)
        return packed(image - z.lift(q, shape), z.passed(current, q)) if any(z.opens) else image

    def circuit(drive: Cells, passed: jax.Array) -> tuple[Cells, jax.Array]:
        point = load(tolerance.solver, System(held_slope, held, drive, passed), tolerance.limits)
        one_or_nan = jnp.where(point.converged, 1.0, jnp.nan).astype(rhs.dtype)
        return one_or_nan * point.current, one_or_nan * point.phi

    def solve(_: Any, known: jax.Array) -> jax.Array:
        rhs, passed = unpacked(known)
        current, q = circuit(rhs, passed)
        x = rhs - held(current)
        x = x + held.lift(q, shape) if any(z.opens) else x
        # x is the voltage of the cell and, where it is capped, what its current drops over the cap.
        return packed(jnp.where(beyond, current / jnp.where(beyond, held_gamma, 1), x), q)

    def transpose_solve(_: Any, known: jax.Array) -> jax.Array:
        # The same circuit again: alpha p + G (Z p + C q) = c, a source in series with what is capped, else a current.
        c, d = unpacked(known)
        injected = jnp.where(beyond, 0, c)
        source = jnp.where(beyond, c / jnp.where(beyond, held_gamma, 1), 0)
        current, q = circuit(source - held(injected), -d - held.passed(injected))
        return packed(injected + current, -q)

    return unpacked(jax.lax.custom_linear_solve(loaded, packed(rhs, passed), solve, transpose_solve))
