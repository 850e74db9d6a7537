"""One cell after another at every level."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qsynapse_jax.devices import AbstractFluctuating
from qsynapse_jax.programming import AbstractScheme, program


def every_level(
    device: AbstractFluctuating,
    scheme: AbstractScheme,
    levels: Any,
    seeds: tuple[int, ...],
    *,
    step: float,
    reads: int,
) -> np.ndarray:
    """Writes one cell per seed to all levels, each in an order of its own, and reads it at each of them.

    Args:
        device: what the cells are.
        scheme: how they are written.
        levels: conductances [S], shape (levels,).
        seeds: of the cells.
        step: distance of neighboring levels [S].
        reads: of a cell at each level.

    Returns:
        Reads [S], shape (levels, reads, seeds), levels in ascending order.
    """
    levels = jnp.asarray(levels)
    order = jnp.stack([jax.random.permutation(jax.random.key(seed), len(levels)) for seed in seeds], axis=1)
    state = device.init((len(seeds),), key=jax.random.key(seeds[0]))
    found = np.asarray(
        _visit(device, scheme, state, levels[order], jnp.asarray(step), jax.random.key(seeds[0] + 1), reads=reads)
    )
    sorted_by_level = np.argsort(np.asarray(order), axis=0)
    return np.take_along_axis(found, sorted_by_level[:, None], axis=0)


@partial(jax.jit, static_argnames="reads")
def _visit(
    device: AbstractFluctuating,
    scheme: Any,
    state: Any,
    targets: jax.Array,
    step: jax.Array,
    key: jax.Array,
    *,
    reads: int,
) -> jax.Array:
    def one(state: Any, given: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        target, key = given
        writing, reading = jax.random.split(key)
        state, _ = program(device, state, target, scheme, step=step, least=0.0, key=writing)
        return state, jax.lax.map(lambda key: device.read(state, key=key), jax.random.split(reading, reads))

    return jax.lax.scan(one, state, (targets, jax.random.split(key, len(targets))))[1]
