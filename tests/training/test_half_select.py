"""Pulses that meet nothing: counted bit by bit, felt by devices, and written down for those who play them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from qsynapse_jax.training.rules._arrays import all_pulsed
from tests.training.models import KEY, assert_same, numbers, samples, software, tile

T = qs.training
ROWS, COLS, N = 6, 5, 3
RNG = np.random.default_rng(7)
X = jnp.asarray(RNG.uniform(-1, 1, (N, ROWS)), jnp.float32).at[:, 2].set(0)
D = jnp.asarray(RNG.uniform(-1, 1, (N, COLS)), jnp.float32)
KEYS = jax.random.split(KEY, N)


def trains(**options):
    return T.rules.PulseTrains(half_select=T.rules.HalfSelect(**options))


def sent_of(x=X, d=D):
    return jax.jit(jax.vmap(lambda x, d, key: trains().send(x, d, 8.0, key)))(x, d, KEYS)


def by_hand(sent):
    """Full and half pulses up and down of every device, slot by slot in all phases that are played."""
    half = np.zeros((2, N, ROWS, COLS), int)
    full = np.zeros((N, ROWS, COLS), int)
    sent = jax.tree.map(np.asarray, sent)
    for n in range(N):
        for row_sign in (1, -1):
            for col_sign in (1, -1):
                bits = [
                    np.array([[(int(w) >> slot) & 1 for w in words[n, 0]] for slot in range(32)]) * (sign[n] == which)
                    for words, sign, which in (
                        (sent.rows, sent.row_sign, row_sign),
                        (sent.cols, sent.col_sign, col_sign),
                    )
                ]
                if not (bits[0].any() and bits[1].any()):
                    continue
                for row, col in zip(*bits, strict=True):
                    full[n] += row_sign * col_sign * np.outer(row, col)
                    half[(1 - row_sign * col_sign) // 2, n] += row[:, None] ^ col[None]
    return full, half


@pytest.mark.parametrize("x", [X, jnp.abs(X)], ids=["both signs", "no negative input"])
def test_half_selects_are_counted_in_every_sign_phase(x):
    sent = sent_of(x)
    full, half = by_hand(sent)
    found = jax.vmap(lambda one: one.half_selected())(sent)
    assert_same((jax.vmap(lambda one: one.counts())(sent), found.up, found.down), (full, *half))
    assert half.sum() > 100


@pytest.mark.slow  # compilation, most of it
def test_devices_move_by_k_steps_per_half_select():
    """The step at the weight where a device is, in the direction of the pulse; sums of many have the spread of one."""
    device = qs.devices.SoftBounds(dw_min=0.01)
    devices = device.with_weight(device.init((2, ROWS, COLS), key=KEY), jnp.full((ROWS, COLS), 0.5), key=KEY)
    sent = jax.tree.map(lambda leaf: leaf[:1], sent_of())
    arrays = jnp.ones(1, jnp.int32)
    ideal, _ = all_pulsed(device, devices, arrays, sent, KEYS[:1], T.rules.PulseTrains())
    w = np.asarray(device.weight(ideal))
    counts = jax.tree.map(lambda leaf: np.asarray(leaf[0]), jax.vmap(lambda one: one.half_selected())(sent))
    found, _ = all_pulsed(device, devices, arrays, sent, KEYS[:1], trains(up=0.02, down=0.005))
    expected = w.copy()
    expected[1] += 0.01 * (0.02 * counts.up * (1 - w[1]) - 0.005 * counts.down * (1 + w[1]))
    np.testing.assert_allclose(device.weight(found), expected, atol=1e-6)

    many = 2000
    flat = device.init((many, ROWS, COLS), key=KEY)
    one = jax.tree.map(lambda count: jnp.broadcast_to(count, (many, ROWS, COLS)), counts)
    moved = device.weight(T.rules.HalfSelect(sigma=0.5).after(device, flat, one, KEY))
    # The spread of 2,000 normal numbers is beyond 5 standard errors in one of 1.7 million devices.
    expected = 0.5 * 0.01 * np.sqrt(counts.up + counts.down)
    np.testing.assert_allclose(np.std(moved, 0), expected, rtol=5 / np.sqrt(2 * many))


@pytest.mark.parametrize(
    ("rule", "gains"),
    [
        (T.rules.AnalogSGD(0.5), (1.0,)),
        # A presentation goes to the fast array, then a row of the slow one has pulses.
        pytest.param(T.rules.AGAD(0.5, every=1, granularity=1.0), (0.0, 1.0), marks=pytest.mark.slow),
    ],
)
def test_what_a_step_sends_can_be_played_elsewhere(rule, gains, tmp_path):
    """Its pulses, counted device by device and played on devices without noise, give the weights after the step."""
    device = qs.devices.ConstantStep(dw_min=0.01)
    analog = qs.tile.analog(device, shape=(4, 4))
    network = qs.nn.pulsed(qs.nn.convert(software(4), tile()), analog, gains=gains, key=KEY)
    state = T.init(network, rule, key=KEY)
    x, y = samples(10)
    pulses = T.pulses(state, x, y)
    after = T.model(jax.jit(T.step)(state, jnp.asarray(x), jnp.asarray(y))[0])
    for number, layer in enumerate(network.layers):
        sent, kernel = pulses[f"layers/{number}"], layer.kernel
        counts = sent.counts(device.weight(kernel.devices()).shape)
        assert (np.abs(counts).sum((-2, -1)) > 20).all()
        moved = device.weight(device.pulse(kernel.devices(), jnp.asarray(counts), key=KEY))
        np.testing.assert_allclose(moved, device.weight(after.layers[number].kernel.devices()), atol=1e-6)
        assert np.all(np.diff(sent.time) >= 0)
        assert sent.time[-1] < sent.slots
        sent.save(tmp_path / "pulses.npz")
        sent.save(tmp_path / "pulses.csv")
        table = np.loadtxt(tmp_path / "pulses.csv", delimiter=",", skiprows=1, dtype=int)
        with np.load(tmp_path / "pulses.npz") as stored:
            assert list(stored) == ["time", "array", "group", "row", "column", "sign", "slots"]
            np.testing.assert_array_equal(table.T, [stored[name] for name in list(stored)[:-1]])
    assert_same(numbers(T.model(state)), numbers(network))
    with pytest.raises(ValueError, match=r"`path` must end in \.npz or \.csv, but is"):
        sent.save(tmp_path / "pulses.txt")


def test_rules_that_do_not_say_what_they_send_are_refused():
    network = qs.nn.pulsed(qs.nn.convert(software(4), tile()), qs.tile.analog(qs.devices.ConstantStep()), key=KEY)
    state = T.init(network, T.rules.MixedPrecision(0.1), key=KEY)
    with pytest.raises(ValueError, match=r"must be of a rule that says which pulses it sends, .*MixedPrecision"):
        T.pulses(state, *samples(10))
