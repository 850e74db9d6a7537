"""Arrays on several devices: how many an array may be spread over, and what differs between them in `jax.shard_map`."""

from math import prod
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType

from qsynapse_jax._checks import is_concrete

T = TypeVar("T")


def devices(*arrays: jax.Array) -> int:
    """On how many devices the compiler may spread these arrays: those of their mesh."""
    size = 1
    for array in arrays:
        mesh = jax.typeof(array).sharding.mesh
        # Along a manual axis, inside `shard_map`, every device has an array of its own.
        free = [n for n, kind in zip(mesh.axis_sizes, mesh.axis_types, strict=True) if kind != AxisType.Manual]
        size = max(size, prod(free))
    return size


def vary_alike(inputs: T) -> T:
    """The inputs, all of them varying along the manual axes of `shard_map` along which one of them does.

    Loops, conditions and derivative rules want operands of one kind. What was the same on all devices gets a derivative
    that is summed over them.
    """
    leaves = jax.tree.leaves(inputs)
    if is_concrete(leaves) or not any(AxisType.Manual in jax.typeof(leaf).sharding.mesh.axis_types for leaf in leaves):
        return inputs
    # A zero made like an array varies with it, and so does what it is added to.
    zero = jnp.sum(jnp.stack([jnp.zeros_like(jnp.ravel(leaf)[0]).astype(jnp.int32) for leaf in leaves]))
    return jax.tree.map(lambda leaf: leaf + zero.astype(leaf.dtype), inputs)
