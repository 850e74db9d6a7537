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


def presented(rule, model, x, delta, weight):
    """Weights of all arrays after presentations, from the ones given, and what the rule remembers."""
    kernel, device = model.layers[0].kernel, model.layers[0].kernel.device
    kernel.set_devices(device.with_weight(kernel.devices(), weight, key=KEY))
    outer = {"layers/0": qs.nn.Outer(jnp.asarray(x), jnp.asarray(delta))}
    model, memory = nnx.jit(rule.update)(model, rule.init(model), outer, KEY)
    return np.asarray(device.weight(model.layers[0].kernel.devices())), memory["layers/0"]


NOTHING = (np.zeros((6, ROWS), np.float32), np.zeros((6, COLS), np.float32))
HELD = jnp.linspace(-0.8, 0.9, ROWS)
START = jnp.zeros((3, ROWS, COLS)).at[0].set(HELD[:, None])


@pytest.mark.slow  # compilation, most of it
def test_every_array_hands_its_rows_to_the_next_one_on_a_slower_clock():
    """Six presentations of nothing; the mean of 60 devices is within 5 standard errors of its rounding."""
    device = qs.devices.ConstantStep(dw_min=0.01)
    rule = T.rules.ResidualLearning(0.1, transfer=0.2, arrays=3, every=2, slower=3)
    w, tally = presented(rule, one_kernel(device, (0.04, 0.2, 1.0)), *NOTHING, weight=START)
    np.testing.assert_allclose(w[0], START[0], rtol=1e-6)
    moved = 0.2 * HELD[:3]
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


@pytest.mark.slow  # compilation, most of it
def test_what_is_less_than_half_a_step_is_not_handed_on_where_reads_are_rounded_to_the_nearest():
    device = qs.devices.ConstantStep(dw_min=0.1)
    rule = T.rules.ResidualLearning(0.1, transfer=0.1, every=1, nearest=True)
    w, _ = presented(rule, one_kernel(device, (0.2, 1.0)), *NOTHING, weight=START[:2])
    # Half a step of 0.1 is a weight of 0.5.
    np.testing.assert_allclose(w[1], np.broadcast_to(0.1 * np.rint(HELD)[:, None], (ROWS, COLS)), atol=1e-6)


@pytest.mark.slow  # compilation, most of it
def test_a_carry_leaves_the_matrix_as_it_was():
    """The next array's step of 0.05 is five of the finer one's: what is left is the remainder, and the sum the same."""
    device, gains = qs.devices.ConstantStep(dw_min=0.05), np.array([0.2, 1.0])
    rule = T.rules.ResidualLearning(0.1, transfer=0.2, every=1, nearest=True, carry=True)
    w, tally = presented(rule, one_kernel(device, gains), *NOTHING, weight=START[:2])
    handed = np.rint(0.2 * HELD / 0.05)
    np.testing.assert_allclose(w[1], np.broadcast_to(0.05 * handed[:, None], (ROWS, COLS)), atol=1e-6)
    np.testing.assert_allclose(np.tensordot(gains, w, 1), np.asarray(0.2 * START[0]), atol=1e-6)
    assert int(tally.pulses[0]) == COLS * 6 * np.abs(handed).sum()


@pytest.mark.slow  # compilation, most of it
def test_a_carry_takes_no_more_than_a_device_holds():
    """A transfer above the ratio of gains hands on more than there is: the finer array ends within a step of 0."""
    device = qs.devices.ConstantStep(dw_min=0.05)
    rule = T.rules.ResidualLearning(0.1, transfer=1.0, every=1, nearest=True, carry=True)
    w, _ = presented(rule, one_kernel(device, (0.2, 1.0)), *NOTHING, weight=START[:2])
    assert np.all(np.abs(w[0]) < 0.02501)


@pytest.mark.slow  # compilation, most of it
@pytest.mark.parametrize("in_steps", [False, True])
def test_a_clock_in_steps_counts_a_sample_of_many_windows_once(in_steps):
    """Steps of four, four and two presentations of nothing: which rows were handed on."""
    device = qs.devices.ConstantStep(dw_min=0.01)
    for rule, gains in (
        (T.rules.ResidualLearning(0.1, transfer=0.5, every=1, cycle=ROWS if in_steps else 0), (0.2, 1.0)),
        (T.rules.TikiTaka(0.1, granularity=0.001, every=1, in_steps=in_steps), (0.0, 1.0)),
    ):
        model = one_kernel(device, gains)
        kernel, memory = model.layers[0].kernel, rule.init(model)
        kernel.set_devices(device.with_weight(kernel.devices(), START[:2], key=KEY))
        for n in (4, 4, 2):
            outer = {"layers/0": qs.nn.Outer(jnp.zeros((n, ROWS)), jnp.zeros((n, COLS)))}
            model, memory = nnx.jit(rule.update)(model, memory, outer, KEY)
        kernel = qs.nn.crossbar_layers(model)["layers/0"].kernel
        moved = np.flatnonzero(np.any(np.asarray(device.weight(kernel.devices()))[1], 1))
        assert moved.tolist() == ([0, 1, 2] if in_steps else [0, 1, 2, 3, 4, 5]), rule


@pytest.mark.slow  # compilation, most of it
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_the_windows_of_a_step_share_its_learning_rate(share):
    """Factors of 1, a rate of eight steps and four windows: trains of eight slots, of four, and of two."""
    device = qs.devices.ConstantStep(dw_min=0.01)
    rule = T.rules.ResidualLearning(0.08, cycle=1000, share=share)
    ones = np.ones((4, ROWS), np.float32), -np.ones((4, COLS), np.float32)
    w, _ = presented(rule, one_kernel(device, (0.2, 1.0)), *ones, weight=0 * START[:2])
    np.testing.assert_allclose(w[0], 0.01 * 4 * 8 / 4**share, rtol=1e-5)


@pytest.mark.slow  # compilation, most of it
def test_a_warm_start_feeds_the_coarsest_array_first():
    device = qs.devices.ConstantStep(dw_min=0.01)
    rule = T.rules.ResidualLearning(0.1, arrays=3, every=1, slower=100, switch=(2,))
    w, _ = presented(rule, one_kernel(device, (0.04, 0.2, 1.0)), *NOTHING, weight=START)
    assert [np.flatnonzero(np.any(a, 1)).tolist() for a in w[1:]] == [[2, 3, 4, 5], [0, 1]]


@pytest.mark.slow  # compilation, most of it
def test_a_weighted_synapse_moves_by_signs_and_the_major_array_by_large_errors_alone():
    """A minor device at its bound stays there, and nothing of it is carried to the major one."""
    device = qs.devices.ConstantStep(dw_min=0.01)
    rule = T.rules.WeightedSynapse(minor=0.1, major=0.5, active=0.5)
    x, delta = np.array([[1.0, -0.7, 0.4, 0.0]]), np.array([[0.9, -0.6, 0.3, -0.3, 0.05]])
    start = jnp.zeros((2, 4, 5)).at[1, 0, 3].set(1)
    w, tally = presented(rule, one_kernel(device, (1.0, 0.1), (4, 5)), x, delta, weight=start)
    rows = np.array([1, -1, 0, 0])
    np.testing.assert_allclose(w[0], -0.01 * np.outer(rows, [1, -1, 0, 0, 0]), atol=1e-6)
    minor = -0.01 * np.outer(rows, [1, -1, 1, -1, 0])
    minor[0, 3] = 1
    np.testing.assert_allclose(w[1], minor, atol=1e-6)
    assert (int(tally.presentations), int(tally.pulses[0])) == (1, 4 + 8)


@pytest.mark.slow
def test_rider_finds_symmetry_points_and_learns_where_taking_them_for_0_does_not():
    """Means over three arrays whose symmetry points spread by half their range, after 3,000 presentations."""
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


@pytest.mark.slow
def test_finer_arrays_take_what_devices_of_few_states_leave():
    """A matrix that is presented row by row with the error to a target, on devices of 10 states; errors of weights."""
    target = jnp.asarray(RNG.uniform(-0.6, 0.6, (ROWS, 20)), jnp.float32)
    x, y = np.tile(np.eye(ROWS, dtype=np.float32), (100, 1)), np.tile(np.arange(ROWS), 100)
    many = T.rules.ResidualLearning(0.5, arrays=3, every=10, switch=1500)
    rules = [(T.rules.AnalogSGD(rate), (1.0,)) for rate in (0.3, 0.1, 0.03)]
    scale = one_kernel(qs.devices.SoftBounds(), (1.0,), target.shape).layers[0].scale.get_value()

    def distance(outputs, row):
        return 2.5 * jnp.sum((outputs / scale - target[row]) ** 2)

    error = []
    for rule, gains in [*rules, (many, (0.09, 0.3, 1.0))]:
        network = one_kernel(qs.devices.SoftBounds(dw_min=0.2), gains, target.shape)
        state = T.init(network, rule, key=KEY, loss=distance)
        for _ in range(8):
            state, metrics = T.epoch(state, x, y, 1)
        error.append(float(jnp.sqrt(metrics.loss / 50)))
    assert error[-1] < 0.7 * min(error[:-1]), error


def test_wrong_use():
    with pytest.raises(ValueError, match=r"`switch` must hold 1 numbers at most, .* but is \(10, 20\)"):
        T.rules.ResidualLearning(0.1, switch=(10, 20))
    with pytest.raises(ValueError, match=r"`share` needs steps as the clock; give `cycle`"):
        T.rules.ResidualLearning(0.1, share=0.5)
    with pytest.raises(ValueError, match=r"`share` must be from 0 to 1, but is 2"):
        T.rules.ResidualLearning(0.1, cycle=64, share=2)
    with pytest.raises(ValueError, match="`arrays` must be an integer of at least 2, but is 1"):
        T.rules.ResidualLearning(0.1, arrays=1)
    with pytest.raises(ValueError, match=r"`major` must be at least `minor` = 0\.2, but is 0\.1"):
        T.rules.WeightedSynapse(minor=0.2, major=0.1)
    with pytest.raises(ValueError, match="`memory` must be a probability from 0 to 1"):
        T.rules.RIDER(0.1, memory=2.0)
    model = one_kernel(qs.devices.ConstantStep(), (1.0, 0.1), (4, 5))
    with pytest.raises(ValueError, match=r"positive gains in ascending order for a carry, but .* \[1\.0, 0"):
        T.init(model, T.rules.ResidualLearning(0.1, carry=True), key=KEY)
    with pytest.raises(ValueError, match=r"must have 3 arrays of devices per layer for `RIDER`, but .* has 2"):
        T.init(model, T.rules.RIDER(0.1), key=KEY)
