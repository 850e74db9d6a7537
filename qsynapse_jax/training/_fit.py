"""Training by back-propagation through the circuit: one jitted step, one compilation a shape."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int


@dataclass(frozen=True)
class Epoch:
    """Figures at the end of an epoch: its mean training loss, and the accuracy on held-out data in [0, 1]."""

    number: int
    loss: float
    accuracy: float


def cross_entropy(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, ""]:
    """Mean softmax cross-entropy of a batch [nat]."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


@nnx.jit
def accuracy(network: nnx.Module, x: Float[Array, "batch features"], y: Int[Array, " batch"]) -> Float[Array, ""]:
    """Share of samples whose largest logit is that of their label. The circuit is compiled once for all of `x`."""
    return jnp.mean(jnp.argmax(network(x), axis=-1) == y)  # pyright: ignore[reportCallIssue]


def fit(
    network: nnx.Module,
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    *,
    key: jax.Array,
    epochs: int = 10,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    wrt: Any = nnx.Param,
    on_step: Callable[[int, float], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> list[Epoch]:
    """Trains `network` in place with Adam and a cosine decay of the learning rate.

    Args:
        network: any NNX network of logits, e.g. an `nn.MLP`.
        train: inputs (n, features) and labels (n,).
        test: likewise; only measured.
        key: order of the training samples.
        epochs: passes over the training set, at least 1. In each the last incomplete batch is left out, another
            one every time.
        batch_size: samples a step, cut down to the training set.
        learning_rate: at the start; it falls to 1 % of it.
        wrt: which variables are trained; `nnx.Any(nnx.Param, nn.Physical)` includes cells and wires.
        on_step: called after every step with its number and loss: waits for the step, so that progress is true.
        on_epoch: called after every epoch.

    Returns:
        One record an epoch.

    Raises:
        ValueError: sizes below 1 or unequal; a learning rate that is not positive; a loss that is not finite, which
            ends training.
    """
    x, y = (jnp.asarray(part) for part in train)
    x_test, y_test = (jnp.asarray(part) for part in test)
    _check(x, y, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
    batch_size = min(batch_size, len(x))
    steps = len(x) // batch_size
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, epochs * steps, alpha=0.01))
    graph, parameters, rest = nnx.split(network, wrt, ...)
    # What began as a Python number is weakly typed until its first update: the step would be compiled again.
    parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype), parameters)
    state = optimizer.init(parameters)
    history = []
    for epoch in range(1, epochs + 1):
        key, subkey = jax.random.split(key)
        batches = np.asarray(jax.random.permutation(subkey, len(x)))[: steps * batch_size].reshape(steps, -1)
        losses = []
        for number, batch in enumerate(batches):
            parameters, state, loss = _step(graph, optimizer, parameters, rest, state, x[batch], y[batch])
            losses.append(loss)
            if on_step is not None:
                on_step((epoch - 1) * steps + number + 1, float(loss))
        nnx.update(network, parameters)
        mean_loss = float(jnp.mean(jnp.stack(losses)))
        if not np.isfinite(mean_loss):
            raise ValueError(
                f"The loss became {mean_loss} in epoch {epoch}; lower `learning_rate`, now {learning_rate}."
            )
        history.append(Epoch(epoch, mean_loss, float(accuracy(network, x_test, y_test))))
        if on_epoch is not None:
            on_epoch(history[-1])
    return history


@partial(jax.jit, static_argnums=(0, 1))
def _step(graph: Any, optimizer: Any, parameters: Any, rest: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
    def loss_of(parameters: Any) -> jax.Array:
        return cross_entropy(nnx.merge(graph, parameters, rest)(x), y)

    loss, gradient = jax.value_and_grad(loss_of)(parameters)
    updates, state = optimizer.update(gradient, state, parameters)
    return optax.apply_updates(parameters, updates), state, loss


def _check(x: jax.Array, y: jax.Array, *, epochs: int, batch_size: int, learning_rate: float) -> None:
    if x.ndim != 2 or x.shape[0] != y.shape[0] or x.shape[0] == 0:
        raise ValueError(
            f"Argument `train` must hold inputs (n, features) and labels (n,) with n >= 1, but their shapes are "
            f"{x.shape} and {y.shape}."
        )
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"Argument `{name}` must be at least 1, but is {value}.")
    if not learning_rate > 0:
        raise ValueError(f"Argument `learning_rate` must be positive, but is {learning_rate}.")
