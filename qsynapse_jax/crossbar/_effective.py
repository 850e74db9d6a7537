"""The whole array, wires included, as one matrix from input voltages to output currents.

With F the cell voltages per unit word-line voltage (one solve a word line) and H those per unit bit-line voltage
(one solve a bit line), and K = D (1 + Z D)^-1 = (1 + D Z)^-1 D, D = diag(g), symmetric,

    G_eff[m, n] = sum of the currents of bit line n = a_n' K e_m = (D H_n)' e_m = a_n' (D F_m)

where e_m is 1 on word line m and a_n is 1 on bit line n: either set of solves suffices, so the shorter is taken.
Differentiating K gives dK = (1 + D Z)^-1 dD (1 + Z D)^-1 - K dZ K, so

    dG_eff[m, n] = sum_ij F_m[ij] H_n[ij] dg[ij] - (D H_n)' dZ (D F_m)

which is two sets of solves and one product of matrices, however many inputs the matrix will meet.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, ArrayLike, Float

from qsynapse_jax._checks import as_floating
from qsynapse_jax.crossbar._border import check_array, check_tolerance, outcome, raise_failure
from qsynapse_jax.crossbar._impedance import EXACT, Impedance, impedance
from qsynapse_jax.crossbar._laws import Ohmic
from qsynapse_jax.crossbar._loaded import Solver, Tolerance
from qsynapse_jax.crossbar._operating import OperatingPoint, is_zero, operating_point, tangent_of
from qsynapse_jax.crossbar._result import RESULTS
from qsynapse_jax.crossbar._wires import Wires


def effective_conductance(
    g: Float[ArrayLike, "wl bl"],
    wires: Wires,
    *,
    solver: Solver = "auto",
    rtol: float | None = None,
    max_steps: int | None = None,
    throw: bool = True,
) -> Float[Array, "wl bl"]:
    """The matrix that a crossbar of linear cells is, wires included: `solve(g, v, wires).i_out == v @ g_eff`.

    Its gradient costs the same for one input as for a million, which is what training through the circuit needs.

    Args:
        g: conductance of every cell [S], shape (wl, bl); 0 is an open cell.
        wires: their resistances [ohm].
        solver: as in `solve`.
        rtol: relative residual of every line's solve; defaults as in `solve`.
        max_steps: as in `solve`.
        throw: raise on failure (default). With `throw=False` a failure is a matrix of NaN.

    Returns:
        Effective conductances [S], shape (wl, bl); equal to `g` when wires are ideal.

    Raises:
        ValueError, ConvergenceError: as `solve`.

    Gradients: forward and reverse, any order, in `g` and every wire value.

    Cost: min(wl, bl) solves at once, four products of wl x bl x bl or wl x wl x bl numbers an iteration; the
        gradient adds max(wl, bl) solves. Memory: about five arrays of min(wl, bl) x wl x bl numbers.
    """
    g = as_floating(g, "g")
    check_array(g, wires)
    tolerance = check_tolerance(g.shape, g.dtype, rtol, max_steps, solver)
    g_eff, result = _compile_circuit(g, wires, tolerance=tolerance, opens=wires.count_opens(g.shape))
    if throw:
        g_eff = raise_failure(g_eff, result, {"g": g, "wires": wires})
    return g_eff


@partial(jax.jit, static_argnames=("tolerance", "opens"))
def _compile_circuit(
    g: jax.Array, wires: Wires, *, tolerance: Tolerance, opens: tuple[int, int]
) -> tuple[jax.Array, RESULTS]:
    g_eff, converged = _g_eff(tolerance, g, impedance(wires, g.shape, g.dtype, opens))
    result = outcome(converged, finite=jnp.all(jnp.isfinite(g_eff)), g=g, wires=wires, opens=opens)
    # A factor, because the derivative of a selected constant would be a plausible 0.
    return g_eff * jnp.where(result == RESULTS.successful, 1.0, jnp.nan).astype(g.dtype), result


def _line_voltages(line: str, tolerance: Tolerance, g: jax.Array, z: Impedance) -> tuple[jax.Array, OperatingPoint]:
    """Cell voltages for 1 V on each word line in turn (F), or -1 V on each bit line in turn (H)."""
    n_word, n_bit = g.shape
    if line == "word":
        a = jnp.broadcast_to(jnp.eye(n_word, dtype=g.dtype)[:, :, None], (n_word, n_word, n_bit))
        b = jnp.zeros_like(a)
    else:
        b = -jnp.broadcast_to(jnp.eye(n_bit, dtype=g.dtype)[:, None, :], (n_bit, n_word, n_bit))
        a = jnp.zeros_like(b)
    nodes = operating_point(tolerance, Ohmic(), g, a, b, z)
    return nodes.word - nodes.bit, nodes


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _g_eff(tolerance: Tolerance, g: jax.Array, z: Impedance) -> tuple[jax.Array, jax.Array]:
    n_word, n_bit = g.shape
    line = "word" if n_word <= n_bit else "bit"
    _, nodes = _line_voltages(line, tolerance, g, z)
    if line == "word":
        return jnp.sum(nodes.current, axis=1), nodes.converged
    return jnp.sum(nodes.current, axis=2).T, nodes.converged


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
    converged = from_word.converged & from_bit.converged
    return (g_eff, converged), (tangent, np.zeros((), jax.dtypes.float0))


_g_eff.defjvp(_g_eff_jvp, symbolic_zeros=True)
