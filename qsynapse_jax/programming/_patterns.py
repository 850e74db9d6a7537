"""Verifying reads of whole columns by patterns of voltages: one cell at a time, or all of them by Hadamard's signs."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_floating
from qsynapse_jax._fields import Model, as_whole, check, checked, non_negative, positive
from qsynapse_jax.crossbar import Wires, effective_conductance
from qsynapse_jax.devices import Trace
from qsynapse_jax.programming._compensate import compensate


class PatternReads(Model):
    """What verifying reads of an array say.

    Attributes:
        g: conductances [S], the wires taken out.
        effective: effective conductances, as they were decoded [S]; may be negative by noise.
        trace: what it cost; `reads` of a cell are those in which its word line is driven.
    """

    g: Float[Array, "wl bl"] = eqx.field(metadata={"unit": "S"})
    effective: Float[Array, "wl bl"] = eqx.field(metadata={"unit": "S"})
    trace: Trace


def verify_reads(
    g: Float[Array, "wl bl"],
    noise: Any,
    patterns: Literal["hadamard", "one-hot"] = "hadamard",
    *,
    key: jax.Array,
    offset: Any = 0.0,
    repeats: int = 1,
    wires: Wires | None = None,
    v_read: Any = 0.2,
    t_read: Any = 1e-5,
) -> PatternReads:
    """Reads all columns of an array by patterns of voltages on the word lines, and decodes each cell.

        currents of pattern k over v_read:   y_k = h_k' G_eff + noise + offset
        decoded:                             G_eff = H' y/n,        variance noise^2/n

    The patterns h_k are n orthogonal rows of signs: word lines at +v_read and -v_read, n the next power of two of their
    number. All cells share the noise of all reads, so at the same reads of a column its variance is divided by n,
    where one word line at a time ("one-hot") leaves it and `repeats` of it divide it by their number. An `offset` that
    all reads of a column share falls on the first cell of the column alone, on every cell in one-hot reads. What
    fluctuates in the cells themselves is no noise of a read: n cells at a time bring it n times.

    Behind wires a column decodes to its effective conductances, exactly, because the circuit is linear; `compensate`
    finds the conductances that have them. Cells are Ohmic here, at both polarities.

    Args:
        g: conductances [S].
        noise: standard deviation of the noise of one read of a bit line, its current over `v_read` [S].
        patterns: "hadamard" or "one-hot".
        key: random key of noise and offset.
        offset: standard deviation over bit lines of what is the same in all of their reads, likewise [S].
        repeats: how often all patterns are read. Static.
        wires: of the array; `None` is ideal ones.
        v_read: amplitude [V].
        t_read: duration of one read [s].

    Returns:
        Conductances, effective ones, and what it cost, see `PatternReads`. The energy is that of ideal wires.

    Raises:
        ValueError: numbers out of range; unknown patterns.
        ConvergenceError: as `effective_conductance`.

    Reference: HD-PV, arXiv 2604.12420 [S abstract]: orthogonal patterns, decoding by the inverse transform, variance/N.
        Wires and their decoding are not in it [D].
    """
    g = as_floating(g, "g")
    check(g, "g", "S", non_negative)
    if g.ndim != 2:
        raise ValueError(f"Argument `g` must have shape (wl, bl), but has shape {g.shape}.")
    noise, offset = checked(noise, "noise", "S", non_negative), checked(offset, "offset", "S", non_negative)
    v_read, t_read = checked(v_read, "v_read", "V", positive), checked(t_read, "t_read", "s", positive)
    repeats = as_whole(repeats, "repeats", 1)
    if patterns not in ("hadamard", "one-hot"):
        raise ValueError(f'Argument `patterns` must be "hadamard" or "one-hot", but is {patterns!r}.')
    signs = voltages(patterns, len(g), g.dtype)
    acts = g if wires is None else effective_conductance(g, wires)
    effective = decoded(signs, currents(signs, acts, noise, offset, key, repeats=repeats))
    found = effective if wires is None else compensate(jnp.maximum(effective, 0), wires).g
    times = jnp.broadcast_to(repeats * reads_of_lines(signs)[:, None], g.shape)
    spent = Trace.of_read(t_read.astype(g.dtype), (v_read**2 * t_read).astype(g.dtype) * g)
    trace = jax.tree.map(lambda x: x if x.dtype == bool else x * times.astype(x.dtype), spent)
    return PatternReads(found, effective, trace)


def voltages(patterns: str, size: int, dtype: Any) -> Float[Array, "n wl"]:
    """Voltages of the word lines over the amplitude of a read, pattern by pattern."""
    return jnp.eye(size, dtype=dtype) if patterns == "one-hot" else _hadamard(size, dtype)


def currents(
    signs: Float[Array, "n wl"],
    acts: Float[Array, "wl bl"],
    noise: Array,
    offset: Array,
    key: jax.Array,
    *,
    repeats: int,
) -> Float[Array, "n bl"]:
    """What is read of every pattern, over the amplitude [S]: the mean over its repeats."""
    first, second = jax.random.split(key)
    read = jnp.matmul(signs, acts, precision=lax.Precision.HIGHEST)
    # Repeats divide what differs from read to read, and nothing else.
    read += (noise / repeats**0.5).astype(acts.dtype) * jax.random.normal(first, read.shape, acts.dtype)
    return read + offset.astype(acts.dtype) * jax.random.normal(second, (1, acts.shape[1]), acts.dtype)


def decoded(signs: Float[Array, "n wl"], read: Float[Array, "n bl"]) -> Float[Array, "wl bl"]:
    """The inverse transform of what was read."""
    return jnp.matmul(signs.T, read, precision=lax.Precision.HIGHEST) / reads_of_lines(signs)[:, None]


def reads_of_lines(signs: Float[Array, "n wl"]) -> Float[Array, " wl"]:
    """In how many patterns each word line is driven."""
    return jnp.sum(jnp.abs(signs), axis=0)


def _hadamard(size: int, dtype: Any) -> Float[Array, " n wl"]:
    """The first columns of Sylvester's matrix: -1 where numbers of row and column share an odd number of digits."""
    number = jnp.arange(1 << (size - 1).bit_length(), dtype=jnp.int32)
    shared = lax.population_count(number[:, None] & number[None, :size])
    return (1 - 2 * (shared % 2)).astype(dtype)
