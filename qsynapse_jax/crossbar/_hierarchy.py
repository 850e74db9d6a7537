"""draft"""
from functools import partial
import jax
import jax.numpy as jnp
import numpy as np

EXACT = jax.lax.Precision.HIGHEST

def _mm(a, b):
    return jnp.matmul(a, b, precision=EXACT)

def _mm_t(a, b):  # a b^T
    n = a.ndim - 2
    return jax.lax.dot_general(a, b, (((n + 1,), (n + 1,)), (tuple(range(n)),) * 2), precision=EXACT)

def _t_mm(a, b):  # a^T b
    n = a.ndim - 2
    return jax.lax.dot_general(a, b, (((n,), (n,)), (tuple(range(n)),) * 2), precision=EXACT)

def _t(a):
    return jnp.swapaxes(a, -1, -2)

# ---- inverse
def _gauss_jordan(a):
    n = a.shape[0]
    def step(k, a):
        row, col = a[k], a[:, k]
        pivot = (jnp.arange(n) == k).reshape((n,) + (1,) * (a.ndim - 2))
        inverse = 1 / row[k]
        row = jnp.where(pivot, inverse[None], row * inverse[None])
        col = jnp.where(pivot, -1, col)
        return jnp.where(pivot[:, None] | pivot[None], 0, a) - col[:, None] * row[None]
    return jax.lax.fori_loop(0, n, step, a)

def _small_inverse(a):
    if a.shape[0] == 1:
        return _gauss_jordan(a[0])[None]
    return jnp.moveaxis(_gauss_jordan(jnp.moveaxis(a, 0, -1)), -1, 0)

def _inverse(a, b=16):
    """(n, k, k) blockwise in place"""
    k = a.shape[-1]
    if k <= b or k % b:
        return _small_inverse(a)
    cut, put = jax.lax.dynamic_slice_in_dim, jax.lax.dynamic_update_slice_in_dim
    def step(i, a):
        at = i * b
        row = cut(a, at, b, 1)
        p = _small_inverse(cut(row, at, b, 2))
        col = cut(a, at, b, 2)
        here = (jnp.arange(k) >= at) & (jnp.arange(k) < at + b)
        eye = jnp.eye(b, dtype=a.dtype)
        row = put(_mm(p, row), p, at, 2)
        col = put(col, jnp.broadcast_to(-eye, p.shape), at, 1)
        return jnp.where(here[None, :, None] | here[None, None], 0, a) - _mm(col, row)
    return jax.lax.fori_loop(0, k // b, step, a)

# ---- strips
def _strip_solve(g, rw, rb):
    """(n, b) each -> H (n, 2b+2, 2b+2), Y (n, 3b, 2b+2)."""
    n, b = g.shape
    gs = g / (1 + g * rb)
    gt, rt = gs.T, rw.T
    one = jnp.ones(n, g.dtype)
    def from_far(a, x):
        gk, r = x
        t = 1 / (1 + r * (gk + a))
        return (gk + a) * t, (t, a)
    a, (t, beyond) = jax.lax.scan(from_far, 0 * one, (gt, rt), reverse=True)
    def from_near(c, x):
        gk, r, t = x
        s, p = c
        s = r + s
        return (s / (1 + s * gk), p * t), (s, p * t)
    (_, c), (s, p) = jax.lax.scan(from_near, (0 * one, one), (gt, rt, t))
    loaded = 1 / (1 + s * (gt + beyond))
    d, self_ = (s * loaded).T, (gt * (1 + s * beyond) * loaded).T
    t, p = t.T, p.T
    k = np.arange(b)
    q = jnp.ones((n, b, b), g.dtype)
    for l in range(b):
        lo, hi = np.minimum.outer(k, k), np.maximum.outer(k, k)
        q = q * jnp.where(((lo < l) & (l <= hi))[None], t[:, l, None, None], 1)
    nn = q * jnp.where((k[:, None] <= k)[None], d[:, :, None], d[:, None])   # nodal resistances
    last = nn[:, :, -1]
    eye = jnp.eye(b, dtype=g.dtype)[None]
    sm = jnp.where(eye > 0, self_[:, :, None], -gs[:, :, None] * nn * gs[:, None])
    col = lambda x: x[:, :, None]
    row = lambda x: x[:, None]
    pg, dg = gs * p, gs * last
    sc = lambda x: x[:, None, None]
    kk = jnp.concatenate([
        jnp.concatenate([sm, col(-pg), col(dg), eye - sm * row(rb)], 2),
        jnp.concatenate([row(-pg), sc(a), sc(c), row(pg * rb)], 2),
        jnp.concatenate([row(dg), sc(c), sc(-d[:, -1]), row(-dg * rb)], 2),
        jnp.concatenate([eye - col(rb) * sm, col(rb * pg), col(-rb * dg), col(rb) * sm * row(rb) - eye * col(rb)], 2)], 1)
    # (sm r - 1) r
    return kk, (nn, p, last, sm, pg, dg, 1 / (1 + g * rb), gs)

def _strip_maps(h, res, rb):
    nn, p, last, sm, pg, dg, load, gs = res
    n, b = p.shape
    eye = jnp.eye(b, dtype=p.dtype)[None]
    col = lambda x: x[:, :, None]
    row = lambda x: x[:, None]
    u0 = (nn * row(gs) - eye) * col(load)
    u = jnp.concatenate([u0, col(p * load), col(-last * load), -u0 * row(rb)], 2)
    ib = h[:, :b]
    e = jnp.eye(2 * b + 2, dtype=p.dtype)
    cur = e[b + 2:][None] - ib
    upper = jnp.broadcast_to(jnp.triu(jnp.ones((b, b), p.dtype)), (n, b, b))
    iw = _mm(upper, cur) + e[b + 1][None, None]
    return jnp.concatenate([u, iw, ib], 1)

@jax.custom_jvp
def _strips(g, rw, rb):
    return _strip_solve(g, rw, rb)[0]

@_strips.defjvp
def _strips_jvp(primals, tangents):
    h, res = _strip_solve(*primals)
    y = _strip_maps(h, res, primals[2])
    dg, drw, drb = tangents
    d = jnp.concatenate([dg, -drw, -drb], 1)[:, :, None]
    return h, _t_mm(y, d * y)

# ---- merges
def _merge_solve(h1, h2, b):
    n1, n2 = h1.shape[-1] - b, h2.shape[-1] - b
    r1, c2 = -h1[:, n1:, n1:], h2[:, :b, :b]
    e1, b2 = h1[:, n1:, :n1], h2[:, :b, b:]
    x = _small_inverse(jnp.eye(b, dtype=h1.dtype)[None] + _mm(r1, c2))
    v = _mm(x, jnp.concatenate([e1, -_mm(r1, b2)], 2))
    i = _mm(c2, v) + jnp.pad(b2, ((0, 0), (0, 0), (n1, 0)))
    h = jnp.concatenate([
        jnp.pad(h1[:, :n1, :n1], ((0, 0), (0, 0), (0, n2))) + _mm(h1[:, :n1, n1:], i),
        jnp.pad(h2[:, b:, b:], ((0, 0), (0, 0), (n1, 0))) + _mm(h2[:, b:, :b], v)], 1)
    return h, v, i

@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _merge(h1, h2, b):
    return _merge_solve(h1, h2, b)[0]

@_merge.defjvp
def _merge_jvp(b, primals, tangents):
    h1, h2 = primals
    d1, d2 = tangents
    n1, n2 = h1.shape[-1] - b, h2.shape[-1] - b
    # only sym part of h known
    h, v, i = _merge_solve(h1, h2, b)
    z1 = jnp.pad(d1[:, n1:, :n1] + _t(d1[:, :n1, n1:]), ((0, 0), (0, 0), (0, n2))) + _mm(d1[:, n1:, n1:], i)
    z2 = jnp.pad(d2[:, :b, b:] + _t(d2[:, b:, :b]), ((0, 0), (0, 0), (n1, 0))) + _mm(d2[:, :b, :b], v)
    dh = jnp.concatenate([
        jnp.pad(d1[:, :n1, :n1], ((0, 0), (0, 0), (0, n2))),
        jnp.pad(d2[:, b:, b:], ((0, 0), (0, 0), (n1, 0)))], 1)
    return h, dh + _t_mm(jnp.concatenate([i, v], 1), jnp.concatenate([z1, z2], 1))

# ---- sweep
@jax.custom_jvp
def _symmetric(h):
    return h

@_symmetric.defjvp
def _symmetric_jvp(primals, tangents):
    return primals[0], 0.5 * (tangents[0] + _t(tangents[0]))

def _absorb_solve(s, c, e, et, r, cb, eb, at):
    m = e.shape[-1]
    x = _inverse(jnp.eye(m, dtype=e.dtype)[None] + _mm(r, s[:, :m]))
    v = _mm(x, e)
    w = _mm(s, v)
    i = w[:, :m]
    new = jnp.concatenate([c + _mm(et, i), w[:, m:]], 1)
    return jax.lax.dynamic_update_slice_in_dim(new, cb + _mm(eb, i), at, 1), x, v, i

@jax.custom_jvp
def _absorb(s, c, e, et, r, cb, eb, at):
    return _absorb_solve(s, c, e, et, r, cb, eb, at)[0]

@_absorb.defjvp
def _absorb_jvp(primals, tangents):
    s, c, e, et, r, cb, eb, at = primals
    ds, dc, de, _, dr, dcb, deb, _ = tangents
    m = e.shape[-1]
    put = jax.lax.dynamic_update_slice_in_dim
    out, x, v, i = _absorb_solve(*primals)
    yo = _mm(s[:, m:], x)
    vb = _mm_t(eb, x)
    io = _t(put(yo, _mm(vb, s[:, :m]), at - m, 1))
    vo = _t(put(-_mm(yo, r), vb, at - m, 1))
    da = 0.5 * (ds[:, :m] + _t(ds[:, :m]))
    zv, zi = _mm_t(da, _t(v)), de - _mm_t(dr, _t(i))
    dt = _mm_t(ds[:, m:], _t(v))
    new = put(jnp.zeros_like(dt), dcb + _mm_t(deb, _t(i)), at - m, 1)
    return out, jnp.concatenate([dc + _t_mm(i, zi + de) + _t_mm(v, zv), dt + new + _t_mm(io, zi) + _t_mm(vo, zv)], 1)

def _sweep(h, b, m):
    """(panels, T, b+2m', ..)"""
    panels, tiles = h.shape[:2]
    full = (h.shape[-1] - b) // 2
    h = _symmetric(h)
    x = h[:, :, b:, b:].reshape(panels, tiles, full, 2, full, 2)[:, :, :m, :, :m]
    c, e, et, r = x[:, :, :, 0, :, 0], x[:, :, :, 1, :, 0], x[:, :, :, 0, :, 1], -x[:, :, :, 1, :, 1]
    y = h[:, :, :b, b:].reshape(panels, tiles, b, full, 2)[:, :, :, :m]
    cb, eb = y[..., 0], y[..., 1]
    def step(s, x):
        return _absorb(s, *x), None
    s = jnp.zeros((tiles, m + panels * b, m), h.dtype)
    at = np.arange(panels, dtype=np.int32) * np.int32(b) + np.int32(m)
    s, _ = jax.lax.scan(step, s, (c, e, et, r, cb, eb, at), reverse=True)
    return -_t(s[:, m:])

def compile_tiles(g, rw, rb, b=8):
    """(T, m, n)"""
    g, rw, rb = g[:, ::-1], rw[:, ::-1], rb[:, ::-1]
    tiles, m, n = g.shape
    rows = max(b, 1 << (m - 1).bit_length())
    keep = m + -m % b
    panels = -(-n // b)
    def arrange(a):
        a = jnp.pad(a, ((0, 0), (0, rows - m), (0, -n % b))).reshape(tiles, rows, panels, b)
        return jnp.transpose(a, (1, 2, 0, 3)).reshape(-1, b)
    h = _strips(arrange(g), arrange(rw), arrange(rb)) # (rows, panels, tiles)
    while rows > 1:
        h = h.reshape(rows // 2, 2, panels * tiles, *h.shape[1:])
        last = rows == 2
        f = (lambda a: a.reshape(-1, *a.shape[2:]))
        h1, h2 = f(h[:, 0]), f(h[:, 1])
        if last:
            h2 = h2[:, :-b, :-b]
        h = _merge(h1, h2, b)
        rows //= 2
    out = _sweep(h.reshape(panels, tiles, *h.shape[1:]), b, keep)
    return out[:, :m, :n][:, ::-1]
