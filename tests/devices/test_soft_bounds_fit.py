"""Soft bounds fitted to curves: recovered where the curve has them, and with an error that is told where not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

fit = qs.devices.fit_soft_bounds
x64 = pytest.mark.usefixtures("x64")


def soft_curve(low, high, up, down, first, pulses):
    g = [first]
    for is_up in pulses:
        g.append(g[-1] + up * (high - g[-1]) if is_up else g[-1] - down * (g[-1] - low))
    return np.array(g)


@x64
@pytest.mark.parametrize(
    ("low", "high", "up", "down", "cycles"), [(10e-6, 90e-6, 0.07, 0.11, 2), (25e-6, 60e-6, 0.3, 0.02, 1)]
)
def test_soft_bounds_are_recovered(low, high, up, down, cycles):
    """To all digits; states, symmetry point and step by their definitions."""
    g = soft_curve(low, high, up, down, 30e-6, ([1] * 30 + [0] * 30) * cycles)
    found = fit(jnp.asarray(g), 30, 30)
    np.testing.assert_allclose([found.g_min, found.g_max], [low, high], rtol=1e-6)
    np.testing.assert_allclose([found.up, found.down], [up, down], rtol=1e-6)
    np.testing.assert_allclose(found.curve, g, rtol=1e-7)
    assert found.worst < 1e-6 * high
    star = float(found.symmetry_point)
    np.testing.assert_allclose(up * (high - star), down * (star - low), rtol=1e-5)
    np.testing.assert_allclose(found.step, up * (high - star), rtol=1e-5)
    np.testing.assert_allclose([found.states, found.asymmetry], [4 / (up + down), (up - down) / (up + down)], rtol=1e-5)


@x64
def test_the_compact_model_as_soft_bounds():
    """Forty pulses up and down: the fit is the best one nearby, its error is that of its curve, and it is told."""
    device = qs.devices.CmoFilament()
    g = device.pulse_response(jnp.asarray(7e24), 40, 40, 2)
    found = fit(g, 40, 40)
    off = np.asarray(found.curve - g)
    np.testing.assert_allclose([found.error, found.worst], [(off**2).mean() ** 0.5, np.abs(off).max()], rtol=1e-9)
    best, pulses = np.array([found.g_min, found.g_max, found.up, found.down]), ([1] * 40 + [0] * 40) * 2

    def curve(low, high, up, down):
        return soft_curve(low, high, up, down, float(g[0]), pulses)

    np.testing.assert_allclose(found.curve, curve(*best), rtol=1e-9)
    for k in range(4):
        for factor in (0.99, 1.01):
            other = curve(*np.where(np.arange(4) == k, factor * best, best))
            assert ((other - np.asarray(g)) ** 2).mean() ** 0.5 > found.error
    # First steps of the model grow with the conductance, those of soft bounds never do: a few per cent of the range.
    share = found.error / np.ptp(g)
    assert 0.01 < share < 0.08
    assert "states, symmetry point" in repr(found)


@pytest.mark.slow
@x64
def test_the_fit_has_a_gradient():
    """States against the amplitude of the set pulse, through the compact model and the fit; central differences."""

    def states(v_set):
        device = qs.devices.CmoFilament(v_set=v_set)
        return fit(device.pulse_response(jnp.asarray(7e24), 12, 12), 12, 12).states

    v, h = jnp.asarray(1.3), 1e-4
    values = jax.jit(states)
    expected = (values(v + h) - values(v - h)) / (2 * h)
    np.testing.assert_allclose(jax.jit(jax.grad(states))(v), expected, rtol=1e-3)
    assert expected < -1  # stronger pulses, fewer states


@pytest.mark.parametrize(
    ("g", "message"),
    [
        (
            np.ones(5),
            r"must have 1 \+ cycles \(3 \+ 3\) conductances, the first one before any pulse, but has shape \(5,\)",
        ),
        (np.array([1, 2, 3, np.nan, 3, 2, 1.0]), r"must be finite \[S\], but g\[3\] is nan\."),
        (np.ones(7), r"must move with the pulses, but all conductances are equal\."),
    ],
)
def test_wrong_curves(g, message):
    with unchecked(), pytest.raises(ValueError, match=f"^Argument `g` {message}"):
        fit(jnp.asarray(g, jnp.float32), 3, 3)
