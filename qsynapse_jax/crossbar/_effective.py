"""The whole array, wires included, as one matrix from input voltages to output currents.

By elimination (`_elimination`), which is exact for lines connected at one end, or by one solve per line, which takes
wires of any kind. With F the cell voltages per unit word-line voltage (one solve per word line) and H those per unit
bit-line voltage (one solve per bit line), and K = D (1 + Z D)^-1 = (1 + D Z)^-1 D, D = diag(g), symmetric,

    G_eff[m, n] = sum of the currents of bit line n = a_n' K e_m = (D H_n)' e_m = a_n' (D F_m)

where e_m is 1 on word line m and a_n is 1 on bit line n: either set of solves suffices, so the shorter is taken.
Differentiating K gives dK = (1 + D Z)^-1 dD (1 + Z D)^-1 - K dZ K, so

    dG_eff[m, n] = sum_ij F_m[ij] H_n[ij] dg[ij] - (D H_n)' dZ (D F_m)

which is two sets of solves and one product of matrices, however many inputs the matrix will meet. Opens add the
change of what they pass, times phi of H.
"""

from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Real

from qsynapse_jax.crossbar._impedance import Impedance, impedance
from qsynapse_jax.crossbar._line_sums import EXACT
from qsynapse_jax.crossbar._memory import check_memory
from qsynapse_jax.crossbar._operating_point import OperatingPoint, Tolerance, is_zero, operating_point, tangent_of
from qsynapse_jax.crossbar._result import RESULTS
from qsynapse_jax.crossbar._sharding import devices, vary_alike
from qsynapse_jax.crossbar._solve import AUTO, OHMIC, promised, solve
from qsynapse_jax.crossbar._solver import AbstractSolver
from qsynapse_jax.crossbar._validation import (
    as_working,
    check_array,
    check_solver,
    check_tolerance,
    outcome,
    raise_failure,
)
from qsynapse_jax.crossbar._wires import Wires

# Numbers that solves of all lines keep at a time on a CPU: 4 tiles of 64 x 64, whose working set (about five arrays of
# wl x wl x bl numbers each) stays in cache. On two cores 4 were 1.6 times faster than 1 and 2.3 times than 108.
_AT_ONCE = 4 * 64**3

# The same elsewhere, where a group after another is so many launches more: about 5 GB.
_AT_ONCE_ELSEWHERE = 256 * _AT_ONCE

# Random inputs of a certificate. An error in any entry shows in all of them, so a few are as good as many.
_WITNESSES = 4


def effective_conductance(
    g: Real[ArrayLike, "*tiles wl bl"],
    wires: Wires,
    *,
    solver: AbstractSolver = AUTO,
    rtol: float | None = None,
    max_steps: int | None = None,
    throw: bool = True,
) -> Float[Array, "*tiles wl bl"]:
    """The matrix that a crossbar of linear cells is, wires included: `solve(g, v, wires).i_out == v @ g_eff`.

    Its gradient costs the same for one input as for a million, which is what training through the circuit needs.

    Args:
        g: conductance of every cell [S], shape (wl, bl), or (*tiles, wl, bl) for arrays behind equal wires; 0 is an
            open cell.
        wires: their resistances [ohm].
        solver: `Auto()` (default): elimination for arrays of more than 48 x 48 cells where lines are connected at one
            end and none is open, else one solve per line; or one of the others by name, as in `solve`.
        rtol: relative residual of every line's solve, where there are any; defaults as in `solve`.
        max_steps: as in `solve`, likewise.
        throw: raise on failure (default). With `throw=False` a failure is a matrix of NaN.

    Returns:
        Effective conductances [S], of the shape of `g`; equal to `g` when wires are ideal.

    Raises:
        ValueError, ConvergenceError: as `solve`.

    Gradients: forward and reverse, any order, in `g` and every wire value; reverse over reverse mode not for more
        tiles than are solved at once (32 of 32 x 32 cells) by one solve per line.

    Accuracy: by elimination within 3e-6 of the largest entry in float32 up to 128 lines, 7e-6 at 256, and 1e-12 in
        float64, whatever the drop.

    Cost: by elimination about 100 N^3 operations for N lines; a gradient two to three times that. One solve
        per line costs 4 N^4 operations per iteration and five arrays of N^3 numbers.
    """
    g = as_working(g, "g")
    check_array(g, wires, tiles=True)
    opens = wires.count_opens(g.shape[-2:])
    check_solver(solver, wires, g.shape, opens)
    # Ten arrays for each, and seven more, or two for every line: what XLA reports for its programs, rounded down.
    by_line = not solver.condenses(wires, g.shape, opens)
    arrays = 2 * min(g.shape[-2:]) if by_line else 7 + 10 * prod(g.shape[:-2])
    check_memory(g.shape, arrays * prod(g.shape[-2:]), g.dtype, devices=lambda: devices(g))
    tolerance = check_tolerance(g.shape[-2:], g.dtype, rtol, max_steps, solver)
    g_eff, result = _compile_circuit(*vary_alike((g, wires)), tolerance=tolerance, opens=opens)
    return raise_failure(g_eff, result, {"g": g, "wires": wires}) if throw else g_eff


def certify(
    g: Real[ArrayLike, "*tiles wl bl"],
    wires: Wires,
    g_eff: Real[ArrayLike, "*tiles wl bl"],
    key: PRNGKeyArray,
    *,
    throw: bool = True,
) -> Float[Array, ""]:
    """How far a matrix is from the circuit that it stands for: a check of `effective_conductance`, of any origin.

    Args:
        g: conductance of every cell [S], shape (*tiles, wl, bl).
        wires: their resistances [ohm].
        g_eff: the matrix to be checked [S], of the same shape.
        key: random key for the inputs.
        throw: as in `solve`.

    Returns:
        Largest difference between `v @ g_eff` and `solve(g, v, wires).i_out` for four random inputs `v` of every tile,
        relative to the largest current.

    Raises:
        ValueError, ConvergenceError: as `solve`; shapes that differ.
    """
    g, g_eff = as_working(g, "g"), as_working(g_eff, "g_eff")
    check_array(g, wires, tiles=True)
    if g_eff.shape != g.shape:
        raise ValueError(f"Argument `g_eff` must have the shape of `g`, {g.shape}, but has shape {g_eff.shape}.")
    # Once traced they are counted no more.
    wires = replace(wires, opens=max(wires.count_opens(g.shape[-2:])) or None)
    return _difference(*vary_alike((g, g_eff, wires)), key, throw=throw)


@partial(jax.jit, static_argnames="throw")
def _difference(g: jax.Array, g_eff: jax.Array, wires: Wires, key: PRNGKeyArray, *, throw: bool) -> Float[Array, ""]:
    tiles, matrices = (x.reshape(-1, *g.shape[-2:]) for x in (g, g_eff))
    v = jax.random.uniform(key, (_WITNESSES, g.shape[-2]), g.dtype, -1.0, 1.0)

    def of_tile(pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        i_out = solve(pair[0], v, wires, throw=throw).i_out
        return jnp.max(jnp.abs(i_out - jnp.matmul(v, pair[1], precision=EXACT))), jnp.max(jnp.abs(i_out))

    difference, scale = jax.lax.map(of_tile, (tiles, matrices))
    largest = jnp.max(scale)
    return jnp.max(difference) / jnp.where(largest > 0, largest, 1)


@partial(jax.jit, static_argnames=("tolerance", "opens"))
def _compile_circuit(
    g: jax.Array, wires: Wires, *, tolerance: Tolerance, opens: tuple[int, int]
) -> tuple[jax.Array, RESULTS]:
    tiles = g.reshape(-1, *g.shape[-2:])
    z = impedance(wires, g.shape[-2:], g.dtype, opens)
    if tolerance.solver.condenses(wires, g.shape, opens):
        g_eff = tolerance.solver.condense(tiles, wires).reshape(g.shape)
        converged, error = jnp.ones(len(tiles), bool), jnp.zeros(len(tiles), g.dtype)
    else:
        solved = _by_lines(tolerance, tiles, z)
        g_eff, converged, error = solved[0].reshape(g.shape), solved[1] > 0, solved[2]
    accurate = error <= promised(tolerance, g)
    result = outcome(
        jnp.all(converged),
        finite=jnp.all(jnp.isfinite(g_eff)),
        accurate=jnp.all(accurate),
        shorted=jnp.any(jnp.isinf(error) if any(opens) else jnp.isinf(tiles) & (z.own() == 0)[None]),
        g=g,
        law=OHMIC,
        z=z,
        wires=wires,
    )
    # Each tile answers for itself, all for the wires. A factor, because the derivative of a selected constant would be
    # a plausible 0.
    sound = (converged & accurate).reshape(g.shape[:-2]) & jnp.all(jnp.isfinite(g_eff) & (g >= 0), axis=(-2, -1))
    sound &= (result != RESULTS.bad_wires) & (result != RESULTS.unexpected_opens)
    return g_eff * jnp.where(sound, 1.0, jnp.nan).astype(g.dtype)[..., None, None], result


def _by_lines(tolerance: Tolerance, tiles: jax.Array, z: Impedance) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One solve per line, of as many tiles at once as suits the platform."""
    each = min(tiles.shape[1:]) * tiles.shape[1] * tiles.shape[2]

    def grouped(numbers: int, tiles: jax.Array, z: Impedance) -> tuple[jax.Array, jax.Array, jax.Array]:
        at_once = max(1, numbers // each)
        one = partial(_g_eff, tolerance, z=z)
        # Without a loop where none is needed: JAX takes a loop's derivative by rules of its own only once, so that
        # reverse over reverse mode would not get through.
        return jax.vmap(one)(tiles) if len(tiles) <= at_once else jax.lax.map(one, tiles, batch_size=at_once)

    if len(tiles) <= max(1, _AT_ONCE // each):
        return grouped(_AT_ONCE, tiles, z)
    ways = {"cpu": partial(grouped, _AT_ONCE), "default": partial(grouped, _AT_ONCE_ELSEWHERE)}
    return jax.lax.platform_dependent(tiles, z, **ways)


def _line_voltages(line: str, tolerance: Tolerance, g: jax.Array, z: Impedance) -> tuple[jax.Array, OperatingPoint]:
    """Cell voltages for 1 V on each word line in turn (F), or -1 V on each bit line in turn (H)."""
    n_word, n_bit = g.shape
    if line == "word":
        a = jnp.broadcast_to(jnp.eye(n_word, dtype=g.dtype)[:, :, None], (n_word, n_word, n_bit))
        b = jnp.zeros_like(a)
    else:
        b = -jnp.broadcast_to(jnp.eye(n_bit, dtype=g.dtype)[:, None, :], (n_bit, n_word, n_bit))
        a = jnp.zeros_like(b)
    nodes = operating_point(tolerance, OHMIC, *vary_alike((g, a, b, z)))
    return nodes.word - nodes.bit, nodes


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _g_eff(tolerance: Tolerance, g: jax.Array, z: Impedance) -> tuple[jax.Array, jax.Array, jax.Array]:
    n_word, n_bit = g.shape
    line = "word" if n_word <= n_bit else "bit"
    _, nodes = _line_voltages(line, tolerance, g, z)
    g_eff = jnp.sum(nodes.current, axis=1) if line == "word" else jnp.sum(nodes.current, axis=2).T
    return g_eff, nodes.converged, _error(nodes, g_eff)


def _error(nodes: OperatingPoint, g_eff: jax.Array) -> jax.Array:
    """What currents may be off for 1 V on a line, relative to the largest."""
    largest = jnp.max(jnp.abs(g_eff))
    tiny = jnp.finfo(g_eff.dtype).tiny
    off = jnp.zeros_like(largest) if nodes.defect is None else jnp.max(nodes.defect)
    return jax.lax.stop_gradient(off / jnp.where(largest > 0, largest, tiny))


def _g_eff_jvp(tolerance: Tolerance, primals: Any, tangents: Any) -> Any:
    g, z = primals
    dg, dz = tangents
    f, from_word = _line_voltages("word", tolerance, g, z)
    h, from_bit = _line_voltages("bit", tolerance, g, z)

    def pair(x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.einsum("mij,nij->mn", x, y, precision=EXACT)

    g_eff = jnp.sum(from_word.current, axis=1)
    tangent = jnp.zeros_like(g_eff)
    if not isinstance(dg, SymbolicZero):
        tangent += pair(f * dg[None], h)
    if not is_zero(dz):
        through = (from_word.current, from_word.phi)
        rise = tangent_of(lambda z: z.word_voltage(*through) - z.bit_voltage(*through), (z,), (dz,))
        tangent += pair(rise, from_bit.current)
    if not is_zero(dz) and any(z.opens):
        passed = tangent_of(lambda z: z.passed(*through), (z,), (dz,))
        tangent += jnp.einsum("mk,nk->mn", passed, from_bit.phi, precision=EXACT)
    converged = from_word.converged * from_bit.converged
    error = jnp.maximum(_error(from_word, g_eff), _error(from_bit, g_eff))
    return (g_eff, converged, error), (tangent, jnp.zeros_like(converged), jnp.zeros_like(error))


_g_eff.defjvp(_g_eff_jvp, symbolic_zeros=True)
