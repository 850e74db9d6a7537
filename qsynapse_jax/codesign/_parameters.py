"""Physical parameters that stay within the bounds a designer gives them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax._fields import check, positive

# A start at a bound has no slope there: it begins this share of the range (of logarithms) inside.
_INSIDE = 1e-3


class Bounded(eqx.Module):
    """A positive physical parameter that is to be found between two bounds.

        value = low (high / low)^s,  s = 1 / (1 + exp(-raw))

    The optimizer moves `raw`, which knows no bounds: equal steps are equal ratios, as a resistor of 1 kohm and one of
    1 Mohm want it.

    Args:
        value: where the search begins, any shape; at a bound it begins 0.1 % of the range inside.
        low: least value allowed, a scalar or of the shape of `value`, in the same unit.
        high: largest value allowed, likewise.

    Raises:
        ValueError: bounds that are not positive, not finite, or not ascending (infeasible); a `value` outside of them.
    """

    raw: Float[Array, "*shape"]
    low: Float[Array, "..."]
    high: Float[Array, "..."]

    def __init__(self, value: ArrayLike, low: ArrayLike, high: ArrayLike):
        value, low, high = (
            as_floating(jnp.asarray(x, jnp.result_type(float)) if isinstance(x, int | float) else x, name)
            for x, name in ((value, "value"), (low, "low"), (high, "high"))
        )
        _check(value, low, high)
        share = jnp.log(value / low) / jnp.log(high / low)
        share = jnp.clip(share, _INSIDE, 1 - _INSIDE)
        self.raw = jnp.log(share) - jnp.log1p(-share)
        self.low, self.high = low, high

    @property
    def value(self) -> Float[Array, "*shape"]:
        """The parameter itself, in its own unit."""
        return self.low * (self.high / self.low) ** jax.nn.sigmoid(self.raw)


def _check(value: jax.Array, low: jax.Array, high: jax.Array) -> None:
    for bound, name in ((low, "low"), (high, "high")):
        if bound.ndim and bound.shape != value.shape:
            raise ValueError(
                f"Argument `{name}` must be a scalar or of the shape of `value`, {value.shape}, but is {bound.shape}."
            )
    if not is_concrete(value, low, high):
        return
    least, most, start = np.broadcast_arrays(np.asarray(low), np.asarray(high), np.asarray(value))
    for bound, name in ((least, "low"), (most, "high")):
        check(bound, name, "", positive)
    if not (least < most).all():
        where = np.argwhere(~(least < most))[0]
        raise ValueError(
            f"Argument `low` must be below `high`, but {least[tuple(where)]:g} is not below {most[tuple(where)]:g}: no "
            "value is feasible. Widen them, or leave the parameter out of the design to keep it fixed."
        )
    outside = ~((start >= least * (1 - 1e-6)) & (start <= most * (1 + 1e-6)))
    if outside.any():
        where = tuple(np.argwhere(outside)[0])
        raise ValueError(
            f"Argument `value` must lie within its bounds, but {start[where]:g} is outside of {least[where]:g} to "
            f"{most[where]:g}; move the start or the bounds."
        )


def is_bounded(leaf: Any) -> bool:
    """Whether a leaf of a design is a parameter to be found."""
    return isinstance(leaf, Bounded)


def values(design: Any) -> Any:
    """A design with every `Bounded` parameter replaced by its value; everything else stays."""
    return jax.tree.map(lambda leaf: leaf.value if is_bounded(leaf) else leaf, design, is_leaf=is_bounded)
