"""The analog cell: what a set grows, what a reset leaves, and what each remembers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x32")
N = 20_000


def cell(**changed):
    plain = {f"sigma_{name}": 0.0 for name in ("device", "cycle", "pulse", "read", "hrs", "hrs_cycle")}
    return qs.devices.analog_rram(**(plain | {"stuck": 0.0, "retention": qs.devices.Retention()} | changed))


def cells(device, n=N, seed=0):
    return device.init((n,), key=jax.random.key(seed))


def full(value, n=N):
    return jnp.full(n, value, jnp.float32)


@pytest.mark.parametrize("v", [2.1, 2.5, 4.0])
def test_a_set_pulse_grows_the_filament_to_what_the_gate_lets_through(v):
    """1/(3.8 kohm + 1/(1 mS/V (v - 2 V))), and back: `gate_voltage` is the inverse."""
    device = cell()
    state = device.set(cells(device, 3), full(v, 3), key=jax.random.key(1))
    np.testing.assert_allclose(device.conductance(state), np.full(3, 1 / (3.8e3 + 1 / (1e-3 * (v - 2)))), rtol=1e-5)
    np.testing.assert_allclose(device.gate_voltage(device.conductance(state)), np.full(3, v), rtol=1e-4)


def test_a_set_pulse_never_lowers_and_a_reset_never_raises():
    device = cell(sigma_pulse=0.5, sigma_device=0.5, sigma_hrs=2.0, sigma_hrs_cycle=0.5)
    state = cells(device)
    for turn, v in enumerate((2.2, 3.0, 2.1)):
        new = device.set(state, full(v), key=jax.random.key(turn))
        assert (np.asarray(new.log_g) >= np.asarray(state.log_g)).all()
        state = new
    for turn, strength in enumerate((0.1, 1.0, 0.5)):
        new = device.reset(state, full(strength), key=jax.random.key(10 + turn))
        assert (np.asarray(new.log_g) <= np.asarray(state.log_g)).all()
        state = new


def test_a_full_reset_leaves_the_open_filament_beside_the_leak():
    device = cell(r_hrs=3e5, r_leak=1.2e6)
    expected = 1 / (3.8e3 + 1 / (1 / 3e5 + 1 / 1.2e6))
    np.testing.assert_allclose(device.conductance(cells(device, 4)), np.full(4, expected), rtol=1e-5)
    state = device.set(cells(device, 4), full(3.0, 4), key=jax.random.key(0))
    before = state.log_g
    half = device.reset(state, full(0.5, 4), key=jax.random.key(1))
    np.testing.assert_allclose(half.log_g, (before + cells(device, 4).log_g) / 2, rtol=1e-5)


def test_a_filament_keeps_its_offset_until_it_is_reset():
    """What tells steps from throws of dice: correlation of ln g 1 over set pulses, 0 over a full reset, and 1 - s over
    a weak one. 20,000 cells, five standard errors of 1/sqrt(n) each: false alarm 2e-6.
    """
    device = cell(sigma_cycle=0.5)
    first = device.set(cells(device), full(2.3), key=jax.random.key(1))
    same = device.set(first, full(2.6), key=jax.random.key(2))

    def after_reset(strength):
        weak = device.reset(first, full(strength), key=jax.random.key(3))
        return weak.cycle

    def correlation(a, b):
        return np.corrcoef(a, b)[0, 1]

    assert correlation(first.log_g, same.log_g) > 0.999
    assert abs(correlation(first.cycle, after_reset(1.0))) < 5 / N**0.5
    assert abs(correlation(first.cycle, after_reset(0.4)) - 0.6) < 5 / N**0.5
    assert abs(np.std(after_reset(0.4)) / 0.5 - 1) < 5 / (2 * N) ** 0.5


def test_spreads_are_those_asked_for():
    """ln of the filament after a set, of the open one after a reset, and the read: five standard errors each."""
    device = cell(sigma_device=0.3, sigma_cycle=0.4, sigma_hrs=1.2, sigma_hrs_cycle=0.5, sigma_read=0.02, r_leak=1e12)
    state = cells(device)
    assert abs(np.std(state.log_g) / 1.3 - 1) < 5 / (2 * N) ** 0.5
    # High enough a gate that no open filament, however leaky, is left as it was.
    state = device.set(state, full(60.0), key=jax.random.key(1))
    assert abs(np.std(state.log_g) / 0.5 - 1) < 5 / (2 * N) ** 0.5
    noise = np.asarray(device.read(state, key=jax.random.key(2))) / np.asarray(device.conductance(state)) - 1
    assert abs(noise.std() / 0.02 - 1) < 5 / (2 * N) ** 0.5


def test_stuck_cells_do_not_open():
    device = cell(stuck=0.1)
    state = cells(device)
    g = np.asarray(device.conductance(device.reset(state, full(1.0), key=jax.random.key(3))))
    on = g > 2e-4
    assert abs(on.mean() - 0.1) < 5 * 0.3 / N**0.5
    np.testing.assert_array_equal(on, state.stuck)


def test_the_median_cell_follows_the_measured_sweep():
    """Median resistance after a set against gate voltage: exptdata/sweeps/results/fppv1.csv of the RADAR data [ohm]."""
    measured = {2.1: 15.64e3, 2.2: 9.23e3, 2.3: 7.45e3, 2.5: 6.13e3, 3.0: 5.31e3, 3.5: 4.89e3, 4.0: 4.77e3}
    device = cell()
    for v, r in measured.items():
        g = device.conductance(device.set(cells(device, 1), full(v, 1), key=jax.random.key(0)))
        assert float(1 / g[0]) == pytest.approx(r, rel=0.15), v


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"g_m": 0.0}, r"`g_m` must be positive and finite, but g_m = 0\.0 S/V\."),
        ({"r_hrs": 1e3}, r"`r_hrs` must be at least `r_series` = 3800 ohm, but is 1000 ohm: an on/off ratio of 0\.26"),
        ({"t_set": 0.0}, r"`t_set` must be positive and finite, but t_set = 0\.0 s\."),
        ({"stuck": 2.0}, r"`stuck` must be a probability from 0 to 1, but is 2\."),
        ({"sigma_pulse": -1.0}, r"`sigma_pulse` must be non-negative and finite, but sigma_pulse = -1\.0"),
    ],
)
def test_wrong_numbers(changed, message):
    with unchecked(), pytest.raises(ValueError, match=rf"^Argument {message}"):
        cell(**changed)
