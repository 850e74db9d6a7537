"""Rules with several arrays per matrix: which array is pulsed when, by how much, and what that is good for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.training.models import KEY, samples, software, tile

T = qs.training
ROWS, COLS = 6, 60
RNG = np.random.default_rng(4)


def one_kernel(device, gains, size=(ROWS, COLS)):
    """A model of one matrix, whose path is "layers/0"."""
    network = qs.nn.convert(qs.nn.mlp(size, rngs=nnx.Rngs(0)), tile())
    return qs.nn.pulsed(network, qs.tile.analog(device, shape=(64, 64)), gains=gains, key=KEY)


def presented(rule, model, x, delta, weight=None):
    """Weights of all arrays after presentations, from the ones given or from 0, and what the rule remembers."""
    kernel, device = model.layers[0].kernel, model.layers[0].kernel.device
    start = jnp.zeros((len(kernel.gains.get_value()), *np.shape(x)[1:], np.shape(delta)[1]))
    weight = start if weight is None else start.at[0].set(weight)
    kernel.set_devices(device.with_weight(kernel.devices(), weight, key=KEY))
    outer = {"layers/0": qs.nn.Outer(jnp.asarray(x), jnp.asarray(delta))}
    model, memory = nnx.jit(rule.update)(model, rule.init(model), outer, KEY)
    return np.asarray(device.weight(model.layers[0].kernel.devices())), memory["layers/0"]


NOTHING = (np.zeros((6, ROWS), np.float32), np.zeros((6, COLS), np.float32))
HELD = jnp.broadcast_to(jnp.linspace(-0.8, 0.9, ROWS)[:, None], (ROWS, COLS))


def test_every_array_hands_its_rows_to_the_next_one_on_a_slower_clock():
    """Six presentations of nothing; the mean of 60 devices is within 5 standard errors of its rounding."""
    device = qs.devices.ConstantStep(dw_min=0.01)
    rule = T.rules.ResidualLearning(0.1, transfer=0.2, arrays=3, every=2, slower=3)
    w, tally = presented(rule, one_kernel(device, (0.04, 0.2, 1.0)), *NOTHING, weight=HELD)
    np.testing.assert_allclose(w[0], HELD, rtol=1e-6)
    moved = 0.2 * HELD[:3, 0]
    # Rounding is off by half a step at most.
    error = 5 * 0.005 / np.sqrt(COLS)
    assert np.all(np.abs(w[1, :3].mean(1) - moved) < error)
    assert np.all(np.abs(w[1, :3] - moved[:, None]) < 0.01001)
    assert np.all(w[1, 3:] == 0)
    # In presentation 6, row 0 of the second array, as it was by then.
    assert abs(w[2, 0].mean() - 0.2 * w[1, 0].mean()) < error
    assert np.all(w[2, 1:] == 0)
    assert int(tally.selected) == 2
    assert (int(tally.presentations), int(tally.pulses[0])) == (6, round(np.abs(w[1:]).sum() / 0.01))


def test_a_warm_start_feeds_the_coarsest_array_first():
    device = qs.devices.ConstantStep(dw_min=0.01)
    rule = T.rules.ResidualLearning(0.1, arrays=3, every=1, slower=100, switch=(2,))
    w, _ = presented(rule, one_kernel(device, (0.04, 0.2, 1.0)), *NOTHING, weight=HELD)
    assert [np.flatnonzero(np.any(a, 1)).tolist() for a in w[1:]] == [[2, 3, 4, 5], [0, 1]]


def test_a_weighted_synapse_moves_by_signs_and_the_major_array_by_large_errors_alone():
    device = qs.devices.ConstantStep(dw_min=0.01)
    rule = T.rules.WeightedSynapse(minor=0.1, major=0.5, active=0.5)
    x, delta = np.array([[1.0, -0.7, 0.4, 0.0]]), np.array([[0.9, -0.6, 0.3, -0.3, 0.05]])
    model = one_kernel(device, (1.0, 0.1), (4, 5))
    w, tally = presented(rule, model, x, delta)
    rows = np.array([1, -1, 0, 0])
    np.testing.assert_allclose(w[0], -0.01 * np.outer(rows, [1, -1, 0, 0, 0]), atol=1e-6)
    np.testing.assert_allclose(w[1], -0.01 * np.outer(rows, [1, -1, 1, -1, 0]), atol=1e-6)
    assert (int(tally.presentations), int(tally.pulses[0])) == (1, 4 + 8)


def test_a_saturated_minor_array_carries_nothing_over():
    device = qs.devices.ConstantStep(dw_min=0.01)
    rule = T.rules.WeightedSynapse(minor=0.1, major=0.5)
    model = one_kernel(device, (1.0, 0.1), (4, 5))
    w, _ = presented(rule, model, np.ones((120, 4)), np.full((120, 5), -0.4))
    np.testing.assert_allclose(w[1], 1.0, atol=1e-6)
    assert np.all(w[0] == 0)


def test_rider_finds_symmetry_points_and_learns_where_taking_them_for_0_does_not():
    """Means over three arrays of devices whose symmetry points spread by half their range, after 3,000 presentations."""
    x, y = samples(300)
    device = qs.devices.SoftBounds(dw_min=0.08, up_down_dtod=0.6)
    losses, errors = {}, {}
    for memory in (0.02, 0.0):
        rule = T.rules.RIDER(0.2, granularity=50.0, chopper=0.1, memory=memory)
        for seed in range(3):
            network = qs.nn.convert(software(), tile())
            array = qs.tile.analog(device, shape=(64, 64))
            network = qs.nn.pulsed(network, array, gains=(0.1, 1.0, 0.1), key=jax.random.key(seed))
            state = T.init(network, rule, key=jax.random.key(seed + 9))
            for _ in range(10):
                state, metrics = T.epoch(state, x, y, 1)
            losses[memory, seed] = float(metrics.loss)
            kernel = T.model(state).layers[0].kernel
            points = device.symmetry_point(jax.tree.map(lambda leaf: leaf[0], kernel.devices()))
            known = state.rule_state[0]["layers/0"].reference
            errors[memory, seed] = float(jnp.linalg.norm(known - points) / jnp.linalg.norm(points))
            # The array that holds the reference does so.
            np.testing.assert_allclose(device.weight(kernel.devices())[2], known, atol=1e-5)
            assert np.sign(kernel.gains.get_value()).tolist() in ([1, 1, -1], [-1, 1, 1])
    assert np.mean([errors[0.02, seed] for seed in range(3)]) < 0.3
    assert all(errors[0.0, seed] == 1 for seed in range(3))
    tracked, assumed = (np.mean([losses[memory, seed] for seed in range(3)]) for memory in (0.02, 0.0))
    assert tracked < 0.75 * assumed


def test_more_arrays_leave_less_of_the_loss_that_devices_of_few_states_leave():
    x, y = samples(300)
    device = qs.devices.ConstantStep(dw_min=0.2)
    losses = []
    for rule, gains in (
        (T.rules.AnalogSGD(0.1), (1.0,)),
        (T.rules.ResidualLearning(0.1, arrays=3, every=1, slower=2, switch=(600, 1200)), (0.04, 0.2, 1.0)),
    ):
        network = qs.nn.pulsed(
            qs.nn.convert(software(), tile()), qs.tile.analog(device, shape=(64, 64)), gains=gains, key=KEY
        )
        state = T.init(network, rule, key=KEY)
        for _ in range(8):
            state, metrics = T.epoch(state, x, y, 1)
        losses.append(float(metrics.loss))
    assert losses[1] < 0.7 * losses[0], losses


def test_wrong_use():
    with pytest.raises(ValueError, match=r"`switch` must hold 1 numbers at most, .* but is \(10, 20\)"):
        T.rules.ResidualLearning(0.1, switch=(10, 20))
    with pytest.raises(ValueError, match="`arrays` must be an integer of at least 2, but is 1"):
        T.rules.ResidualLearning(0.1, arrays=1)
    with pytest.raises(ValueError, match="`major` must be at least `minor` = 0.2, but is 0.1"):
        T.rules.WeightedSynapse(minor=0.2, major=0.1)
    with pytest.raises(ValueError, match="`memory` must be a probability from 0 to 1"):
        T.rules.RIDER(0.1, memory=2.0)
    model = one_kernel(qs.devices.ConstantStep(), (1.0, 0.1), (4, 5))
    with pytest.raises(ValueError, match=r"must have 3 arrays of devices per layer for `RIDER`, but .* has 2"):
        T.init(model, T.rules.RIDER(0.1), key=KEY)
