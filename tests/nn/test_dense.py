"""A dense layer is its codes, their conductances and Kirchhoff's equations; and so are its derivatives."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.nn.layers import (
    CELL,
    SIZE,
    WIRES,
    lines_of,
    run,
    signed_ladder,
    small_layer,
    some_inputs,
    span,
    weights_behind,
)

pytestmark = pytest.mark.usefixtures("x64")

Physical = qs.nn.Physical
ROUNDING = 1e-10  # the solve ends at 1e-13; the outputs are of order 1


def loss_of(layer, x):
    """Not symmetric in the outputs, and of order 1."""
    return jnp.sum(jnp.sin(layer(x)))


@nnx.jit
def gradient_of(layer, x):
    return nnx.grad(loss_of)(layer, x)


@nnx.jit
def effective_weight(layer):
    return layer.effective_weight()


def loss_slope(y):
    return np.cos(np.asarray(y))


def test_a_layer_multiplies_with_what_its_tiles_amount_to():
    """Codes -> conductances by the ladder's law in rationals -> a nodal solve of every tile: nothing is shared."""
    layer, x = small_layer(), some_inputs(4)
    w_eff = weights_behind(lines_of(np.asarray(layer.code())), WIRES)
    np.testing.assert_allclose(effective_weight(layer), w_eff, rtol=0, atol=ROUNDING)
    expected = np.asarray(x) @ w_eff * float(layer.scale.get_value()) + np.asarray(layer.bias.get_value())
    np.testing.assert_allclose(run(layer, x), expected, rtol=0, atol=ROUNDING)
    # The wires of this layer are not a detail.
    assert np.abs(w_eff - layer.intended_weight()).max() > 0.02


def test_in_float32_the_same_to_six_digits():
    """Solved to 1e-7, summed over five inputs: what training and inference run in."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        layer, x = small_layer(), jnp.asarray(np.asarray(some_inputs(4)), jnp.float32)
        w_eff = weights_behind(lines_of(np.asarray(layer.code())), WIRES)
        expected = np.asarray(x, float) @ w_eff * float(layer.scale.get_value()) + np.asarray(layer.bias.get_value())
        y = run(layer, x)
        assert y.dtype == jnp.float32
        np.testing.assert_allclose(y, expected, rtol=0, atol=3e-6 * np.abs(expected).max())


def test_with_ideal_wires_a_layer_multiplies_with_its_levels():
    layer, x = small_layer(wires=None), some_inputs(4)
    levels = signed_ladder().decode(layer.code())
    np.testing.assert_allclose(layer.intended_weight(), levels, rtol=0, atol=1e-14)
    np.testing.assert_allclose(effective_weight(layer), levels, rtol=0, atol=1e-14)
    expected = np.asarray(x) @ np.asarray(levels) * float(layer.scale.get_value()) + np.asarray(layer.bias.get_value())
    np.testing.assert_allclose(run(layer, x), expected, rtol=0, atol=1e-13)


def test_codes_are_those_of_the_nearest_levels_of_clipped_weights():
    layer = small_layer()
    kernel = np.asarray(layer.kernel.get_value())
    levels = np.asarray(signed_ladder().decode(np.arange(-7, 8)))
    nearest = np.abs(np.clip(kernel, -1, 1)[..., None] - levels).argmin(axis=-1) - 7
    np.testing.assert_array_equal(layer.code(), nearest)
    assert (np.abs(kernel) > 1).any()
    np.testing.assert_array_equal(layer.master_weight(), np.clip(kernel, -1, 1))


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
def test_inputs_of_any_batch_shape(batch):
    layer, x = small_layer(), some_inputs(*batch)
    y = run(layer, x)
    assert y.shape == (*batch, SIZE[1])
    rows = np.asarray(x).reshape(-1, SIZE[0])
    expected = rows @ np.asarray(effective_weight(layer)) * float(layer.scale.get_value()) + np.asarray(
        layer.bias.get_value()
    )
    np.testing.assert_allclose(np.asarray(y).reshape(-1, SIZE[1]), expected, rtol=0, atol=1e-13)


def test_without_a_bias_nothing_in_nothing_out():
    layer = small_layer(use_bias=False)
    assert layer.bias is None
    np.testing.assert_array_equal(layer(jnp.zeros(SIZE[0])), np.zeros(SIZE[1]))


def test_gradients_in_scale_and_bias():
    layer, x = small_layer(), some_inputs(4)
    gradient = gradient_of(layer, x)
    slope = loss_slope(run(layer, x))
    before_scale = np.asarray(x) @ np.asarray(effective_weight(layer))
    np.testing.assert_allclose(gradient["bias"].get_value(), slope.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(gradient["scale"].get_value(), (slope * before_scale).sum(), rtol=1e-10)


def test_gradients_in_weights_go_through_kirchhoff_and_straight_through_rounding():
    """dL/dw is the span times dL/dg of the line that carries the weight, which is found by changing that cell.

    Each cell is changed by itself in a nodal solve. Saturated weights get their gradient too: they can come back.
    """
    layer, x = small_layer(), some_inputs(4)
    code, scale, bias = (np.asarray(part) for part in (layer.code(), layer.scale.get_value(), layer.bias.get_value()))
    kernel, g = np.asarray(layer.kernel.get_value()), lines_of(code)

    def loss(g):
        return np.sin(np.asarray(x) @ weights_behind(g, WIRES) * scale + bias).sum()

    step, expected = 1e-4 * span(), np.empty(SIZE)
    for i, j in np.ndindex(*SIZE):
        changed = np.zeros_like(g)
        changed[i, 2 * j + (kernel[i, j] < 0)] = step
        difference = (loss(g + changed) - loss(g - changed)) / (2 * step)
        expected[i, j] = np.sign(kernel[i, j]) * span() * difference
    gradient = gradient_of(layer, x)["kernel"].get_value()
    # The third derivative is of order 1 in weights: 1e-8 of the step's square, and rounding over the step.
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-7)
    assert (np.abs(np.asarray(gradient)[np.abs(kernel) > 1]) > 1e-2).all()


def test_cells_and_wires_are_left_alone_unless_asked_for():
    layer = small_layer()
    gradient = gradient_of(layer, some_inputs(4))
    assert set(nnx.to_pure_dict(gradient)) == {"kernel", "scale", "bias"}
    assert set(nnx.to_pure_dict(nnx.state(layer, Physical))) == {"cell", "wires"}


def test_gradients_in_cells_and_wires_are_those_of_finite_differences():
    """In the relative change of every resistance; the codes stay, the thresholds move too little to flip one."""
    x = some_inputs(4)
    wanted = nnx.DiffState(0, nnx.Any(nnx.Param, Physical))
    gradient = nnx.to_pure_dict(nnx.jit(nnx.grad(loss_of, argnums=wanted))(small_layer(), x))
    assert set(gradient) == {"kernel", "scale", "bias", "cell", "wires"}

    @jax.jit
    def loss(factors):
        layer = small_layer(wires=None)
        layer.cell.set_value(signed_ladder(**{name: value * factors[name] for name, value in CELL.items()}))
        layer.wires.set_value(qs.crossbar.Wires(**{name: value * factors[name] for name, value in WIRES.items()}))
        return loss_of(layer, x)

    at, step = dict.fromkeys(CELL | WIRES, jnp.asarray(1.0)), 1e-4
    for name, value in (CELL | WIRES).items():
        up, down = (loss(at | {name: jnp.asarray(1.0 + h)}) for h in (step, -step))
        got = getattr(gradient["cell"].cell if name in CELL else gradient["wires"], name) * value
        # Second-order differences: 1e-8 of third derivatives of order 1.
        np.testing.assert_allclose(got, (up - down) / (2 * step), rtol=0, atol=3e-8, err_msg=name)
        assert abs(got) > 1e-5


def test_a_layer_can_be_taken_apart_and_put_together():
    layer, x = small_layer(), some_inputs(4)
    expected = np.asarray(layer(x))
    graph, state = nnx.split(layer)
    copy = nnx.clone(layer)
    # Compiled, sums are taken in another order than one operation after the other.
    for again in (
        nnx.merge(graph, state)(x),
        copy(x),
        nnx.jit(lambda layer, x: layer(x))(layer, x),
        jax.jit(lambda state, x: nnx.merge(graph, state)(x))(state, x),
    ):
        np.testing.assert_allclose(again, expected, rtol=0, atol=1e-13)
    copy.kernel.set_value(-copy.kernel.get_value())
    np.testing.assert_array_equal(layer(x), expected)


def test_a_state_can_be_saved_and_loaded():
    layer, other, x = small_layer(), small_layer({"r_word": 1.0}, seed=1), some_inputs(4)
    saved = pickle.dumps(jax.device_get(nnx.to_pure_dict(nnx.state(layer))))
    state = nnx.state(other)
    nnx.replace_by_pure_dict(state, jax.tree.map(jnp.asarray, pickle.loads(saved)))
    assert not np.allclose(run(other, x), run(layer, x))
    nnx.update(other, state)
    np.testing.assert_allclose(run(other, x), run(layer, x), rtol=0, atol=1e-13)
