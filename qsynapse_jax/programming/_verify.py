"""Write-verify of whole arrays at once: read, pulse those that are out of their band, until none is or all gave up."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax.devices import AnalogCell, AnalogState, WriteReport
from qsynapse_jax.programming._schemes import AbstractScheme

# Cells that still need pulses are gathered into a buffer of a quarter of the width whenever they fit there. Each width
# is compiled once more, so fewer of them compile faster; below the smallest the work is not worth another one.
_SHRINK = 4
_NARROWEST = 256


class _Work(eqx.Module):
    """Everything of the cells in the buffer; all leaves of its length."""

    state: AnalogState
    memory: Any
    low: Float[Array, " n"]
    high: Float[Array, " n"]
    active: Bool[Array, " n"]
    success: Bool[Array, " n"]
    sets: Int[Array, " n"]
    resets: Int[Array, " n"]
    reads: Int[Array, " n"]
    energy: Float[Array, " n"]


def write_verify(
    device: AnalogCell,
    state: AnalogState,
    low: Float[Array, "..."],
    high: Float[Array, "..."],
    scheme: AbstractScheme,
    *,
    key: jax.Array,
    max_pulses: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    progress_every: int = 10,
) -> tuple[AnalogState, WriteReport]:
    """Pulses every cell until a read lies in its band.

    Every round reads the cells that are not done and pulses those out of their band once, all at the same time, so the
    rounds are the pulses of the slowest cell. A cell gives up after `max_pulses`, or on the lowest level after
    `scheme.erase_pulses`. Work follows the cells that are left, in one compilation a shape.

    Args:
        device: what is written.
        state: of the cells, any shape.
        low: least conductance of each cell [S], of the shape of the cells or broadcast to it; 0 is no bound.
        high: largest conductance of each cell [S], likewise; infinity is no bound.
        scheme: chooses the pulses.
        key: of the device's noise.
        max_pulses: of one cell, sets and resets together; the scheme's own number where not given.
        progress: called with the number of rounds and of cells not done. Static.
        progress_every: rounds from one call to the next. Static.

    Returns:
        The new state, and pulses, time, energy and success cell by cell. Success is what the last verifying read said.

    Raises:
        ValueError: bands that are empty or of another shape; a number of pulses below 1.
    """
    max_pulses = scheme.max_pulses if max_pulses is None else max_pulses
    if not isinstance(max_pulses, int) or isinstance(max_pulses, bool) or max_pulses < 1:
        raise ValueError(f"Argument `max_pulses` must be a positive integer, but is {max_pulses!r}.")
    shape = state.log_g.shape
    low, high = as_floating(low, "low"), as_floating(high, "high")
    for name, bound in (("low", low), ("high", high)):
        try:
            np.broadcast_shapes(bound.shape, shape)
        except ValueError:
            raise ValueError(
                f"Argument `{name}` must have the shape {shape} of the cells, but has shape {bound.shape}."
            ) from None
    if is_concrete(low, high) and not bool(jnp.all(low < high)):
        raise ValueError("Argument `low` must be below `high` in every cell, but some band is empty.")
    # Flat, so that arrays of as many cells in another shape are not compiled again.
    state, report = _write_verify(
        device,
        jax.tree.map(jnp.ravel, state),
        jnp.broadcast_to(low, shape).ravel(),
        jnp.broadcast_to(high, shape).ravel(),
        scheme,
        key,
        jnp.asarray(max_pulses, jnp.int32),
        progress,
        progress_every,
    )
    return jax.tree.map(lambda leaf: leaf.reshape(shape), (state, report))


@eqx.filter_jit
def _write_verify(
    device: AnalogCell,
    state: AnalogState,
    low: Float[Array, " n"],
    high: Float[Array, " n"],
    scheme: AbstractScheme,
    key: jax.Array,
    max_pulses: Int[Array, ""],
    progress: Callable[[int, int], None] | None,
    progress_every: int,
) -> tuple[AnalogState, WriteReport]:
    zeros = jnp.zeros(low.shape, jnp.int32)
    work = _Work(
        state=state,
        memory=scheme.start(device, low, high),
        low=low,
        high=high,
        active=jnp.ones(low.shape, bool),
        success=jnp.zeros(low.shape, bool),
        sets=zeros,
        resets=zeros,
        reads=zeros,
        energy=jnp.zeros_like(low),
    )

    def round_of(carry: tuple[_Work, Int[Array, ""]]) -> tuple[_Work, Int[Array, ""]]:
        work, number = carry
        work = _round(device, scheme, work, jax.random.fold_in(key, number), max_pulses)
        if progress is not None:
            tell = _told(progress)
            left = jnp.sum(work.active)
            jax.lax.cond(number % progress_every == 0, lambda: jax.debug.callback(tell, number, left), lambda: None)
        return work, number + 1

    work, _ = _shrinking(round_of, work, jnp.asarray(0, jnp.int32), _widths(low.size))
    dtype = work.energy.dtype
    report = WriteReport(
        sets=work.sets,
        resets=work.resets,
        reads=work.reads,
        busy=work.sets.astype(dtype) * device.t_set
        + work.resets.astype(dtype) * device.t_reset
        + work.reads.astype(dtype) * device.t_read,
        energy=work.energy,
        success=work.success,
    )
    return work.state, report


def _told(progress: Callable[[int, int], None]) -> Callable[[Any, Any], None]:
    return lambda rounds, cells: progress(int(rounds), int(cells))


def _widths(cells: int) -> list[int]:
    """Lengths of the buffers: all cells, then a quarter, and so on."""
    widths = [cells]
    while widths[-1] > _NARROWEST * _SHRINK:
        widths.append(-(-widths[-1] // _SHRINK))
    return widths


def _shrinking(
    round_of: Callable[[tuple[_Work, Int[Array, ""]]], tuple[_Work, Int[Array, ""]]],
    work: _Work,
    number: Int[Array, ""],
    widths: list[int],
) -> tuple[_Work, Int[Array, ""]]:
    """Rounds in this width until the cells left fit the next, those in the next, and everything back in its place."""
    fits = widths[1] if len(widths) > 1 else 0
    work, number = jax.lax.while_loop(lambda carry: jnp.sum(carry[0].active) > fits, round_of, (work, number))
    if not fits:
        return work, number
    size = widths[0]
    # Free places of the buffer hold cells that are done: they are not pulsed, and go back to nowhere.
    places = jnp.nonzero(work.active, size=fits, fill_value=size)[0]
    used = places < size
    part = jax.tree.map(lambda leaf: leaf[jnp.minimum(places, size - 1)], work)
    part = eqx.tree_at(lambda w: w.active, part, used)
    part, number = _shrinking(round_of, part, number, widths[1:])
    whole = jax.tree.map(lambda leaf, new: leaf.at[places].set(new, mode="drop"), work, part)
    return whole, number


def _round(
    device: AnalogCell, scheme: AbstractScheme, work: _Work, key: jax.Array, max_pulses: Int[Array, ""]
) -> _Work:
    """One read of every active cell, and one pulse to those out of their band."""
    read_key, pulse_key = jax.random.split(key)
    before = device.conductance(work.state)
    g = device.read(work.state, key=read_key)
    within = (g >= work.low) & (g <= work.high)
    pulses = work.sets + work.resets
    given_up = (pulses >= max_pulses) | ((work.low <= 0) & (pulses >= scheme.erase_pulses))
    pulsed = work.active & ~within & ~given_up
    is_set, amplitude, memory = scheme.next(device, work.memory, g, work.low, work.high)
    after = device.pulse(work.state, is_set, amplitude, key=pulse_key)
    spent = jnp.where(
        is_set,
        device.v_set**2 * device.t_set * device.conductance(after),
        device.v_reset**2 * device.t_reset * before,
    )
    read = device.v_read**2 * device.t_read * before

    def where_pulsed(new: Array, old: Array) -> Array:
        return jnp.where(pulsed, new, old)

    return _Work(
        state=jax.tree.map(where_pulsed, after, work.state),
        memory=jax.tree.map(where_pulsed, memory, work.memory),
        low=work.low,
        high=work.high,
        active=pulsed,
        success=work.success | (work.active & within),
        sets=work.sets + (pulsed & is_set).astype(jnp.int32),
        resets=work.resets + (pulsed & ~is_set).astype(jnp.int32),
        reads=work.reads + work.active.astype(jnp.int32),
        energy=work.energy + jnp.where(work.active, read, 0) + jnp.where(pulsed, spent, 0),
    )
