"""Node voltages of an array of linear cells, with exact derivatives of every order.

With cell currents `I = g (v_word - v_bit)` the unknowns meet

    v_word + Zw(I) = a        a, b: terminal voltages of the word and bit lines, spread over the cells
    v_bit  - Zb(I) = b

Subtracting, and writing y = s (v_word - v_bit) with s = sqrt(g), gives the symmetric positive definite system
(1 + s Z s) y = s (a - b), from which I = s y and both voltages follow by one application of the wires. No division by
`g` or by a wire conductance occurs: open cells and ideal wires are exact.

The transpose of the system, which reverse-mode derivatives solve, reads p + t = c, q - t = d with
t = g (Zw p - Zb q). Elimination gives t = g w with (1 + Z g) w = Zw c - Zb d: the same symmetric solve again.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax.crossbar._cg import conjugate_gradient
from qsynapse_jax.crossbar._impedance import Impedance


class NodeVoltages(NamedTuple):
    """Voltages of all nodes for a batch of inputs, the cell currents, and how the iteration went."""

    word: Float[Array, "batch wl bl"]
    bit: Float[Array, "batch wl bl"]
    current: Float[Array, "batch wl bl"]
    steps: Int[Array, ""]
    converged: Bool[Array, ""]


def node_voltages(
    g: Float[Array, "wl bl"],
    a: Float[Array, "batch wl bl"],
    b: Float[Array, "batch wl bl"],
    impedance: Impedance,
    *,
    rtol: float,
    max_steps: int,
) -> NodeVoltages:
    """Solves one array for a batch of terminal voltages `a` (word lines) and `b` (bit lines) [V]."""
    root_g = jnp.sqrt(jax.lax.stop_gradient(g))
    held = jax.lax.stop_gradient(impedance)

    def kirchhoff(nodes):
        word, bit = nodes
        current = g * (word - bit)
        return word + impedance.word_drop(current), bit - impedance.bit_drop(current)

    def weighted(drive):
        return conjugate_gradient(root_g, held, root_g * drive, rtol=rtol, max_steps=max_steps)

    def solve(_, terminals):
        a, b = terminals
        y, steps, converged = weighted(a - b)
        current = root_g * y
        nodes = (a - held.word_drop(current), b + held.bit_drop(current))
        return nodes, (current, steps, converged)

    def transpose_solve(_, cotangents):
        c, d = cotangents
        y, steps, converged = weighted(held.word_drop(c) - held.bit_drop(d))
        t = root_g * y
        return (c - t, d + t), (t, steps, converged)

    (word, bit), (current, steps, converged) = jax.lax.custom_linear_solve(
        kirchhoff, (a, b), solve, transpose_solve, has_aux=True
    )
    # g (word - bit) has the right derivative; sqrt(g) y, computed without the cancellation of word - bit when
    # nearly all of the voltage drops on the wires, has the more accurate value.
    from_voltages = g * (word - bit)
    current = from_voltages + jax.lax.stop_gradient(current - from_voltages)
    return NodeVoltages(word, bit, current, steps, converged)
