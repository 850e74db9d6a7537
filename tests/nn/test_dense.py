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
    look,
    run,
    signed_ladder,
    small_layer,
    small_tile,
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


def loss_slope(y):
    return np.cos(np.asarray(y))


def affine(layer, x, w) -> np.ndarray:
    """What a layer that multiplies with `w` should give."""
    return np.asarray(x, float) @ w * float(layer.scale.get_value()) + np.asarray(layer.bias.get_value())


def test_a_layer_multiplies_with_what_its_tiles_amount_to():
    """Codes -> conductances by the ladder's law in rationals -> a nodal solve of every tile: nothing is shared."""
    layer, x = small_layer(), some_inputs(4)
    y, w, code, intended = look(layer, x)
    w_eff = weights_behind(lines_of(np.asarray(code)), WIRES)
    np.testing.assert_allclose(w, w_eff, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(y, affine(layer, x, w_eff), rtol=0, atol=ROUNDING)
    # The wires of this layer are not a detail.
    assert np.abs(w_eff - intended).max() > 0.02


@pytest.mark.slow  # the stages of a model are tested in float32
def test_in_float32_the_same_to_six_digits():
    """Solved to 1e-7, summed over five inputs: what training and inference run in."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        layer, x = small_layer(), jnp.asarray(np.asarray(some_inputs(4)), jnp.float32)
        y, _, code, _ = look(layer, x)
        expected = affine(layer, x, weights_behind(lines_of(np.asarray(code)), WIRES))
        assert y.dtype == jnp.float32
        np.testing.assert_allclose(y, expected, rtol=0, atol=3e-6 * np.abs(expected).max())


def test_with_ideal_wires_a_layer_multiplies_with_the_nearest_levels_of_clipped_weights():
    layer, x = small_layer(wires=None), some_inputs(4)
    y, w, code, intended = look(layer, x)
    weight = np.asarray(layer.kernel.weight.get_value())
    levels = np.asarray(jax.jit(lambda: signed_ladder().decode(np.arange(-7, 8)))())
    nearest = np.abs(np.clip(weight, -1, 1)[..., None] - levels).argmin(axis=-1)
    np.testing.assert_array_equal(code, nearest - 7)
    assert (np.abs(weight) > 1).any()
    np.testing.assert_allclose(intended, levels[nearest], rtol=0, atol=1e-14)
    np.testing.assert_allclose(w, levels[nearest], rtol=0, atol=1e-14)
    np.testing.assert_allclose(y, affine(layer, x, levels[nearest]), rtol=0, atol=1e-13)


@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
def test_inputs_of_any_batch_shape(batch):
    layer, x = small_layer(wires=None), some_inputs(*batch)
    y = run(layer, x)
    assert y.shape == (*batch, SIZE[1])
    _, w, _, _ = look(layer, some_inputs(4))
    expected = affine(layer, np.asarray(x).reshape(-1, SIZE[0]), np.asarray(w))
    np.testing.assert_allclose(np.asarray(y).reshape(-1, SIZE[1]), expected, rtol=0, atol=1e-13)


def test_without_a_bias_nothing_in_nothing_out():
    layer = small_layer(wires=None, use_bias=False)
    assert layer.bias is None
    np.testing.assert_array_equal(run(layer, jnp.zeros((2, SIZE[0]))), np.zeros((2, SIZE[1])))


def test_gradients_in_scale_and_bias():
    layer, x = small_layer(), some_inputs(4)
    gradient = gradient_of(layer, x)
    y, w, _, _ = look(layer, x)
    np.testing.assert_allclose(gradient["bias"].get_value(), loss_slope(y).sum(axis=0), rtol=1e-12)
    slope = (loss_slope(y) * (np.asarray(x) @ np.asarray(w))).sum()
    np.testing.assert_allclose(gradient["scale"].get_value(), slope, rtol=1e-10)


def test_gradients_in_weights_go_through_kirchhoff_and_straight_through_rounding():
    """dL/dw is the span times dL/dg of the line that carries the weight, which is found by changing that cell.

    Each cell is changed by itself in a nodal solve. Saturated weights get their gradient too: they can come back.
    """
    layer, x = small_layer(), some_inputs(4)
    code, scale, bias = (
        np.asarray(part) for part in (look(layer, x)[2], layer.scale.get_value(), layer.bias.get_value())
    )
    kernel, g = np.asarray(layer.kernel.weight.get_value()), lines_of(code)

    def loss(g):
        return np.sin(np.asarray(x) @ weights_behind(g, WIRES) * scale + bias).sum()

    step, expected = 1e-4 * span(), np.empty(SIZE)
    for i, j in np.ndindex(*SIZE):
        changed = np.zeros_like(g)
        changed[i, 2 * j + (kernel[i, j] < 0)] = step
        difference = (loss(g + changed) - loss(g - changed)) / (2 * step)
        expected[i, j] = np.sign(kernel[i, j]) * span() * difference
    gradient = gradient_of(layer, x)["kernel"]["weight"].get_value()
    # The third derivative is of order 1 in weights: 1e-8 of the step's square, and rounding over the step.
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-7)
    assert (np.abs(np.asarray(gradient)[np.abs(kernel) > 1]) > 1e-2).all()


def test_the_tile_is_left_alone_unless_asked_for():
    layer = small_layer()
    gradient = nnx.to_pure_dict(gradient_of(layer, some_inputs(4)))
    assert set(gradient) == {"kernel", "scale", "bias"}
    assert set(gradient["kernel"]) == {"weight"}
    assert set(nnx.to_pure_dict(nnx.state(layer, Physical))["kernel"]) == {"tile"}


class Twice(nnx.Module):
    """Two layers that one tile serves."""

    def __init__(self, tile):
        tile = Physical(tile)
        self.first = small_layer(tile=tile)
        self.last = qs.nn.CrossbarDense(SIZE[1], 2, tile=tile, rngs=nnx.Rngs(1))

    def __call__(self, x):
        return self.last(jnp.tanh(self.first(x)))


@pytest.mark.slow
def test_gradients_in_a_shared_tile_are_those_of_finite_differences():
    """In the relative change of every resistance; the codes stay, the thresholds move too little to flip one."""
    x, model = some_inputs(4), Twice(small_tile())
    assert len(nnx.to_flat_state(nnx.state(model, Physical))) == 1
    graph, state = nnx.split(model)

    @jax.jit
    def loss_and_gradient(factors):
        wires = {name: value * factors[name] for name, value in WIRES.items()}
        cell = signed_ladder(**{name: value * factors[name] for name, value in CELL.items()})
        copy = nnx.merge(graph, state, copy=True)
        copy.first.kernel.tile.set_value(small_tile(wires, cell))
        return nnx.value_and_grad(loss_of, argnums=nnx.DiffState(0, nnx.Any(nnx.Param, Physical)))(copy, x)

    at, step = dict.fromkeys(CELL | WIRES, jnp.asarray(1.0)), 1e-4
    found = nnx.to_pure_dict(loss_and_gradient(at)[1])["first"]["kernel"]["tile"]
    for name, value in (CELL | WIRES).items():
        up, down = (loss_and_gradient(at | {name: jnp.asarray(1.0 + h)})[0] for h in (step, -step))
        got = getattr(found.cell.cell if name in CELL else found.wires, name) * value
        # Second-order differences: 1e-8 of third derivatives of order 1.
        np.testing.assert_allclose(got, (up - down) / (2 * step), rtol=0, atol=3e-8, err_msg=name)
        assert abs(got) > 1e-5


def test_a_layer_can_be_taken_apart_and_put_together():
    layer, x = small_layer(wires=None), some_inputs(4)
    expected = np.asarray(run(layer, x))
    graph, state = nnx.split(layer)
    copy = nnx.clone(layer)
    np.testing.assert_array_equal(run(copy, x), expected)
    np.testing.assert_array_equal(run(nnx.merge(graph, state), x), expected)
    # Compiled, sums are taken in another order than one operation after the other.
    np.testing.assert_allclose(
        jax.jit(lambda state, x: nnx.merge(graph, state)(x))(state, x), expected, rtol=0, atol=1e-13
    )
    copy.kernel.weight.set_value(-copy.kernel.weight.get_value())
    np.testing.assert_array_equal(run(layer, x), expected)


def test_a_state_can_be_saved_and_loaded():
    layer, other, x = small_layer(), small_layer(dict.fromkeys(WIRES, 1.0), seed=1), some_inputs(4)
    saved = pickle.dumps(jax.device_get(nnx.to_pure_dict(nnx.state(layer))))
    state = nnx.state(other)
    nnx.replace_by_pure_dict(state, jax.tree.map(jnp.asarray, pickle.loads(saved)))
    assert not np.allclose(look(other, x)[0], look(layer, x)[0])
    nnx.update(other, state)
    np.testing.assert_array_equal(look(other, x)[0], look(layer, x)[0])


def test_a_dac_sees_inputs_of_full_range():
    """Vectors of any size are scaled to the converter's range and back: 4 bits err by 1/14 of the largest input."""
    tile = small_tile(None, dac=qs.periphery.DAC(4, 0.2))
    x = some_inputs(4) * jnp.asarray([[1e-3], [1.0], [20.0], [0.0]])
    layer = small_layer(tile=tile)

    @nnx.jit
    def outputs_and_slope(layer, x):
        return layer(x), nnx.grad(lambda x: jnp.sum(layer(x)))(x), layer.kernel.matrix()

    y, slope, w = outputs_and_slope(layer, x)
    peak = np.abs(np.asarray(x)).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        seen = np.nan_to_num(np.round(np.asarray(x) / peak * 7) / 7 * peak)
    np.testing.assert_allclose(y, affine(layer, seen, np.asarray(w)), rtol=0, atol=1e-11)
    expected = np.asarray(w).sum(axis=1) * float(layer.scale.get_value())
    np.testing.assert_allclose(slope[:3], np.broadcast_to(expected, (3, SIZE[0])), rtol=1e-9)
