"""A law from measured points: the curve itself, monotone between, and exact where the curve is a known law."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from qsynapse_jax.crossbar import Sinh, Tabulated, Wires, solve

V = np.array([-1.0, -0.6, -0.25, 0.0, 0.1, 0.35, 0.5, 1.0])


def curve(seed):
    return np.interp(0.0, V, total := np.cumsum(np.random.default_rng(seed).exponential(size=len(V)))) * -1 + total


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_monotone_interpolant_of_the_points(seed):
    """SciPy's, scaled to a slope of 1 at 0 V; at the points themselves the measured ratios."""
    i, at = curve(seed), np.linspace(-1, 1, 201)
    with jax.enable_x64(True):
        law = Tabulated(V, i)
        found = np.asarray(law.current(jnp.ones((1, 1)), jnp.asarray(at)[:, None, None]))[:, 0, 0]
        slope = jax.vmap(jax.grad(lambda v: law.current(jnp.ones((1, 1)), v[None, None])[0, 0]))(jnp.asarray([0.0]))
    expected = PchipInterpolator(V, i)
    np.testing.assert_allclose(found, expected(at) / expected.derivative()(0.0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(slope, 1, rtol=1e-12)
    assert np.all(np.diff(found) >= 0)


def test_beyond_its_points_it_is_straight():
    law = Tabulated(V, curve(0))
    at = jnp.asarray([1.0, 1.5, 2.0, -1.0, -2.0, -3.0])[:, None, None]
    up, down = np.split(np.asarray(law.current(jnp.ones((1, 1)), at))[:, 0, 0], 2)
    np.testing.assert_allclose(np.diff(up)[0], np.diff(up)[1], rtol=1e-5)
    np.testing.assert_allclose(np.diff(down)[0], np.diff(down)[1], rtol=1e-5)


@pytest.mark.slow  # compilation, most of it
def test_a_table_of_sinh_solves_like_sinh():
    """201 points of a curve: the circuit's currents to the error of the cubics between them."""
    v = np.linspace(-0.5, 0.5, 201)
    g, v_in = np.random.default_rng(0).uniform(1e-5, 1e-4, (4, 3)), np.array([0.1, 0.2, 0.3, 0.4])
    with jax.enable_x64(True):
        table = solve(g, v_in, Wires(20.0, 30.0), law=Tabulated(v, np.sinh(3 * v) / 3))
        law = solve(g, v_in, Wires(20.0, 30.0), law=Sinh(3.0))
        np.testing.assert_allclose(table.i_out, law.i_out, rtol=1e-4)


WRONG = {
    "two points": (V[:2], V[:2], "at least 3 points"),
    "lengths": (V, V[:-1], "curves of one length"),
    "a fall": (V, np.where(V > 0.9, 0.2, V), "`i` must ascend, but point 7 is 0.2 A after 0.5 A"),
    "twice": (np.sort(np.append(V[:-1], 0.1)), V, "`v` must ascend"),
    "one side": (V[4:], V[4:], "must reach from 0 V or below"),
    "offset": (V, V + 0.1, "`i` must vanish at 0 V, but is 0.1 A"),
    "NaN": (V, np.where(V > 0.9, np.nan, V), r"`i` must be finite, but i\[7\] = nan"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_curve_is_refused(case):
    v, i, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        Tabulated(v, i)
