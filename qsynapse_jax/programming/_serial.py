"""Writing the cells of an array one after another, or row by row: how long it takes, and what the others suffer."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qsynapse_jax._fields import Model
from qsynapse_jax.devices import AbstractDriven, Exposure, Trace, demand
from qsynapse_jax.programming._array import Disturbance, check_polarities
from qsynapse_jax.programming._bias import AbstractBias


def array_time(trace: Trace, parallel: Literal["cell", "row"] = "cell") -> Float[Array, "*arrays"]:
    """Time to write an array of which every cell took what `trace` says [s].

    Args:
        trace: of a write, shape (*arrays, wl, bl); arrays are written at the same time.
        parallel: "cell": one cell after another, the sum of all; "row": the cells of a row at once, row after row, each
            of which takes what its slowest cell does. That is the least: it is more where pulses of the cells of a row
            have to wait for each other.

    Raises:
        ValueError: a trace of no array; another way to write.
    """
    if trace.time.ndim < 2:
        raise ValueError(f"Argument `trace` must have shape (*arrays, wl, bl), but has shape {trace.time.shape}.")
    ways = {"cell": lambda time: jnp.sum(time, axis=-1), "row": lambda time: jnp.max(time, axis=-1)}
    if parallel not in ways:
        raise ValueError(f'Argument `parallel` must be "cell" or "row", but is {parallel!r}.')
    return jnp.sum(ways[parallel](trace.time), axis=-1)


def half_selected(
    device: AbstractDriven, state: Any, trace: Trace, up: AbstractBias, down: AbstractBias, *, key: jax.Array
) -> tuple[Any, Disturbance]:
    """What cells suffer while the others of their array are written one after another.

    Each pulse of a cell is half a pulse for all others of its word line and of its bit line. They receive them here
    after the write, all at once and each at the voltage of `up` or `down`, which should be the largest of the write for
    a bound from above. Wires are ideal; `drive` writes through them. `GateBias` spares all. To repair what they did,
    `program` again, which reads every cell and pulses few, until what is disturbed in between is nothing. `program`
    with `half_selects` lets them suffer it while the write goes on.

    Args:
        device: what the cells are.
        state: of the cells, shape (wl, bl), after the write.
        trace: of that write.
        up: bias of its pulses towards higher conductance.
        down: bias of those towards lower conductance.
        key: random key of the devices' noise.

    Returns:
        The new state, and what was suffered, see `Disturbance`.

    Raises:
        ValueError: a device that is not written by voltages; a trace of no array; a bias of the other polarity.
    """
    demand(device, AbstractDriven, "`half_selected`")
    if trace.sets.ndim != 2:
        raise ValueError(f"Argument `trace` must be of an array (wl, bl), but has shape {trace.sets.shape}.")
    check_polarities(up, down)
    return _half_selected(device, state, trace, (up, down), key)


@eqx.filter_jit
def _half_selected(
    device: AbstractDriven, state: Any, trace: Trace, biases: tuple[AbstractBias, AbstractBias], key: jax.Array
) -> tuple[Any, Disturbance]:
    counts, changes = [_beside(trace.sets), _beside(trace.resets)], []
    for bias, count, k in zip(biases, counts, jax.random.split(key), strict=True):
        before = device.conductance(state)
        dtype = before.dtype
        state = device.disturb(state, Exposure(bias.half.astype(dtype), bias.width.astype(dtype), count), key=k)
        changes.append(device.conductance(state) - before)
    return state, Disturbance(*counts, *changes)


class HalfSelects(Model):
    """Half-selects of a write that goes on, pass by pass over the array, each of which pulses every cell once at most.

    A cell suffers the pulses of a pass before its next read: whatever part of them came before its own.

    Args:
        biases: of pulses up and down.
        rows: pulses up and down of all cells of each word line until now; numbers of lines are data and not shapes, so
            that there are as many places as there are cells.
        columns: of each bit line, likewise.
    """

    biases: tuple[AbstractBias, AbstractBias]
    rows: tuple[Int[Array, " n"], ...]
    columns: tuple[Int[Array, " n"], ...]

    @classmethod
    def none(cls, biases: tuple[AbstractBias, AbstractBias], cells: int) -> "HalfSelects":
        """Before the first pulse of an array of `cells`."""
        zeros = (jnp.zeros(cells, jnp.int32),) * 2
        return cls(biases, zeros, zeros)

    def add(
        self, row: Int[Array, " k"], column: Int[Array, " k"], pulses: tuple[Int[Array, " k"], ...]
    ) -> "HalfSelects":
        """Also those of a pass: `pulses` up and down of the cells at `row` and `column`."""
        rows = tuple(line.at[row].add(count) for line, count in zip(self.rows, pulses, strict=True))
        columns = tuple(line.at[column].add(count) for line, count in zip(self.columns, pulses, strict=True))
        return HalfSelects(self.biases, rows, columns)

    def suffer(
        self,
        device: AbstractDriven,
        state: Any,
        place: tuple[Int[Array, " k"], Int[Array, " k"]],
        trace: Trace,
        before: Any,
        key: jax.Array,
    ) -> tuple[Any, Any]:
        """State of cells at `place` after all pulses of their crosses but `before`; and all of them, up and down."""
        now = []
        for k, (bias, own) in enumerate(zip(self.biases, (trace.sets, trace.resets), strict=True)):
            count = self.rows[k][place[0]] + self.columns[k][place[1]] - 2 * own
            half, width = bias.half.astype(trace.time.dtype), bias.width.astype(trace.time.dtype)
            state = device.disturb(state, Exposure(half, width, count - before[k]), key=jax.random.fold_in(key, k))
            now.append(count)
        return state, tuple(now)


def _beside(pulses: Int[Array, "wl bl"]) -> Int[Array, "wl bl"]:
    """Pulses of all other cells of the row and of the column of each."""
    return jnp.sum(pulses, axis=0, keepdims=True) + jnp.sum(pulses, axis=1, keepdims=True) - 2 * pulses
