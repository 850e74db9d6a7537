"""Devices that move by steps: their laws, their noise and their spread, against aihwkit and against themselves."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import qsynapse_jax as qs
from tests.unchecked import unchecked

D = qs.devices
# What aihwkit does with the same numbers; `make_aihwkit_pulses.py` beside it made it.
GOLDEN = json.loads(Path(__file__).with_name("aihwkit_pulses.json").read_text(encoding="utf-8"))
KINDS = {kind.__name__: kind for kind in (D.ConstantStep, D.LinearStep, D.SoftBounds, D.ExpStep, D.PowStep)}
KINDS["SoftBoundsReference"] = D.SoftBounds
# Standard errors that a correct program exceeds once in 1.7 million tests.
FIVE = 5.0
N = 20_000


@cache
def keys(n):
    return jax.random.split(jax.random.key(42), n)


def pulsed(device, state, counts, key=0):
    """Weights after every count, which all devices get; one compilation for each number of counts."""

    def one(state, now):
        count, key = now
        state = device.pulse(state, jnp.full(state.w.shape, count), key=key)
        return state, device.weight(state)

    each = jax.random.split(jax.random.key(key), len(counts))
    return jax.lax.scan(one, state, (jnp.asarray(counts), each))


@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize("law", GOLDEN["laws"].values(), ids=GOLDEN["laws"])
def test_a_quiet_device_follows_aihwkit_pulse_by_pulse(law):
    """60 pulses up and down; both count in single precision, so that roundings of weights add up to 60 of 6e-8."""
    device = KINDS[law["class"]](**law["numbers"])
    state = device.with_weight(device.init((1,), key=jax.random.key(0)), jnp.zeros(1), key=jax.random.key(0))
    _, weights = pulsed(device, state, GOLDEN["signs"])
    np.testing.assert_allclose(weights[:, 0], law["weights"], atol=4e-6)


@pytest.mark.slow  # compilation, most of it
@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize("name", GOLDEN["presets"])
def test_presets_have_the_spread_and_the_noise_of_aihwkit(name):
    """Mean and standard deviation over 20,000 devices: of what is their own, and of weights after one and after many
    pulses, within five standard errors of both. Many pulses at bounds may be off, because `after_pulses` is: the mean
    by 0.05 standard deviations, the standard deviation by 3 %.
    """
    golden = GOLDEN["presets"][name]
    device = getattr(D.presets, name)()
    fresh = device.init((N,), key=jax.random.key(3))
    for field, there in golden["hidden"].items():
        own = np.asarray(getattr(fresh, field))
        # The standard deviation of a product of normal numbers has wider tails than of a normal one.
        for here, key, wide in ((own.mean(), "mean", 1), (own.std(), "std", 3)):
            error = np.hypot(there[f"{key}_error"], wide * there["std"] / N**0.5)
            assert abs(here - there[key]) <= FIVE * error + 1e-7, (field, key)
    state = device.with_weight(fresh, jnp.zeros(N), key=jax.random.key(4))
    _, weights = pulsed(device, state, [int(count) for count in golden["courses"]])
    for w, (count, there) in zip(np.asarray(weights), golden["courses"].items(), strict=True):
        allowed = 0.0 if abs(int(count)) == 1 else 1.0
        error = FIVE * np.hypot(there["mean_error"], there["std"] / N**0.5) + allowed * 0.05 * there["std"]
        assert abs(w.mean() - there["mean"]) <= error, count
        error = FIVE * np.hypot(there["std_error"], there["std"] / N**0.5) + allowed * 0.03 * there["std"]
        assert abs(w.std() - there["std"]) <= error, count


SPREAD: dict[str, Any] = {
    "dw_min": 0.03,
    "up_down": -0.1,
    "dw_min_dtod": 0.3,
    "up_down_dtod": 0.1,
    "w_max_dtod": 0.2,
    "w_min_dtod": 0.2,
}
COARSE: dict[str, Any] = SPREAD | {"dw_min": 0.4}


@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize(
    "device",
    [
        D.ConstantStep(**SPREAD),
        D.LinearStep(gamma_up=0.3, gamma_down=1.4, gamma_up_dtod=0.1, **SPREAD),
        D.SoftBounds(reference_std=0.1, **COARSE),
        D.ExpStep(**SPREAD),
        D.PowStep(pow_gamma=1.5, **SPREAD),
    ],
    ids=lambda device: type(device).__name__,
)
def test_many_pulses_are_single_pulses(device):
    """Counts of -9 to 9, up to bounds and away from them, in devices of every size of step and range."""
    state = device.init((200,), key=jax.random.key(0))
    for turn in range(2):
        counts = jax.random.randint(keys(9)[turn], (200,), -9, 10)
        at_once = device.pulse(state, counts, key=jax.random.key(0))
        for k in range(9):
            single = jnp.where(k < jnp.abs(counts), jnp.sign(counts), 0)
            state = device.pulse(state, single, key=jax.random.key(k))
        np.testing.assert_allclose(at_once.w, state.w, atol=2e-6)
    assert (np.asarray(state.w) >= np.asarray(state.low)).all()
    assert (np.asarray(state.w) <= np.asarray(state.high)).all()


@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize(
    "device", [D.LinearStep(dw_min=1e-4, gamma_up=0.5), D.SoftBounds(dw_min=1e-3), D.ConstantStep()]
)
def test_a_long_train_is_as_many_single_pulses(device):
    """1,000 pulses of small steps; roundings of 1,000 weights below 0.5 add up to 3e-5."""
    state = device.init((1,), key=jax.random.key(0))
    _, weights = pulsed(device, state, [1] * 1000)
    at_once = device.weight(device.pulse(state, jnp.array([1000]), key=jax.random.key(0)))
    np.testing.assert_allclose(at_once, weights[-1], atol=3e-5)
    assert weights[-1] > 0.05


NOISY = {
    "constant": (D.ConstantStep(dw_min=0.02, dw_min_std=1.0), 0.9),
    "constant_wild": (D.ConstantStep(dw_min=0.002, dw_min_std=5.0), 1.0),
    "additive": (D.SoftBounds(dw_min=0.002, dw_min_std=3.75, mult_noise=False), 1.0),
    "additive_coarse": (D.SoftBounds(dw_min=0.46, dw_min_std=0.22, mult_noise=False), 0.5),
    "in_proportion": (D.SoftBounds(dw_min=0.15, dw_min_std=0.9), -0.5),
    "between": (D.LinearStep(dw_min=0.02, dw_min_std=3.0, gamma_up=0.5, mult_noise=False), 0.9),
}


@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize("count", [7, -3])
@pytest.mark.parametrize(("device", "start"), NOISY.values(), ids=NOISY)
def test_many_noisy_pulses_are_single_ones_in_mean_and_spread(device, start, count):
    """20,000 devices, at the bound and near it; within five standard errors and what `after_pulses` allows."""
    state = device.with_weight(device.init((N,), key=jax.random.key(0)), jnp.full(N, start), key=jax.random.key(1))
    at_once = np.asarray(device.pulse(state, jnp.full(N, count), key=jax.random.key(2)).w)
    _, one_by_one = pulsed(device, state, [int(np.sign(count))] * abs(count), key=3)
    truth = np.asarray(one_by_one[-1])
    error = (0.12 + FIVE * (2 / N) ** 0.5) * truth.std()
    assert abs(at_once.mean() - truth.mean()) <= error
    assert abs(at_once.std() / truth.std() - 1) <= 0.2 + FIVE * N**-0.5


@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize("is_proportional", [True, False])
def test_noise_far_from_bounds_is_exact(is_proportional):
    """Mean and variance of nine noisy pulses against the recursion of both, pulse by pulse; 20,000 devices, within five
    standard errors.
    """
    a, noise, start, n = 0.1, 0.4, -0.8, 9
    device = D.SoftBounds(dw_min=a, dw_min_std=noise, mult_noise=is_proportional)
    state = device.with_weight(device.init((N,), key=jax.random.key(0)), jnp.full(N, start), key=jax.random.key(1))
    w = np.asarray(device.pulse(state, jnp.full(N, n), key=jax.random.key(2)).w)
    mean, variance = start, 0.0
    for _ in range(n):
        size = (1 - mean) ** 2 + variance if is_proportional else 1.0
        mean, variance = mean + a * (1 - mean), (1 - a) ** 2 * variance + (a * noise) ** 2 * size
    assert abs(w.mean() - mean) <= FIVE * (variance / N) ** 0.5
    assert abs(w.var() / variance - 1) <= FIVE * (2 / N) ** 0.5


@pytest.mark.usefixtures("x32")
def test_the_noise_is_normal_and_independent():
    """200,000 devices: Kolmogorov's test, and correlations with neighbors, the next call and write noise."""
    size = 200_000
    device = D.ConstantStep(dw_min=1e-3, dw_min_std=1.0, write_noise_std=1.0)
    state = device.init((size,), key=jax.random.key(0))
    one, other = (device.pulse(state, jnp.ones(size, int), key=jax.random.key(k)) for k in (1, 2))
    steps, next_steps = np.asarray(one.w) / 1e-3 - 1, np.asarray(other.w) / 1e-3 - 1
    writes = np.asarray(one.offset) / 1e-3
    # A correct program falls below once in two million tests.
    for numbers in (steps, writes):
        assert stats.kstest(numbers, "norm").pvalue > 5e-7
    for numbers in (next_steps, writes, np.roll(steps, 1), np.roll(steps, 128), np.asarray(other.offset)):
        assert abs(np.corrcoef(steps, numbers)[0, 1]) < FIVE / size**0.5
        assert abs(np.corrcoef(steps**2, numbers**2)[0, 1]) < 2 * FIVE / size**0.5


@pytest.mark.usefixtures("x32")
def test_write_noise_is_on_the_reading_alone():
    device = D.SoftBounds(dw_min=0.05, write_noise_std=2.0)
    state = device.init((N,), key=jax.random.key(0))
    state = device.pulse(state, jnp.where(jnp.arange(N) % 2 == 0, 3, 0), key=jax.random.key(1))
    quiet = D.SoftBounds(dw_min=0.05).pulse(replace(state, w=jnp.zeros(N)), jnp.full(N, 3), key=jax.random.key(1))
    np.testing.assert_array_equal(state.w[::2], quiet.w[::2])
    np.testing.assert_array_equal(device.weight(state)[1::2], 0)
    noise = np.asarray(device.weight(state) - state.w)[::2]
    assert abs(noise.std() / 0.1 - 1) < FIVE * N**-0.5
    assert abs(noise.mean()) < FIVE * 0.1 * (2 / N) ** 0.5


@pytest.mark.usefixtures("x32")
def test_stuck_devices_never_move():
    """A share of 0.2 of 20,000 devices within five standard errors, spread evenly over the range that is given."""
    device = D.SoftBounds(dw_min=0.1, dw_min_std=0.5, write_noise_std=1.0, w_max_dtod=0.3, stuck=0.2, stuck_range=0.5)
    state = device.init((N,), key=jax.random.key(0))
    moved, weights = pulsed(device, state, [1, -5, 30])
    stuck = (np.asarray(weights) == np.asarray(device.weight(state))).all(0)
    assert abs(stuck.mean() - 0.2) < FIVE * (0.16 / N) ** 0.5
    places = np.asarray(state.w)[stuck]
    assert stats.kstest(places, "uniform", args=(-0.5, 1.0)).pvalue > 5e-7
    np.testing.assert_array_equal(moved.high[stuck], moved.low[stuck])


@pytest.mark.usefixtures("x32")
def test_pairs_of_pulses_lead_to_the_symmetry_point():
    """Up and down in turn ends where both steps are equal; with it as the reference that is weight 0."""
    device = D.SoftBounds(dw_min=0.005, up_down=-0.4, up_down_dtod=0.1, w_max_dtod=0.2, subtract_symmetry_point=True)
    state = device.init((50,), key=jax.random.key(0))
    state = device.pulse(state, jnp.full(50, 200), key=jax.random.key(0))
    _, weights = pulsed(device, state, [1, -1] * 1500)
    # The step up from the one weight of a pair is the step down from the other, and both laws are lines.
    mean = state.up / state.high * weights[-1] - state.down / state.low * weights[-2]
    np.testing.assert_allclose(mean / (state.up / state.high - state.down / state.low), 0, atol=5e-5)
    assert np.abs(device.symmetry_point(state)).mean() > 0.1


@pytest.mark.usefixtures("x32")
def test_weights_are_set_within_bounds_and_leak_away():
    device = D.presets.capacitor(lifetime=100.0, lifetime_dtod=0.0)
    state = device.init((50,), key=jax.random.key(0))
    state = device.with_weight(state, 2.0, key=jax.random.key(0))
    np.testing.assert_allclose(device.weight(state), state.high)
    later = device.age(state, 50.0, 300.0)
    np.testing.assert_allclose(device.weight(later), state.high * np.exp(-0.5), rtol=1e-6)


@pytest.mark.usefixtures("x32")
def test_conductance_is_linear_in_the_weight_and_never_below_nothing():
    device = D.ConstantStep(w_min=-1.0, w_max=3.0, g_min=2e-6, g_max=10e-6)
    state = replace(device.init((4,), key=jax.random.key(0)), w=jnp.array([-1.0, 1.0, 3.0, -5.0]))
    np.testing.assert_allclose(device.conductance(state), [2e-6, 6e-6, 10e-6, 0.2e-6], rtol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", [pytest.param(D.LinearStep, marks=pytest.mark.slow), D.SoftBounds])
def test_gradients_are_those_of_finite_differences(kind):
    """Of weights after noisy pulses in the step and in the weight before, both ways; central differences of 1e-6."""
    counts = jnp.asarray([0, 1, -1, 6, -6, 400])

    def after(numbers):
        dw_min, start = numbers
        more: dict[str, Any] = {"gamma_up": 0.3, "gamma_down": 0.6} if kind is D.LinearStep else {}
        device = kind(dw_min=dw_min, dw_min_std=0.3, **more)
        state = device.init((6,), key=jax.random.key(0))
        state = replace(state, w=state.w + start)
        return jnp.sum(device.pulse(state, counts, key=jax.random.key(1)).w * jnp.arange(1.0, 7.0))

    at = jnp.array([0.03, 0.2])
    finite = [(after(at + d) - after(at - d)) / 2e-6 for d in 1e-6 * jnp.eye(2)]
    np.testing.assert_allclose(jax.grad(after)(at), finite, rtol=1e-6)
    np.testing.assert_allclose(jax.jacfwd(after)(at), finite, rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: D.SoftBounds(w_max=-0.5, w_min=0.5),
            r"`w_max` must be above `w_min` = 0\.5, but is -0\.5: .*exchange",
        ),
        (
            lambda: D.SoftBounds(w_max=1.0, w_min=1.0),
            r"`w_max` must be above `w_min` = 1, but is 1: a device without a",
        ),
        (
            lambda: D.ConstantStep(w_max=2.0, w_min=1.0),
            r"s `w_min` and `w_max` must have 0 between them, .*; shift both",
        ),
        (lambda: D.ConstantStep(g_max=1e-7), r"`g_max` must be above `g_min` = 1e-06, but is 1e-07: .*widen them"),
        (lambda: D.ConstantStep(dw_min=0.0), r"`dw_min` must be positive and finite, but is 0\."),
        (lambda: D.LinearStep(dw_min=-0.1), r"`dw_min` must be positive and finite, but is -0\.1\."),
        (lambda: D.PowStep(dw_min=float("nan")), r"`dw_min` must be positive and finite, but is nan\."),
        (lambda: D.ExpStep(up_down=1.5), r"`up_down` must be from -1 to 1, but is 1\.5\."),
        (lambda: D.SoftBounds(stuck=1.5), r"`stuck` must be a probability from 0 to 1, but is 1\.5\."),
    ],
)
def test_wrong_numbers_are_refused(build, message):
    with pytest.raises(ValueError, match=f"^Argument(s?) ?.*{message}".replace("s? ?.*s ", "s ")):
        build()


@pytest.mark.parametrize("count", [jnp.ones(3, int), jnp.ones((2, 2)), 1])
def test_counts_are_one_integer_for_every_device(count):
    device = D.ConstantStep()
    state = device.init((2, 2), key=jax.random.key(0))
    with (
        unchecked(),
        pytest.raises(ValueError, match=r"^Argument `count` must hold one integer .* shape \(2, 2\), but is"),
    ):
        device.pulse(state, count, key=jax.random.key(0))


@pytest.mark.parametrize(
    "device",
    [
        D.ConstantStep(dw_min=0.04, up_down=0.5),
        D.LinearStep(dw_min=0.04, gamma_up=0.3, w_max=0.5),
        D.ExpStep(dw_min=0.04, A_up=0.9),
        D.PowStep(dw_min=0.04, pow_gamma=2.0, pow_up_down=-0.3),
    ],
    ids=lambda device: type(device).__name__,
)
def test_a_rule_counts_in_the_step_that_devices_make_at_weight_0(device):
    state = device.init((2,), key=jax.random.key(0))
    moved = device.weight(device.pulse(state, jnp.asarray([1, -1]), key=jax.random.key(0)))
    np.testing.assert_allclose((moved[0] - moved[1]) / 2, device.mean_step, rtol=1e-5)
