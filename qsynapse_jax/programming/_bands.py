"""Target bands of conductance, one a level."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_real, is_concrete

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
    """The published bands of 2 and 3 bits a cell [S]: lowest and highest conductance of each level, ascending.

    The first level has no lower bound (0), the last no upper one (infinity).

    Raises:
        ValueError: `bits` is neither 2 nor 3.
    """
    if bits not in _RADAR:
        raise ValueError(f"Argument `bits` must be 2 or 3, but is {bits!r}; `even_bands` makes bands of any number.")
    least, between, most = _RADAR[bits]
    low = [0.0, *(1 / high for _, high in reversed(between)), 1 / least]
    high = [1 / most, *(1 / low for low, _ in reversed(between)), np.inf]
    return jnp.asarray(low), jnp.asarray(high)


def even_bands(
    levels: int, g_min: Any, g_max: Any, tolerance: Any = 0.25
) -> tuple[Float[Array, " levels"], Float[Array, " levels"]]:
    """Bands around evenly spaced conductances [S], ascending.

    Args:
        levels: how many; 2^bits.
        g_min: the first level [S]. A cell at or below it is as good: its band begins at 0.
        g_max: the last level [S].
        tolerance: half width of a band in steps between levels, below 1/2.

    Raises:
        ValueError: fewer than two levels, conductances that do not ascend, bands that touch.
    """
    if not isinstance(levels, int) or levels < 2:
        raise ValueError(f"Argument `levels` must be an integer of at least 2, but is {levels!r}.")
    g_min, g_max, tolerance = as_real(g_min, "g_min"), as_real(g_max, "g_max"), as_real(tolerance, "tolerance")
    if is_concrete(g_min, g_max) and not 0 <= g_min < g_max:
        raise ValueError(
            f"Argument `g_max` must be above `g_min` = {float(g_min):g} S, which must not be negative, but is "
            f"{float(g_max):g} S."
        )
    if is_concrete(tolerance) and not 0 < tolerance < 0.5:
        raise ValueError(
            f"Argument `tolerance` must be between 0 and 1/2 of a step, but is {float(tolerance):g}; wider bands touch."
        )
    step = (g_max - g_min) / (levels - 1)
    centre = g_min + step * jnp.arange(levels, dtype=step.dtype)
    low = jnp.where(jnp.arange(levels) == 0, 0, centre - tolerance * step)
    return low, centre + tolerance * step
