"""Published bands of conductance, one per level."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Upper and lower resistance of the bands between the lowest (<=) and the highest (>=) one [ohm]. [S] data files of
# github.com/akashlevy/RRAM-RADAR-Tuning.
_RADAR: dict[int, tuple[float, list[tuple[float, float]], float]] = {
    2: (5.0e3, [(5.77e3, 6.01e3), (8.51e3, 9.31e3)], 80e3),
    3: (
        4.2e3,
        [
            (4.536e3, 4.574e3),
            (5.040e3, 5.086e3),
            (5.670e3, 5.729e3),
            (6.506e3, 6.589e3),
            (7.710e3, 7.869e3),
            (10.022e3, 10.332e3),
        ],
        80e3,
    ),
}


def radar_bands(bits: int) -> tuple[Float[Array, " levels"], Float[Array, " levels"]]:
    """The published bands of 2 and 3 bits per cell [S]: lowest and highest conductance of each level, ascending.

    The first level has no lower bound (0), the last no upper one (infinity).

    Raises:
        ValueError: `bits` is neither 2 nor 3.
    """
    if bits not in _RADAR:
        raise ValueError(f"Argument `bits` must be 2 or 3, but is {bits!r}; `program` makes bands around any levels.")
    least, between, most = _RADAR[bits]
    low = [0.0, *(1 / high for _, high in reversed(between)), 1 / least]
    high = [1 / most, *(1 / low for low, _ in reversed(between)), np.inf]
    return jnp.asarray(low), jnp.asarray(high)
