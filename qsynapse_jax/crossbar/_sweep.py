"""An array condensed the way that suits a CPU: few products of large matrices, one after another (`_condense`).

- strips: a word line and 8 (or 16) of its cells are a ladder, condensed in closed form (`_strips`);
- panels: strips are joined in pairs over their 8 bit lines, pairs in pairs and so on to whole bit lines (`_join`);
- sweep: panels are absorbed from the far end over all word lines (`_absorb`). Only conductances A remain, and for
  every finished bit line the row T of its terminal currents per volt on the word lines: minus the answer, in the end.

All but the strips is matrix products. Their cost for N x N cells is about 12 N^4 / 8 + 200 N^3 operations. Joins alone
(`_joins`) need half as many at 64 lines, of smaller matrices: 108 tiles of 64 x 64 took 1.5 times as long so on two
cores, 1.4 times with their gradient.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._join import joined
from qsynapse_jax.crossbar._matrices import Matrices, by_pivots, mm, mmt, small_inverse, symmetric, tmm, transposed
from qsynapse_jax.crossbar._strips import strips_of_word_lines

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


# --- panels: strips joined over their bit lines -----------------------------------------------------------------------


def _pairs(near: Any, far: Any) -> Matrices:
    """Two strips (g, r_word, r_bit) one above the other, each with its bit-line segments on its near side.

    A segment in series with its cell is one conductance, g / (1 + g r), at the voltage v - r i_far; so the strip's far
    bit ports are near ones scaled by -r, plus the wires themselves.
    """
    (g1, word1, r1), (g2, word2, r2) = near, far
    edge, n = g1.shape[-1], len(g1)
    both = jnp.concatenate([g1 / (1 + g1 * r1), g2 / (1 + g2 * r2)])
    h = strips_of_word_lines(both, jnp.concatenate([word1, word2]))
    h1, h2 = h[:n], jnp.roll(h[n:], 2, (1, 2))  # ports (bits, near, far), and (near, far, bits)
    eye = jnp.eye(edge + 2, dtype=g1.dtype)[None]
    bits1, bits2 = slice(0, edge), slice(2, None)
    r1c, r1r = r1[:, :, None], r1[:, None]
    scale = jnp.pad(-r2, ((0, 0), (2, 0)), constant_values=1)
    wires = jnp.pad(r2, ((0, 0), (2, 0)))
    return joined(
        h1,
        eye[:, :, bits1] - h1[:, :, bits1] * r1r,
        eye[:, bits1] - r1c * h1[:, bits1],
        -r1c * (eye[:, bits1, bits1] - h1[:, bits1, bits1] * r1r),
        h2[:, bits2, bits2],
        h2[:, bits2] * scale[:, None] + eye[:, bits2],
        h2[:, :, bits2] * scale[:, :, None] + eye[:, :, bits2],
        scale[:, :, None] * h2 * scale[:, None] - eye * wires[:, None],
        small_inverse,
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
        h = joined(
            h1[:, own, own],
            h1[:, own, shared],
            h1[:, shared, own],
            h1[:, shared, shared],
            h2[:, first, first],
            h2[:, first, rest],
            h2[:, rest, first],
            h2[:, rest, rest],
            small_inverse,
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
