"""The converter of inputs: its staircase, its gradient, its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x64")
DAC = qs.periphery.DAC


def test_the_staircase():
    """3 bits: three steps each way, half a step belongs to the nearer code, and the ends hold."""
    dac, x = DAC(3, 0.3), jnp.asarray([-2.0, -1.0, -0.5, 0.0, 0.16, 0.17, 1.0, 9.0])
    np.testing.assert_allclose(3 * dac.value(x), [-3, -3, -2, 0, 0, 1, 3, 3], rtol=1e-14)


def test_the_gradient_goes_straight_through_within_the_range():
    slope = jax.vmap(jax.grad(DAC(4, 0.2).value))(jnp.asarray([0.3, -1.0, 1.4]))
    np.testing.assert_allclose(slope, [1, 1, 0], rtol=1e-14)


def test_what_is_no_number_stays_visible():
    assert np.isnan(DAC(4).value(jnp.asarray(jnp.nan)))
    assert np.isnan(qs.periphery.ADC(4, 0.2, 1e4).value(jnp.asarray(jnp.nan)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bits": 1}, r"`bits` must be an integer from 2 to 16, but is 1\."),
        ({"v_max": 0.0}, r"`v_max` must be positive and finite, but is 0 V\."),
    ],
)
def test_wrong_numbers(changed, message):
    with unchecked(), pytest.raises(ValueError, match=rf"^Argument {message}"):
        DAC(**({"bits": 8, "v_max": 0.2} | changed))
