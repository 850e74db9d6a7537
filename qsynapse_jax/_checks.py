"""Border checks, in one grammar: "Argument `name` must ..., but ...; remedy.".

Shapes and dtypes are static and always checked. Values are checked where they are concrete; a function that can
be traced must carry its value checks in its own result (see `crossbar.solve`) or call `_fields.checked`.
"""

from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np


def is_concrete(*trees: Any) -> bool:
    """Whether no leaf of the trees is a tracer, so that values can be read now."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def as_real(value: Any, name: str) -> jax.Array:
    """`value` as a floating-point array; integers of Python and NumPy are numbers, integer arrays are refused."""
    if isinstance(value, bool | int | float | np.integer):
        return jnp.asarray(float(value))
    array = as_floating(value, name)
    if array.ndim != 0:
        raise ValueError(f"Argument `{name}` must be a scalar, but has shape {array.shape}.")
    return array


def as_floating(value: Any, name: str) -> jax.Array:
    """`value` as a float32 or float64 array, or a `ValueError` that names the argument and the remedy."""
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Argument `{name}` must be an array of real numbers, but {error}") from error
    if array.dtype not in (jnp.float32, jnp.float64):
        raise ValueError(
            f"Argument `{name}` must be a float32 or float64 array, but has dtype {array.dtype}; "
            f"convert it first, e.g. `{name} = jnp.asarray({name}, float)`."
        )
    return array


def bad_value_message(array: Any, name: str, *, unit: str, minimum: str | None) -> str | None:
    """Where a concrete `array` breaks its rule: finite and, with `minimum` "non-negative", that too."""
    values = np.asarray(array)
    bad = ~np.isfinite(values)
    if minimum == "non-negative":
        bad |= values < 0
    if not bad.any():
        return None
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    place = f"{name}[{', '.join(map(str, where))}]" if where else name
    rule = f"{minimum} and finite" if minimum else "finite"
    return f"Argument `{name}` must be {rule}, but {place} = {values[where]} {unit}."
