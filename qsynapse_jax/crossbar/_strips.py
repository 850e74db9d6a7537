"""One word line and a few of its cells in closed form: the parts that `_condense` begins with."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._matrices import Matrices, mm, tmm


def strips(g: Float[Array, "n wide"], r_word: Float[Array, "n wide"], r_bit: Float[Array, "n wide"]) -> Matrices:
    """H of strips; ports: near bits, near and far end of the word line, far bits.

    Args:
        g: cell conductances [S].
        r_word: the word-line segment before each cell [ohm].
        r_bit: the bit-line segment on the near side of each cell [ohm].

    A bit-line segment in series with its cell is one conductance, g / (1 + g r), at the voltage v - r i_far; so the far
    bit ports are near ones scaled by -r, plus the wires themselves.
    """
    wide = g.shape[1]
    h = strips_of_word_lines(g / (1 + g * r_bit), r_word)
    h = jnp.concatenate([h, -r_bit[:, :, None] * h[:, :wide]], 1)
    h = jnp.concatenate([h, -r_bit[:, None] * h[:, :, :wide]], 2)
    through = jnp.eye(2 * wide + 2, k=wide + 2, dtype=g.dtype)
    wires = jnp.pad(r_bit, ((0, 0), (wide + 2, 0)))
    return h + (through + through.T)[None] - jnp.eye(2 * wide + 2, dtype=g.dtype)[None] * wires[:, None]


def _ladder(g: Float[Array, "wide n"], r: Float[Array, "wide n"]) -> tuple[Array, Array, Array, Array]:
    """A word line with cells to ground, seen from its near end.

    Returns its input conductance [S], the voltage transfers t from node to node, the nodes' resistances d to ground
    with the near end grounded [ohm], and the conductances of the cells in series with the rest [S]: all of them sums
    of positive terms.
    """
    wide = len(g)
    beyond, before = [jnp.zeros_like(g[0])], [r[0]]
    transfer = []
    for k in reversed(range(wide)):
        load = g[k] + beyond[0]
        transfer.insert(0, 1 / (1 + r[k] * load))
        beyond.insert(0, load * transfer[0])
    for k in range(1, wide):
        before.append(before[-1] / (1 + before[-1] * g[k - 1]) + r[k])
    g_in, far, near = beyond[0], jnp.stack(beyond[1:]), jnp.stack(before)
    # Reciprocals on CPUs are biased in their last digit, which many small drops one after another add up.
    t = jnp.stack(transfer)
    drop = r * (g + far) * t
    t = jnp.where(drop < 0.5, 1 - drop, t)
    load = 1 / (1 + near * (g + far))
    return g_in, t, near * load, g * (1 + near * far) * load


def _solve(g: Float[Array, "n wide"], r: Float[Array, "n wide"]) -> tuple[Array, Array, Array]:
    """H of strips without bit-line segments; ports (bits, near, far).

    With N the resistances between nodes, N_jk = d_j t_j+1 ... t_k, the near end taken as a node with d = 1 and the far
    end as one more tap of the last node, H_jk = -w_j N_jk w_k off the diagonal, w = (1, g, -1).
    """
    n, wide = g.shape
    g_in, transfer, d, own = (x.T for x in _ladder(g.T, r.T))
    one = jnp.ones((n, 1), g.dtype)
    along = np.arange(1, wide + 1)  # the ports' places along the line
    place = np.array([*along, 0, wide + 1])
    w, first = jnp.concatenate([g, one, -one], 1), jnp.concatenate([d, one, d[:, -1:]], 1)
    low, high = np.minimum.outer(place, place), np.maximum.outer(place, place)
    nodes = jnp.where((place[:, None] <= place)[None], first[:, :, None], first[:, None])
    for k in along:
        nodes = nodes * jnp.where(((low < k) & (k <= high))[None], transfer[:, k - 1, None, None], 1)
    # XLA would compute `nodes` again in everything that reads it; it keeps the result of a product.
    nodes = mm(nodes, jnp.broadcast_to(jnp.eye(wide + 2, dtype=g.dtype), nodes.shape))
    diagonal = jnp.concatenate([own, g_in[:, None], -d[:, -1:]], 1)
    h = jnp.where(np.eye(wide + 2, dtype=bool)[None], diagonal[:, :, None], -w[:, :, None] * nodes * w[:, None])
    return h, nodes, w


@jax.custom_jvp
def strips_of_word_lines(g: Float[Array, "n wide"], r: Float[Array, "n wide"]) -> Matrices:
    """H of strips behind ideal bit lines; ports: bits, near and far end of the word line."""
    return _solve(g, r)[0]


@strips_of_word_lines.defjvp
def _of_word_lines_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    (g, r), (dg, dr) = primals, tangents
    h, nodes, w = _solve(g, r)
    n, wide = dg.shape
    eye = np.eye(wide + 2)
    # Cell voltages and segment currents per unit input.
    across = nodes[:, :wide] * w[:, None] - jnp.asarray(eye[None, :wide], w.dtype)
    beyond = jnp.broadcast_to(jnp.asarray(np.triu(np.ones((wide, wide))), w.dtype), (n, wide, wide))
    along = jnp.asarray(eye[None, None, -1], w.dtype) - mm(beyond, h[:, :wide])
    fields = jnp.concatenate([across, along], 1)
    return h, tmm(fields, jnp.concatenate([dg, -dr], 1)[:, :, None] * fields)
