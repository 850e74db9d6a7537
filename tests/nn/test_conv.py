"""A convolution on crossbars is the convolution of Flax with the weights that its tiles multiply with."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.nn.layers import WIRES, fine_tile, initial, lines_of, run, small_tile, weights_behind

# Every option of every axis count at least once, and those that meet: strides with dilation, groups with padding.
GEOMETRIES = {
    "same": ((3,), {}),
    "strides": ((3,), {"strides": 2, "padding": "VALID", "use_bias": False}),
    "circular": ((3,), {"padding": "CIRCULAR", "kernel_dilation": 2}),
    "reflect": ((3,), {"padding": "REFLECT"}),
    "causal": (3, {"padding": "CAUSAL", "kernel_dilation": 2, "feature_group_count": 2}),
    "lower": ((3,), {"padding": "SAME_LOWER", "strides": 2, "feature_group_count": 2}),
    "plane": ((3, 2), {"strides": (2, 1), "feature_group_count": 2}),
    "plane-circular": ((3, 2), {"padding": "CIRCULAR", "strides": 2, "feature_group_count": 2}),
    "plane-pairs": ((2, 3), {"padding": ((1, 0), (2, 1)), "kernel_dilation": (2, 1), "input_dilation": (1, 2)}),
    "plane-depthwise": ((2, 2), {"padding": 1, "feature_group_count": 4}),
    "space": ((2, 1, 2), {"padding": "VALID", "strides": (1, 2, 1), "feature_group_count": 2}),
}
OFTEN = ("circular", "causal", "lower", "plane-pairs")  # in the default run; the others are slow
CHANNELS, OUTPUTS = 4, 8


def convolution(size, **options) -> nnx.Conv:
    return nnx.Conv(CHANNELS, OUTPUTS, size, **options, kernel_init=initial, bias_init=initial, rngs=nnx.Rngs(0))


def some_inputs(*shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=(*shape, CHANNELS)), jnp.float32)


@nnx.jit
def both(digital, crossbar, x):
    return digital(x), crossbar(x), crossbar.kernel.matrix()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in OFTEN else pytest.mark.slow) for name in GEOMETRIES]
)
def test_a_convolution_is_that_of_flax(name):
    size, options = GEOMETRIES[name]
    layer = convolution(size, **options)
    crossbar = qs.nn.convert(layer, fine_tile())
    kernel = layer.kernel.get_value()
    np.testing.assert_allclose(qs.nn.to_digital(crossbar).kernel.get_value(), kernel, rtol=0, atol=1e-6)
    x = some_inputs(2, *(5, 4, 3)[: len(layer.kernel_size)])
    expected, y, matrix = both(layer, crossbar, x)
    # Weights are rounded to 1 in 32,767 of a full scale near 1; up to 24 of them are added.
    np.testing.assert_allclose(y, expected, rtol=0, atol=2e-4)
    # With exactly the weights of the tiles it is the same, but for the rounding of sums.
    layer.kernel.set_value(crossbar.from_matrix(crossbar, matrix * crossbar.scale.get_value()))
    exact, _, _ = both(layer, crossbar, x)
    np.testing.assert_allclose(y, exact, rtol=0, atol=1e-5)


def test_inputs_without_a_batch_and_with_two():
    layer = convolution((3,))
    crossbar = qs.nn.convert(layer, fine_tile())
    for batch in ((), (2, 3)):
        x = some_inputs(*batch, 5)
        expected, y, _ = both(layer, crossbar, x)
        assert y.shape == (*batch, 5, OUTPUTS)
        np.testing.assert_allclose(y, expected, rtol=0, atol=2e-4)


@pytest.mark.usefixtures("x64")
def test_every_group_is_on_tiles_of_its_own():
    """Rows are channels of a group, within a channel the window; every group's circuit is solved node by node."""
    layer = qs.nn.CrossbarConv(4, 2, (3,), feature_group_count=2, tile=small_tile(), rngs=nnx.Rngs(0))
    code, matrix = nnx.jit(lambda layer: (layer.kernel.code(), layer.kernel.matrix()))(layer)
    assert code.shape == (2, 6, 1)
    for group, found in zip(np.asarray(code), np.asarray(matrix), strict=True):
        np.testing.assert_allclose(found, weights_behind(lines_of(group), WIRES), rtol=0, atol=1e-10)


def test_rows_are_channels_and_within_them_the_window():
    """One weight of 1: which row it lies in, and which input it is multiplied with."""
    layer = convolution((3, 2), padding="VALID")
    one = np.zeros((3, 2, CHANNELS, OUTPUTS), np.float32)
    one[2, 0, 3, 5] = 1.0
    row = 3 * 6 + 2 * 2 + 0
    np.testing.assert_array_equal(qs.nn.CrossbarConv.to_matrix(layer, jnp.asarray(one))[:, 5], np.eye(24)[row])


def test_gradients_are_those_of_flax():
    """In master weights and inputs, for a grouped and strided convolution with weights within the full scale."""
    layer = convolution((3,), strides=2, feature_group_count=2)
    crossbar = qs.nn.convert(layer, fine_tile())
    x = some_inputs(2, 5)

    @nnx.jit
    def gradients(layer, x):
        return nnx.grad(lambda layer, x: jnp.sum(jnp.sin(layer(x))), argnums=(0, 1))(layer, x)

    (of_flax, slope), (found, slope_found) = gradients(layer, x), gradients(crossbar, x)
    np.testing.assert_allclose(slope_found, slope, rtol=0, atol=1e-3)
    expected = crossbar.to_matrix(crossbar, of_flax["kernel"].get_value()) * crossbar.scale.get_value()
    np.testing.assert_allclose(found["kernel"]["weight"].get_value(), expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found["bias"].get_value(), of_flax["bias"].get_value(), rtol=0, atol=1e-3)


def test_a_new_convolution_has_outputs_of_order_one():
    layer = qs.nn.CrossbarConv(4, 16, (3, 3), tile=fine_tile(), rngs=nnx.Rngs(0))
    y = np.asarray(run(layer, some_inputs(4, 6, 6)))
    assert y.shape == (4, 6, 6, 16)
    assert 0.8 < y[:, 1:-1, 1:-1].std() < 2.0  # He: sqrt(2)
