"""A circuit followed: the matrix of an array near conductances at which it was compiled exactly.

With F_m the cell voltages for 1 V on word line m and H_n those for -1 V on bit line n (`_effective`),

    dG_eff[m, n] = sum_ij F_m[ij] H_n[ij] dg_ij

A line drives its own cells most. Let p[m, j] = F_m[m, j] and q[i, n] = H_n[i, n]. Off their own line, fields are what
the currents of the line leave on the lines it crosses: F_m[i, j] = -B[m, i] g p[m, j], H_n[i, j] = -W[j, n] g q[i, n],
B and W [ohm] being what bit lines and word lines resist, loaded by all their cells. Of the four products of the sum,
own times own is the cell itself, own times off the loading of its two lines by their other cells; off times off, below
2 % of a gradient wherever it was measured, is left out. What remains costs two products of matrices:

    G(g) = (G_ref + p q d) exp(-L(d) / G_ref),   d = g - g_ref
    L(d) = g_ref (q ((p d) W) + p (B (q d)))

equal to the circuit at g_ref, in value and, but for off times off and the mean that B and W are, in its derivative.
The exponential keeps G positive and is the better continuation: with cells of 1k to 40k ohm behind 2 ohm wires
(64 x 64, a quarter of the current arrives) 20 steps of Adam change the matrix by 2.3 % and G is off by 0.6 %.

The fields need not be as exact as the matrix. Lines are driven together: every k-th with random signs, which shows p, q
and what happens near a line, and blocks of k neighbors, which shows B and W far away, where they are smooth.
"""

from collections.abc import Callable
from dataclasses import replace
from math import ceil, log2
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Real

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax._fields import Model
from qsynapse_jax.crossbar._conjugate_gradient import ConjugateGradient
from qsynapse_jax.crossbar._effective import effective_conductance
from qsynapse_jax.crossbar._impedance import impedance
from qsynapse_jax.crossbar._line_sums import EXACT
from qsynapse_jax.crossbar._sharding import vary_alike
from qsynapse_jax.crossbar._solver import Limits, System
from qsynapse_jax.crossbar._validation import as_working, check_array
from qsynapse_jax.crossbar._wires import Wires

T = TypeVar("T")

# Up to this many lines each is driven alone.
_ALONE = 16

# Relative residual of the fields: 1e-5 gives the same cosines to four digits for half as many iterations again.
_RTOL = 1e-3

# Random pairs of inputs and outputs that measure an error.
_PAIRS = 2


class FollowError(Model):
    """How far a followed circuit is from the exact one.

    Attributes:
        value: largest difference of a current, relative to the largest current.
        slope: difference of gradients in all conductances, relative to the exact gradient, both as 2-norms.
    """

    value: Float[Array, ""]
    slope: Float[Array, ""]


class Followed(Model):
    """The effective conductance of arrays near a reference; `follow` makes it.

    Attributes:
        g_ref: conductances of the reference [S], shape (*tiles, wl, bl).
        g_eff: their effective conductances [S], exact.
        p: voltage of every cell per volt on its word line.
        q: voltage of every cell per volt on its bit line.
        word: what word lines resist between two of their cells [ohm], shape (*tiles, bl, bl).
        bit: what bit lines resist likewise [ohm], shape (*tiles, wl, wl).
        wires: of the arrays.
    """

    g_ref: Float[Array, "*tiles wl bl"] = eqx.field(metadata={"unit": "S"})
    g_eff: Float[Array, "*tiles wl bl"] = eqx.field(metadata={"unit": "S"})
    p: Float[Array, "*tiles wl bl"]
    q: Float[Array, "*tiles wl bl"]
    word: Float[Array, "*tiles bl bl"] = eqx.field(metadata={"unit": "ohm"})
    bit: Float[Array, "*tiles wl wl"] = eqx.field(metadata={"unit": "ohm"})
    wires: Wires

    def __call__(self, g: Real[ArrayLike, "*tiles wl bl"]) -> Float[Array, "*tiles wl bl"]:
        """Effective conductances [S] for conductances `g` [S] of the shape of the reference.

        Gradients: forward and reverse, any order, in `g`; the reference is constant.

        Raises:
            ValueError: conductances of another shape.
        """
        g = self.checked(g)
        d = g - self.g_ref
        loading = self.q * jnp.matmul(self.p * d, self.word, precision=EXACT)
        loading += self.p * jnp.matmul(self.bit, self.q * d, precision=EXACT)
        open_ = self.g_eff <= 0
        relative = jnp.where(open_, 0, self.g_ref * loading / jnp.where(open_, 1, self.g_eff))
        # The exponential where lines are loaded more, its first terms where less: there it would explode.
        less = jnp.minimum(relative, 0)
        factor = jnp.exp(-jnp.maximum(relative, 0)) - less + 0.5 * less**2
        return (self.g_eff + self.p * self.q * d) * factor

    def exactly(self, g: Real[ArrayLike, "*tiles wl bl"]) -> Float[Array, "*tiles wl bl"]:
        """The same at the reference alone, `g` equal to `g_ref`, with the exact derivative, by two solves per line.

        Gradients: reverse, once.
        """
        return _exactly(self, self.checked(g))

    def checked(self, g: Any) -> Float[Array, "*tiles wl bl"]:
        """`g` as an array of the shape and dtype of the reference, or a `ValueError`."""
        g = as_floating(g, "g").astype(self.g_ref.dtype)
        if g.shape != self.g_ref.shape:
            raise ValueError(
                f"Argument `g` must have the shape {self.g_ref.shape} of the reference, but has shape {g.shape}; "
                "make another one: `follow(g, wires)`."
            )
        return g


def follow(g_ref: Real[ArrayLike, "*tiles wl bl"], wires: Wires, *, throw: bool = True) -> Followed:
    """Compiles arrays exactly and gives a cheap, differentiable model of them for conductances nearby.

    A training that moves conductances a little in every step needs the exact circuit only now and then: in between,
    `model(g)` costs four products of matrices, with its gradient, however severe the IR drop. `error` says how far the
    model is off; `renew` makes the next one, and says so, too.

    Args:
        g_ref: conductance of every cell [S], shape (wl, bl), or (*tiles, wl, bl) for arrays behind equal wires; finite.
        wires: their resistances [ohm], of any kind.
        throw: as in `solve`; otherwise a failure is a model of NaN.

    Returns:
        The model: `model(g)` is about `effective_conductance(g, wires)`, and exactly that at `g_ref`.

    Raises:
        ValueError, ConvergenceError: as `effective_conductance`; a short in `g_ref`.

    Cost: one exact compilation, and a solve of about 4 sqrt(N) inputs to three digits for N lines.
    """
    g_ref = _finite(as_working(g_ref, "g_ref"))
    check_array(g_ref, wires, tiles=True)
    # Once traced they are counted no more.
    wires = replace(wires, opens=max(wires.count_opens(g_ref.shape[-2:])) or None)
    g_eff = effective_conductance(g_ref, wires, throw=throw)
    g_ref, g_eff, wires = jax.lax.stop_gradient(vary_alike((g_ref, g_eff, wires)))
    p, q, word, bit = _fields(g_ref, wires)
    return Followed(g_ref, g_eff, p, q, word, bit, wires)


def error(model: Followed, g: Real[ArrayLike, "*tiles wl bl"], key: PRNGKeyArray) -> FollowError:
    """How far a model is from the circuit at `g`, in value and derivative, measured by solves of random inputs.

    Args:
        model: as `follow` gave it.
        g: conductances [S] of the shape of its reference.
        key: random key for two pairs per array, of inputs v and weights w of the outputs. Compared are the currents
            v G_eff, and the gradients of their sums weighted by w in all conductances.

    Cost: one solve of four inputs per array.
    """
    g = jax.lax.stop_gradient(model.checked(g))
    return _measured(model, g, _pairs(key, g))


def renew(
    model: Followed, g: Real[ArrayLike, "*tiles wl bl"], key: PRNGKeyArray, *, slope: Real[ArrayLike, ""] = 0.0
) -> tuple[Followed, FollowError, FollowError]:
    """The model with `g` as its new reference, and how far at `g` the old one was and the new one is.

    Args:
        model: as `follow` or `renew` gave it.
        g: conductances [S] of the shape of its reference. What cannot be solved makes a model of NaN.
        key: random key for the inputs, as in `error`.
        slope: error of the derivative up to which what the derivative is made of is kept from the old model; it changes
            more slowly than the matrix, and costs two to three times as much.
    """
    g = jax.lax.stop_gradient(model.checked(g))
    g_eff = jax.lax.stop_gradient(effective_conductance(g, model.wires, throw=False))
    pairs = _pairs(key, g)
    currents, gradient = jnp.matmul(pairs[0], g_eff, precision=EXACT), _gradient(g, model.wires, pairs)
    before = _off(model, g, pairs, currents, gradient)
    old = (model.p, model.q, model.word, model.bit)
    p, q, word, bit = jax.lax.cond(before.slope <= slope, lambda: old, lambda: _fields(g, model.wires))
    new = Followed(g, g_eff, p, q, word, bit, model.wires)
    return new, before, _off(new, g, pairs, currents, gradient)


def _finite(g: Array) -> Array:
    """`g`, unless a cell is a short."""
    if is_concrete(g) and (short := np.argwhere(np.isposinf(g))).size:
        where = ", ".join(map(str, short[0]))
        raise ValueError(
            f"Argument `g_ref` must be finite, but g_ref[{where}] is a short, from which no difference can be taken; "
            "give it a large conductance, or compile exactly: `effective_conductance`."
        )
    return jnp.where(jnp.isposinf(g), jnp.nan, g)


@jax.custom_vjp
def _exactly(model: Followed, g: Array) -> Array:
    return model.g_eff


def _exactly_forward(model: Followed, g: Array) -> tuple[Array, Followed]:
    return model.g_eff, model


def _exactly_backward(model: Followed, cotangent: Array) -> tuple[None, Array]:
    """sum_mn F_m H_n c_mn: for every line of the fewer, its own field times that of all others as c weighs them."""

    def one(g: Array, c: Array) -> Array:
        n_word, n_bit = g.shape
        v, w = (jnp.eye(n_word, dtype=g.dtype), c) if n_word <= n_bit else (c.T, jnp.eye(n_bit, dtype=g.dtype))
        u = _cell_voltages(g, model.wires, v, w, 1e-2 * _RTOL)
        return jnp.sum(u[: len(v)] * u[len(v) :], 0)

    return None, _by_tile(one, model.g_ref, cotangent)


_exactly.defvjp(_exactly_forward, _exactly_backward)


# --- errors -----------------------------------------------------------------------------------------------------------

Pairs = tuple[Float[Array, "*tiles pairs wl"], Float[Array, "*tiles pairs bl"]]


def _pairs(key: PRNGKeyArray, g: Array) -> Pairs:
    """Random inputs and weights of outputs for every array.

    Inputs of one sign, as those of networks mostly are: their currents add up, which is the harder case.
    """
    *tiles, wl, bl = g.shape
    first, second = jax.random.split(key)
    v = jax.random.uniform(first, (*tiles, _PAIRS, wl), g.dtype)
    return v, jax.random.normal(second, (*tiles, _PAIRS, bl), g.dtype)


@jax.jit
def _measured(model: Followed, g: Array, pairs: Pairs) -> FollowError:
    currents, gradient = _solved(g, model.wires, pairs, 1e-2 * _RTOL)
    return _off(model, g, pairs, currents, gradient)


@jax.jit
def _gradient(g: Array, wires: Wires, pairs: Pairs) -> Float[Array, "*tiles wl bl"]:
    return _solved(g, wires, pairs, _RTOL)[1]


def _solved(g: Array, wires: Wires, pairs: Pairs, rtol: float) -> tuple[Array, Array]:
    """Currents of the inputs, and the exact gradient of their weighted sums in all conductances: f h, over pairs."""

    def one(g: Array, v: Array, w: Array) -> tuple[Array, Array]:
        u = _cell_voltages(g, wires, v, w, rtol)
        return jnp.sum(u[:_PAIRS] * g[None], axis=1), jnp.sum(u[:_PAIRS] * u[_PAIRS:], 0)

    return _by_tile(one, g, *pairs)


def _off(model: Followed, g: Array, pairs: Pairs, currents: Array, gradient: Array) -> FollowError:
    v, w = pairs
    g_eff, pull = jax.vjp(model, g)
    (own,) = pull(jnp.einsum("...km,...kn->...mn", v, w, precision=EXACT))
    off = jnp.max(jnp.abs(jnp.matmul(v, g_eff, precision=EXACT) - currents))

    def norm(x: Array) -> Array:
        # In units of the largest, because a square of what is small enough is zero.
        unit = jnp.max(jnp.abs(gradient))
        return jnp.sqrt(jnp.sum((x / jnp.where(unit > 0, unit, 1)) ** 2))

    return FollowError(_over(off, jnp.max(jnp.abs(currents))), _over(norm(own - gradient), norm(gradient)))


def _by_tile(one: Callable[..., T], g: Array, *given: Array) -> T:
    """`one` of every array and what is given for it: on a CPU in turn, so that solves stay in cache, else at once."""
    flat = [x.reshape(-1, *x.shape[-2:]) for x in (g, *given)]

    def in_turn(*arrays: Array) -> T:
        return jax.lax.map(lambda x: one(*x), arrays)

    found = jax.lax.platform_dependent(*flat, cpu=in_turn, default=jax.vmap(one))
    return jax.tree.map(lambda x: x.reshape(*g.shape[:-2], *x.shape[1:]), found)


def _cell_voltages(
    g: Float[Array, "wl bl"], wires: Wires, v: Float[Array, "k wl"], w: Float[Array, "n bl"], rtol: float
) -> Float[Array, "k+n wl bl"]:
    """Voltages of all cells with word lines at v, then with bit lines at -w [V]."""
    opens = wires.count_opens(g.shape)
    z = impedance(wires, g.shape, g.dtype, opens)
    a = jnp.concatenate([v, jnp.zeros((len(w), g.shape[0]), g.dtype)])
    b = jnp.concatenate([jnp.zeros((len(v), g.shape[1]), g.dtype), -w])
    drive = a[:, :, None] - b[:, None, :]
    nothing = jnp.zeros((len(drive), sum(opens)), g.dtype)
    system = System(g[None], z, drive, nothing, terminals=(a, b))
    found = ConjugateGradient().load(system, Limits(rtol, 10 * sum(g.shape)))
    u = drive + z.lift(found.phi, g.shape) - z(found.current)
    return jnp.where(found.converged, u, jnp.nan)


# --- fields -----------------------------------------------------------------------------------------------------------


class _Drive:
    """How `n` lines are driven: combs of every k-th line with signs, then blocks of neighbors; `volts` (drives, n)."""

    def __init__(self, n: int):
        self.n = n
        # Two teeth of a comb must not lie in one block: what one leaves at the other would pass for its own voltage.
        # For 64 lines 8 combs and 8 blocks: with 16 combs the cosine of the gradient with the exact one rises from
        # 0.9936 to 0.9946 (first steps of a training) and from 0.9975 to 0.9980 (later), for half as many solves again.
        self.k = n if n <= _ALONE else 2 ** ceil(log2(n) / 2)
        self.teeth = ceil(n / self.k)
        lines = np.arange(n)
        self.block = lines // self.k
        self.blocks = 0 if n <= _ALONE else int(self.block[-1]) + 1
        self.sign = np.random.default_rng(0).choice([-1.0, 1.0], n)[:, None]
        combs = np.where(lines % self.k == np.arange(self.k)[:, None], self.sign.T, 0.0)
        blocks = self.block == np.arange(self.blocks)[:, None]
        self.volts = np.concatenate([combs, blocks.astype(float)])
        apart = np.abs(lines[:, None] - lines)
        self.far = (apart > self.k // 2) & (self.block[:, None] != self.block) & (self.blocks > 0)
        self.other = apart > 0

    def fields(self, v: Float[Array, "drives n m"], g: Float[Array, "n m"]) -> tuple[Array, Array]:
        """Voltage of every cell per volt on its own line (n, m), and what crossing lines resist (n driven, n)."""
        combs, blocks = v[: self.k], v[self.k :]
        own = self._own(combs)
        if self.blocks == 0:
            return own, self._masked(self.other, self._near(combs, g * own))
        far = self._masked(self.far, self._far(blocks, g * own))
        # What other teeth of a comb leave at a line is known now, and taken off.
        left = jnp.einsum("qci,qcj->cij", self._teeth(self._signed(far)), self._teeth(g * own), precision=EXACT)
        combs = combs + left
        own = self._own(combs)
        current = g * own
        found = jnp.where(self.far, self._far(blocks, current), self._near(combs, current))
        return own, self._masked(self.other, found)

    def _signed(self, x: Float[Array, "n m"]) -> Float[Array, "n m"]:
        return x * self.sign.astype(x.dtype)

    @staticmethod
    def _masked(where: np.ndarray, x: Float[Array, "n n"]) -> Float[Array, "n n"]:
        return jnp.where(where, x, 0)

    def _teeth(self, x: Float[Array, "n m"]) -> Float[Array, "teeth k m"]:
        return jnp.pad(x, ((0, self.teeth * self.k - self.n), (0, 0))).reshape(self.teeth, self.k, -1)

    def _own(self, combs: Float[Array, "k n m"]) -> Float[Array, "n m"]:
        lines = np.arange(self.n)
        return self._signed(combs[lines % self.k, lines])

    def _near(self, combs: Float[Array, "k n m"], current: Float[Array, "n m"]) -> Float[Array, "n n"]:
        """Least squares over the crossing lines of voltages against the currents that cause them."""
        teeth = self._teeth(self._signed(current))
        found = -jnp.einsum("cij,qcj->qci", combs, teeth, precision=EXACT).reshape(-1, self.n)[: self.n]
        return _over(found, jnp.sum(current**2, 1)[:, None])

    def _far(self, blocks: Float[Array, "b n m"], current: Float[Array, "n m"]) -> Float[Array, "n n"]:
        """The same for blocks, whose lines share what is found."""
        total = jax.ops.segment_sum(current, self.block, self.blocks)
        found = -jnp.einsum("bij,bj->bi", blocks, total, precision=EXACT)
        return _over(found, jnp.sum(total**2, 1)[:, None])[self.block]


def _over(x: Array, y: Array) -> Array:
    return jnp.where(y > 0, x / jnp.where(y > 0, y, 1), 0)


@jax.jit
def _fields(g: Array, wires: Wires) -> tuple[Array, Array, Array, Array]:
    """p, q, W and B."""
    lines, crossing = _Drive(g.shape[-2]), _Drive(g.shape[-1])

    def one(g: Array) -> tuple[Array, Array, Array, Array]:
        v, w = (jnp.asarray(drive.volts, g.dtype) for drive in (lines, crossing))
        u = _cell_voltages(g, wires, v, w, _RTOL)
        p, bit = lines.fields(u[: len(v)], g)
        q, word = crossing.fields(jnp.swapaxes(u[len(v) :], 1, 2), g.T)
        return p, q.T, word.T, bit

    return _by_tile(one, g)
