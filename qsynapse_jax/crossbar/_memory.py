"""What a solve needs of memory at least, and the refusal of what cannot fit."""

from collections.abc import Callable
from functools import cache

import jax.numpy as jnp

from qsynapse_jax._provenance import memory

_available = cache(memory)


def check_memory(shape: tuple[int, ...], numbers: int, dtype: jnp.dtype, *, devices: Callable[[], int]) -> None:
    """Refuses arrays of `shape` for which more numbers are kept than there is memory for."""
    needed, there = numbers * jnp.dtype(dtype).itemsize, _available()
    if there is not None and needed > there and needed > (there := devices() * there):
        raise ValueError(
            f"Argument `g` must fit into memory, but {' x '.join(map(str, shape))} cells need at least "
            f"{needed / 1e9:.3g} GB here, of {there / 1e9:.3g} GB; give fewer inputs or arrays at a time, "
            "float32, a smaller array, or divide it among devices."
        )
