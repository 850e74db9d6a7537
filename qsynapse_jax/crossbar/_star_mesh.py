"""A resistive network solved without a single subtraction: nodes are eliminated by star-mesh transformation.

A node p that conductances c_k join to nodes k is replaced by conductances between these,

    c_kl <- c_kl + c_k c_l / S,    S = sum of c_k,

and its voltage afterwards is the mean of theirs, v_p = sum of w_k v_k with w_k = c_k / S. Everything is a sum of
positive terms, so every conductance keeps its digits whatever the others are: floating lines, breaks and defects cost
none, and a wire of 0 ohm may be a very small one instead. Voltages come back as differences between pairs of nodes,
v_p - v_q = sum of w_k (v_k - v_q), never as differences of voltages: a conductance times such a difference is a sum of
currents that really flow, so that every current is right to rounding of the largest one.

The array is swept column by column. The front holds the word-line nodes of a column and all terminals; a column adds
the nodes of its bit line and the next word-line nodes. Sources in series with cells, which derivatives need, travel
with the conductances as the mean of parallel branches.

Work: about 2 bl wl (3 wl + wl + bl)^2 operations, one after another: for small arrays.

References: Rosen, Rev. Gen. Electr. 16, 1924 (the transformation); Grassmann, Taksar and Heyman, Oper. Res. 33, 1985
(its accuracy, in the language of Markov chains).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from qsynapse_jax.crossbar._impedance import EXACT, Line
from qsynapse_jax.crossbar._solver import Cells, System
from qsynapse_jax.crossbar._wires import Wires

# Inputs taken together; each keeps an array of differences between all nodes of a front.
AT_ONCE = 8


class Branches(NamedTuple):
    """Conductances of all segments and ends [S]: word lines, bit lines, and the far ends of both."""

    word: Float[Array, "wl bl"]
    bit: Float[Array, "wl bl"]
    word_far: Float[Array, " wl"]
    bit_far: Float[Array, " bl"]


class Network(NamedTuple):
    """What a network does; the voltage of a node that nothing connects to a terminal is 0.

    Attributes:
        current: of the cells [A].
        out: into the terminals of the bit lines [A].
        word, bit: voltages of all nodes [V].
        word_rise, bit_rise: voltages across the segments [V], from the terminal on.
        shorted: whether a path of 0 ohm joins terminals.
    """

    current: Cells
    out: Float[Array, "batch bl"]
    word: Cells
    bit: Cells
    word_rise: Cells
    bit_rise: Cells
    shorted: Bool[Array, " batch"]


class _Sources(NamedTuple):
    """Of one input: voltages in series with the cells [V], and currents into the nodes [A]."""

    cell: Float[Array, "wl bl"]
    word: Float[Array, "wl bl"]
    bit: Float[Array, "wl bl"]


def star_mesh(system: System) -> Network:
    """The network of an array, one input after another."""
    z, slope = system.z, system.slope
    branches, slope, short = _conductances(z.resistances, slope)
    batch, shape = system.drive.shape[0], slope.shape[1:]
    sources = None
    if system.terminals is None:
        a, b = jnp.zeros((batch, shape[0]), slope.dtype), jnp.zeros((batch, shape[1]), slope.dtype)
        split = z.opens[0]
        into = (_into(z.word, system.passed[:, :split], shape), _into(z.bit, system.passed[:, split:], shape))
        sources = _Sources(system.drive, *into)
    else:
        a, b = system.terminals

    def one(x: tuple[Any, ...]) -> Network:
        a, b, sources, own = x
        return _one(branches, slope[0] if own is None else own, short, a, b, sources)

    own = slope if len(slope) > 1 else None
    return jax.lax.map(one, (a, b, sources, own), batch_size=AT_ONCE)


def _into(line: Line, passed: Float[Array, "batch opens"], shape: tuple[int, ...]) -> Cells:
    """Currents that are forced through opens, taken from the node before each and put into the one beyond."""
    at = jnp.zeros((passed.shape[0], *shape), passed.dtype)
    if line.opens is None:
        return at
    beyond = at.at[:, line.opens.row, line.opens.column].add(line.opens.live[None] * passed)
    # What comes from a terminal needs no node.
    before = jnp.roll(beyond, 1 if line.from_end else -1, line.axis)
    first = jnp.arange(shape[line.axis]) == (0 if line.from_end else shape[line.axis] - 1)
    return beyond - jnp.where(first[:, None] if line.axis == -2 else first[None], 0, before)


def _conductances(wires: Wires, slope: jax.Array) -> tuple[Branches, jax.Array, jax.Array]:
    """Branches, cells, and the conductance above which a path has no resistance [S]."""
    dtype, shape = slope.dtype, slope.shape[1:]
    ends = []
    for far, n in zip((wires.r_driver_far, wires.r_sense_far), shape, strict=True):
        ends.append(jnp.full(n, jnp.inf, dtype) if far is None else jnp.broadcast_to(far.astype(dtype), (n,)))
    resistances = (*(r.astype(dtype) for r in wires.branches(shape)), *ends)
    g = [jnp.where(r > 0, 1 / jnp.where(r > 0, r, 1), jnp.inf) for r in resistances] + [slope]
    largest = jnp.max(jnp.stack([jnp.max(jnp.where(jnp.isinf(c), 0, c)) for c in g]))
    largest = jnp.where(largest > 0, largest, 1)
    # A wire of 0 ohm: beside it the best of the others does not count, nor does it overflow.
    ratio = float(jnp.finfo(dtype).eps) ** -1.5
    *lines, cells = (jnp.where(jnp.isinf(c), ratio * largest, c) for c in g)
    return Branches(*lines), cells, largest * ratio**0.5


def _one(
    branches: Branches, g: jax.Array, short: jax.Array, a: jax.Array, b: jax.Array, sources: _Sources | None
) -> Network:
    """One input. Nodes of a front: word lines at this column, its bit line, word lines at the next; both terminals."""
    n_word, n_bit = g.shape
    # The last node is a reference at 0 V that nothing leads to: differences to it are voltages.
    gone, size = 2 * n_word, 4 * n_word + n_bit + 1
    word, bit, ahead, driver = (jnp.arange(k * n_word, (k + 1) * n_word) for k in range(4))
    terminal = jnp.arange(4 * n_word, size - 1)
    # What goes on from one column to the next, and where it stands then.
    old = jnp.concatenate([word, jnp.arange(3 * n_word, size)])

    def zeros(shape: int | tuple[int, ...]) -> jax.Array:
        # Like the cells: inside `jax.shard_map` a loop must start with what differs between devices if it ends so.
        return jnp.broadcast_to(jnp.zeros_like(g[0, 0]), shape)

    def absorb(carry: tuple[Any, ...], x: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        c, e, into = carry
        last, here, cells, following, down, far, source = x
        c = zeros((size, size)).at[old[:, None], old[None]].set(c)
        c = _joined(c, word, bit, cells)
        c = _joined(c, word, ahead, following)
        meshed, behind = c[word, driver], jnp.where(last, branches.word_far, 0)
        c = _joined(c, word, driver, behind)
        c = _joined(c, bit[:-1], bit[1:], down[:-1])
        c = _joined(c, jnp.broadcast_to(bit[-1], (n_bit,)), terminal, here * down[-1])
        c = _joined(c, jnp.broadcast_to(bit[0], (n_bit,)), terminal, here * far)
        means = zeros((gone, size))
        kept = None
        if source is not None:
            e = zeros((size, size)).at[old[:, None], old[None]].set(e)
            e = e.at[word, bit].set(source.cell).at[bit, word].set(-source.cell)
            # The far end has no source of its own, and is parallel to what has been eliminated.
            whole = meshed + behind
            share = jnp.where(whole > 0, meshed / jnp.where(whole > 0, whole, 1), 1)
            e = e.at[word, driver].multiply(share).at[driver, word].multiply(share)
            into = zeros(size).at[old].set(into).at[word].add(source.word).at[bit].add(source.bit)
            kept = zeros((gone, size + 1))
        c, e, into, means, kept = jax.lax.fori_loop(0, gone, _eliminate, (c, e, into, means, kept))
        ahead_of = jax.tree.map(lambda x: x[(slice(gone, None),) * x.ndim], (c, e, into))
        return ahead_of, (means, kept)

    def unfold(d: jax.Array, x: tuple[Any, ...]) -> tuple[jax.Array, tuple[Any, ...]]:
        here, means, kept = x
        d = zeros((size, size)).at[gone:, gone:].set(d)
        d, through, *_ = jax.lax.fori_loop(0, gone, partial(_restore, n_word), (d, zeros(gone), means, kept))
        below = jnp.concatenate([d[bit[:-1], bit[1:]], jnp.sum(here * d[bit[-1], terminal])[None]])
        voltages = (d[word, -1], d[bit, -1])
        return d[old[:, None], old[None]], (through[:n_word], d[word, ahead], below, *voltages)

    nothing = zeros((size - gone,) * 2)
    near, feed = jnp.arange(n_word), n_word + jnp.arange(n_word)
    start = (_joined(nothing, near, feed, branches.word[:, 0]), None, None)
    by_column = None
    if sources is not None:
        start, by_column = (start[0], nothing, nothing[0]), jax.tree.map(jnp.transpose, sources)
    following = jnp.concatenate([branches.word[:, 1:], zeros((n_word, 1))], 1)
    column = jnp.arange(n_bit)
    here = jnp.where(column[:, None] == column[None], 1, zeros(()))
    last = column == n_bit - 1
    columns = (last, here, g.T, following.T, branches.bit.T, branches.bit_far, by_column)
    (c, *_), (means, kept) = jax.lax.scan(absorb, start, columns)

    v = jnp.concatenate([zeros(n_word), a, b, zeros(1)])
    # Nothing lies ahead of the last column: its nodes are isolated.
    d, (across, forward, below, at_word, at_bit) = jax.lax.scan(
        unfold, v[:, None] - v[None], (here, means, kept), reverse=True
    )
    first = d[near, feed][:, None]
    ends, v = c[n_word:-1, n_word:-1], v[n_word:-1]
    out = jnp.sum(ends[n_word:] * (v[None] - v[n_word:, None]), 1)
    # Drivers that are shorted to each other may be at the same voltage.
    sense = jnp.arange(n_word + n_bit) >= n_word
    apart = (v[:, None] != v[None]) | sense[:, None] | sense[None]
    shorted = jnp.any((ends > short) & apart & ~jnp.eye(n_word + n_bit, dtype=bool))
    word_rise = jnp.concatenate([first, -forward.T[:, :-1]], 1)
    return Network(g * across.T, out, at_word.T, at_bit.T, word_rise, below.T, shorted)


def _joined(c: jax.Array, p: jax.Array, q: jax.Array, conductance: jax.Array) -> jax.Array:
    """The network with conductances between nodes p and q."""
    return c.at[p, q].add(conductance).at[q, p].add(conductance)


def _eliminate(p: jax.Array, state: tuple[Any, ...]) -> tuple[Any, ...]:
    """Node p, and its sources, handed on to those after it; its means, and sources, are kept for the way back."""
    c, e, into, means, kept = state
    row = jnp.where(jnp.arange(len(c)) > p, c[p], 0)
    total = jnp.sum(row)
    mean = jnp.where(total > 0, row / jnp.where(total > 0, total, 1), 0)
    mesh = mean[:, None] * row[None]
    means = means.at[p].set(mean)
    if e is not None:
        source = jnp.where(row > 0, e[p], 0)
        kept = kept.at[p].set(jnp.append(source, jnp.where(total > 0, into[p] / jnp.where(total > 0, total, 1), 0)))
        share = mesh / jnp.where(c + mesh > 0, c + mesh, 1)
        e = e + share * (source[None] - source[:, None] - e)
        into = into + mean * into[p]
    return c + mesh, e, into, means, kept


def _restore(n_word: int, step: jax.Array, state: tuple[Any, ...]) -> tuple[Any, ...]:
    """Differences of voltage between the last node eliminated and all after it, and what drives its cell."""
    d, through, means, kept = state
    p = 2 * n_word - 1 - step
    mean = means[p]
    row = jnp.matmul(mean, d, precision=EXACT)
    at_cell = jnp.minimum(p + n_word, 2 * n_word - 1)
    driven = row[at_cell]
    if kept is not None:
        source, own = kept[p, :-1], kept[p, -1]
        row = row - jnp.sum(mean * source) + own
        # Not as a sum of the row and the source, which would cancel where the cell is a short.
        driven = jnp.sum(mean * (d[:, at_cell] + (source[at_cell] - source))) + own
    row = jnp.where(jnp.arange(len(d)) == p, 0, row)
    d = d.at[p].set(row).at[:, p].set(-row)
    return d, through.at[p].set(driven), means, kept
