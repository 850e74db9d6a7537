"""Published bands of conductance, one per level."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Lower and upper ends of the bands [ohm]; the lowest band has no lower end, the highest no upper one. [S] data files of
# github.com/akashlevy/RRAM-RADAR-Tuning.
_RADAR = {
    2: ((5.77e3, 8.51e3, 80e3), (5.0e3, 6.01e3, 9.31e3)),
    3: (
        (4.536e3, 5.040e3, 5.670e3, 6.506e3, 7.710e3, 10.022e3, 80e3),
        (4.2e3, 4.574e3, 5.086e3, 5.729e3, 6.589e3, 7.869e3, 10.332e3),
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
    lower, upper = (1 / np.asarray(ends[::-1]) for ends in _RADAR[bits])
    return jnp.asarray([0.0, *upper]), jnp.asarray([*lower, np.inf])
