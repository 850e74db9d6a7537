"""The telegraph record: its law against theory and against events counted one by one, from far below to far above."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import qsynapse_jax as qs
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x32")
N = 30_000
# Standard errors that a correct program exceeds once in 1.7 million numbers; and the same rate for tests by p-value.
FIVE, RARE = 5.0, 6e-7


def record(tau_c, tau_e, window, interval, seed=0):
    """Three windows of N equal traps of amplitude 1; one compilation for all times."""
    up, down = (jnp.full((N,), tau, jnp.float32) for tau in (tau_c, tau_e))
    made = qs.devices.telegraph_record(up, down, 1.0, 3, interval, window, key=jax.random.key(seed))
    assert made.shape == (3, N)
    return np.asarray(made, float)


def within(values, expected):
    """Whether the mean of independent values is the expected one within five standard errors."""
    assert abs(values.mean() - expected) < FIVE * values.std() / len(values) ** 0.5, (values.mean(), expected)


@pytest.mark.parametrize("window", [0.0, 1e-3, 0.3, 4.0, 60.0, 3e3])
def test_mean_variance_and_covariance_are_those_of_the_process(window):
    """With r = 1/tau_c + 1/tau_e, p = tau_e/(tau_c + tau_e), w = r window and windows `lag` apart:

    variance 2 p (1 - p) (w - 1 + exp(-w))/w^2,  covariance p (1 - p) exp(-r (lag - window)) ((1 - exp(-w))/w)^2.

    From windows of a thousandth of the dwell times to thousands of them.
    """
    tau_c, tau_e, interval = 1.0, 2.0, window + 0.4
    p, rate = tau_e / (tau_c + tau_e), 1 / tau_c + 1 / tau_e
    made = record(tau_c, tau_e, window, interval) - p
    w = rate * max(window, 1e-3)
    shape = 2 * (w - 1 + np.exp(-w)) / w**2 if window else 1.0
    kept = ((1 - np.exp(-w)) / w) ** 2 if window else 1.0
    for average in made:
        within(average, 0.0)
        # 2e-7: what the rounding of p = 2/3 in float32 does to the mean counts where averages are that good.
        within(average**2, p * (1 - p) * shape)
    for lag, (a, b) in ((1, made[:2]), (1, made[1:]), (2, made[::2])):
        within(a * b, p * (1 - p) * kept * np.exp(-rate * (lag * interval - window)))


def by_events(tau_c, tau_e, window, rng):
    """Shares of the window in state 1 of N traps, event by event."""
    state, time, on, live = rng.random(N) < tau_e / (tau_c + tau_e), np.zeros(N), np.zeros(N), np.ones(N, bool)
    while live.any():
        stays = np.minimum(rng.exponential(np.where(state, tau_e, tau_c)), window - time)
        on += np.where(live & state, stays, 0)
        time = np.where(live, time + stays, time)
        live &= time < window
        state = np.where(live, ~state, state)
    return on / window


@pytest.mark.parametrize("window", [0.1, 1.5, 12.0, 50.0])
def test_averages_are_distributed_as_those_counted_event_by_event(window):
    """Windows without an event, which are 0 or 1, by their number; the others by Kolmogorov-Smirnov."""
    counted = by_events(1.0, 0.6, window, np.random.default_rng(5))
    made = record(1.0, 0.6, window, window, seed=2)[0]
    for whole in (0.0, 1.0):
        both = [(x == whole).sum() for x in (made, np.where(np.abs(counted - whole) < 1e-12, whole, counted))]
        # Two Poisson numbers, or less spread than those.
        assert abs(both[0] - both[1]) <= FIVE * max(sum(both), 1) ** 0.5
    inside = [x[(x > 1e-6) & (x < 1 - 1e-6)] for x in (made, counted)]
    found: Any = stats.ks_2samp(*inside)
    assert found.pvalue > RARE


def test_ends_of_windows_are_begins_of_the_next():
    """Windows that touch: what the first says of the second is the correlation of averages that touch, and the share
    of pairs without any event that of a window of both.
    """
    first, second, _ = record(1.0, 3.0, 0.5, 0.5, seed=3)
    idle = ((first == 1) & (second == 1)).mean(), ((first == 0) & (second == 0)).mean()
    expected = 0.75 * np.exp(-1 / 3), 0.25 * np.exp(-1.0)
    for found, wanted in zip(idle, expected, strict=True):
        assert abs(found - wanted) < FIVE * (wanted * (1 - wanted) / N) ** 0.5
    # No trap changes its state between windows that touch.
    assert not ((first == 1) & (second == 0)).any()


def test_the_spectrum_is_lorentzian():
    """Periodograms of 400,000 instants of one trap in 400 parts: against the Lorentzian as sampling folds it,
    p (1 - p) (1 - k^2)/(1 - 2 k cos(2 pi f dt) + k^2), k = exp(-r dt). In the band far below the rate of sampling that
    is 4 p (1 - p)/r/(1 + (2 pi f/r)^2)/2. Every frequency is an exponential number; the means of 400, five standard
    errors at 500 frequencies: 2.9e-4 in all.
    """
    tau_c, tau_e, step, parts, n = 3e-3, 1e-3, 1e-4, 400, 1000
    made = qs.devices.telegraph_record(tau_c, tau_e, 2e-6, parts * n, step, key=jax.random.key(4))
    made = np.asarray(made, float).reshape(parts, n) - 0.5e-6
    # Windows in the sense of Hann: what a sharp end of a part leaks would show.
    hann = np.hanning(n)
    found = (np.abs(np.fft.rfft(made * hann)) ** 2).mean(0) / (hann**2).sum()
    f = np.fft.rfftfreq(n, step)
    rate, k = 1 / tau_c + 1 / tau_e, np.exp(-step * (1 / tau_c + 1 / tau_e))
    variance = 0.25 * 0.75 * 2e-6**2
    folded = variance * (1 - k**2) / (1 - 2 * k * np.cos(2 * np.pi * f * step) + k**2)
    inner = slice(3, -3)
    assert (np.abs(found / folded - 1)[inner] < FIVE / parts**0.5).all()
    lorentzian = 2 * variance / rate / (1 + (2 * np.pi * f / rate) ** 2) / step
    low = (f > 30) & (f < 400)
    # All frequencies rise and fall with the number of events: 20,000 of them, 1.25 % of 30 records.
    assert abs(np.mean(found[low] / lorentzian[low]) - 1) < FIVE * 0.0125


def test_traps_are_independent_and_the_key_decides():
    made = record(1.0, 1.0, 0.5, 1.0, seed=6)
    assert abs(np.corrcoef(made[0, 1:], made[0, :-1])[0, 1]) < FIVE / N**0.5
    np.testing.assert_array_equal(record(1.0, 1.0, 0.5, 1.0, seed=6), made)
    assert abs(np.corrcoef(record(1.0, 1.0, 0.5, 1.0, seed=7)[0], made[0])[0, 1]) < FIVE / N**0.5


def test_dwell_times_far_beyond_the_window_and_far_below_it():
    """A trap of days stays as it is; one of picoseconds is its mean, to the digits of float32 (6e-8) and of what is
    left of its noise, sqrt(2 p (1 - p)/(r window)) = 4e-7.
    """
    slow = record(1e6, 1e6, 1e-3, 1e-2)
    np.testing.assert_array_equal(slow[1:], slow[:-1].round())
    fast = record(3e-12, 1e-12, 1e1, 1e1)
    np.testing.assert_allclose(fast, 0.25, atol=4e-6)


def test_numbers_of_events_from_their_expansion_have_no_bias():
    """A trap that leaves state 1 31 times in a window and is back soon: one of 31 more or less is seen if it happens to
    a sixth of the windows.
    """
    within(1 - record(1e-3, 1.0, 31.0, 40.0).ravel(), 1e-3 / 1.001)


def test_shapes_are_broadcast_and_the_gradient_is_that_of_the_amplitude():
    tau = jnp.geomspace(1e-6, 1e-2, N)

    def record_of(amplitude, tau, window=1e-6):
        return qs.devices.telegraph_record(tau, 1e-4, amplitude, 3, 1e-5, window, key=jax.random.key(1))

    assert jax.eval_shape(lambda a, t: record_of(a, t, 0.0), jnp.ones((2, 1)), tau[None, :5]).shape == (3, 2, 5)
    amplitude = jnp.linspace(-1e-6, 1e-6, N)
    made, pull = jax.vjp(record_of, amplitude, tau)
    slope, none = pull(jnp.ones_like(made))
    # A record is linear in its amplitude.
    np.testing.assert_allclose(slope * amplitude, jnp.sum(made, axis=0), rtol=1e-5, atol=1e-12)
    assert not np.asarray(none).any()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tau_c": 0.0}, r"`tau_c` must be positive and finite, but is 0 s\."),
        ({"tau_e": np.array([1.0, -1.0])}, r"`tau_e` must be positive and finite, but tau_e\[1\] = -1 s\."),
        ({"amplitude": float("nan")}, r"`amplitude` must be finite, but is nan S\."),
        ({"samples": 0}, r"`samples` must be an integer of at least 1, but is 0\."),
        ({"interval": 0.0}, r"`interval` must be positive and finite, but is 0 s\."),
        ({"window": -1.0}, r"`window` must be non-negative and finite, but is -1 s\."),
        ({"window": 2e-3}, r"`window` must be at most `interval`: windows do not overlap, but 2 ms is above 1 ms\."),
    ],
)
def test_wrong_numbers(changed, message):
    given = {"tau_c": 1.0, "tau_e": 1.0, "amplitude": 1e-6, "samples": 3, "interval": 1e-3, "window": 1e-4}
    with unchecked(), pytest.raises(ValueError, match=f"^Argument {message}"):
        qs.devices.telegraph_record(**(given | changed), key=jax.random.key(0))


def test_times_that_are_wrong_inside_a_trace_are_no_record():
    made = jax.jit(lambda tau: qs.devices.telegraph_record(tau, 1.0, 1e-6, 3, 1e-3, key=jax.random.key(0)))(-1.0)
    assert np.isnan(made).all()
