"""Values that can be made: preferred numbers, or multiples of a least increment."""

import numpy as np
from jaxtyping import Float

from qsynapse_jax._fields import check, positive

# IEC 60063:2015. The values of E24 are no rounded powers; those of the finer series are, but for one of E192.
# fmt: off
_E24 = (
    1.0, 1.1, 1.2, 1.3, 1.5, 1.6, 1.8, 2.0, 2.2, 2.4, 2.7, 3.0,
    3.3, 3.6, 3.9, 4.3, 4.7, 5.1, 5.6, 6.2, 6.8, 7.5, 8.2, 9.1,
)
# fmt: on
_COARSE = {"E6": _E24[::4], "E12": _E24[::2], "E24": _E24}
_FINE = {"E48": 48, "E96": 96, "E192": 192}
SERIES = (*_COARSE, *_FINE)


def to_series(values: Float[np.ndarray, "*shape"], series: str = "E24") -> Float[np.ndarray, "*shape"]:
    """The preferred number nearest to each value in ratio.

    Args:
        values: positive, any unit.
        series: E6, E12, E24, E48, E96 or E192.

    Raises:
        ValueError: another series; a value that is not positive and finite.

    Reference: IEC 60063:2015, "Preferred number series for resistors and capacitors".
    """
    if series not in SERIES:
        raise ValueError(f"Argument `series` must be one of {', '.join(SERIES)}, but is {series!r}.")
    values = _positive(values)
    decade = np.array(_COARSE.get(series) or _powers(_FINE[series]))
    decade = np.append(decade, 10.0)
    exponent = np.floor(np.log10(values))
    mantissa = values / 10**exponent
    nearest = np.argmin(np.abs(np.log(mantissa[..., None] / decade)), axis=-1)
    return decade[nearest] * 10**exponent


def to_increment(values: Float[np.ndarray, "*shape"], increment: float) -> Float[np.ndarray, "*shape"]:
    """The multiple of `increment` nearest to each value, one increment at least.

    Args:
        values: positive, in the unit of `increment`.
        increment: smallest step that can be made.

    Raises:
        ValueError: an increment or a value that is not positive and finite.
    """
    check(increment, "increment", "", positive)
    return increment * np.maximum(np.round(_positive(values) / increment), 1)


def _powers(n: int) -> list[float]:
    exact = [round(10 ** (k / n), 2) for k in range(n)]
    return [9.20 if n == 192 and value == 9.19 else value for value in exact]


def _positive(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    values = np.asarray(values, float)
    check(values, "values", "", positive)
    return values
