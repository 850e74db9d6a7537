"""The presentations of a step, kernel by kernel, one after another."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx
from jaxtyping import PRNGKeyArray

from qsynapse_jax.nn import Outer, PulsedKernel

# What one presentation does: (kernel, devices, memory, x, delta, key) -> (devices, memory, what is told of it).
Present = Callable[[PulsedKernel, Any, Any, Any, Any, Any], tuple[Any, Any, Any]]


def one_by_one(
    present: Present,
    kernels: Mapping[str, PulsedKernel],
    model: nnx.Module,
    memory: Mapping[str, Any],
    outer: Mapping[str, Outer],
    key: PRNGKeyArray,
) -> tuple[nnx.Module, Any, dict[str, Any]]:
    """The model and the memory of a rule after all presentations of a step, and what was told of each of them.

    Kernels are moved in place.
    """
    after, told = dict(memory), {}
    for (path, factors), its_key in zip(sorted(outer.items()), jax.random.split(key, len(outer)), strict=True):
        kernel = kernels[path]

        def one(carry: Any, item: Any, kernel: PulsedKernel = kernel) -> tuple[Any, Any]:
            *carry, its = present(kernel, *carry, *item)
            return tuple(carry), its

        items = (*factors, jax.random.split(its_key, len(factors.x)))
        (devices, after[path]), told[path] = jax.lax.scan(one, (kernel.devices(), after[path]), items)
        kernel.set_devices(devices)
    return model, after, told
