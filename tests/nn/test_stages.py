"""A model after training: written into devices, calibrated, aged, compiled once."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.nn.layers import CELL, WIRES, initial, linear, run, signed_ladder, small_tile

convert, program, calibrate, age, freeze = qs.nn.convert, qs.nn.program, qs.nn.calibrate, qs.nn.age, qs.nn.freeze
KEY = jax.random.key(3)


class Small(nnx.Module):
    """A dense layer and a convolution, whose matrices have one shape: their circuit is compiled once."""

    def __init__(self):
        self.dense = linear(6, 4)
        self.conv = nnx.Conv(2, 4, (3,), kernel_init=initial, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.conv(jnp.tanh(self.dense(x)).reshape(-1, 2, 2))


def some_inputs():
    return jnp.asarray(np.random.default_rng(2).normal(size=(4, 6)), jnp.float32)


def switch() -> qs.devices.Switch:
    """Real switches, each a little different."""
    return qs.devices.digital_switch(r_on=CELL["r_on"], r_off=CELL["r_off"])


@functools.cache
def behind_wires():
    """A model with float weights, and the same written into exact devices."""
    model = convert(Small(), small_tile(WIRES))
    return model, program(model, key=KEY)


@functools.cache
def on_switches():
    """Likewise on switches; two layers of one shape, for which writing is compiled once."""
    model = convert(nnx.List([linear(4, 4), linear(4, 4)]), small_tile(None, device=switch()))
    return model, program(model, key=KEY)


def kernels_of(model):
    return [layer.kernel for layer in qs.nn.crossbar_layers(model).values()]


def test_without_a_device_what_is_written_is_what_was_meant():
    model, written = behind_wires()
    for before, after in zip(kernels_of(model), kernels_of(written), strict=True):
        np.testing.assert_array_equal(after.code(), before.code())
        np.testing.assert_allclose(after.matrix(), before.matrix(), rtol=0, atol=1e-6)
        assert not isinstance(after.state, nnx.Param)
        assert np.all(after.trace.get_value().success)
    assert all(isinstance(kernel, qs.nn.MasterKernel) for kernel in kernels_of(model))


@pytest.mark.slow
def test_every_layer_is_written_with_a_key_of_its_own():
    """Keys are split among the layers, and each into one for making devices and one for writing them."""
    model, written = on_switches()
    tile = small_tile(None, device=switch())
    for key, before, after in zip(jax.random.split(KEY, 2), kernels_of(model), kernels_of(written), strict=True):
        making, writing = jax.random.split(key)
        code = before.code()
        state, trace = tile.program(tile.init(code.shape, key=making), code, key=writing)
        np.testing.assert_allclose(after.matrix(), tile.matrix(state), rtol=0, atol=1e-6)
        np.testing.assert_array_equal(after.trace.get_value().pulses, trace.pulses)
        assert np.abs(after.matrix() - before.matrix()).max() > 1e-3
    # Written once more, the same devices get the same codes: nothing is left to do.
    again = program(written, key=jax.random.key(9))
    for kernel, refreshed in zip(kernels_of(written), kernels_of(again), strict=True):
        np.testing.assert_array_equal(refreshed.code(), kernel.code())
        np.testing.assert_allclose(refreshed.matrix(), kernel.matrix(), rtol=0, atol=0.1)


def test_a_gain_makes_up_for_what_all_weights_lose_alike():
    """Of least squared error, found here on a grid; calibrated once more it is the same."""
    for given in behind_wires():
        calibrated = calibrate(given)
        for kernel, better in zip(kernels_of(given), kernels_of(calibrated), strict=True):
            w, intended = np.asarray(kernel.weights()), np.asarray(kernel.intended())
            gain = float(better.gain.get_value())
            grid = np.linspace(0.9, 1.5, 6001)
            best = grid[np.argmin([np.sum((g * w - intended) ** 2) for g in grid])]
            assert gain == pytest.approx(best, abs=2e-4)
            assert gain > 1.01
            np.testing.assert_allclose(better.matrix(), gain * w, rtol=1e-6)
    twice = kernels_of(calibrate(calibrated))
    gains = [[float(k.gain.get_value()) for k in kernels] for kernels in (twice, kernels_of(calibrated))]
    np.testing.assert_allclose(*gains, rtol=1e-6)


def test_devices_age_and_the_gain_stays():
    tile = small_tile(None, device=switch())
    written = calibrate(on_switches()[1])
    older = age(written, 1e8, 400.0)
    for before, after in zip(kernels_of(written), kernels_of(older), strict=True):
        state = tile.age(before.state.get_value(), 1e8, 400.0)
        gain = float(before.gain.get_value())
        np.testing.assert_allclose(after.matrix(), gain * tile.matrix(state), rtol=0, atol=1e-6)
        assert np.abs(after.matrix() - before.matrix()).max() > 1e-4
        np.testing.assert_array_equal(after.code(), before.code())


def test_a_frozen_model_solves_no_circuit(monkeypatch):
    """It gives what the model it was made of gives, in as many batches as there are."""
    solved = []
    effective = qs.tile.Tile.effective
    monkeypatch.setattr(qs.tile.Tile, "effective", lambda *args, **kw: solved.append(1) or effective(*args, **kw))
    written = calibrate(behind_wires()[1])
    x = some_inputs()
    expected = run(written, x)
    solved.clear()
    frozen = freeze(written)
    assert len(solved) == 2
    for batch in (x, x[:2]):
        nnx.jit(lambda model, x: model(x))(frozen, batch)
    np.testing.assert_allclose(run(frozen, x), expected, rtol=0, atol=1e-6)
    assert len(solved) == 2
    graph, state = nnx.split(frozen)
    assert "while" not in str(jax.make_jaxpr(lambda state, x: nnx.merge(graph, state)(x))(state, x))
    np.testing.assert_allclose(run(freeze(frozen), x), expected, rtol=0, atol=1e-6)
    digital = qs.nn.to_digital(frozen)
    np.testing.assert_allclose(run(digital, x), expected, rtol=0, atol=1e-5)


@pytest.mark.slow  # the default run has a derivative through written devices among the tests of `codesign`
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("device", [lambda: None, switch], ids=["exact", "switch"])
def test_a_physical_number_is_trained_through_writing(device):
    """Converted, written, calibrated and read in one trace: what co-design follows, against finite differences."""
    trained = convert(linear(3, 2, param_dtype=jnp.float64), small_tile(None))
    x = jnp.asarray(np.random.default_rng(2).normal(size=(4, 3)))

    @jax.jit
    def loss_and_slope(r_unit):
        def loss(r_unit):
            tile = small_tile(None, signed_ladder(r_unit=r_unit), device=device())
            model = calibrate(program(convert(trained, tile, throw=False), key=KEY))
            return jnp.sum(jnp.sin(model(x)))

        return jax.value_and_grad(loss)(r_unit)

    r_unit = CELL["r_unit"]
    _, slope = loss_and_slope(jnp.asarray(r_unit))
    up, down = (loss_and_slope(jnp.asarray(r_unit * (1 + h)))[0] for h in (1e-5, -1e-5))
    np.testing.assert_allclose(slope * r_unit, (up - down) / 2e-5, rtol=1e-5)
    assert abs(float(slope) * r_unit) > 1e-6
