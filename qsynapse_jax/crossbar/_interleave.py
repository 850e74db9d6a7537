"""Pairs of a positive and a negative cell on one bit line, whose currents cancel where they arise."""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Real

from qsynapse_jax.crossbar._validation import as_working, check_array, check_input
from qsynapse_jax.crossbar._wires import Wires


class Interleaved(NamedTuple):
    """An array of pairs as `solve` and `to_spice` take it; word lines 2i and 2i+1 drive pair i.

    `g` [S], shape (2 wl, bl); `v_in` [V], shape (*batch, 2 wl); `wires` [ohm] of all of these lines.
    """

    g: Float[Array, "lines bl"]
    v_in: Float[Array, "*batch lines"]
    wires: Wires


def interleave(
    g_pos: Real[ArrayLike, "wl bl"],
    g_neg: Real[ArrayLike, "wl bl"],
    v_in: Real[ArrayLike, "*batch wl"],
    wires: Wires,
) -> Interleaved:
    """The array in which both cells of a pair sit at one node of a bit line, on word lines driven with +v and -v.

    What the negative cell takes out the wire need not carry: bit lines carry, and drop, the difference alone. The error
    of a product is to first order that of two arrays subtracted outside: the sum of both cells loads the line.
    `solve(*interleave(g_pos, g_neg, v_in, wires))` gives, with ideal wires, `i_out = v_in @ (g_pos - g_neg)`. The
    matrix of the array, wires included, is `m[0::2] - m[1::2]` with `m = effective_conductance(pairs.g, pairs.wires)`.

    Args:
        g_pos: conductances of the positive cells [S], shape (wl, bl).
        g_neg: those of the negative cells, likewise.
        v_in: voltages of the pairs of word lines [V], shape (*batch, wl).
        wires: `r_bit` has one segment a pair, shape (wl,) or (wl, bl) if it is no scalar. Resistances of word lines
            hold for both lines of a pair, shape (wl, bl) or (wl,) likewise, and `opens` for one of them.

    Returns:
        Conductances, voltages and wires, in the order of the arguments of `solve`.

    Raises:
        ValueError: shapes that do not fit, dtypes that are not real.
    """
    g_pos, g_neg, v_in = as_working(g_pos, "g_pos"), as_working(g_neg, "g_neg"), as_working(v_in, "v_in")
    check_array(g_pos, wires)
    if g_neg.shape != g_pos.shape:
        raise ValueError(
            f"Argument `g_neg` must have the shape of `g_pos`, {g_pos.shape}, but has shape {g_neg.shape}; use 0.0 "
            "where a pair has no negative cell."
        )
    check_input(g_pos, v_in, jnp.zeros(g_pos.shape[1]))
    return Interleaved(alternate(g_pos, g_neg), alternate(v_in.T, -v_in.T).T, paired(wires, len(g_pos)))


def alternate(a: jax.Array, b: jax.Array) -> jax.Array:
    """Rows of `a` and `b` in turn."""
    return jnp.stack([a, b], 1).reshape(2 * a.shape[0], *a.shape[1:])


def paired(wires: Wires, n_word: int) -> Wires:
    """Wires of `n_word` pairs of word lines, from those of one line of each."""

    def twice(r: jax.Array | None, axes: int) -> jax.Array | None:
        return r if r is None or r.ndim < axes else jnp.repeat(r, 2, axis=0)

    r_bit = jnp.broadcast_to(wires.r_bit, (n_word,)) if wires.r_bit.ndim == 0 else wires.r_bit
    return replace(
        wires,
        # Nothing lies between the cells of a pair; its segment is on the sense side of the second.
        r_bit=alternate(jnp.zeros_like(r_bit), r_bit),
        r_word=twice(wires.r_word, 2),
        r_driver=twice(wires.r_driver, 1),
        r_driver_far=twice(wires.r_driver_far, 1),
        opens=None if wires.opens is None else 2 * wires.opens,
    )
