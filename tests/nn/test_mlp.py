"""Networks of layers, and the way of a trained one onto crossbars."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.nn.layers import WIRES, run, signed_ladder, small_layer

Wires = qs.crossbar.Wires
SIZES = (6, 5, 4)
CELLS = {
    "ladder3": signed_ladder,
    "multilevel64": lambda: qs.cells.Differential(qs.cells.Multilevel(64, 1e-6, 1e-4)),
}


def trained(seed=0):
    """A float network whose numbers are none of the defaults."""
    network = qs.nn.software_mlp(SIZES, rngs=nnx.Rngs(seed))
    for layer in network.layers:
        layer.bias.set_value(jax.random.normal(jax.random.key(seed), layer.bias.shape) / 4)
    return network


def some_inputs(n=8):
    return jax.random.normal(jax.random.key(7), (n, SIZES[0]))


def by_hand(weights, biases, x):
    """Rectifiers between the layers, none after the last."""
    x = np.asarray(x, float)
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        x = x @ np.asarray(w, float) + np.asarray(b, float)
        x = np.maximum(x, 0) if k + 1 < len(weights) else x
    return x


def biases_of(network):
    return [layer.bias.get_value() for layer in network.layers]


def decoded(layer):
    """Weights of a crossbar layer's codes, in the units of the software layer."""
    return np.asarray(layer.intended_weight()) * float(layer.scale.get_value())


def test_a_software_network_is_matrices_and_rectifiers():
    network, x = trained(), some_inputs()
    kernels = [layer.kernel.get_value() for layer in network.layers]
    assert [k.shape for k in kernels] == [(6, 5), (5, 4)]
    y = by_hand(kernels, biases_of(network), x)
    # float32 sums of six terms
    np.testing.assert_allclose(run(network, x), y, rtol=0, atol=1e-5)
    assert (y < 0).any()


def test_on_ideal_crossbars_a_network_is_the_same_but_for_rounding():
    network, x = trained(), some_inputs()
    crossbar = qs.nn.to_crossbar(network, cell=signed_ladder(), wires=None, tile=(4, 4))
    y = by_hand([decoded(layer) for layer in crossbar.layers], biases_of(network), x)
    np.testing.assert_allclose(run(crossbar, x), y, rtol=0, atol=1e-5)
    for software, layer in zip(network.layers, crossbar.layers, strict=True):
        np.testing.assert_array_equal(layer.bias.get_value(), software.bias.get_value())
        kernel = np.asarray(software.kernel.get_value())
        scale, levels = float(layer.scale.get_value()), np.asarray(signed_ladder().decode(np.arange(-7, 8)))
        half_step = scale * np.diff(levels).max() / 2
        beyond = np.maximum(np.abs(kernel) - scale, 0)  # what full scale clips, so that the rest is finer
        error = np.abs(decoded(layer) - kernel)
        assert (error <= half_step + beyond + 1e-6).all()


@pytest.mark.slow
def test_finer_cells_come_closer():
    network, x = trained(), some_inputs()
    errors = []
    for levels in (5, 65):
        cell = qs.cells.Differential(qs.cells.Multilevel(levels, 1e-6, 1e-4))
        crossbar = qs.nn.to_crossbar(network, cell=cell, wires=None)
        errors.append(float(jnp.max(jnp.abs(run(crossbar, x) - run(network, x)))))
    # Steps are 16 times finer; half of that is left to the luck of one network.
    assert errors[1] < errors[0] / 8


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("distribution", ["normal", "uniform", "outlier"])
def test_full_scale_has_the_least_squared_error(name, distribution):
    """Within 5 % of the best of 2,000 scales: 33 are tried, and the finer the cell the more minima there are."""
    cell, rng = CELLS[name](), np.random.default_rng(5)
    kernel = {"normal": rng.normal(size=(20, 30)), "uniform": rng.uniform(-3, 3, (20, 30))}.get(
        distribution, np.where(np.arange(600).reshape(20, 30) == 7, 4.0, rng.normal(size=(20, 30)))
    )
    levels = np.sort(np.asarray(cell.decode(np.arange(cell.code_range[0], cell.code_range[1] + 1)), float))
    thresholds = (levels[1:] + levels[:-1]) / 2

    def squared_error(scale):
        return np.sum((scale * levels[np.searchsorted(thresholds, kernel / scale)] - kernel) ** 2)

    found = float(qs.nn.full_scale(jnp.asarray(kernel, jnp.float32), cell))
    best = min(squared_error(scale) for scale in np.linspace(0.05, 1.2, 2000) * np.abs(kernel).max())
    assert squared_error(found) <= 1.05 * best


def test_a_kernel_of_zeros_has_a_scale():
    assert qs.nn.full_scale(jnp.zeros((3, 2)), signed_ladder()) == 1
    network = trained()
    network.layers[0].kernel.set_value(jnp.zeros(SIZES[:2]))
    crossbar = qs.nn.to_crossbar(network, cell=signed_ladder(), wires=Wires(**WIRES), tile=(4, 4))
    assert np.isfinite(run(crossbar, some_inputs())).all()


def test_the_float_network_is_left_as_it_was():
    network, x = trained(), some_inputs()
    before = np.asarray(run(network, x))
    crossbar = qs.nn.to_crossbar(network, cell=signed_ladder(), wires=None)
    for layer in crossbar.layers:
        layer.kernel.set_value(-layer.kernel.get_value())
        layer.bias.set_value(layer.bias.get_value() + 1)
    np.testing.assert_array_equal(run(network, x), before)


def test_without_a_bias_there_is_none_on_crossbars():
    network = qs.nn.MLP([nnx.Linear(6, 4, use_bias=False, rngs=nnx.Rngs(0))])
    crossbar = qs.nn.to_crossbar(network, cell=signed_ladder(), wires=None)
    assert crossbar.layers[0].bias is None
    np.testing.assert_array_equal(run(crossbar, jnp.zeros((2, 6))), np.zeros((2, 4)))


def test_other_wires_are_a_copy_with_the_same_codes():
    original = qs.nn.MLP([small_layer(wires=None)])
    x = jax.random.normal(jax.random.key(7), (4, 5))
    before = np.asarray(run(original, x))
    behind = qs.nn.with_wires(original, Wires(**WIRES))
    np.testing.assert_array_equal(behind.layers[0].code(), original.layers[0].code())
    expected = np.asarray(run(small_layer(wires=WIRES), x))
    np.testing.assert_allclose(run(behind, x), expected, rtol=0, atol=1e-6)
    assert np.abs(expected - before).max() > 0.05
    behind.layers[0].kernel.set_value(jnp.zeros((5, 3)))
    assert original.layers[0].wires.get_value() is None
    np.testing.assert_array_equal(run(original, x), before)
    np.testing.assert_allclose(run(qs.nn.with_wires(original, None), x), before, rtol=0, atol=1e-7)
