"""Two parts of an array joined over the lines that they share: one hybrid matrix of two (`_condense`)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from qsynapse_jax.crossbar._matrices import Matrices, inverse, mm, mmt, tmm, transposed

Inverse = Callable[[Matrices], Matrices]


def join(near: Matrices, far: Matrices, shared: int, dropped: int) -> Matrices:
    """H of near parts whose last ports, `shared`, continue in the first ports of far parts.

    Args:
        near: H, the shared ports last.
        far: H, the shared ports first.
        shared: how many lines the parts share.
        dropped: last ports of the far parts beyond which there is nothing.

    Returns:
        H, first the other ports of the near parts, then those of the far parts.
    """
    own, rest = near.shape[-1] - shared, far.shape[-1] - shared - dropped
    return joined(
        *(block for row in _cut(near, own, shared, axis=1) for block in _cut(row, own, shared, axis=2)),
        *(block for row in _cut(far, shared, rest, axis=1) for block in _cut(row, shared, rest, axis=2)),
        inverse,
    )


def _cut(a: Array, first: int, second: int, axis: int) -> list[Array]:
    # A split, because its transpose is one concatenation and not a sum of padded parts.
    sizes = [first, second, a.shape[axis] - first - second]
    return list(jax.lax.split(a, sizes if sizes[-1] else sizes[:-1], axis))[:2]


def _solve(inverse: Inverse, *parts: Array) -> tuple[Array, Array, Array]:
    """Near part [[a, et], [e, r]] (r: minus R), far part [[c, f], [ft, o]]: H, and the shared v and i of its ports."""
    a, et, e, r, c, f, ft, o = parts
    near, far = a.shape[-1], o.shape[-1]
    x = inverse(jnp.eye(r.shape[-1], dtype=a.dtype)[None] - mm(r, c))
    v = mm(x, jnp.concatenate([e, mm(r, f)], 2))
    i = mm(c, v) + jnp.pad(f, ((0, 0), (0, 0), (near, 0)))
    upper = jnp.pad(a, ((0, 0), (0, 0), (0, far))) + mm(et, i)
    lower = jnp.pad(o, ((0, 0), (0, 0), (near, 0))) + mm(ft, v)
    return jnp.concatenate([upper, lower], 1), v, i


@partial(jax.custom_jvp, nondiff_argnums=(8,))
def joined(
    a: Matrices,
    et: Matrices,
    e: Matrices,
    r: Matrices,
    c: Matrices,
    f: Matrices,
    ft: Matrices,
    o: Matrices,
    inverse: Inverse,
) -> Matrices:
    """H of near parts [[a, et], [e, r]] and far parts [[c, f], [ft, o]], the shared ports apart from the others.

    `inverse` is that of 1 - r c.
    """
    return _solve(inverse, a, et, e, r, c, f, ft, o)[0]


@joined.defjvp
def _joined_jvp(inverse: Inverse, primals: Any, tangents: Any) -> tuple[Array, Array]:
    da, det, de, dr, dc, df, dft, do = tangents
    near, far = da.shape[-1], do.shape[-1]
    h, v, i = _solve(inverse, *primals)
    dv = jnp.pad(de + transposed(det), ((0, 0), (0, 0), (0, far))) + mmt(dr, transposed(i))
    di = jnp.pad(df + transposed(dft), ((0, 0), (0, 0), (near, 0))) + mmt(dc, transposed(v))
    apart = jnp.concatenate([jnp.pad(da, ((0, 0), (0, 0), (0, far))), jnp.pad(do, ((0, 0), (0, 0), (near, 0)))], 1)
    return h, apart + tmm(i, dv) + tmm(v, di)
