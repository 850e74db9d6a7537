"""Small models and samples that the tests of training share, so that little is compiled."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import qsynapse_jax as qs

SIZE = (5, 3)
KEY = jax.random.key(0)
# One object: a new one would be compiled anew.
ADAM = optax.adam(1e-2)
TILE = (4, 4)


def samples(n=20, seed=0):
    """Inputs and labels that a matrix can tell apart."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, SIZE[0])).astype(np.float32)
    return x, (x @ rng.normal(size=SIZE)).argmax(axis=-1)


def software(*hidden) -> Any:
    return qs.nn.mlp((SIZE[0], *hidden, SIZE[1]), rngs=nnx.Rngs(0))


def modal(seed=0) -> Any:
    """A model that behaves otherwise in training: dropout, whose random stream moves, and statistics of batches."""
    rngs = nnx.Rngs(seed)
    layers = [nnx.Linear(SIZE[0], 8, rngs=rngs), nnx.BatchNorm(8, rngs=rngs), jax.nn.relu]
    return nnx.Sequential(*layers, nnx.Dropout(0.5, rngs=rngs), nnx.Linear(8, SIZE[1], rngs=rngs))


def tile(wires=None):
    cell = qs.cells.Differential(qs.cells.Ladder(3, 10e3, 500.0, 500e3))
    return qs.tile.Tile(cell, wires=wires, shape=TILE)


def numbers(model: Any, kind: Any = ...) -> Any:
    """Variables of a model as a tree of plain arrays."""
    state = nnx.to_pure_dict(nnx.state(model, kind))
    return jax.tree.map(lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x, state)


def assert_same(one, other):
    """To the last bit, key by key."""
    jax.tree.map(np.testing.assert_array_equal, one, other)


class Counted(nnx.Module):
    """A model that counts how often Python runs through it."""

    def __init__(self, inner):
        self.inner = inner
        self.seen = nnx.static(Seen())

    def __call__(self, x):
        self.seen.shapes.append(x.shape)
        return self.inner(x)


class Seen:
    def __init__(self):
        self.shapes = []
