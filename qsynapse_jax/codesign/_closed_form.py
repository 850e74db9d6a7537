"""Resistors that cancel the switches exactly, where no wires and no spread are in the way.

A branch adds 1/(R_k + r_on) - 1/(R_k + r_off) when its bit is set. Levels are evenly spaced after the offset of code 0
is taken off if each branch adds half of the one before it:

    (R_k + r_on)(R_k + r_off) = 2^k (R_0 + r_on)(R_0 + r_off) = P_k

With m and h half the sum and half the difference of r_off and r_on, R_k = sqrt(h^2 + P_k) - m, written without that
difference of large numbers as (P_k - r_on r_off) / (m + sqrt(h^2 + P_k)). For r_off without end it is
2^k (R_0 + r_on) - r_on.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import as_whole, checked, non_negative, positive, positive_or_infinite, quantity


def binary_weighted(
    bits: int,
    r_first: Float[ArrayLike, ""] | float,
    r_on: Float[ArrayLike, ""] | float,
    r_off: Float[ArrayLike, ""] | float,
) -> Float[Array, " bits"]:
    """Branch resistors whose levels are evenly spaced for given switches, most significant first [ohm].

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
