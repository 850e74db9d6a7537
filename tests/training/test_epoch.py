"""The state of a run and an epoch of it: one scan, one compilation, and a stop where numbers end."""

import os
import signal
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.training.models import ADAM, KEY, SIZE, Counted, assert_same, modal, numbers, samples, software

T = qs.training
SGD = optax.sgd(0.1)


def test_the_order_of_the_samples_and_all_steps_against_a_loop_by_hand():
    """`key, subkey = split(key)`, and the first samples of `permutation(subkey, n)`: the figures of today stay."""
    (x, y), network = samples(11), software()
    state = T.init(network, SGD, key=KEY)
    expected, key, w, b = [], KEY, network.layers[0].kernel.get_value(), network.layers[0].bias.get_value()

    @jax.jit
    def step(w, b, x, y):
        loss, slope = jax.value_and_grad(lambda p: T.cross_entropy(x @ p[0] + p[1][None, :], y))((w, b))
        return w - 0.1 * slope[0], b - 0.1 * slope[1], loss

    for number in (1, 2):
        state, metrics = T.epoch(state, x, y, 4)
        key, subkey = jax.random.split(key)
        for batch in np.asarray(jax.random.permutation(subkey, 11))[:8].reshape(2, 4):
            w, b, loss = step(w, b, x[batch], y[batch])
            expected.append(float(loss))
        np.testing.assert_allclose(metrics.losses, expected[-2:], rtol=1e-6)
        assert float(metrics.loss) == pytest.approx(np.mean(expected[-2:]), rel=1e-6)
        assert (int(state.epoch), int(state.step)) == (number, 2 * number)
    np.testing.assert_allclose(T.model(state).layers[0].kernel.get_value(), w, rtol=1e-5, atol=1e-6)
    # The network itself was left alone.
    assert_same(numbers(network), numbers(software()))


def test_one_run_through_the_model_for_all_epochs_and_listeners():
    (x, y), network, heard = samples(), Counted(software()), []
    state = T.init(network, ADAM, key=KEY)
    for _ in range(3):
        state, _ = T.epoch(state, x, y, 8)
    assert network.seen.shapes == [(8, SIZE[0])]
    for sign in (1, -1):
        state, metrics = T.epoch(state, x, y, 8, on_step=lambda n, loss, sign=sign: heard.append((sign * n, loss)))
    assert [n for n, _ in heard] == [7, 8, -9, -10]
    np.testing.assert_allclose([loss for _, loss in heard[2:]], metrics.losses, rtol=1e-6)
    assert len(network.seen.shapes) == 1


@pytest.mark.slow
def test_dropout_and_batch_statistics_move_and_evaluation_uses_neither():
    (x, y), network = samples(), modal()
    state = T.init(network, ADAM, key=KEY)
    after, _ = T.epoch(state, x, y, 20)
    assert int(after.rest["layers"][3]["rngs"]["count"].get_value()) == 1
    # One batch of all samples: what the running mean becomes does not depend on their order.
    hidden = x @ network.layers[0].kernel.get_value() + network.layers[0].bias.get_value()[None, :]
    mean = after.rest["layers"][1]["mean"].get_value()
    np.testing.assert_allclose(mean, 0.01 * hidden.mean(axis=0), rtol=1e-4, atol=1e-6)
    # Another mask with every step: without one the losses of a learning rate of 0 would be the same.
    still, one = T.epoch(T.init(network, optax.sgd(0.0), key=KEY), x, y, 20)
    _, other = T.epoch(still, x, y, 20)
    assert float(one.loss) != float(other.loss)
    trained = T.model(after)
    assert not trained.layers[3].deterministic
    trained.eval()
    expected = np.mean(np.asarray(trained(jnp.asarray(x))).argmax(axis=-1) == y)
    trained.train()
    assert float(T.accuracy(trained, x, y)) == pytest.approx(expected, abs=1e-7)
    assert_same(numbers(trained), numbers(T.model(after)))


class Convolutional(nnx.Module):
    def __init__(self, rngs):
        self.conv, self.out = nnx.Conv(1, 2, (3, 3), rngs=rngs), nnx.Linear(2, 3, rngs=rngs)

    def __call__(self, x):
        x = jax.nn.relu(self.conv(x))
        self.sow(nnx.Intermediate, "after", x)
        return self.out(x.mean(axis=(1, 2)))


@pytest.mark.filterwarnings("ignore:Using 'Module.sow:DeprecationWarning")
def test_images_and_what_a_model_sows():
    x, y = np.random.default_rng(0).normal(size=(12, 4, 4, 1)).astype(np.float32), np.arange(12) % 3
    state = T.init(Convolutional(nnx.Rngs(0)), ADAM, key=KEY)
    state, first = T.epoch(state, x, y, 6)
    state, second = T.epoch(state, x, y, 6)
    assert np.isfinite(first.losses).all()
    assert float(second.loss) < float(first.loss)
    assert "after" not in numbers(T.model(state))


def test_no_two_leaves_share_a_buffer_so_the_state_can_be_donated():
    """A model whose variables share one array, and an optimizer that begins with the parameters themselves."""
    network = software(3)
    network.layers[1].bias.set_value(network.layers[0].bias.get_value())
    x, y = map(jnp.asarray, samples())

    def downhill(slope: Any, memory: Any, parameters: Any = None) -> Any:
        return jax.tree.map(lambda x: -x, slope), memory

    def twice(parameters: Any) -> Any:
        return parameters, parameters

    remembering = optax.GradientTransformation(twice, downhill)  # pyright: ignore[reportArgumentType]
    state = T.init(network, remembering, key=KEY)

    def buffers(state):
        leaves = [x for x in jax.tree.leaves(state) if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]
        return [x.unsafe_buffer_pointer() for x in leaves]

    assert len(set(buffers(state))) == len(buffers(state))
    step = jax.jit(T.step, donate_argnums=0)
    losses = []
    for _ in range(3):
        old = state
        state, loss = step(state, x, y)
        losses.append(float(loss))
        assert old.step.is_deleted()
        assert not state.step.is_deleted()
    assert losses[2] < losses[0]
    assert_same(numbers(network.layers[0]), numbers(software(3).layers[0]))


def test_the_loss_of_ones_own_takes_labels_of_any_kind():
    (x, _), target = samples(), np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)

    def squared(outputs, target):
        return jnp.mean((outputs - target) ** 2)

    state = T.init(software(), SGD, key=KEY, loss=squared)
    state, first = T.epoch(state, x, target, 10)
    state, second = T.epoch(state, x, target, 10)
    assert float(second.loss) < float(first.loss)
    with pytest.raises(ValueError, match=r"`y` must be finite, but y\[0, 0\] = nan"):
        T.epoch(state, x, np.full_like(target, np.nan))
    with pytest.raises(ValueError, match=r"`loss` must return a scalar, but its result has shape \(20, 3\)"):
        T.epoch(T.init(software(), SGD, key=KEY, loss=lambda a, b: a - b), x, target)


def test_divergence_names_the_step_and_leaves_the_last_good_state():
    (x, y), network = samples(), software()
    # Weights of 1e36 and inputs of 1e3 are logits beyond float32.
    x, state = 1e3 * x, T.init(network, optax.sgd(1e33), key=KEY)
    with pytest.raises(T.DivergedError, match=r"in step (2|3) of epoch 1; lower the learning rate") as caught:
        T.epoch(state, x, y, 4)
    error = caught.value
    assert not isinstance(error, ValueError)
    assert (error.epoch, int(error.state.epoch)) == (1, 0)
    assert int(error.state.step) == max(error.step - 2, 0)
    assert np.isfinite(T.cross_entropy(T.model(error.state)(jnp.asarray(x)), jnp.asarray(y)))


def test_a_slope_that_is_no_number_is_not_followed():
    """The loss is finite where sqrt has no slope: the parameters before are the good ones."""
    (x, y), network = samples(), software()
    state = T.init(network, SGD, key=KEY, loss=lambda z, y: T.cross_entropy(z, y) + jnp.sum(jnp.sqrt(0 * z)))
    with pytest.raises(
        T.DivergedError, match=r"^The parameters diverged at a loss of 3\.\d+ in step 1 of epoch 1"
    ) as e:
        T.epoch(state, x, y, 4)
    assert_same(numbers(T.model(e.value.state)), numbers(network))


def test_an_error_of_a_listener_is_raised_as_it_is(caplog):
    x, y = samples()
    state = T.init(software(), ADAM, key=KEY)

    def stop(number, loss):
        if number == 2:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        T.epoch(state, x, y, 8, on_step=stop)
    assert caplog.records == []
    # The state is as it was, and goes on.
    T.epoch(state, x, y, 8, on_step=lambda number, loss: None)


def test_ctrl_c_acts_within_an_epoch():
    x, y = samples(20_000)
    state = T.init(software(), ADAM, key=KEY)
    steps = []

    def on_step(number, loss):
        if number == 2:
            threading.Timer(0.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        steps.append(number)

    with pytest.raises(KeyboardInterrupt):
        T.epoch(state, x, y, 1, on_step=on_step)
    assert len(steps) < 20_000
