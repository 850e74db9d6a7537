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
def _ladder(g, rw):
    """(b, n) -> a, d, t, diag"""
    zero = jnp.zeros_like(g[0])
    def from_far(a, x):
        gk, r = x
        t = 1 / (1 + r * (gk + a))
        return (gk + a) * t, (t, a)
    a, (t, beyond) = jax.lax.scan(from_far, zero, (g, rw), reverse=True)
    def from_near(s, x):
        gk, r = x
        s = r + s
        return s / (1 + s * gk), s
    _, s = jax.lax.scan(from_near, zero, (g, rw))
    loaded = 1 / (1 + s * (g + beyond))
    return a, t, s * loaded, g * (1 + s * beyond) * loaded

def _strip_solve(g, rw, at):
    """(n, b) -> K (n, b+2, b+2) and the driving of ports; at: port of [v, cells, f]"""
    n, b = g.shape
    a, t, d, own = (x.T for x in _ladder(g.T, rw.T))
    one = jnp.ones((n, 1), g.dtype)
    order = np.argsort(at)
    pos = lambda parts: jnp.concatenate(parts, 1)[:, order] if False else jnp.concatenate(parts, 1)
    if at == "near":  # bits, v, f
        chain = np.array([*range(1, b + 1), 0, b + 1])
        ports = lambda v, x, f: jnp.concatenate([x, v, f], 1)
        bits = slice(0, b)
    else:
        chain = np.array([0, b + 1, *range(1, b + 1)])
        ports = lambda v, x, f: jnp.concatenate([v, f, x], 1)
        bits = slice(2, None)
    w = ports(one, g, -one)
    d = ports(one, d, d[:, -1:])
    diag = ports(a[:, None], own, -d_last(d, chain, b))
    lo, hi = np.minimum.outer(chain, chain), np.maximum.outer(chain, chain)
    nn = jnp.where((chain[:, None] <= chain)[None], d[:, :, None], d[:, None])
    for l in range(1, b + 1):
        nn = nn * jnp.where(((lo < l) & (l <= hi))[None], t[:, l - 1, None, None], 1)
    k = jnp.where(jnp.eye(b + 2, dtype=bool)[None], diag[:, :, None], -w[:, :, None] * nn * w[:, None])
    return k, nn, w, bits

def d_last(d, chain, b):
    k = int(np.argmax(chain))
    return d[:, k:k + 1]

def _strip_maps(k, nn, w, bits):
    n, p = w.shape
    b = p - 2
    eye = jnp.eye(p, dtype=w.dtype)
    u = nn[:, bits] * w[:, None] - eye[None, bits]
    f = bits.stop + 1 if bits.stop else 1
    # the v port drives, bits draw
    sign = jnp.ones(p, w.dtype).at[bits.stop or 0].set(1)
    upper = jnp.broadcast_to(jnp.triu(jnp.ones((b, b), w.dtype)), (n, b, b))
    iw = eye[f][None, None] - _mm(upper, k[:, bits])
    return jnp.concatenate([u, iw], 1)

@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _strips(g, rw, at):
    return _strip_solve(g, rw, at)[0]

@_strips.defjvp
def _strips_jvp(at, primals, tangents):
    k, *res = _strip_solve(*primals, at)
    y = _strip_maps(k, *res)
    d = jnp.concatenate([tangents[0], -tangents[1]], 1)[:, :, None]
    return k, _t_mm(y, d * y)

# ---- merges
def _join_solve(a, e, et, r, c, f, ft, o):
    """near part [[a, et], [e, -r]]; far part [[c, f], [ft, o]]"""
    b, n1, n2 = r.shape[-1], a.shape[-1], o.shape[-1]
    x = _small_inverse(jnp.eye(b, dtype=a.dtype)[None] + _mm(r, c))
    v = _mm(x, jnp.concatenate([e, -_mm(r, f)], 2))
    i = _mm(c, v) + jnp.pad(f, ((0, 0), (0, 0), (n1, 0)))
    h = jnp.concatenate([
        jnp.pad(a, ((0, 0), (0, 0), (0, n2))) + _mm(et, i),
        jnp.pad(o, ((0, 0), (0, 0), (n1, 0))) + _mm(ft, v)], 1)
    return h, v, i

@jax.custom_jvp
def _join(a, e, et, r, c, f, ft, o):
    return _join_solve(a, e, et, r, c, f, ft, o)[0]

@_join.defjvp
def _join_jvp(primals, tangents):
    da, de, det, dr, dc, df, dft, do = tangents
    n1, n2 = da.shape[-1], do.shape[-1]
    h, v, i = _join_solve(*primals)
    z1 = jnp.pad(de + _t(det), ((0, 0), (0, 0), (0, n2))) - _mm_t(dr, _t(i))
    z2 = jnp.pad(df + _t(dft), ((0, 0), (0, 0), (n1, 0))) + _mm_t(dc, _t(v))
    dh = jnp.concatenate([jnp.pad(da, ((0, 0), (0, 0), (0, n2))), jnp.pad(do, ((0, 0), (0, 0), (n1, 0)))], 1)
    return h, dh + _t_mm(jnp.concatenate([i, v], 1), jnp.concatenate([z1, z2], 1))

def _merge(h1, h2, b):
    n1 = h1.shape[-1] - b
    return _join(h1[:, :n1, :n1], h1[:, n1:, :n1], h1[:, :n1, n1:], -h1[:, n1:, n1:],
        h2[:, :b, :b], h2[:, :b, b:], h2[:, b:, :b], h2[:, b:, b:])

def _pairs(g1, w1, b1, g2, w2, b2):
    b = g1.shape[-1]
    k1 = _strips(g1 / (1 + g1 * b1), w1, "near")  # [bits, v, f]
    k2 = _strips(g2 / (1 + g2 * b2), w2, "far")  # [v, f, bits]
    r1 = b1[:, :, None]
    eye = jnp.eye(b + 2, dtype=g1.dtype)[None]
    e = eye[:, :b] - r1 * k1[:, :b]
    et = eye[:, :, :b] - k1[:, :, :b] * b1[:, None]
    r = r1 * (eye[:, :b, :b] - k1[:, :b, :b] * b1[:, None])
    z = jnp.concatenate([jnp.ones((b1.shape[0], 2), b1.dtype), -b2], 1)
    f = k2[:, 2:] * z[:, None] + eye[:, 2:]
    ft = k2[:, :, 2:] * z[:, :, None] + eye[:, :, 2:]
    rr = jnp.pad(b2, ((0, 0), (2, 0)))
    o = z[:, :, None] * k2 * z[:, None] - eye * rr[:, None]
    return _join(k1, e, et, r, k2[:, 2:, 2:], f, ft, o)

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
    cells = [arrange(x).reshape(rows // 2, 2, -1, b) for x in (g, rw, rb)]
    flat = lambda a: a.reshape(-1, *a.shape[2:])
    h = _pairs(*(flat(x[:, k]) for k in (0, 1) for x in cells))
    rows //= 2
    while rows > 1:
        h = h.reshape(rows // 2, 2, panels * tiles, *h.shape[1:])
        h1, h2 = flat(h[:, 0]), flat(h[:, 1])
        if rows == 2:
            h2 = h2[:, :-b, :-b]
        h = _merge(h1, h2, b)
        rows //= 2
    out = _sweep(h.reshape(panels, tiles, *h.shape[1:]), b, keep)
    return out[:, :m, :n][:, ::-1]
