"""The circuit between two exact solutions: exact where it was solved, cheap and differentiable beside it."""

import jax
import jax.numpy as jnp

from experiments.published_network._network import WIRES, Circuit, exact


def follow(g_ref: jax.Array) -> Circuit:
    """A model of the circuit near `g_ref` [S], shape (tiles, wl, bl).

    What arrives of a cell, C = G_eff / g, is kept from the reference; the drop that the currents of a cell's own lines
    make changes it: G(g) = g C exp(D(g_ref) - D(g)), D(g) = (g C) Kw + Kb (g C), to first order in D.
    """
    wl, bl = g_ref.shape[-2:]
    # Resistance that two cells of a line have in common: segments from the driver, and from the sense amplifier.
    k_word = WIRES.r_word * (jnp.minimum.outer(jnp.arange(bl), jnp.arange(bl)) + 1.0)
    k_bit = WIRES.r_bit * (jnp.minimum.outer(jnp.arange(wl)[::-1], jnp.arange(wl)[::-1]) + 1.0)

    def drop(g_eff: jax.Array) -> jax.Array:
        precise = jax.lax.Precision.HIGHEST
        return jnp.matmul(g_eff, k_word, precision=precise) + jnp.matmul(k_bit, g_eff, precision=precise)

    arrives = jnp.where(g_ref > 0, exact(g_ref) / jnp.where(g_ref > 0, g_ref, 1), 0)
    reference = drop(g_ref * arrives)
    return lambda g: g * arrives * jnp.exp(reference - drop(g * arrives))
