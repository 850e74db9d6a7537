"""An array condensed the way that suits a CPU: few products of large matrices, one after another (`_condense`).

- strips: a word line and 8 (or 16) of its cells are a ladder, condensed in closed form (`_strips`);
- panels: strips are joined in pairs over their 8 bit lines, pairs in pairs and so on to whole bit lines (`_join`);
- sweep: panels are absorbed from the far end over all word lines (`_absorb`). Only conductances A remain, and for
  every finished bit line the row T of its terminal currents per volt on the word lines: minus the answer, in the end.

All but the strips is matrix products. Their cost for N x N cells is about 12 N^4 / 8 + 200 N^3 operations. Joins alone
(`_joins`) need half as many at 64 lines, of smaller matrices: 108 tiles of 64 x 64 took 1.5 times as long so on two
cores, 1.4 times with their gradient.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._matrices import Matrices, by_pivots, mm, mmt, small_inverse, symmetric, tmm, transposed

# Word lines up to which all panels are made at once: a panel of n lines has (2 n + 16)^2 numbers, all of them
# together are 260 arrays at 1024 lines.
_MOST_TOGETHER = 256


def condense_by_sweep(g: Matrices, r_word: Matrices, r_bit: Matrices) -> Matrices:
    """Effective conductances of arrays [S]."""
    g, r_word, r_bit = g[:, ::-1], r_word[:, ::-1], r_bit[:, ::-1]  # index 0: the near ends of both kinds of line
    tall = g.shape[1] > g.shape[2]
    if tall:  # the sweep inverts matrices of the driven side: by reciprocity let it be the shorter
        g, r_word, r_bit = transposed(g), transposed(r_bit), transposed(r_word)
    # Bit lines in a panel: the sweep costs 1/edge, joining strips edge. At 64 lines 4 and 16 take 1.7 times as long as
    # 8; at 128, 16 saves 1/8 of the gradient.
    edge = 8 if g.shape[1] <= 96 else 16
    g_eff = _sweep(g, r_word, r_bit, edge)[:, : g.shape[1], : g.shape[2]]
    return (transposed(g_eff) if tall else g_eff)[:, ::-1]


# --- strips: one word line, `edge` cells -----------------------------------------------------------------------------


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


# --- panels: strips joined over their bit lines -----------------------------------------------------------------------


def _join_solve(a: Array, e: Array, et: Array, r: Array, c: Array, f: Array, ft: Array, o: Array) -> tuple[Array, ...]:
    """Near part [[a, et], [e, -r]], far part [[c, f], [ft, o]]: H, and the shared v and i as maps of its ports."""
    near, far = a.shape[-1], o.shape[-1]
    x = small_inverse(jnp.eye(r.shape[-1], dtype=a.dtype)[None] + mm(r, c))
    v = mm(x, jnp.concatenate([e, -mm(r, f)], 2))
    i = mm(c, v) + jnp.pad(f, ((0, 0), (0, 0), (near, 0)))
    upper = jnp.pad(a, ((0, 0), (0, 0), (0, far))) + mm(et, i)
    lower = jnp.pad(o, ((0, 0), (0, 0), (near, 0))) + mm(ft, v)
    return jnp.concatenate([upper, lower], 1), v, i


@jax.custom_jvp
def _join(
    a: Matrices, e: Matrices, et: Matrices, r: Matrices, c: Matrices, f: Matrices, ft: Matrices, o: Matrices
) -> Matrices:
    return _join_solve(a, e, et, r, c, f, ft, o)[0]


@_join.defjvp
def _join_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    da, de, det, dr, dc, df, dft, do = tangents
    near, far = da.shape[-1], do.shape[-1]
    h, v, i = _join_solve(*primals)
    dv = jnp.pad(de + transposed(det), ((0, 0), (0, 0), (0, far))) - mmt(dr, transposed(i))
    di = jnp.pad(df + transposed(dft), ((0, 0), (0, 0), (near, 0))) + mmt(dc, transposed(v))
    apart = jnp.concatenate([jnp.pad(da, ((0, 0), (0, 0), (0, far))), jnp.pad(do, ((0, 0), (0, 0), (near, 0)))], 1)
    return h, apart + tmm(i, dv) + tmm(v, di)


def _pairs(near: Any, far: Any) -> Matrices:
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
    return _join(
        h1,
        eye[:, bits1] - r1c * h1[:, bits1],
        eye[:, :, bits1] - h1[:, :, bits1] * r1r,
        r1c * (eye[:, bits1, bits1] - h1[:, bits1, bits1] * r1r),
        h2[:, bits2, bits2],
        h2[:, bits2] * scale[:, None] + eye[:, bits2],
        h2[:, :, bits2] * scale[:, :, None] + eye[:, :, bits2],
        scale[:, :, None] * h2 * scale[:, None] - eye * wires[:, None],
    )


def _panels(g: Matrices, r_word: Matrices, r_bit: Matrices, edge: int) -> Float[Array, "panels tiles ports ports"]:
    """Panels of `edge` whole bit lines; ports: near bits, then near and far end of each word line in turn."""
    tiles, n_word, n_bit = g.shape
    rows = max(4, 1 << (n_word - 1).bit_length())
    panels = -(-n_bit // edge)

    def arranged(a: Array) -> Array:
        # Beyond the far ends r = 0 and g = 0: exact.
        a = jnp.pad(a, ((0, 0), (0, rows - n_word), (0, panels * edge - n_bit)))
        return jnp.transpose(a.reshape(tiles, rows, panels, edge), (1, 2, 0, 3)).reshape(-1, edge)

    def halves(a: Array) -> list[Array]:
        a = a.reshape(rows // 2, 2, panels * tiles, *a.shape[1:])
        return [a[:, k].reshape(-1, *a.shape[3:]) for k in (0, 1)]

    near, far = zip(*(halves(arranged(a)) for a in (g, r_word, r_bit)), strict=True)
    h = _pairs(near, far)
    rows //= 2
    while rows > 1:
        h1, h2 = halves(h)
        if rows == 2:  # nothing lies beyond the far ends of the bit lines
            h2 = h2[:, :-edge, :-edge]
        own, shared, first, rest = slice(None, -edge), slice(-edge, None), slice(None, edge), slice(edge, None)
        h = _join(
            h1[:, own, own],
            h1[:, shared, own],
            h1[:, own, shared],
            -h1[:, shared, shared],
            h2[:, first, first],
            h2[:, first, rest],
            h2[:, rest, first],
            h2[:, rest, rest],
        )
        rows //= 2
    return h.reshape(panels, tiles, *h.shape[1:])


# --- sweep: panels absorbed over all word lines -----------------------------------------------------------------------


def _absorb_solve(a: Array, t: Array, c: Array, e: Array, et: Array, r: Array, cb: Array, eb: Array) -> tuple[Any, ...]:
    eye = jnp.eye(a.shape[-1], dtype=a.dtype)[None]
    x = by_pivots(eye + mm(r, a))
    v = mm(x, e)
    i = mm(a, v)
    # Of T v only the change is left to the product: as a plain product it was float32's largest error, 5e-6 at 128.
    return (c + mm(et, i), t + mm(t, v - eye), cb + mm(eb, i)), x, v, i


@jax.custom_jvp
def _absorb(
    a: Matrices, t: Matrices, c: Matrices, e: Matrices, et: Matrices, r: Matrices, cb: Matrices, eb: Matrices
) -> tuple[Array, Array, Array]:
    """A and T with the panel [[c, et], [e, -r]], whose bit lines carry cb v_near + eb i_far, put in front of them."""
    return _absorb_solve(a, t, c, e, et, r, cb, eb)[0]


@_absorb.defjvp
def _absorb_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    """As everywhere; by reciprocity i and v per volt on a bit line, finished or new, are rows of T X and its like."""
    a, t, _, _, _, r, _, eb = primals
    da, dt, dc, de, _, dr, dcb, deb = tangents
    out, x, v, i = _absorb_solve(*primals)
    tx, v_new = mm(t, x), mm(x, transposed(eb))
    i_old, v_old, i_new = transposed(tx), -transposed(mm(tx, r)), mm(a, v_new)
    vt, it = transposed(v), transposed(i)
    dv = mmt(0.5 * (da + transposed(da)), vt)
    di = de - mmt(dr, it)
    return out, (
        dc + tmm(i, di + de) + tmm(v, dv),
        mmt(dt, vt) + tmm(i_old, di) + tmm(v_old, dv),
        dcb + mmt(deb, it) + tmm(i_new, di) + tmm(v_new, dv),
    )


def _blocks(h: Float[Array, "*panels tiles ports ports"], n_word: int, edge: int) -> tuple[Array, ...]:
    """The parts of panels that `_absorb` takes, over the word lines that are there."""
    rows = (h.shape[-1] - edge) // 2
    keep = min(rows, n_word + -n_word % 8)
    h = symmetric(h)
    words = h[..., edge:, edge:].reshape(*h.shape[:-2], rows, 2, rows, 2)[..., :keep, :, :keep, :]
    bits = h[..., :edge, edge:].reshape(*h.shape[:-2], edge, rows, 2)[..., :keep, :]
    return (
        words[..., 0, :, 0],
        words[..., 1, :, 0],
        words[..., 0, :, 1],
        -words[..., 1, :, 1],
        bits[..., 0],
        bits[..., 1],
    )


def _sweep(g: Matrices, r_word: Matrices, r_bit: Matrices, edge: int) -> Matrices:
    tiles, n_word, n_bit = g.shape
    panels, keep = -(-n_bit // edge), n_word + -n_word % 8
    keep = min(keep, max(4, 1 << (n_word - 1).bit_length()))
    together = n_word <= _MOST_TOGETHER
    if together:
        parts = _blocks(_panels(g, r_word, r_bit, edge), n_word, edge)
    else:
        padded = (jnp.pad(x, ((0, 0), (0, 0), (0, panels * edge - n_bit))) for x in (g, r_word, r_bit))
        parts = tuple(jnp.moveaxis(x.reshape(tiles, n_word, panels, edge), 2, 0) for x in padded)

    def step(state: tuple[Array, Array], x: tuple[Any, ...]) -> tuple[tuple[Array, Array], None]:
        at, parts = x
        panel = parts if together else _blocks(_panels(parts[0], parts[1], parts[2], edge)[0], n_word, edge)
        a, t, new = _absorb(*state, *panel)
        return (a, jax.lax.dynamic_update_slice_in_dim(t, new, at, 1)), None

    # Like `g`: inside `jax.shard_map` a loop must start with what differs between devices if it ends so.
    zero = jnp.zeros_like(g[:, :1, :1])
    start = (jnp.broadcast_to(zero, (tiles, keep, keep)), jnp.broadcast_to(zero, (tiles, panels * edge, keep)))
    at = np.arange(panels, dtype=np.int32) * np.int32(edge)
    # One after another, panels are made again for the derivative, too.
    (_, t), _ = jax.lax.scan(step if together else jax.checkpoint(step), start, (at, parts), reverse=True)
    return -transposed(t)
