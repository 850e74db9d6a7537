"""An array of devices under pulse trains: only rows that were pulsed are touched."""

from math import prod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from qsynapse_jax.devices import AbstractPulsed
from qsynapse_jax.training.rules._trains import Sent


def pulsed(
    device: AbstractPulsed, devices: Any, array: Any, sent: Sent, key: PRNGKeyArray
) -> tuple[Any, Int[Array, ""]]:
    """Devices of several arrays after trains to one of them, and how many pulses they received.

    Args:
        device: their law.
        devices: their states, leaves (arrays, *groups, rows, cols).
        array: which array was selected; may be traced.
        sent: the trains.
        key: of the noise of devices.

    Row by row, those without a pulse left out: in a network that learns most rows are silent in a presentation, and a
    device costs ten times what its bits cost.
    """
    _, *groups, rows, cols = jax.tree.leaves(devices)[0].shape
    lines = prod(groups) * rows
    by_row = jax.tree.map(lambda leaf: leaf.reshape(-1, cols), devices)
    row_bits, col_bits = sent.rows.reshape(-1, lines), sent.cols.reshape(-1, lines // rows, cols)
    row_sign, col_sign = sent.row_sign.reshape(-1), sent.col_sign.reshape(-1, cols)
    is_pulsed = jnp.any(row_bits != 0, 0) & jnp.repeat(jnp.any(col_bits != 0, (0, 2)), rows)
    count = jnp.sum(is_pulsed, dtype=jnp.int32)
    order = jnp.nonzero(is_pulsed, size=lines, fill_value=0)[0].astype(jnp.int32)

    def one(carry: tuple[Any, Array, Array]) -> tuple[Any, Array, Array]:
        moving, number, total = carry
        row = order[number]
        group, place = row // rows, row + array * lines
        met = jax.lax.population_count(row_bits[:, row, None] & col_bits[:, group])
        counts = jnp.sum(met, 0, dtype=jnp.int32) * (row_sign[row] * col_sign[group])
        now = eqx.tree_at(device.moving, by_row, moving)
        here = jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, place, keepdims=False), now)
        after = device.moving(device.pulse(here, counts, key=jax.random.fold_in(key, row)))
        moving = jax.tree.map(lambda leaf, new: jax.lax.dynamic_update_index_in_dim(leaf, new, place, 0), moving, after)
        return moving, number + 1, total + jnp.sum(jnp.abs(counts))

    # Only what moves is carried: a loop would copy the rest once for every row.
    zero = jnp.zeros((), jnp.int32)
    moving, _, total = jax.lax.while_loop(lambda carry: carry[1] < count, one, (device.moving(by_row), zero, zero))
    moved = jax.tree.map(lambda leaf, old: leaf.reshape(old.shape), moving, device.moving(devices))
    return eqx.tree_at(device.moving, devices, moved), total


def row_pulsed(device: AbstractPulsed, devices: Any, array: int, row: Array, counts: Array, key: PRNGKeyArray) -> Any:
    """Devices of several arrays after so many pulses to each device of one row of one of them."""
    shape = jax.tree.leaves(devices)[0].shape
    place = row + array * prod(shape[1:-1])

    def of_row(leaf: Array) -> Array:
        return jax.lax.dynamic_index_in_dim(leaf.reshape(-1, shape[-1]), place, keepdims=False)

    after = device.moving(device.pulse(jax.tree.map(of_row, devices), counts, key=key))
    moving = jax.tree.map(
        lambda leaf, new: jax.lax.dynamic_update_index_in_dim(leaf.reshape(-1, shape[-1]), new, place, 0).reshape(
            shape
        ),
        device.moving(devices),
        after,
    )
    return eqx.tree_at(device.moving, devices, moving)
