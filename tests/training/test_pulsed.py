"""Arrays that learn in place: what trains bring about, device by device and in the mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from qsynapse_jax.training.rules._arrays import pulsed
from qsynapse_jax.training.rules._tiki_taka import Read
from tests.training.models import KEY, samples, software, tile

T = qs.training
TRAINS = T.rules.PulseTrains()
ROWS, COLS = 6, 5
RNG = np.random.default_rng(3)
X = jnp.asarray(RNG.uniform(-1, 1, ROWS), jnp.float32).at[2].set(0)
D = jnp.asarray(RNG.uniform(-1, 1, COLS), jnp.float32).at[1].set(0)


def on_arrays(device, gains=(1.0,), network=None, **options):
    network = qs.nn.convert(software(4) if network is None else network, tile())
    return qs.nn.pulsed(network, qs.tile.analog(device, shape=(4, 4), **options), gains=gains, key=KEY)


@pytest.mark.parametrize("management", [(True, True), (False, True), (True, False), (False, False)], ids=str)
def test_coincidences_have_the_mean_of_the_product(management):
    """4,000 trains; a mean is beyond 5 standard errors in one of 1.7 million devices."""
    length, update = management
    trains = T.rules.PulseTrains(length_management=length, update_management=update)
    rate = 4.0
    keys = jax.random.split(jax.random.key(1), 4000)
    sent = jax.jit(jax.vmap(lambda key: trains.send(X, D, rate, key)))(keys)
    counts = np.asarray(jax.vmap(lambda sent: sent.counts())(sent))
    expected = rate * np.outer(X, D)
    error = np.sqrt(np.abs(expected) / len(counts)) + 1e-9
    assert np.all(np.abs(counts.mean(0) - expected) < 5 * error)
    assert np.all(sent.length == (np.ceil(rate * np.abs(X).max() * np.abs(D).max()) if length else 31))


def test_bits_do_not_lie_beyond_the_train_and_long_trains_have_many_words():
    trains = T.rules.PulseTrains(length=70)
    sent = trains.send(jnp.ones(3), jnp.ones(2), 65.0, KEY)
    assert (sent.rows.shape, int(sent.length)) == ((3, 3), 65)
    # A factor of 1 on both sides sets every bit in use.
    assert_bits = [32, 32, 1]
    assert np.array_equal(np.bitwise_count(np.asarray(sent.rows)), np.tile(np.array(assert_bits)[:, None], 3))
    assert np.all(sent.counts() == 65)


def test_an_update_that_asks_for_too_much_is_cut_at_the_columns():
    """Rows keep their shares, and so does every column below the limit."""
    keys = jax.random.split(jax.random.key(2), 4000)
    x, d = jnp.asarray([1.0, 0.5]), jnp.asarray([1.0, 0.25])
    sent = jax.vmap(lambda key: T.rules.PulseTrains(length=10).send(x, d, 20.0, key))(keys)
    mean = np.asarray(jax.vmap(lambda sent: sent.counts())(sent)).mean(0)
    assert float(sent.asked[0]) == 20.0
    np.testing.assert_allclose(mean, 10 * np.outer([1, 0.5], [1, 0.5]), atol=5 * np.sqrt(10 / 4000))


@pytest.mark.slow  # compilation, most of it
@pytest.mark.parametrize("array", [0, 1])
def test_only_pulsed_rows_of_the_selected_array_are_touched_as_if_all_had_been(array):
    device = qs.devices.SoftBounds(dw_min=0.05, dw_min_dtod=0.2, up_down=0.1)
    devices = device.init((2, ROWS, COLS), key=KEY)
    sent = TRAINS.send(X, D, 6.0, jax.random.key(5))
    found, total = jax.jit(lambda array: pulsed(device, devices, array, sent, KEY, TRAINS))(array)
    counts = jnp.zeros((2, ROWS, COLS), jnp.int32).at[array].set(sent.counts())
    expected = device.pulse(devices, counts, key=KEY)
    np.testing.assert_allclose(device.weight(found), device.weight(expected), rtol=1e-6, atol=1e-7)
    assert int(total) == np.abs(counts).sum() > 0


@pytest.mark.slow  # compilation, most of it
def test_noise_of_rows_is_independent():
    device = qs.devices.ConstantStep(dw_min=0.01, dw_min_std=1.0)
    devices = device.init((1, 40, 50), key=KEY)
    sent = TRAINS.send(jnp.ones(40), jnp.ones(50), 1.0, KEY)
    w = device.weight(pulsed(device, devices, 0, sent, KEY, TRAINS)[0])[0] / 0.01 - 1
    # 2,000 normal numbers; correlations of neighboring rows within 5 standard errors.
    assert abs(float(jnp.mean(w))) < 5 / np.sqrt(2000)
    assert abs(float(jnp.mean(w[1:] * w[:-1]))) < 5 / np.sqrt(1950)


@pytest.mark.slow  # compilation, most of it
def test_ideal_devices_of_small_steps_descend_as_software_does():
    """Fine steps, whose randomness averages out: the mean of the matrix follows SGD within 3 % of what it moved."""
    x, y = samples(200)
    device = qs.devices.ConstantStep(dw_min=1e-5, w_min=-5.0, w_max=5.0)
    network = on_arrays(device)
    before = {p: layer.kernel.matrix() for p, layer in qs.nn.crossbar_layers(network).items()}
    trains = T.rules.PulseTrains(length=1024)
    pulsed_state, _ = T.epoch(T.init(network, T.rules.AnalogSGD(0.02, trains=trains), key=KEY), x, y, 10)
    floating = qs.nn.convert(software(4), tile())
    for layer, kernel in zip(qs.nn.crossbar_layers(floating).values(), before.values(), strict=True):
        layer.kernel.weight.set_value(kernel)
    fine = qs.tile.Tile(qs.cells.Differential(qs.cells.Multilevel(2**15, 0.0, 1e-5)), shape=(4, 4))
    floating = qs.nn.convert(floating, fine)
    floating_state, _ = T.epoch(T.init(floating, T.rules.OuterSGD(0.02), key=KEY), x, y, 10)
    for path, layer in qs.nn.crossbar_layers(T.model(pulsed_state)).items():
        other = qs.nn.crossbar_layers(T.model(floating_state))[path].kernel.matrix()
        moved = other - before[path]
        off = np.linalg.norm(layer.kernel.matrix() - other) / np.linalg.norm(moved)
        assert off < 0.05, path


def test_the_tally_counts_pulses_and_what_was_cut():
    x, y = samples(40)
    device = qs.devices.ConstantStep(dw_min=0.001)
    state = T.init(on_arrays(device), T.rules.AnalogSGD(1.0, trains=T.rules.PulseTrains(length=2)), key=KEY)
    with pytest.warns(
        UserWarning, match=r"\d+% of the updates .* than the 2 pulses of a train and were cut; lower the"
    ):
        state, _ = T.epoch(state, x, y, 10)
    tally = state.rule_state[0]["layers/0"]
    assert int(tally.presentations) == 40
    assert int(tally.cut) > 20
    assert int(tally.pulses[0]) > 0 == int(tally.pulses[1])


@pytest.mark.slow  # compilation, most of it
def test_coarse_arrays_learn_first_and_fine_ones_after():
    x, y = samples(40)
    device = qs.devices.ConstantStep(dw_min=0.01)
    network = on_arrays(device, gains=(1.0, 0.1))
    state = T.init(network, T.rules.CoarseToFine(0.1, switch=40), key=KEY)

    def arrays(model):
        return np.asarray(model.layers[0].kernel.devices().w)

    first, _ = T.epoch(state, x, y, 10)
    second, _ = T.epoch(first, x, y, 10)
    a, b, c = (arrays(model) for model in (network, T.model(first), T.model(second)))
    assert np.any(b[0] != a[0])
    assert np.all(b[1] == a[1])
    assert np.all(c[0] == b[0])
    assert np.any(c[1] != b[1])
    assert int(second.rule_state[0]["layers/0"].selected) == 1


def test_a_kernel_is_the_sum_of_its_arrays_behind_their_wires():
    device = qs.devices.SoftBounds(dw_min=0.05, w_max=1.25, w_min=-0.75)
    network = on_arrays(device, gains=(1.0, 0.25), wires=qs.crossbar.Wires(r_word=50.0, r_bit=50.0))
    kernel = network.layers[0].kernel
    kernel.set_devices(device.pulse(kernel.devices(), jnp.full((2, 5, 4), 3), key=KEY))
    tile_, state = kernel.tile.get_value(), kernel.state.get_value()
    each = [tile_.matrix(jax.tree.map(lambda leaf, k=k: leaf[:, k], state)) for k in (0, 1)]
    np.testing.assert_allclose(kernel.matrix(), each[0] + 0.25 * each[1], rtol=1e-4, atol=1e-5)
    # Ideal wires: the device's own weights, whatever its bounds.
    np.testing.assert_allclose(
        kernel.intended(), device.weight(kernel.devices())[0] + 0.25 * device.weight(kernel.devices())[1], atol=1e-5
    )
    assert np.abs(kernel.matrix() - kernel.intended()).max() > 1e-3


def test_an_offset_of_the_fast_array_drives_tiki_taka_and_not_agad():
    """Reads that always find the same: nothing was learned, so nothing may be moved."""
    offset = jnp.asarray([0.3, -0.2], jnp.float32)
    sums = {}
    for rule in (T.rules.TikiTaka(0.1), T.rules.TikiTaka(0.1, chopper=0.3), T.rules.AGAD(0.1, chopper=0.3)):
        read, total = Read(offset, jnp.ones(()), jnp.zeros(2), jnp.zeros(2)), jnp.zeros(2)
        for key in jax.random.split(KEY, 400):
            found, read = rule.gathered(read._replace(value=offset), key)
            total += found
        sums[type(rule).__name__, float(rule.chopper) > 0] = np.abs(total / offset)
    np.testing.assert_allclose(sums["TikiTaka", False], 400, rtol=1e-5)
    assert np.all(sums["TikiTaka", True] < 120)
    # Until the reference is known, which takes the first periods of the chopper.
    assert np.all(sums["AGAD", True] < 12)


@pytest.mark.slow
def test_convolutions_learn_in_place():
    class Network(nnx.Module):
        def __init__(self, rngs):
            self.conv = nnx.Conv(2, 4, (3,), feature_group_count=2, rngs=rngs)
            self.out = nnx.Linear(24, 3, rngs=rngs)

        def __call__(self, x):
            return self.out(jax.nn.relu(self.conv(x)).reshape(len(x), -1))

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 6, 2)).astype(np.float32), rng.integers(0, 3, 40)
    network = on_arrays(qs.devices.ConstantStep(dw_min=0.002), network=Network(nnx.Rngs(0)))
    state = T.init(network, T.rules.AnalogSGD(0.2), key=KEY)
    losses = []
    for _ in range(10):
        state, metrics = T.epoch(state, x, y, 10)
        losses.append(float(metrics.loss))
    assert losses[-1] < 0.9 * losses[0]


def test_wrong_use():
    device = qs.devices.ConstantStep()
    with pytest.raises(ValueError, match="must be an `AbstractPulsed` for an analog tile, but is a `Switch`"):
        qs.tile.analog(qs.devices.digital_switch())
    for gains in ((), (0.0,), (1.0, -1.0)):
        with pytest.raises(ValueError, match="`gains` must be a list of numbers of at least 0"):
            on_arrays(device, gains=gains)
    with pytest.raises(ValueError, match="must have one device per weight, but a Differential has"):
        qs.nn.pulsed(qs.nn.convert(software(4), tile()), replaced_cell(device), key=KEY)
    with pytest.raises(ValueError, match=r"must have 2 arrays of devices per layer for `CoarseToFine`, but .* has 1"):
        T.init(on_arrays(device), T.rules.CoarseToFine(0.1, switch=10), key=KEY)
    with pytest.raises(ValueError, match="`switch` must be in ascending order"):
        T.rules.CoarseToFine(0.1, switch=(20, 10))
    with pytest.raises(ValueError, match="`length` must be an integer from 1 to 1024"):
        T.rules.PulseTrains(length=0)
    with pytest.raises(ValueError, match="`learning_rate` must be positive"):
        T.rules.AnalogSGD(0.0)
    with pytest.raises(ValueError, match="hold no codes"):
        qs.nn.program(on_arrays(device), key=KEY)


def replaced_cell(device):
    return qs.tile.Tile(qs.cells.Differential(qs.cells.Multilevel(2, 1e-6, 1e-5)), device=device, shape=(4, 4))
