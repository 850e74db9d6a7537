"""What a model is judged by."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import as_whole
from qsynapse_jax.nn import crossbar_layers, freeze


def cross_entropy(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, ""]:
    """Mean softmax cross-entropy of a batch [nat]."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


def accuracy(model: nnx.Module, x: Any, y: Any, batch_size: int | None = None) -> Float[Array, ""]:
    """Share of samples whose largest logit is that of their label; the model is called in evaluation mode.

    Args:
        model: any NNX model of logits (batch, classes); it is left as it was.
        x: inputs (n, ...).
        y: labels (n,), integers from 0.
        batch_size: samples per call, where memory does not suffice for all of them; circuits are solved once for all.

    Raises:
        ValueError: no samples, or not as many inputs as labels.
    """
    x, y = jnp.asarray(x), jnp.asarray(y)
    if y.ndim != 1 or len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"Inputs `x` must have shape (n, ...) and labels `y` shape (n,) with the same n >= 1, but their shapes are "
            f"{x.shape} and {y.shape}."
        )
    size = len(x) if batch_size is None else min(as_whole(batch_size, "batch_size", 1), len(x))
    graphdef, variables = nnx.split(model)
    if is_concrete(variables, x, y):
        # A program that raises calls Python back, which a cache of compiled programs cannot keep: it is for circuits
        # that have no solution, to say why.
        share, solved = _accuracy(graphdef, variables, x, y, size, False)
        if bool(solved):
            return share
    return _accuracy(graphdef, variables, x, y, size, True)[0]


@partial(jax.jit, static_argnums=(0, 4, 5))
def _accuracy(
    graphdef: Any, variables: Any, x: jax.Array, y: jax.Array, size: int, throw: bool
) -> tuple[Array, Bool[Array, ""]]:
    """The share, and whether all circuits were solved; kernels that raise do it only where they may `throw`."""
    model: Any = nnx.merge(graphdef, variables)
    model.eval()
    solved = jnp.ones((), bool)
    if layers := crossbar_layers(model):
        for layer in layers.values():
            layer.kernel.throw &= throw
        model = freeze(model)
        matrices = [layer.kernel.effective() for layer in crossbar_layers(model).values()]
        solved = jnp.all(jnp.stack([jnp.all(jnp.isfinite(matrix)) for matrix in matrices]))
    graphdef, variables = nnx.split(model)

    def right(x: jax.Array, y: jax.Array) -> Array:
        # Statistics and random streams that a call may move are those of every batch anew.
        model: Any = nnx.merge(graphdef, variables, copy=True)
        return jnp.sum(jnp.argmax(model(x), axis=-1) == y)

    if size == len(x):
        return right(x, y) / len(x), solved
    whole = len(x) // size * size
    batches = (part[:whole].reshape(-1, size, *part.shape[1:]) for part in (x, y))
    total = jnp.sum(jax.lax.map(lambda batch: right(*batch), tuple(batches)))
    return (total + (right(x[whole:], y[whole:]) if whole < len(x) else 0)) / len(x), solved
