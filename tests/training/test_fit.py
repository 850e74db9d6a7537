"""What `fit` does: Adam on a cosine, one record per epoch, the same again for the same key."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.training.models import KEY, SIZE, Counted, assert_same, modal, numbers, samples, software, tile
from tests.unchecked import unchecked

fit = qs.training.fit


def test_the_figures_of_a_run():
    """Measured before the loop became one scan: the same order of samples and the same steps."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)).astype(np.float32)
    y = (x @ rng.normal(size=(5, 3))).argmax(-1)
    found = fit(software(7), (x, y), (x[:20], y[:20]), key=jax.random.key(3), epochs=4, batch_size=8)
    np.testing.assert_allclose([e.loss for e in found], [1.1506181, 1.0895162, 1.0579762, 1.0560589], rtol=1e-6)
    np.testing.assert_allclose([e.accuracy for e in found], [0.6, 0.6, 0.65, 0.65], atol=1e-6)


@pytest.mark.slow  # compiles a circuit and its gradient; tests/training/test_learning.py trains through one by default
def test_through_wires_a_step_is_compiled_once_and_moves_weights_not_cells_or_wires():
    """Once for all epochs, and accuracy once; the figures are those measured before tiles were one object."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)).astype(np.float32)
    y = (x @ rng.normal(size=(5, 3))).argmax(-1)
    cell = qs.cells.Differential(qs.cells.Ladder(3, 80e3, 5e3, 1e6))
    on = qs.tile.Tile(cell, wires=qs.crossbar.Wires(5.0, 5.0), shape=(4, 4))
    network = software(7)
    fit(network, (x, y), (x[:20], y[:20]), key=jax.random.key(3), epochs=4, batch_size=8)
    network = Counted(qs.nn.convert(network, on))
    physical, parameters = numbers(network, qs.nn.Physical), numbers(network, nnx.Param)
    found = fit(network, (x, y), (x[:20], y[:20]), key=jax.random.key(3), epochs=3, batch_size=8)
    np.testing.assert_allclose([e.loss for e in found], [0.9908051, 0.9770083, 0.9539739], rtol=1e-5)
    assert sorted(network.seen.shapes) == [(8, 5), (20, 5)]
    assert_same(numbers(network, qs.nn.Physical), physical)
    # In batches, the circuits solved once for all of them.
    assert float(qs.training.accuracy(network, x[:20], y[:20], 7)) == pytest.approx(found[-1].accuracy, abs=1e-7)
    moved = jax.tree.map(lambda new, old: bool(np.any(new != old)), numbers(network, nnx.Param), parameters)
    assert len(jax.tree.leaves(moved)) == 6
    assert all(jax.tree.leaves(moved))


def test_the_same_key_trains_the_same_network():
    once, again, other = software(), software(), software()
    histories = [
        fit(network, samples(), samples(), key=key, epochs=2, batch_size=4)
        for network, key in ((once, KEY), (again, KEY), (other, jax.random.key(1)))
    ]
    assert histories[0] == histories[1]
    assert_same(numbers(once), numbers(again))
    assert histories[0] != histories[2]


def test_what_is_reported():
    steps, epochs, network = [], [], software()
    history = fit(
        network,
        samples(11),
        samples(7, seed=1),
        key=KEY,
        epochs=3,
        batch_size=4,
        on_step=lambda number, loss: steps.append((number, loss)),
        on_epoch=epochs.append,
    )
    # Eleven samples are two batches of four and three left out.
    assert [number for number, _ in steps] == [1, 2, 3, 4, 5, 6]
    assert epochs == history
    assert [epoch.number for epoch in history] == [1, 2, 3]
    losses = np.array([loss for _, loss in steps]).reshape(3, 2)
    np.testing.assert_allclose([epoch.loss for epoch in history], losses.mean(axis=1), rtol=1e-6)
    x, y = samples(7, seed=1)
    right = np.asarray(network(jnp.asarray(x))).argmax(axis=-1) == y
    assert history[-1].accuracy == pytest.approx(right.mean(), abs=1e-7)
    for size in (None, 3, 7, 99):
        assert qs.training.accuracy(network, x, y, size) == pytest.approx(right.mean(), abs=1e-7)


def test_order_is_nothing_to_a_full_batch():
    whole, cut = software(), software()
    expected = fit(whole, samples(), samples(), key=KEY, epochs=3, batch_size=20)
    # A batch larger than the training set is the training set.
    found = fit(cut, samples(), samples(), key=jax.random.key(1), epochs=3, batch_size=999)
    # Sums of the same numbers in another order.
    np.testing.assert_allclose([e.loss for e in found], [e.loss for e in expected], rtol=1e-5)
    assert [e.accuracy for e in found] == [e.accuracy for e in expected]


def test_a_full_batch_step_is_adam():
    """Against Optax by hand: the mean cross-entropy of all samples, learning rate on a cosine down to 1 %."""
    network, (x, y) = software(), samples()
    fit(network, (x, y), (x, y), key=KEY, epochs=2, batch_size=20, learning_rate=0.1)
    w, b = (software().layers[0].kernel.get_value(), software().layers[0].bias.get_value())

    def loss(parameters):
        w, b = parameters
        logits = x @ w + b[None, :]
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(20), y])

    optimizer = optax.adam(optax.cosine_decay_schedule(0.1, 2, alpha=0.01))
    parameters: Any = (w, b)
    state = optimizer.init(parameters)
    for _ in range(2):
        updates, state = optimizer.update(jax.grad(loss)(parameters), state)
        parameters = optax.apply_updates(parameters, updates)
    np.testing.assert_allclose(network.layers[0].kernel.get_value(), parameters[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(network.layers[0].bias.get_value(), parameters[1], rtol=0, atol=1e-5)


def test_cross_entropy_is_that_of_the_label():
    logits = jnp.log(jnp.asarray([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    expected = -(np.log(0.25) + np.log(0.8)) / 2
    np.testing.assert_allclose(qs.training.cross_entropy(logits, jnp.asarray([1, 2])), expected, rtol=1e-6)


def test_a_loss_that_is_no_number_ends_training():
    """The model is as after the last complete epoch, here none."""
    network, epochs = software(), []
    network.layers[0].bias.set_value(jnp.full(SIZE[1], jnp.nan))
    with pytest.raises(qs.training.DivergedError, match=r"^The loss became nan in step 1 of epoch 1; lower the learn"):
        fit(network, samples(), samples(), key=KEY, epochs=3, on_epoch=epochs.append)
    assert epochs == []


def test_what_diverges_later_leaves_the_epoch_before_with_all_that_was_measured(tmp_path):
    """No checkpoint was due by then. One step per epoch, of which the fourth has no size."""
    rule = optax.sgd(lambda number: jnp.where(jnp.asarray(number) < 3, 0.1, jnp.nan))
    rates = {"key": KEY, "epochs": 5, "batch_size": 20, "rule": rule}
    seen = []
    with pytest.raises(qs.training.DivergedError, match=r"in step 1 of epoch 4; lower the learning rate"):
        fit(
            software(),
            samples(),
            samples(),
            **rates,
            on_epoch=seen.append,
            measure=lambda state: {"steps": float(state.step)},
            checkpoint=tmp_path,
            checkpoint_seconds=1e9,
        )
    assert [epoch.measured["steps"] for epoch in seen] == [1, 2, 3]
    state = qs.training.restore(tmp_path, like=qs.training.init(software(), rule, key=KEY))
    assert int(state.epoch) == 3


def test_physical_parameters_are_not_trained():
    network = qs.nn.convert(software(), tile())
    message = r"`wrt` must not catch physical parameters, but it catches layers/0/kernel/tile: .*`codesign\.optimize`"
    with pytest.raises(ValueError, match=message):
        fit(network, samples(), samples(), key=KEY, wrt=nnx.Any(nnx.Param, qs.nn.Physical))


X, Y = samples()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 0}, r"^Argument `epochs` must be an integer of at least 1, but is 0\."),
        ({"batch_size": -1}, r"`batch_size` must be an integer of at least 1, but is -1\."),
        ({"learning_rate": 0.0}, r"`learning_rate` must be positive and finite, but is 0\."),
        ({"learning_rate": float("nan")}, r"`learning_rate` must be positive and finite, but is nan\."),
        ({"train": (X, Y[:-1])}, r"`x` of `train` must have shape \(n, \.\.\.\) .* are \(20, 5\) and \(19,\)\."),
        ({"test": (X, Y[:-1])}, r"`x` of `test` must have shape .* are \(20, 5\) and \(19,\)\."),
        ({"train": (X[:0], Y[:0])}, r"`train` must have shape .* are \(0, 5\) and \(0,\)\."),
        ({"train": (X[0], Y[:5])}, r"`train` must have shape .* are \(5,\) and \(5,\)\."),
        ({"train": (1.0, 2)}, r"`train` must have shape .* are \(\) and \(\)\."),
        (
            {"test": (X[:, :4], Y)},
            r"`test` must have the shape of those of `train`, \(n, 5\), but have shape \(20, 4\)",
        ),
        ({"train": (X, np.eye(3)[Y])}, r"`y` of `train` must be integers .*one-hot\?\); give `y\.argmax\(axis=-1\)`"),
        ({"test": (X, Y * 1.0)}, r"`y` of `test` must be integers .* dtype float64 .*; give `y\.astype\(int\)`\."),
        ({"train": (X, Y + 1)}, r"`y` of `train` must be from 0 to 2 for a model of 3 outputs, but y\[\d+\] = 3\."),
        ({"test": (X, Y - 1)}, r"`y` of `test` must be from 0 to 2 for a model of 3 outputs, but y\[\d+\] = -1\."),
        ({"train": (np.where(X[3, 2] == X, np.nan, X), Y)}, r"`x` of `train` must be finite, but x\[3, 2\] = nan;"),
        ({"test": (jnp.where(X[3, 2] == X, np.inf, X), Y)}, r"`x` of `test` must be finite, but x\[3, 2\] = inf;"),
        ({"train": (X.astype(str), Y)}, r"`x` of `train` must be an array of real numbers, but has dtype <U"),
        ({"resume": True}, r"`checkpoint` must be a folder where `resume` is asked for, but is None\."),
        ({"rule": 3}, r"`rule` must be an Optax transformation, .* but is a int\."),
        ({"digital": optax.sgd(0.1)}, r"`digital` belongs to in-place rules"),
        ({"wrt": qs.nn.Physical}, r"`wrt` must catch variables of the model, but catches none"),
        ({"wrt": lambda path, variable: "count" in path}, r"but it catches layers/3/rngs/count, which have no slope"),
    ],
)
def test_arguments(changed, message):
    """Refused before any work: no step is made."""
    arguments = {"train": (X, Y), "test": (X, Y), "key": KEY, "on_step": lambda *step: pytest.fail("worked")} | changed
    with unchecked(), pytest.raises(ValueError, match=message):
        fit(modal(), **arguments)
