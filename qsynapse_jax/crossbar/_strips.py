"""A word line and a few of its cells in closed form, and two of them joined: where `_condense` begins."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._join import joined
from qsynapse_jax.crossbar._matrices import Matrices, mm, tmm


def _ladder(g: Float[Array, "edge n"], r: Float[Array, "edge n"]) -> tuple[Array, Array, Array, Array]:
    """A word line with cells to ground, seen from its near end.

    Returns its input conductance [S], the voltage transfers t from node to node, the nodes' resistances d to ground
    with the near end grounded [ohm], and the conductances of the cells in series with the rest [S]: all of them sums
    of positive terms.
    """
    zero = jnp.zeros_like(g[0])

    def from_far(beyond: Array, cell: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        g, r = cell
        transfer = 1 / (1 + r * (g + beyond))
        return (g + beyond) * transfer, (transfer, beyond)

    def from_near(before: Array, cell: tuple[Array, Array]) -> tuple[Array, Array]:
        g, r = cell
        before = before + r
        return before / (1 + before * g), before

    g_in, (transfer, beyond) = jax.lax.scan(from_far, zero, (g, r), reverse=True)
    _, before = jax.lax.scan(from_near, zero, (g, r))
    load = 1 / (1 + before * (g + beyond))
    return g_in, transfer, before * load, g * (1 + before * beyond) * load


def _strip_solve(g: Float[Array, "n edge"], r: Float[Array, "n edge"], bits_first: bool) -> tuple[Array, Array, Array]:
    """H of strips without bit-line segments; ports (bits, near, far) or (near, far, bits).

    With N the resistances between nodes, N_jk = d_j t_j+1 ... t_k, the near end taken as a node with d = 1 and the far
    end as one more tap of the last node, H_jk = -w_j N_jk w_k off the diagonal, w = (1, g, -1).
    """
    n, edge = g.shape
    g_in, transfer, d, own = (x.T for x in _ladder(g.T, r.T))
    one = jnp.ones((n, 1), g.dtype)
    along = np.arange(1, edge + 1)  # the ports' places along the line
    place = np.array([*along, 0, edge + 1] if bits_first else [0, edge + 1, *along])

    def ports(near: Array, bits: Array, far: Array) -> Array:
        return jnp.concatenate([bits, near, far] if bits_first else [near, far, bits], 1)

    w, first = ports(one, g, -one), ports(one, d, d[:, -1:])
    low, high = np.minimum.outer(place, place), np.maximum.outer(place, place)
    nodes = jnp.where((place[:, None] <= place)[None], first[:, :, None], first[:, None])
    for k in along:
        nodes = nodes * jnp.where(((low < k) & (k <= high))[None], transfer[:, k - 1, None, None], 1)
    # XLA would compute `nodes` again in everything that reads it; it keeps the result of a product.
    nodes = mm(nodes, jnp.broadcast_to(jnp.eye(edge + 2, dtype=g.dtype), nodes.shape))
    diagonal = ports(g_in[:, None], own, -d[:, -1:])
    h = jnp.where(np.eye(edge + 2, dtype=bool)[None], diagonal[:, :, None], -w[:, :, None] * nodes * w[:, None])
    return h, nodes, w


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _strips(g: Float[Array, "n edge"], r: Float[Array, "n edge"], bits_first: bool) -> Matrices:
    return _strip_solve(g, r, bits_first)[0]


@_strips.defjvp
def _strips_jvp(bits_first: bool, primals: Any, tangents: Any) -> tuple[Array, Array]:
    (g, r), (dg, dr) = primals, tangents
    h, nodes, w = _strip_solve(g, r, bits_first)
    n, edge = dg.shape
    bits, far = (slice(0, edge), edge + 1) if bits_first else (slice(2, None), 1)
    eye = np.eye(edge + 2)
    across = nodes[:, bits] * w[:, None] - jnp.asarray(eye[None, bits], w.dtype)  # cell voltages per unit input
    beyond = jnp.broadcast_to(jnp.asarray(np.triu(np.ones((edge, edge))), w.dtype), (n, edge, edge))
    along = jnp.asarray(eye[None, None, far], w.dtype) - mm(beyond, h[:, bits])  # segment currents
    fields = jnp.concatenate([across, along], 1)
    return h, tmm(fields, jnp.concatenate([dg, -dr], 1)[:, :, None] * fields)


def pairs(near: Any, far: Any) -> Matrices:
    """Two strips (g, r_word, r_bit) one above the other, each with its bit-line segments on its near side.

    A segment in series with its cell is one conductance, g / (1 + g r), at the voltage v - r i_far; so the strip's far
    bit ports are near ones scaled by -r, plus the wires themselves.
    """
    (g1, word1, r1), (g2, word2, r2) = near, far
    edge = g1.shape[-1]
    h1 = _strips(g1 / (1 + g1 * r1), word1, True)
    h2 = _strips(g2 / (1 + g2 * r2), word2, False)
    eye = jnp.eye(edge + 2, dtype=g1.dtype)[None]
    bits1, bits2 = slice(0, edge), slice(2, None)
    r1c, r1r = r1[:, :, None], r1[:, None]
    scale = jnp.pad(-r2, ((0, 0), (2, 0)), constant_values=1)
    wires = jnp.pad(r2, ((0, 0), (2, 0)))
    return joined(
        h1,
        eye[:, :, bits1] - h1[:, :, bits1] * r1r,
        eye[:, bits1] - r1c * h1[:, bits1],
        r1c * (h1[:, bits1, bits1] * r1r - eye[:, bits1, bits1]),
        h2[:, bits2, bits2],
        h2[:, bits2] * scale[:, None] + eye[:, bits2],
        h2[:, :, bits2] * scale[:, :, None] + eye[:, :, bits2],
        scale[:, :, None] * h2 * scale[:, None] - eye * wires[:, None],
    )
