"""The converter: its staircase, its gradient, and what cancels in it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x64")
ADC = qs.periphery.ADC


def test_the_staircase():
    """4 bits, full scale 1 uA: 7 steps each way, half a step belongs to the nearer code, and the ends hold."""
    adc = ADC(4, 0.1, 1e5)
    assert float(adc.full_scale) == pytest.approx(1e-6)
    currents = jnp.asarray([-2.0, -1.0, -0.5, 0.0, 0.07, 0.08, 0.5, 1.0, 9.0]) * 1e-6
    np.testing.assert_allclose(7 * adc.value(currents), [-7, -7, -4, 0, 0, 1, 4, 7, 7], rtol=1e-14)


def test_rounding_costs_half_a_step_at_most():
    adc = ADC(8, 0.2, 1e4)
    currents = jnp.linspace(-1, 1, 1001) * adc.full_scale
    error = np.asarray(adc.value(currents)) - np.asarray(currents / adc.full_scale)
    assert np.abs(error).max() <= 0.5 / 127 * (1 + 1e-12)


def test_the_gradient_goes_straight_through():
    """In range 1/full scale; beyond, the output does not move. In r_ref, value = i r_ref / v_ref."""
    adc = ADC(6, 0.1, 1e5)
    slope = jax.vmap(jax.grad(adc.value))(jnp.asarray([0.3e-6, -0.9e-6, 1.4e-6]))
    np.testing.assert_allclose(slope, [1e6, 1e6, 0], rtol=1e-12)
    in_r = jax.grad(lambda r: ADC(6, 0.1, r).value(jnp.asarray(0.3e-6)))(jnp.asarray(1e5))
    assert float(in_r) == pytest.approx(0.3e-6 / 0.1)


@jax.jit
def _read(resistor, temperature, r_on):
    """What the converter of that die says of a row of synapses, in units of the nominal full scale."""
    cell = qs.cells.Ladder(3, 80e3, r_on, 1e15, resistor=resistor)
    parts = cell.init((8,), key=jax.random.key(2))
    g = cell.assemble(cell.targets(jnp.arange(8)), parts, temperature=temperature)[0]
    factor = cell.reference_factor(parts, temperature)
    return factor, 0.2 * g / ADC(16, 0.2, 40e3 * factor).full_scale


def test_a_factor_that_cells_and_reference_share_cancels():
    """Exactly where resistors are all there is; with 5 kohm switches by the share of the switch, r_on/(R + r_on).

    The reading of code 4 (the branch of 80 kohm) on a die off by f is f (R + r_on)/(f R + r_on) of the nominal one.
    """
    resistor = qs.cells.Resistor(sigma_process=0.2, tcr=1e-3)
    nominal = qs.cells.Resistor()
    for r_on in (1e-6, 5e3):
        expected = np.asarray(_read(nominal, 300.0, r_on)[1])
        factor, found = map(np.asarray, _read(resistor, 358.15, r_on))
        assert abs(factor - 1) > 0.05
        left = factor * (80e3 + r_on) / (factor * 80e3 + r_on)
        assert found[4] / expected[4] == pytest.approx(left, rel=1e-9)
        if r_on == 1e-6:
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
        else:
            # Not more than the share of the switch: 5.9 % of the factor's 10 to 20 %.
            assert np.abs(found[1:] / expected[1:] - 1).max() < 5e3 / 85e3 * abs(factor - 1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bits": 1}, r"`bits` must be an integer from 2 to 16, but is 1\."),
        ({"bits": 8.0}, r"`bits` must be an integer from 2 to 16, but is 8\.0\."),
        ({"v_ref": 0.0}, r"`v_ref` must be positive and finite, but is 0 V\."),
        ({"r_ref": -1.0}, r"`r_ref` must be positive and finite, but is -1 ohm\."),
    ],
)
def test_wrong_numbers(changed, message):
    with unchecked(), pytest.raises(ValueError, match=rf"^Argument {message}"):
        ADC(**({"bits": 8, "v_ref": 0.1, "r_ref": 1e4} | changed))
