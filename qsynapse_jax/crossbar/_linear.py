"""Operating point of an array of linear cells, with exact derivatives of every order.

Word-line voltages w, bit-line voltages b and cell currents I meet

    w + Zw(I) = a        a, b0: terminal voltages of the word and bit lines, spread over the cells
    b - Zb(I) = b0
    I = g (w - b)

Subtracting, and writing I = s y with s = sqrt(g), gives the symmetric positive definite system
(1 + s Z s) y = s (a - b0), from which the currents and both voltages follow by one application of the wires. No
division by `g` or by a wire conductance occurs: open cells and ideal wires are exact.

Tangents meet dI = g dx + dg (w - b) with dx = dw - db, so
(1 + Z g) dx = (da - dZw(I)) - (db0 + dZb(I)) - Z(dg (w - b)): the same symmetric solve,
dx = rhs - Z(s y) with (1 + s Z s) y = s rhs. The transposed system (1 + g Z) p = c, which reverse mode needs, is
p = c - g q with (1 + Z g) q = Z c: the same solve once more.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax.crossbar._cg import conjugate_gradient
from qsynapse_jax.crossbar._impedance import Impedance

Cells = Float[Array, "batch wl bl"]


class OperatingPoint(NamedTuple):
    """Node voltages [V] and cell currents [A] for a batch of inputs, and how the iteration went."""

    word: Cells
    bit: Cells
    current: Cells
    steps: Int[Array, ""]
    converged: Bool[Array, ""]


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def operating_point(
    rtol: float, max_steps: int, g: Float[Array, "wl bl"], a: Cells, b: Cells, z: Impedance
) -> OperatingPoint:
    """Solves one array for a batch of terminal voltages `a` (word lines) and `b` (bit lines) [V]."""
    root_g = jnp.sqrt(g)[None]
    y, steps, converged = conjugate_gradient(root_g, z, root_g * (a - b), rtol=rtol, max_steps=max_steps)
    current = root_g * y
    return OperatingPoint(a - z.word_drop(current), b + z.bit_drop(current), current, steps, converged)


def _operating_point_jvp(rtol: float, max_steps: int, primals: Any, tangents: Any) -> Any:
    g, a, b, z = primals
    dg, da, db, dz = tangents
    point = operating_point(rtol, max_steps, g, a, b, z)
    at_word, at_bit, injected = [], [], []
    if not isinstance(da, SymbolicZero):
        at_word.append(da)
    if not isinstance(db, SymbolicZero):
        at_bit.append(db)
    if not isinstance(dg, SymbolicZero):
        injected.append(dg[None] * (point.word - point.bit))
    if not isinstance(dz.word, SymbolicZero):
        at_word.append(-Impedance(dz.word, z.bit).word_drop(point.current))
    if not isinstance(dz.bit, SymbolicZero):
        at_bit.append(Impedance(z.word, dz.bit).bit_drop(point.current))

    # Absent terms are left out, not zero-filled: a product with zeros costs as much as any other.
    rhs: Any = sum(at_word) - sum(at_bit) - sum(map(z, injected))
    current = g[None] * _cell_voltages(rtol, max_steps, g, z, rhs) + sum(injected)
    unmoved: Any = np.zeros((), jax.dtypes.float0)
    # Around a point that is not the operating point a tangent means nothing, even if its own solve has converged.
    one_or_nan = jnp.where(point.converged, 1.0, jnp.nan).astype(g.dtype)
    tangent = OperatingPoint(
        one_or_nan * (sum(at_word) - z.word_drop(current)),
        one_or_nan * (sum(at_bit) + z.bit_drop(current)),
        one_or_nan * current,
        unmoved,
        unmoved,
    )
    return point, tangent


operating_point.defjvp(_operating_point_jvp, symbolic_zeros=True)


def _cell_voltages(rtol: float, max_steps: int, g: Float[Array, "wl bl"], z: Impedance, rhs: Cells) -> Cells:
    """Solves (1 + Z g) x = rhs; linear in `rhs`, with a transpose. Failure is NaN."""
    held_g = jax.lax.stop_gradient(g)[None]
    root_g = jnp.sqrt(held_g)
    held = jax.lax.stop_gradient(z)

    def loaded(x: Cells) -> Cells:
        return x + z(g[None] * x)

    def weighted(rhs: Cells) -> Cells:
        y, _, converged = conjugate_gradient(root_g, held, root_g * rhs, rtol=rtol, max_steps=max_steps)
        return jnp.where(converged, root_g * y, jnp.nan)

    def solve(_: Any, rhs: Cells) -> Cells:
        return rhs - held(weighted(rhs))

    def transpose_solve(_: Any, c: Cells) -> Cells:
        zc = held(c)
        return c - held_g * (zc - held(weighted(zc)))

    return jax.lax.custom_linear_solve(loaded, rhs, solve, transpose_solve)
