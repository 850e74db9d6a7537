"""The network that a study begins with, in software: dense layers, or a model of the user's own."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from qsynapse_jax import nn
from qsynapse_jax._imports import own_object, raised
from qsynapse_jax.datasets import Dataset, load
from qsynapse_jax.tile import Tile


def load_samples(config: Any) -> Dataset:
    """The data set of a configuration: rows for dense layers, samples in their own shape for one's own model."""
    data = load(config.dataset, seed=config.seed)
    return data if config.model is None else data.shaped()


def build_network(config: Any, data: Dataset, tile: Tile) -> Any:
    """The network of a configuration before any training.

    Args:
        config: with `model`, or `hidden_sizes` where that is None; and `seed`.
        data: from `load_samples`.
        tile: what the network will sit on.

    Raises:
        ValueError: a model that is not there, raises, is none, gives no logits, or has nothing to put on crossbars.
    """
    if config.model is None:
        sizes = (data.x_train.shape[1], *config.hidden_sizes, data.n_classes)
        return nn.mlp(sizes, rngs=nnx.Rngs(config.seed))
    shape, classes = data.sample_shape, data.n_classes
    with own_object(config.model, "model") as function:
        if isinstance(function, nnx.Module) or not callable(function):
            raise _refused(config.model, "be a function that makes a model", f"is of type {type(function).__name__}")
        try:
            network = function(shape, classes, rngs=nnx.Rngs(config.seed))
        except Exception as error:
            call = f"return a model when called as function({shape}, {classes}, rngs=rngs)"
            raise _refused(config.model, call, f"raises {raised(error)}") from None
        if not isinstance(network, nnx.Module):
            raise _refused(config.model, "return a flax.nnx.Module", f"returns one of type {type(network).__name__}")
        for mode in (network.train, network.eval):
            mode()
            _check_logits(network, shape, classes, config.model)
    _check_layers(network, tile, config.model)
    network.train()
    return network


def words_for(config: Any, data: Dataset) -> str:
    """The network in words: its sizes, or where it comes from."""
    if config.model is not None:
        return config.model
    return "-".join(map(str, (data.x_train.shape[1], *config.hidden_sizes, data.n_classes)))


def _check_logits(network: Any, shape: tuple[int, ...], classes: int, name: str) -> None:
    """Traces a batch through the network; nothing is computed."""
    samples = 2
    graphdef, variables = nnx.split(network)
    batch = jax.ShapeDtypeStruct((samples, *shape), jnp.float32)
    try:
        logits = jax.eval_shape(lambda variables, x: nnx.merge(graphdef, variables)(x), variables, batch)
    except Exception as error:
        call = f"return a model for inputs of shape (batch, {', '.join(map(str, shape))})"
        raise _refused(name, call, f"it raises {raised(error)}") from None
    if getattr(logits, "shape", None) != (samples, classes) or not jnp.issubdtype(logits.dtype, jnp.floating):
        found = f"{logits.dtype} of shape {logits.shape}" if hasattr(logits, "shape") else f"a {type(logits).__name__}"
        wanted = f"return a model of logits, floats of shape (batch, {classes})"
        raise _refused(name, wanted, f"for {samples} samples it gives {found}")


def _check_layers(network: Any, tile: Tile, name: str) -> None:
    """Puts the network on crossbars once, so that what cannot be is said before any training."""
    if nn.crossbar_layers(network):
        raise _refused(name, "return a model in software", "some of its layers are on crossbars; leave out `convert`")
    try:
        nn.convert(network, tile)
    except ValueError as error:
        raise _refused(name, "return a model whose layers can all go on crossbars", f"some cannot. {error}") from None


def _refused(name: str, wanted: str, found: str) -> ValueError:
    text = f"Argument `model`, {name}, must {wanted}, but {found}"
    return ValueError(text if text.endswith(".") else f"{text}.")
