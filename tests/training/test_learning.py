"""Networks that train through resistive wires, and those that meet them only after training."""

from functools import cache
from itertools import pairwise

import jax
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs

CELL = (3, 5e3, 500.0, 500e3)


@cache
def digits(n, pool):
    """Images of 8 x 8 pixels, averaged over squares of `pool`."""
    data = qs.datasets.load("digits")
    shape = (-1, 8 // pool, pool, 8 // pool, pool)
    train, test = (np.asarray(x).reshape(shape).mean((2, 4)).reshape(len(x), -1) for x in (data.x_train, data.x_test))
    return (train[:n], data.y_train[:n]), (test, data.y_test)


def tile(wires, shape):
    return qs.tile.Tile(qs.cells.Differential(qs.cells.Ladder(*CELL)), wires=wires, shape=shape)


def network(sizes, on, *, seed):
    layers, rngs = [], nnx.Rngs(seed)
    for pair in pairwise(sizes):
        layers += [qs.nn.CrossbarDense(*pair, tile=on, rngs=rngs), jax.nn.relu]
    return nnx.Sequential(*layers[:-1])


def train_both(sizes, shape, wires, *, n, pool=1, seed=0, **options):
    """Accuracies of a network trained through the wires and of one put behind them afterwards; losses of the former."""
    train, test = digits(n, pool)
    behind, exact = tile(qs.crossbar.Wires(*wires), shape), tile(None, shape)
    through, ideal = network(sizes, behind, seed=seed), network(sizes, exact, seed=seed)
    history = qs.training.fit(through, train, test, key=jax.random.key(seed), **options)
    qs.training.fit(ideal, train, test, key=jax.random.key(seed), **options)
    deployed = float(qs.training.accuracy(qs.nn.convert(ideal, behind), *test))
    return history[-1].accuracy, deployed, [epoch.loss for epoch in history]


@pytest.mark.slow  # the run of tests/test_cli.py trains through wires by default
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_layer_learns_digits_through_its_wires(seed):
    """Squares of four pixels, wires in which most of a current is lost: 75 to 76 % against 30 to 40 %."""
    options = {"epochs": 10, "batch_size": 32, "learning_rate": 0.03, "seed": seed}
    through, deployed, losses = train_both((16, 10), (16, 20), (60.0, 180.0), n=600, pool=2, **options)
    assert through >= 0.72
    assert deployed <= through - 0.25
    assert losses[-1] < 0.7 * losses[0]
    assert np.isfinite(losses).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_layers_on_many_tiles_learn_digits_through_their_wires(seed):
    """Wires of 10 and 30 ohm: with 64 word lines, tens of per cent of a bit line's current are lost."""
    options = {"epochs": 10, "batch_size": 32, "learning_rate": 0.01}
    through, deployed, _ = train_both((64, 32, 10), (64, 32), (10.0, 30.0), n=1297, seed=seed, **options)
    assert through >= 0.93
    assert deployed <= through - 0.03
