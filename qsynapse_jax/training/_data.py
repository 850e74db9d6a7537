"""Samples at the border: what does not belong together is refused before any work."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qsynapse_jax.training._measures import cross_entropy
from qsynapse_jax.training._state import State, outputs_of


def check_samples(x: Any, y: Any, state: State, batch_size: int, name: str = "") -> tuple[jax.Array, jax.Array]:
    """Inputs (n, ...) and labels (n,) as arrays; `name` is that of the pair they come from, if they do.

    Raises:
        ValueError: no samples, or not as many inputs as labels; numbers that are not real or not finite; labels that
            are no classes of the model of `state`, or one-hot.
    """
    of = f" of `{name}`" if name else ""
    x, y = (value if isinstance(value, jax.Array) else np.asarray(value) for value in (x, y))
    for what, value in (("x", x), ("y", y)):
        if not jnp.issubdtype(value.dtype, jnp.number) or jnp.issubdtype(value.dtype, jnp.complexfloating):
            raise ValueError(f"Argument `{what}`{of} must be an array of real numbers, but has dtype {value.dtype}.")
    if x.ndim < 2 or y.ndim < 1 or len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"Inputs `x`{of} must have shape (n, ...) and labels `y`{of} shape (n,) with the same n >= 1, but their "
            f"shapes are {x.shape} and {y.shape}."
        )
    classes = state.loss is cross_entropy
    if classes:
        _check_integers(y, of)
    _check_finite(x, "x", of)
    _check_finite(y, "y", of)
    x, y = jnp.asarray(x), jnp.asarray(y)
    if classes:
        _check_range(np.asarray(y), _number_of_classes(state, x, batch_size), of)
    return x, y


def _check_integers(y: Any, of: str) -> None:
    if y.ndim == 1 and jnp.issubdtype(y.dtype, jnp.integer):
        return
    hint, one_hot = ("y.argmax(axis=-1)", " (one-hot?)") if y.ndim == 2 else ("y.astype(int)", "")
    raise ValueError(
        f"Labels `y`{of} must be integers of shape (n,), one class per sample, but have dtype {y.dtype} and shape "
        f"{y.shape}{one_hot}; give `{hint}`."
    )


def _check_finite(values: Any, what: str, of: str) -> None:
    arrays = jnp if isinstance(values, jax.Array) else np
    if bool(arrays.isfinite(values).all()):
        return
    values = np.asarray(values)
    where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
    raise ValueError(
        f"Argument `{what}`{of} must be finite, but {what}[{', '.join(map(str, where))}] = {values[where]}; leave such "
        "samples out, or fill in what is missing."
    )


def _number_of_classes(state: State, x: jax.Array, batch_size: int) -> int:
    """Outputs of the model per sample; nothing is computed."""
    batch = jax.ShapeDtypeStruct((min(batch_size, len(x)), *x.shape[1:]), x.dtype)
    outputs, _ = outputs_of.eval_shape(state.graphdef, state.wrt, state.parameters, state.rest, state.circuits, batch)
    shape = getattr(outputs, "shape", None)
    if shape is None or len(shape) != 2:
        raise ValueError(
            "A model that is trained by `cross_entropy` must give logits of shape (batch, classes), but for inputs of "
            f"shape {batch.shape} it gives {shape or outputs}."
        )
    return shape[1]


def _check_range(y: np.ndarray, classes: int, of: str) -> None:
    outside = (y < 0) | (y >= classes)
    if outside.any():
        where = int(np.argmax(outside))
        raise ValueError(
            f"Labels `y`{of} must be from 0 to {classes - 1} for a model of {classes} outputs, but y[{where}] = "
            f"{y[where]}."
        )
