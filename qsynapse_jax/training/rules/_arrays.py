"""An array of devices under pulse trains: only rows that were pulsed are touched."""

from collections.abc import Callable
from math import prod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qsynapse_jax.devices import AbstractPulsed
from qsynapse_jax.training.rules._half_select import HalfSelect
from qsynapse_jax.training.rules._trains import PulseTrains, Sent

# Sets their noise apart from that of rows, whose numbers are below.
_HALF_SELECTS = 2**31


def pulsed(
    device: AbstractPulsed, devices: Any, array: Any, sent: Sent, key: PRNGKeyArray, trains: PulseTrains
) -> tuple[Any, Int[Array, ""]]:
    """Devices of several arrays after the trains of one presentation; `all_pulsed` for one."""
    one = jax.tree.map(lambda leaf: leaf[None], sent)
    devices, counts = all_pulsed(device, devices, jnp.asarray(array)[None], one, key[None], trains)
    return devices, counts[0]


def all_pulsed(
    device: AbstractPulsed, devices: Any, arrays: Int[Array, " n"], sent: Sent, keys: Array, trains: PulseTrains
) -> tuple[Any, Int[Array, " n"]]:
    """Devices of several arrays after trains of n presentations, one after another, and the pulses of each.

    Args:
        device: their law.
        devices: their states, leaves (arrays, *groups, rows, cols).
        arrays: which array was selected for each.
        sent: the trains, all leaves with an axis of presentations first.
        keys: of the noise of devices, one for each.
        trains: where they come from; its half-selects follow after the coincidences of all.

    Row by row, those without a coincidence left out: in a network that learns most rows are silent in a presentation,
    and a device costs ten times what its bits cost.
    """
    shape = jax.tree.leaves(devices)[0].shape
    n, rows, cols = len(arrays), shape[-2], shape[-1]
    lines = prod(shape[1:-1])
    by_row = jax.tree.map(lambda leaf: leaf.reshape(-1, cols), devices)
    row_bits, col_bits = sent.rows.reshape(n, -1, lines), sent.cols.reshape(n, -1, lines // rows, cols)
    row_sign, col_sign = sent.row_sign.reshape(n, lines), sent.col_sign.reshape(n, -1, cols)
    union = jnp.repeat(jax.lax.reduce(col_bits, jnp.uint32(0), jax.lax.bitwise_or, (3,)), rows, axis=2)
    is_pulsed = jnp.any(row_bits & union, 1).reshape(-1)
    count = jnp.sum(is_pulsed, dtype=jnp.int32)
    order = jnp.nonzero(is_pulsed, size=n * lines, fill_value=0)[0].astype(jnp.int32)

    def one(carry: tuple[Any, Array, Array]) -> tuple[Any, Array, Array]:
        moving, number, totals = carry
        presentation, row = order[number] // lines, order[number] % lines
        group, place = row // rows, row + arrays[presentation] * lines
        met = jax.lax.population_count(row_bits[presentation, :, row, None] & col_bits[presentation, :, group])
        sign = row_sign[presentation, row] * col_sign[presentation, group]
        counts = jnp.sum(met, 0, dtype=jnp.int32) * sign
        now = eqx.tree_at(device.moving, by_row, moving)
        here = jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, place, keepdims=False), now)
        after = device.moving(device.pulse(here, counts, key=jax.random.fold_in(keys[presentation], row)))
        moving = jax.tree.map(lambda leaf, new: jax.lax.dynamic_update_index_in_dim(leaf, new, place, 0), moving, after)
        return moving, number + 1, totals.at[presentation].add(jnp.sum(jnp.abs(counts)))

    # Only what moves is carried: a loop would copy the rest once for every row.
    start = device.moving(by_row), jnp.zeros((), jnp.int32), jnp.zeros(n, jnp.int32)
    moving, _, totals = jax.lax.while_loop(lambda carry: carry[1] < count, one, start)
    moved = jax.tree.map(lambda leaf, old: leaf.reshape(old.shape), moving, device.moving(devices))
    devices = eqx.tree_at(device.moving, devices, moved)
    if trains.half_select is not None:
        devices = _half_selected(device, devices, arrays, sent, keys, trains.half_select)
    return devices, totals


def _half_selected(
    device: AbstractPulsed, devices: Any, arrays: Array, sent: Sent, keys: Array, half_select: HalfSelect
) -> Any:
    """Devices after the half-selects of n presentations."""

    def one(number: Array, devices: Any) -> Any:
        array, key = arrays[number], jax.random.fold_in(keys[number], _HALF_SELECTS)
        here = jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, array, keepdims=False), devices)
        counts = jax.tree.map(lambda leaf: leaf[number], sent).half_selected()
        after = device.moving(half_select.after(device, here, counts, key))
        moved = [
            jax.lax.dynamic_update_index_in_dim(leaf, new, array, 0)
            for leaf, new in zip(device.moving(devices), after, strict=True)
        ]
        return eqx.tree_at(device.moving, devices, moved)

    return jax.lax.fori_loop(0, len(keys), one, devices)


def row_read(device: AbstractPulsed, devices: Any, place: Any, key: PRNGKeyArray) -> Float[Array, " cols"]:
    """Weights that a read of one row finds, with its noise; rows are counted through all arrays."""
    row = _row(devices, place)
    slope = (device.g_max - device.g_min) / (device.w_max - device.w_min)
    return device.weight(row) + (device.read(row, key=key) - device.conductance(row)) / slope


def _row(devices: Any, place: Any) -> Any:
    def of_row(leaf: Array) -> Array:
        return jax.lax.dynamic_index_in_dim(leaf.reshape(-1, leaf.shape[-1]), place, keepdims=False)

    return jax.tree.map(of_row, devices)


def row_pulsed(device: AbstractPulsed, devices: Any, array: int, row: Array, counts: Array, key: PRNGKeyArray) -> Any:
    """Devices of several arrays after so many pulses to each device of one row of one of them."""
    place = row + array * prod(jax.tree.leaves(devices)[0].shape[1:-1])
    return _row_moved(device, devices, place, lambda row: device.pulse(row, counts, key=key))


def row_set(device: Any, devices: Any, place: Any, weight: Float[Array, " cols"], key: PRNGKeyArray) -> Any:
    """Devices of several arrays of which one row, counted through all arrays, was set to weights by other means."""
    return _row_moved(device, devices, place, lambda row: device.with_weight(row, weight, key=key))


def _row_moved(device: AbstractPulsed, devices: Any, place: Any, move: Callable[[Any], Any]) -> Any:
    def put(leaf: Array, new: Array) -> Array:
        by_row = leaf.reshape(-1, leaf.shape[-1])
        return jax.lax.dynamic_update_index_in_dim(by_row, new, place, 0).reshape(leaf.shape)

    after = device.moving(move(_row(devices, place)))
    return eqx.tree_at(device.moving, devices, jax.tree.map(put, device.moving(devices), after))
