"""Write-verify of columns whose reads are noisy: one cell at a time, by Hadamard's patterns, or by comparisons."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax._checks import as_floating
from qsynapse_jax._fields import Model, Rule, as_whole, check, checked, non_negative, positive
from qsynapse_jax.devices import AbstractFluctuating, Trace, demand
from qsynapse_jax.programming._patterns import currents, decoded, reads_of_lines, voltages

_WAYS = ("one-hot", "hadamard", "comparisons")
_HALF = Rule("above 0 and at most 1/2", lambda x: (x > 0) & (x <= 0.5))
# Of the way that a converted read says; devices and cycles spread by more than 1 - part.
_PART = 0.9
# Steps after comparisons, in distances of levels: from the first round to the last. No source has such numbers.
_FIRST, _LAST = 2.0, 0.125


class ColumnWrite(Model):
    """What a write left.

    Attributes:
        error: conductances less targets, noise of reads not in it [S].
        success: which cells were told to stop by their last verification.
        trace: what it cost; `reads` of a cell are those in which its word line is driven.
        reads: of every column.
        rounds: in which any column was read.
        time: until the last column is done, all of which are read at once, and each pulsed cell by cell [s].
    """

    error: Float[Array, "wl bl"] = eqx.field(metadata={"unit": "S"})
    success: Bool[Array, "wl bl"]
    trace: Trace
    reads: Int[Array, " bl"]
    rounds: Int[Array, ""]
    time: Float[Array, ""] = eqx.field(metadata={"unit": "s"})


def write_columns(
    device: AbstractFluctuating,
    state: Any,
    target: Float[Array, "wl bl"],
    patterns: Literal["one-hot", "hadamard", "comparisons"] = "hadamard",
    *,
    step: Any,
    noise: Any,
    key: jax.Array,
    tolerance: Any = 0.5,
    offset: Any = 0.0,
    repeats: int = 1,
    max_rounds: int = 20,
    v_read: Any = 0.2,
    t_read: Any = 1e-5,
) -> tuple[Any, ColumnWrite]:
    """Takes cells that are near their targets there, with reads whose noise is that of the bit lines.

    Every round reads all columns by patterns, see `verify_reads`, and pulses the cells that are not done:

        one-hot, hadamard   a decoded read within `tolerance` steps ends a cell; else a pulse of 0.9 of the way
        comparisons         each read is compared with what the targets would give, c_k = sign(y_k - h_k' g_target), and
                            d = H' c/n: down where d > 1/sqrt(n repeats), up where it is below the negative of that,
                            else nothing; pulses of 2 steps in the first round fall to 1/8 in the last one

    A comparison takes no conversion, and says in d only e/s sqrt(2/pi) of the error e of a cell, s^2 = noise^2 + sum of
    e^2 of its column: it works from nearby, and decides anew in every round. A column that is done is read no more.

    Args:
        device: what the cells are. They are read by their mean conductance: what fluctuates in them is left out.
        state: of devices in an array (wl, bl), which other reads took near their targets.
        target: conductances [S].
        patterns: "one-hot", "hadamard", or "comparisons", which are Hadamard's patterns too.
        step: distance of neighboring levels [S].
        noise: standard deviation of the noise of one read of a bit line, its current over `v_read` [S].
        key: random key of noise and devices.
        tolerance: half width of a band in steps.
        offset: standard deviation over bit lines and rounds of what all reads of a round share, likewise [S].
        repeats: how often all patterns are read in a round; of comparisons the mean is compared. Static.
        max_rounds: the most rounds. Static.
        v_read: amplitude [V].
        t_read: duration of one read [s].

    Returns:
        The new state, and what it cost, see `ColumnWrite`. Wires are ideal.

    Raises:
        ValueError: numbers out of range; other patterns; devices that no such pulse is known of.

    Reference: HD-PV and HARP, arXiv 2604.12420 [S abstract]: Hadamard patterns, comparisons, three decisions.
        Threshold, steps, and everything else here is a reconstruction [D].
    """
    demand(device, AbstractFluctuating, "`write_columns`")
    target = as_floating(target, "target")
    check(target, "target", "S", non_negative)
    shape = jax.tree.leaves(state)[0].shape
    if target.ndim != 2 or target.shape != shape:
        raise ValueError(
            f"Argument `target` must have the shape (wl, bl) of the devices, which is {shape}, but has shape "
            f"{target.shape}."
        )
    if patterns not in _WAYS:
        raise ValueError(f"Argument `patterns` must be one of {', '.join(_WAYS)}, but is {patterns!r}.")
    numbers = {
        "step": checked(step, "step", "S", positive),
        "tolerance": checked(tolerance, "tolerance", "", _HALF),
        "noise": checked(noise, "noise", "S", non_negative),
        "offset": checked(offset, "offset", "S", non_negative),
        "v_read": checked(v_read, "v_read", "V", positive),
        "t_read": checked(t_read, "t_read", "s", positive),
    }
    numbers = {name: number.astype(target.dtype) for name, number in numbers.items()}
    repeats, max_rounds = as_whole(repeats, "repeats", 1), as_whole(max_rounds, "max_rounds", 1)
    return _write(device, state, target, numbers, key, patterns, repeats, max_rounds)


class _Work(eqx.Module):
    state: Any
    done: Bool[Array, "wl bl"]
    trace: Trace
    reads: Int[Array, " bl"]
    time: Float[Array, " bl"]


@eqx.filter_jit
def _write(
    device: AbstractFluctuating,
    state: Any,
    target: Array,
    numbers: dict[str, Array],
    key: jax.Array,
    patterns: str,
    repeats: int,
    max_rounds: int,
) -> tuple[Any, ColumnWrite]:
    dtype, compares = target.dtype, patterns == "comparisons"
    signs = voltages(patterns, len(target), dtype)
    size = signs.shape[0] * repeats
    driven = repeats * reads_of_lines(signs)
    wanted = jnp.matmul(signs, target, precision=lax.Precision.HIGHEST)
    threshold = 1 / jnp.sqrt(jnp.asarray(size, dtype))

    def round_of(carry: tuple[_Work, Array]) -> tuple[_Work, Array]:
        work, number = carry
        reading, pulsing = jax.random.split(jax.random.fold_in(key, number))
        g = device.conductance(work.state)
        open_columns = ~jnp.all(work.done, axis=0) | compares
        read = currents(signs, g, numbers["noise"], numbers["offset"], reading, repeats=repeats)
        if compares:
            said = decoded(signs, jnp.sign(read - wanted))
            stops = jnp.abs(said) <= threshold
            part = number.astype(dtype) / max(max_rounds - 1, 1)
            way = numbers["step"] * _FIRST * (_LAST / _FIRST) ** part * jnp.ones_like(g)
            pulsed = ~stops
        else:
            said = decoded(signs, read) - target
            stops = work.done | (jnp.abs(said) <= numbers["tolerance"] * numbers["step"])
            way, pulsed = jnp.maximum(_PART * jnp.abs(said), jnp.finfo(dtype).tiny), ~stops
        pulse = device.reset_pulse(way, target).where(said > 0, device.set_pulse(way, target))
        new, spent = device.apply(work.state, pulse.only(pulsed), key=pulsing)
        amount = jnp.where(open_columns, driven[:, None], 0)
        verified = Trace.of_read(numbers["t_read"], numbers["v_read"] ** 2 * numbers["t_read"] * g)
        verified = jax.tree.map(lambda x: x if x.dtype == bool else x * amount.astype(x.dtype), verified)
        time = jnp.where(open_columns, size * numbers["t_read"], 0) + jnp.sum(spent.time, axis=0)
        reads = work.reads + jnp.where(open_columns, size, 0).astype(jnp.int32)
        return _Work(new, stops, work.trace + verified + spent, reads, work.time + time), number + 1

    def goes_on(carry: tuple[_Work, Array]) -> Array:
        work, number = carry
        # After comparisons no cell is done for good.
        return (number < max_rounds) & (jnp.asarray(compares) | ~jnp.all(work.done))

    columns = target.shape[1]
    start = _Work(
        state=state,
        done=jnp.zeros(target.shape, bool),
        trace=Trace.zeros(target.shape, dtype),
        reads=jnp.zeros(columns, jnp.int32),
        time=jnp.zeros(columns, dtype),
    )
    work, rounds = lax.while_loop(goes_on, round_of, (start, jnp.asarray(0, jnp.int32)))
    error = device.conductance(work.state) - target
    return work.state, ColumnWrite(error, work.done, work.trace, work.reads, rounds, jnp.max(work.time))
