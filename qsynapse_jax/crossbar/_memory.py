"""What a solve needs of memory at least, and the refusal of what cannot fit."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp

# The limit of a container, where there is one.
_CONTAINER = Path("/sys/fs/cgroup/memory.max")


def check_memory(shape: tuple[int, ...], numbers: int, dtype: jnp.dtype, *, devices: Callable[[], int]) -> None:
    """Refuses arrays of `shape` for which more numbers are kept than there is memory for."""
    needed, there = numbers * jnp.dtype(dtype).itemsize, _available()
    if there is not None and needed > there and needed > (there := devices() * there):
        raise ValueError(
            f"Argument `g` must fit into memory, but {' x '.join(map(str, shape))} cells need at least "
            f"{needed / 1e9:.3g} GB here, of {there / 1e9:.3g} GB; give fewer inputs or arrays at a time, "
            "float32, a smaller array, or divide it among devices."
        )


@cache
def _available() -> int | None:
    """Memory of the device that computes, or of the machine [bytes]; `None` where nobody says."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit")
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    try:
        return min(there, int(_CONTAINER.read_text()))
    except (OSError, ValueError):
        return there
