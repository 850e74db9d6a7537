"""Reads of arrays that learn in place: forwards from word lines, backwards from bit lines, with noise."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.training.models import KEY, assert_same, samples, software, tile

DEVICE = qs.devices.SoftBounds(dw_min=0.05, sigma_read=0.05)
WIRES = qs.crossbar.Wires(r_word=20.0, r_bit=20.0)
X = jnp.asarray(samples(10)[0])
E = jnp.asarray(np.random.default_rng(2).normal(size=(10, 4)), jnp.float32)


def kernel(dac=None, adc=None, wires: Any = WIRES, **options) -> Any:
    on = qs.tile.analog(DEVICE, shape=(4, 4), wires=wires, dac=dac, adc=adc)
    return qs.nn.pulsed(qs.nn.convert(software(4), tile()), on, key=KEY, **options).layers[0].kernel


def backward(kernel):
    return jax.vjp(kernel.multiply, X)[1](E)[0]


@pytest.mark.slow
def test_without_converters_the_backward_read_is_the_transposed_matrix_behind_its_wires():
    one = kernel()
    np.testing.assert_allclose(backward(one), E @ one.matrix().T, rtol=1e-5, atol=1e-6)


@pytest.mark.slow  # compilation, most of it
def test_the_backward_read_has_converters_of_its_own():
    """Inputs fill the range of the DAC, and outputs are those of a transposed read of the tile."""
    dac, adc = qs.periphery.DAC(5), qs.periphery.ADC(7, 0.2, 1e3)
    forward, both, own = kernel(back=(None, None)), kernel(dac, adc), kernel(back=(dac, adc))
    peak = jnp.max(jnp.abs(E), axis=1, keepdims=True)
    on = both.tile.get_value()
    expected = peak * on.multiply_transposed(E / peak, both.effective())
    np.testing.assert_allclose(backward(both), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(backward(own), expected, rtol=1e-5, atol=1e-6)
    assert np.abs(expected - backward(forward)).max() > 0.02
    np.testing.assert_allclose(own.multiply(X), forward.multiply(X), rtol=1e-6)
    with pytest.raises(ValueError, match=r"`back` must be a DAC and an ADC, e\.g\. .*, but is 3"):
        kernel(back=3)


@pytest.mark.slow
def test_the_slope_in_physical_parameters_is_that_of_the_forward_read():
    one = kernel()

    def total(r):
        here = nnx.clone(one)
        here.tile.set_value(qs.tile.analog(DEVICE, shape=(4, 4), wires=qs.crossbar.Wires(r_word=r, r_bit=20.0)))
        return jnp.vdot(E, here.multiply(X))

    slope = jax.grad(total)(jnp.asarray(20.0))
    np.testing.assert_allclose(slope, (total(jnp.asarray(21.0)) - total(jnp.asarray(19.0))) / 2, rtol=0.02)


def test_every_read_in_training_has_noise_of_its_own():
    """5 % of each conductance: 400 forward reads of 20 devices, their spread within 5 standard errors."""
    one, quiet = kernel(wires=None, noise=True), kernel(wires=None)
    assert_same(one.effective(), quiet.effective())
    unit = jnp.eye(5)

    @jax.jit
    def reads(keys):
        def read(key):
            def multiply(x):
                here = nnx.clone(one)
                here.noise = nnx.data(nnx.Rngs(read=key))
                return here.multiply(x)

            y, back = jax.vjp(multiply, unit)
            return y, back(jnp.ones((5, 1)) * jnp.eye(4)[:1])[0]

        return jax.lax.map(read, keys)

    forward, back = reads(jax.random.split(KEY, 400))
    on = one.tile.get_value()
    slope = (DEVICE.g_max - DEVICE.g_min) / 2
    expected = 0.05 * DEVICE.conductance(one.devices())[0] / slope
    np.testing.assert_allclose(np.std(forward, 0), expected, rtol=5 / np.sqrt(800))
    np.testing.assert_allclose(np.mean(forward, 0), on.weights(quiet.effective()), atol=float(expected.max()) / 4)
    # The backward read is another one.
    apart = np.asarray(back[:, 0] - forward[:, :, 0])
    np.testing.assert_allclose(np.std(apart, 0), np.sqrt(2) * expected[:, 0], rtol=5 / np.sqrt(800))
