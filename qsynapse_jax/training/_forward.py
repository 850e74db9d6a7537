"""A model as it is called in training: its modes, and the variables that a call moves."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from qsynapse_jax.training._state import State


@partial(jax.jit, static_argnums=(0, 1))
def outputs_of(graphdef: Any, wrt: Any, parameters: Any, rest: Any, x: jax.Array) -> tuple[Any, Any]:
    """Outputs in training, and the variables that this moved: random streams, statistics of normalization.

    Jitted by itself, so that whoever asks for its shapes, its value or its slope runs through the model once.
    """
    model = training_model(graphdef, parameters, rest)
    outputs = model(x)
    _, _, moved = nnx.split(model, wrt, ...)
    return outputs, kept(rest, moved)


def training_model(graphdef: Any, parameters: Any, rest: Any) -> Any:
    """A model that behaves as in training; it shares no variables with the trees."""
    model = nnx.merge(graphdef, *jax.tree.map(lambda leaf: leaf, (parameters, rest)))
    model.train()
    return model


def kept(old: Any, new: Any) -> Any:
    """Those variables of `new` that `old` has, of its types: what a call adds (sown intermediates) does not stay."""
    found = dict(nnx.to_flat_state(new))
    new = nnx.from_flat_state([(path, found[path]) for path, _ in nnx.to_flat_state(old)])
    return jax.tree.map(lambda was, now: jnp.asarray(now, was.dtype), old, new)


def number_of_classes(state: State, x: jax.Array, batch_size: int) -> int:
    """Outputs of the model per sample; nothing is computed."""
    batch = jax.ShapeDtypeStruct((min(batch_size, len(x)), *x.shape[1:]), x.dtype)
    outputs, _ = outputs_of.eval_shape(state.graphdef, state.wrt, state.parameters, state.rest, batch)
    shape = getattr(outputs, "shape", None)
    if shape is None or len(shape) != 2:
        raise ValueError(
            "A model that is trained by `cross_entropy` must give logits of shape (batch, classes), but for inputs of "
            f"shape {batch.shape} it gives {shape or outputs}."
        )
    return shape[1]
