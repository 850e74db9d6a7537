"""The two-level switch: what is pulsed, what fails, what wears out, and how resistances spread."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x32")
Switch = qs.devices.Switch
INF = float("inf")
# Standard errors that a correct program exceeds once in 1.7 million tests.
FIVE = 5.0
N = 20_000


def switch(**changed: Any) -> qs.devices.Switch:
    numbers: dict[str, Any] = {"r_on": 5e3, "r_off": 1e6, "e_set": 2e-10, "e_reset": 3e-10, "e_read": 1e-12}
    return Switch(**(numbers | changed))


def written(device, on, *, seed=0, state=None, verify=False):
    """Written by the scheme for switches: a band without lower bound is off."""
    if state is None:
        state = device.init(on.shape, key=jax.random.key(100 + seed))
    low, high = jnp.where(on, 1e-5, 0), jnp.where(on, jnp.inf, 1e-5)
    scheme = qs.programming.SinglePulse(verify=verify)
    return qs.programming.write_verify(device, state, low, high, scheme, key=jax.random.key(seed))


def half():
    return jnp.arange(N) % 2 == 0


def test_only_cells_whose_bit_changes_are_pulsed():
    device = switch()
    state, report = written(device, half())
    np.testing.assert_array_equal(report.sets, half())
    np.testing.assert_array_equal(report.resets, np.zeros(N))
    np.testing.assert_array_equal(state.on, half())
    state, report = written(device, jnp.zeros(N, bool), state=state)
    np.testing.assert_array_equal(report.resets, half())
    np.testing.assert_array_equal(report.pulses, half())
    np.testing.assert_array_equal(np.asarray(device.conductance(state)), np.full(N, np.float32(1e-6)))
    assert report.success.all()


def test_time_and_energy_are_those_of_the_pulses():
    device = switch(t_set=1e-7, t_reset=3e-7, t_read=1e-8, p_fail=0.5)
    state, up = written(device, jnp.ones(N, bool), verify=True)
    _, down = written(device, jnp.zeros(N, bool), state=state, verify=True)
    for report in (up, down):
        sets, resets, reads = (np.asarray(n) for n in (report.sets, report.resets, report.reads))
        np.testing.assert_allclose(report.time, sets * 1e-7 + resets * 3e-7 + reads * 1e-8, rtol=1e-6)
        np.testing.assert_allclose(report.energy, sets * 2e-10 + resets * 3e-10 + reads * 1e-12, rtol=1e-6)
    assert set(np.unique(up.sets)) == {1, 2}
    assert set(np.unique(down.resets)) == {0, 1, 2}


@pytest.mark.parametrize(("verify", "left"), [(False, 0.1), (True, 0.01)])
def test_a_verified_write_fails_twice_before_it_fails(verify, left):
    """p and p^2 of 20,000 cells, within five standard errors: false alarm 6e-7."""
    _, report = written(switch(p_fail=0.1), jnp.ones(N, bool), verify=verify)
    failed = 1 - np.mean(report.success)
    assert abs(failed - left) < FIVE * (left * (1 - left) / N) ** 0.5
    np.testing.assert_array_equal(report.reads, np.full(N, int(verify)))


def test_stuck_cells_stay():
    """Shares of 20,000 cells within five standard errors: false alarm of the two 1e-6."""
    device = switch(stuck_on=0.02, stuck_off=0.05)
    state = device.init((N,), key=jax.random.key(1))
    on, _ = written(device, jnp.ones(N, bool), state=state)
    off, report = written(device, jnp.zeros(N, bool), state=on)
    for share, expected in ((np.mean(off.on), 0.02), (1 - np.mean(on.on), 0.05)):
        assert abs(share - expected) < FIVE * (expected * (1 - expected) / N) ** 0.5
    np.testing.assert_array_equal(report.success, ~np.asarray(off.on))


def test_resistances_spread_from_device_to_device_and_from_write_to_write():
    """ln R has the median, the spread and the correlation between two writes that were asked for.

    Means within five standard errors of 20,000 values; spreads too (relative error 1/sqrt(2n)), the correlation to
    5/sqrt(n). Ten checks: false alarm 6e-6.
    """
    device = switch(sigma_on_device=0.3, sigma_on_cycle=0.4, sigma_off_device=0.6, sigma_off_cycle=0.8)
    state, logs = None, {True: [], False: []}
    for turn, value in enumerate((True, False, True, False)):
        state, _ = written(device, jnp.full(N, value), seed=turn, state=state)
        logs[value].append(-np.log(device.conductance(state)))
    for value, median, sigma in ((True, 5e3, 0.5), (False, 1e6, 1.0)):
        first, second = logs[value]
        for log in (first, second):
            assert abs(log.mean() - np.log(median)) < FIVE * sigma / N**0.5
            assert abs(log.std() / sigma - 1) < FIVE / (2 * N) ** 0.5
        # Of the variance 0.3^2 of 0.5^2, and 0.6^2 of 1, belong to the device and come back.
        assert abs(np.corrcoef(first, second)[0, 1] - 0.36) < FIVE / N**0.5


def test_a_worn_out_switch_is_stuck_in_its_state():
    device = switch(endurance=3.5)
    state = device.init((N,), key=jax.random.key(0))
    for turn in range(6):
        state, report = written(device, jnp.full(N, turn % 2 == 0), seed=turn, state=state)
        # Pulses 1, 2 and 3 switch; the fourth would turn it off.
        assert bool(report.success.all()) == (turn < 3 or turn % 2 == 0)
    assert state.on.all()
    np.testing.assert_array_equal(state.pulses, np.full(N, 5))


def test_a_pulse_forgets_the_drift():
    device = switch()
    old = device.age(device.init((N,), key=jax.random.key(0)), 1e8, 358.15)
    new, _ = written(device, half(), state=old)
    np.testing.assert_array_equal(np.asarray(new.age) == 0, half())
    assert (np.asarray(old.age) > 0).all()


def test_lives_spread_about_their_median():
    """Half of 20,000 cells outlive the median of 2.5 pulses; ln life < ln 1.5 at -0.51/0.5 sigma. False alarm 1e-6."""
    device = switch(endurance=2.5, endurance_spread=0.5)
    state = device.init((N,), key=jax.random.key(4))
    for turn in range(3):
        state, _ = written(device, jnp.full(N, turn % 2 == 0), seed=turn, state=state)
    # Worn out by the third pulse: life below 3, at (ln 3 - ln 2.5)/0.5 = 0.365 sigma: 64.2 %.
    assert abs(np.mean(state.stuck) - 0.6423) < FIVE * 0.48 / N**0.5


def test_a_billion_pulses_are_counted_to_the_last():
    """In float32 a billion less one is a billion, and such a switch would never wear out."""
    device = switch(endurance=1e9)
    state = device.init((N,), key=jax.random.key(0))
    worn = dataclasses.replace(state, pulses=jnp.full(N, 1_000_000_100, jnp.int32))
    _, report = written(device, jnp.ones(N, bool), state=worn)
    assert not report.success.any()


def test_many_half_selects_are_as_many_pulses_once_they_reach_the_threshold():
    """One of three that works is enough, 1 - p^3 of 20,000 within five standard errors; each of them wears."""
    device = switch(p_fail=0.5, endurance=4.0)
    state = device.init((N,), key=jax.random.key(0))
    new = device.disturb(state, qs.devices.Exposure(1.0, 1e-6, 3), key=jax.random.key(1))
    assert abs(np.mean(new.on) - 0.875) < FIVE * (0.875 * 0.125 / N) ** 0.5
    np.testing.assert_array_equal(new.pulses, np.full(N, 3))
    worn = device.disturb(new, qs.devices.Exposure(-1.0, 1e-6, np.full(N, 2)), key=jax.random.key(2))
    assert worn.stuck.all()


def test_energy_goes_with_the_square_of_the_voltage_and_with_time():
    device = switch(v_set=2.0, t_set=1e-7, v_reset=3.0, t_reset=2.5e-7)
    state = device.init((N,), key=jax.random.key(0))
    v = jnp.asarray(np.resize([2.0, 1.0, -3.0, 0.0], N), jnp.float32)
    _, trace = device.apply(state, qs.devices.Pulse(v, 3e-7), key=jax.random.key(0))
    np.testing.assert_allclose(trace.energy[:4], [6e-10, 1.5e-10, 3.6e-9 * 0.1, 0], rtol=1e-6)
    np.testing.assert_allclose(trace.time[:4], [3e-7, 3e-7, 3e-7, 0], rtol=1e-6)


def test_the_same_key_makes_the_same_switches_as_ever():
    """Four switches of the preset, written down from version 0.1.0."""
    state = qs.devices.digital_switch().init((4,), key=jax.random.key(3))
    np.testing.assert_allclose(state.on_offset[:2], [-0.23783397674560547, -0.17061667144298553], rtol=1e-6)
    np.testing.assert_allclose(state.cycle_offset[2:], [-2.8340768814086914, 0.4067723751068115], rtol=1e-6)
    np.testing.assert_allclose(state.life[:2], [923228.0, 1153182.25], rtol=1e-5)
    np.testing.assert_allclose(state.off_rate[2:], [-0.00823180004954338, -0.011790263466536999], rtol=1e-5)


def test_presets_build_and_say_where_their_numbers_are_from():
    for preset in ("digital_switch", "analog_rram"):
        function = getattr(qs.devices, preset)
        function()
        assert "[R]" in function.__doc__
    assert float(qs.devices.digital_switch(r_off=80e3).r_off) == 80e3
    assert float(qs.devices.digital_switch(t_set=1e-8).t_set) == pytest.approx(1e-8)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"r_off": 4e3}, r"`r_off` must be at least `r_on` = 5000 ohm, but is 4000 ohm: an on/off ratio of 0\.8;"),
        ({"r_on": 0.0}, r"`r_on` must be positive and finite, but is 0 ohm\."),
        ({"r_on": -1.0}, r"`r_on` must be positive and finite, but is -1 ohm\."),
        ({"r_off": INF}, r"`r_off` must be positive and finite, but is inf ohm\."),
        ({"t_set": 0.0}, r"`t_set` must be positive and finite, but is 0 s\."),
        ({"t_reset": -1e-6}, r"`t_reset` must be positive and finite, but is -"),
        ({"e_set": -1e-12}, r"`e_set` must be non-negative and finite, but is -"),
        ({"p_fail": 1.5}, r"`p_fail` must be a probability from 0 to 1, but is 1\.5\."),
        ({"p_fail": float("nan")}, r"`p_fail` must be a probability from 0 to 1, but is nan\."),
        ({"stuck_on": -0.1}, r"`stuck_on` must be a probability from 0 to 1, but is -0\.1\."),
        ({"sigma_on_cycle": -0.1}, r"`sigma_on_cycle` must be non-negative and finite, but"),
        ({"endurance": 0.0}, r"`endurance` must be positive \(infinity is allowed\), but is 0 pulses\."),
        (
            {"v_threshold": 1.6},
            r"`v_threshold` must be at most `v_set` and `v_reset`, which shall switch, but is 1\.6",
        ),
        ({"r_on": "5k"}, r"`r_on` must be an array of real numbers"),
    ],
)
def test_wrong_numbers(changed, message):
    with unchecked(), pytest.raises(ValueError, match=rf"^Argument {message}"):
        switch(**changed)


def test_more_faults_than_cells():
    with pytest.raises(ValueError, match=r"^Arguments `stuck_on` and `stuck_off` must be shares of all cells, but add"):
        switch(stuck_on=0.6, stuck_off=0.6)
