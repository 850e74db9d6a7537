"""What training does, call by call: one compilation, one record an epoch, the same again for the same key."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.nn.layers import SIZE, WIRES, small_layer

fit = qs.training.fit
KEY = jax.random.key(0)


class CountTraces(nnx.Module):
    """A network that counts how often Python runs through it."""

    def __init__(self, inner):
        self.inner = inner
        self.seen = nnx.static(Counter())

    def __call__(self, x):
        self.seen.shapes.append(x.shape)
        return self.inner(x)


class Counter:
    def __init__(self):
        self.shapes = []


def samples(n=20, seed=0):
    """Inputs and labels that a matrix can tell apart."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, SIZE[0])).astype(np.float32)
    return x, (x @ rng.normal(size=SIZE)).argmax(axis=-1)


def ideal():
    return qs.nn.MLP([small_layer(wires=None)])


def software():
    return qs.nn.software_mlp(SIZE, rngs=nnx.Rngs(0))


def state_of(network):
    return nnx.to_pure_dict(nnx.state(network, nnx.Param))


def assert_same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_step_is_compiled_once_and_moves_weights_not_cells_or_wires():
    """Once for all epochs, and accuracy once: of a new layer, whose scale and wires began as Python numbers."""
    network = CountTraces(qs.nn.MLP([small_layer(WIRES)]))
    physical, parameters = nnx.to_pure_dict(nnx.state(network, qs.nn.Physical)), state_of(network)
    fit(network, samples(20), samples(9, seed=1), key=KEY, epochs=3, batch_size=4)
    assert sorted(network.seen.shapes) == [(4, SIZE[0]), (9, SIZE[0])]
    assert_same(nnx.to_pure_dict(nnx.state(network, qs.nn.Physical)), physical)
    moved = jax.tree.map(lambda new, old: bool(np.any(new != old)), state_of(network), parameters)
    assert len(jax.tree.leaves(moved)) == 3
    assert all(jax.tree.leaves(moved))


def test_the_same_key_trains_the_same_network():
    once, again, other = software(), software(), software()
    histories = [
        fit(network, samples(), samples(), key=key, epochs=2, batch_size=4)
        for network, key in ((once, KEY), (again, KEY), (other, jax.random.key(1)))
    ]
    assert histories[0] == histories[1]
    assert_same(state_of(once), state_of(again))
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
    assert qs.training.accuracy(network, jnp.asarray(x), jnp.asarray(y)) == pytest.approx(right.mean(), abs=1e-7)


def test_every_sample_has_its_turn_in_an_order_that_changes():
    """With steps too small to move a weight, and one sample a step, each loss tells which sample it was."""
    (x, y), network, losses = samples(6), software(), []
    expected = [float(qs.training.cross_entropy(network(jnp.asarray(x[[k]])), jnp.asarray(y[[k]]))) for k in range(6)]
    options = {"epochs": 3, "batch_size": 1, "learning_rate": 1e-30}
    fit(network, (x, y), (x, y), key=KEY, on_step=lambda _, loss: losses.append(loss), **options)
    orders = [tuple(np.abs(loss - np.array(expected)).argmin() for loss in losses[6 * k : 6 * k + 6]) for k in range(3)]
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert len(set(orders)) == 3


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
    parameters, state = (w, b), optimizer.init((w, b))
    for _ in range(2):
        updates, state = optimizer.update(jax.grad(loss)(parameters), state)
        parameters = optax.apply_updates(parameters, updates)
    np.testing.assert_allclose(network.layers[0].kernel.get_value(), parameters[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(network.layers[0].bias.get_value(), parameters[1], rtol=0, atol=1e-5)


def test_cross_entropy_is_that_of_the_label():
    logits = jnp.log(jnp.asarray([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    expected = -(np.log(0.25) + np.log(0.8)) / 2
    np.testing.assert_allclose(qs.training.cross_entropy(logits, jnp.asarray([1, 2])), expected, rtol=1e-6)


def test_cells_and_wires_are_trained_when_asked_for():
    """Adam's first step is the learning rate, downhill: for every resistance 1 ohm against the sign of its gradient."""
    network = qs.nn.MLP([small_layer(WIRES)])
    x, y = map(jnp.asarray, samples())

    @nnx.jit
    def slopes(network):
        wanted = nnx.DiffState(0, qs.nn.Physical)
        return nnx.grad(lambda network: qs.training.cross_entropy(network(x), y), argnums=wanted)(network)

    physical = nnx.to_pure_dict(nnx.state(network, qs.nn.Physical))
    parameters = state_of(network)
    gradient = nnx.to_pure_dict(slopes(network))
    fit(network, (x, y), (x, y), key=KEY, epochs=1, batch_size=20, learning_rate=1.0, wrt=qs.nn.Physical)
    after = nnx.to_pure_dict(nnx.state(network, qs.nn.Physical))
    assert_same(state_of(network), parameters)
    for new, old, slope in zip(*map(jax.tree.leaves, (after, physical, gradient)), strict=True):
        # Adam divides by the slope's size plus 1e-8, which is not small beside the slope of a large resistance.
        np.testing.assert_allclose(new - old, -slope / (abs(slope) + 1e-8), rtol=0, atol=0.05)
        assert new != old


@pytest.mark.parametrize("part", ["x", "parameters"])
def test_a_loss_that_is_no_number_ends_training(part):
    network, (x, y) = software(), samples()
    if part == "x":
        x[3, 2] = np.inf
    else:
        network.layers[0].bias.set_value(jnp.full(SIZE[1], jnp.nan))
    epochs = []
    message = r"^The loss became nan in epoch 1; lower `learning_rate`, now 0\.003\.$"
    with pytest.raises(ValueError, match=message):
        fit(network, (x, y), samples(), key=KEY, epochs=3, on_epoch=epochs.append)
    assert epochs == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 0}, r"`epochs` must be at least 1, but is 0\."),
        ({"batch_size": -1}, r"`batch_size` must be at least 1, but is -1\."),
        ({"learning_rate": 0.0}, r"`learning_rate` must be positive, but is 0\.0\."),
        ({"learning_rate": float("nan")}, r"`learning_rate` must be positive, but is nan\."),
        (
            {"train": (np.zeros((4, 5)), np.zeros(3, int))},
            r"`train` must hold inputs \(n, features\) and labels \(n,\)",
        ),
        ({"train": (np.zeros((0, 5)), np.zeros(0, int))}, r"`train` must hold .* shapes are \(0, 5\) and \(0,\)\."),
        ({"train": (np.zeros(5), np.zeros(5, int))}, r"`train` must hold .* shapes are \(5,\) and \(5,\)\."),
    ],
)
def test_arguments(changed, message):
    arguments = {"train": samples(), "test": samples(), "key": KEY} | changed
    with pytest.raises(ValueError, match=f"^Argument {message}"):
        fit(software(), **arguments)
