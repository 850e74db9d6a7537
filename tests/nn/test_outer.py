"""The factors that rows and columns receive multiply to the gradient of the matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.nn.layers import fine_tile, initial, linear


class Net(nnx.Module):
    """A layer that is called twice, a normalization and a convolution of two groups."""

    def __init__(self):
        self.twice = linear(4, 4)
        self.norm = nnx.BatchNorm(4, rngs=nnx.Rngs(0))
        self.conv = nnx.Conv(4, 2, (2,), feature_group_count=2, kernel_init=initial, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.conv(self.norm(self.twice(jnp.tanh(self.twice(x)))))


X = jnp.asarray(np.random.default_rng(2).normal(size=(2, 3, 4)), jnp.float32)


def loss(model):
    y = model(X)
    return jnp.sum(jnp.sin(y)), y


@pytest.fixture(autouse=True)
def flax_promotes():
    with jax.numpy_rank_promotion("allow"):
        yield


def run(model):
    """In one compiled function, as a training step does it."""
    graph, state = nnx.split(model)

    @jax.jit
    def step(state):
        found = qs.nn.outer_gradients(loss, nnx.merge(graph, state))
        assert nnx.graphdef(found.model) == graph
        return found.value, found.aux, found.gradient, found.outer, nnx.state(found.model)

    return step(state)


def test_factors_multiply_to_the_gradient():
    """On cells whose rounding is straight-through and whose wires are ideal the master weights' is the matrix's own."""
    model = qs.nn.convert(Net(), fine_tile())
    before = np.asarray(model.norm.mean.get_value())
    value, y, gradient, outer, after = run(model)
    np.testing.assert_allclose(value, np.sin(np.asarray(y)).sum(), rtol=1e-5)
    assert {path: part.x.shape for path, part in outer.items()} == {"conv": (6, 2, 4), "twice": (12, 4)}
    assert {path: part.delta.shape for path, part in outer.items()} == {"conv": (6, 2, 1), "twice": (12, 4)}
    for path, (x, delta) in outer.items():
        product = np.einsum("n...i,n...j->...ij", x, delta)
        weight = np.asarray(gradient[path]["kernel"]["weight"].get_value())
        np.testing.assert_allclose(product, weight, rtol=0, atol=1e-5)
        assert np.abs(weight).max() > 0.01
    # The model moved on, and notes no more; the one given is as it was.
    assert np.abs(after["norm"]["mean"].get_value() - before).max() > 1e-3
    np.testing.assert_array_equal(model.norm.mean.get_value(), before)


@pytest.mark.slow
def test_written_devices_have_factors_too():
    """That is where a rule needs them; only what is digital has a gradient."""
    # Compiled as one: operation by operation takes longer to compile than to test.
    model = nnx.jit(lambda model: qs.nn.program(model, key=jax.random.key(0)))(qs.nn.convert(Net(), fine_tile()))
    _, _, gradient, outer, _ = run(model)
    assert set(nnx.to_pure_dict(gradient)["twice"]) == {"scale", "bias"}
    matrix = np.asarray(model.conv.kernel.matrix())
    graph, state = nnx.split(model)

    @jax.jit
    def by_conductance(state):
        """Derivative in the effective conductances, which is that in the matrix over the span."""

        def of(compiled):
            frozen = qs.nn.freeze(nnx.merge(graph, state))
            frozen.conv.kernel.g_eff.set_value(compiled)
            return loss(frozen)[0]

        return jax.grad(of)(qs.nn.freeze(nnx.merge(graph, state)).conv.kernel.g_eff.get_value())

    span = float(model.conv.kernel.tile.get_value().cell.span())
    expected = np.asarray(by_conductance(state))[..., 0::2] * span
    product = np.einsum("ngi,ngj->gij", outer["conv"].x, outer["conv"].delta)
    assert product.shape == matrix.shape
    np.testing.assert_allclose(product, expected, rtol=0, atol=1e-5)
