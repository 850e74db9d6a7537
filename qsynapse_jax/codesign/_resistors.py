"""Branch resistors in closed form, and values that can be made."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import as_whole, check, checked, non_negative, positive, positive_or_infinite, quantity


def _powers(n: int) -> list[float]:
    """The series of `n` values a decade: rounded powers, but for one of E192."""
    exact = [round(10 ** (k / n), 2) for k in range(n)]
    return [9.20 if n == 192 and value == 9.19 else value for value in exact]


# IEC 60063:2015. The values of E24 and coarser series are no rounded powers.
# fmt: off
_E24 = (
    1.0, 1.1, 1.2, 1.3, 1.5, 1.6, 1.8, 2.0, 2.2, 2.4, 2.7, 3.0,
    3.3, 3.6, 3.9, 4.3, 4.7, 5.1, 5.6, 6.2, 6.8, 7.5, 8.2, 9.1,
)
# fmt: on
_DECADES = {"E6": _E24[::4], "E12": _E24[::2], "E24": _E24} | {f"E{n}": _powers(n) for n in (48, 96, 192)}
SERIES = tuple(_DECADES)


def binary_weighted(
    bits: int,
    r_first: Float[ArrayLike, ""] | float,
    r_on: Float[ArrayLike, ""] | float,
    r_off: Float[ArrayLike, ""] | float,
) -> Float[Array, " bits"]:
    """Branch resistors whose levels are evenly spaced for given switches, most significant first [ohm].

    A branch adds 1/(R_k + r_on) - 1/(R_k + r_off) when its bit is set. Levels are evenly spaced after the offset of
    code 0 is taken off if each branch adds half of the one before it:

        (R_k + r_on)(R_k + r_off) = 2^k (R_0 + r_on)(R_0 + r_off) = P_k

    With m and h half the sum and half the difference of r_off and r_on, R_k = sqrt(h^2 + P_k) - m, written without that
    difference of large numbers as (P_k - r_on r_off) / (m + sqrt(h^2 + P_k)). For r_off without end it is
    2^k (R_0 + r_on) - r_on.

    Args:
        bits: branches.
        r_first: resistor of the most significant branch [ohm].
        r_on: switch that is on, its access transistor included [ohm].
        r_off: switch that is off, likewise [ohm]; infinity is an ideal one.

    Returns:
        Shape (bits,), for `Ladder(bits, None, r_on, r_off, r_branch)`. Its INL is 0 with ideal wires; the code-0 offset
        is cancelled by `Differential` or `Referenced`.

    Raises:
        ValueError: a resistance that is not positive (`r_on` may be 0); `r_off` not above `r_on`.
    """
    bits = as_whole(bits, "bits", 1, what="one per branch")
    r_first, r_on = checked(r_first, "r_first", "ohm", positive), checked(r_on, "r_on", "ohm", non_negative)
    r_off = checked(r_off, "r_off", "ohm", positive_or_infinite)
    if is_concrete(r_on, r_off) and not float(r_off) > float(r_on):
        on, off = quantity(float(r_on), "ohm"), quantity(float(r_off), "ohm")
        raise ValueError(f"Argument `r_off` must be above `r_on` = {on}, but is {off}.")
    weights = 2.0 ** jnp.arange(bits).astype(r_first.dtype)
    ideal = jnp.isinf(r_off)
    unit = jnp.where(ideal, 1, r_off)
    # In units of r_off, so that no product overflows or underflows.
    first, on = r_first / unit, r_on / unit
    product = weights * (first + on) * (first + 1)
    half_sum, half_difference = (1 + on) / 2, (1 - on) / 2
    exact = unit * (product - on) / (half_sum + jnp.sqrt(half_difference**2 + product))
    return jnp.where(ideal, weights * (r_first + r_on) - r_on, exact)


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
    decade = np.append(_DECADES[series], 10.0)
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


def _positive(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    values = np.asarray(values, float)
    check(values, "values", "", positive)
    return values
