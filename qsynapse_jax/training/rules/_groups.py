"""The presentations of a step, kernel by kernel, one after another or all together."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx
from jaxtyping import PRNGKeyArray

from qsynapse_jax.nn import Outer, PulsedKernel

# What a group of presentations does: (kernel, devices, memory, x, delta, keys) -> (devices, memory, what is told of
# them), all of x, delta, keys and what is told with an axis of presentations first.
Present = Callable[[PulsedKernel, Any, Any, Any, Any, Any], tuple[Any, Any, Any]]


def in_groups(
    present: Present,
    kernels: Mapping[str, PulsedKernel],
    model: nnx.Module,
    memory: Mapping[str, Any],
    outer: Mapping[str, Outer],
    key: PRNGKeyArray,
    *,
    whole_step: bool = False,
) -> tuple[nnx.Module, Any, dict[str, Any]]:
    """The model and the memory of a rule after all presentations of a step, and what was told of each of them.

    Groups are single presentations, or where `whole_step` all of the step. Kernels are moved in place.
    """
    after, told = dict(memory), {}
    for (path, factors), its_key in zip(sorted(outer.items()), jax.random.split(key, len(outer)), strict=True):
        kernel, n = kernels[path], len(factors.x)
        size = n if whole_step else 1

        def one(carry: Any, group: Any, kernel: PulsedKernel = kernel) -> tuple[Any, Any]:
            *carry, its = present(kernel, *carry, *group)
            return tuple(carry), its

        def grouped(leaf: Any, size: int = size) -> Any:
            return leaf.reshape(-1, size, *leaf.shape[1:])

        groups = jax.tree.map(grouped, (*factors, jax.random.split(its_key, n)))
        (devices, after[path]), its = jax.lax.scan(one, (kernel.devices(), after[path]), groups)
        told[path] = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), its)
        kernel.set_devices(devices)
    return model, after, told
