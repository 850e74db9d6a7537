"""Training through the circuit, solved exactly every few steps and followed in between."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.published_network._network import (
    Differential,
    Hardware,
    Layer,
    Offset,
    exact,
    near,
    sparing,
    xavier,
)
from qsynapse_jax.datasets import Dataset
from qsynapse_jax.studies import Progress

MEAN, DEVIATION = 0.1307, 0.3081  # of the pixels of MNIST, by which the published inputs are normalised


@dataclass(frozen=True)
class Case:
    """A network to train: where its weights are, from which start, and for how long.

    Attributes:
        tile: lines of a tile.
        coding: how weights are written.
        skew: of the start that spares the lines, see `sparing`; the published uniform start where `None`.
        scale: the digital factor of a layer, which weights are in units of; 1 from the published start.
        rate: Adam's learning rate at the beginning, in those units; it falls to zero along half a cosine.
        batch: images a step.
        epochs: times that the network sees all images.
        every: steps that a solution of the circuit is followed for; 0 differentiates the circuit itself in every step.
    """

    tile: int
    coding: Offset | Differential = field(default_factory=Offset)
    skew: float | None = 20.0
    scale: float = 2.0
    rate: float = 8e-3
    batch: int = 128
    epochs: int = 3
    every: int = 39

    @property
    def hardware(self) -> Hardware:
        """Coding and tile."""
        return Hardware(self.coding, self.tile)


class State(NamedTuple):
    """Layers and what Adam remembers of them."""

    layers: tuple[Layer, ...]
    optimizer: Any


class Trained(NamedTuple):
    """A trained network.

    `seconds` is the time of its training, compilation of the program included, tests left out. `loss`, and `accuracy`
    of the test on the exact circuit [%], are by epoch. `conductance` [S] is the mean of the cells of the first layer.
    """

    layers: tuple[Layer, ...]
    seconds: float
    loss: list[float]
    accuracy: list[float]
    conductance: float


def normalised(data: Dataset) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Images and classes for training, and for the test."""
    images = ((jnp.asarray(x) - MEAN) / DEVIATION for x in (data.x_train, data.x_test))
    return next(images), jnp.asarray(data.y_train), next(images), jnp.asarray(data.y_test)


def begin(case: Case, sizes: Sequence[int], key: jax.Array) -> tuple[Layer, ...]:
    """The network before training."""
    layers = []
    for number, shape in enumerate(pairwise(sizes)):
        own = jax.random.fold_in(key, number)
        weight = xavier(own, shape) if case.skew is None else sparing(own, shape, case.hardware, case.skew)
        layers.append(Layer(weight, jnp.zeros(shape[1])))
    return tuple(layers)


def train(case: Case, data: Dataset, hidden: int, seed: int, progress: Progress) -> Trained:
    """Trains a network with one hidden layer."""
    x, y, x_test, y_test = normalised(data)
    key = jax.random.key(seed)
    layers = begin(case, (x.shape[1], hidden, data.n_classes), key)
    # The range of the start is kept: weights that outgrow it at the lower end would lift all other cells of their tile.
    limits = [(float(jnp.min(one.weight)), float(jnp.max(one.weight))) for one in layers]
    every = max(1, case.every)
    segments = max(1, len(x) // case.batch // every)
    optimizer = optax.adam(optax.cosine_decay_schedule(case.rate, case.epochs * segments * every), eps=1e-12)
    run = _epoch(case, optimizer, None if case.skew is None else limits)
    state = State(layers, optimizer.init(layers))
    progress.stage(f"{case.coding.label}, tile {case.tile}", case.epochs * segments * every)
    seconds, losses, accuracies = 0.0, [], []
    for epoch in range(case.epochs):
        order = jax.random.permutation(jax.random.fold_in(key, len(layers) + epoch), len(x))
        started = time.perf_counter()
        state, loss = jax.block_until_ready(run(state, x, y, order[: segments * every * case.batch]))
        seconds += time.perf_counter() - started
        losses.append(float(loss))
        accuracies.append(accuracy(case, state.layers, x_test, y_test))
        progress.measured(f"epoch {epoch + 1}", losses[-1], f"test {accuracies[-1]:.2f} %, {seconds:.0f} s")
    written = case.hardware.write(state.layers[0].weight).g
    return Trained(state.layers, seconds, losses, accuracies, float(jnp.sum(written) / jnp.sum(written > 0)))


def accuracy(case: Case, layers: tuple[Layer, ...], images: jax.Array, classes: jax.Array) -> float:
    """Share of the images that the network knows on the exact circuit [%]."""
    return 100 * float(np.mean(_answers(case, layers, images) == np.asarray(classes)))


@partial(jax.jit, static_argnums=0)
def _answers(case: Case, layers: tuple[Layer, ...], images: jax.Array) -> jax.Array:
    return jnp.argmax(case.hardware.logits(layers, [exact] * len(layers), _scale(case), images), axis=1)


def _scale(case: Case) -> float:
    return 1.0 if case.skew is None else case.scale


def _epoch(case: Case, optimizer: optax.GradientTransformation, limits: list[tuple[float, float]] | None) -> Any:
    """A function of state, images, classes and their order that returns the state an epoch later and its mean loss."""

    def loss(layers: tuple[Layer, ...], circuits: Any, images: jax.Array, classes: jax.Array) -> jax.Array:
        logits = case.hardware.logits(layers, circuits, _scale(case), images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, classes).mean()

    @jax.jit
    def epoch(state: State, x: jax.Array, y: jax.Array, order: jax.Array) -> tuple[State, jax.Array]:
        def segment(state: State, batches: jax.Array) -> tuple[State, jax.Array]:
            circuits = [near(case.hardware.write(one.weight).g) if case.every else exact for one in state.layers]

            def step(state: State, batch: jax.Array) -> tuple[State, jax.Array]:
                value, gradient = jax.value_and_grad(loss)(state.layers, circuits, x[batch], y[batch])
                updates, memory = optimizer.update(gradient, state.optimizer, state.layers)
                moved: Any = optax.apply_updates(state.layers, updates)
                if limits is not None:
                    moved = tuple(
                        one._replace(weight=jnp.clip(one.weight, *limit))
                        for one, limit in zip(moved, limits, strict=True)
                    )
                return State(moved, memory), value

            return jax.lax.scan(step, state, batches)

        state, losses = jax.lax.scan(segment, state, order.reshape(-1, max(1, case.every), case.batch))
        return state, jnp.mean(losses)

    return epoch
