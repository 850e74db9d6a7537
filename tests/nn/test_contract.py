"""What every layer on crossbars promises, whatever its geometry."""

from functools import cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.nn.zoo import Case, by_layer
from tests.unchecked import unchecked

# Two bits: rounding is no detail. Without wires, which a geometry knows nothing of: no circuit is compiled.
TILE = qs.tile.Tile(qs.cells.Differential(qs.cells.Ladder(2, r_unit=10e3, r_on=500.0, r_off=500e3)), shape=(4, 4))


@nnx.jit
def run(layer, x):
    return layer(x)


@cache
def facts(case: Case) -> SimpleNamespace:
    digital = case.build(nnx.Rngs(3))
    if digital.bias is not None:
        digital.bias.set_value(digital.bias.get_value() + 0.5)
    x = jnp.asarray(np.random.default_rng(4).normal(size=case.inputs), jnp.float32)
    return SimpleNamespace(digital=digital, layer=qs.nn.convert(digital, TILE), x=x)


@by_layer
def test_a_layer_is_its_like_with_the_weights_of_its_tiles(case):
    """Rounding is in the weights and nowhere else: the geometry is that of the other layer."""
    layer, x = facts(case).layer, facts(case).x
    like = qs.nn.to_digital(qs.nn.freeze(layer))
    assert type(layer) is case.kind
    assert type(like) is type(facts(case).digital)
    assert layer.digital is type(like)
    y = run(layer, x)
    np.testing.assert_allclose(y, run(like, x), rtol=0, atol=2e-6 * float(jnp.max(jnp.abs(y))))
    # Still what it was converted from.
    off = np.abs(np.asarray(y) - np.asarray(run(facts(case).digital, x))).max() / np.abs(y).max()
    assert 0.01 < off < 0.6


@by_layer
def test_conversion_is_undone(case):
    back = qs.nn.to_digital(facts(case).layer)
    for name in ("kernel", "bias"):
        old, new = (getattr(one, name).get_value() for one in (facts(case).digital, back))
        np.testing.assert_allclose(new, old, rtol=1e-6, atol=1e-7)


@by_layer
def test_every_weight_and_the_input_have_a_derivative(case):
    @nnx.jit
    def gradients(layer, x):
        def loss(layer, x):
            return jnp.sum(jnp.sin(layer(x)))

        return nnx.grad(loss, argnums=(0, 1))(layer, x)

    of_layer, of_x = gradients(facts(case).layer, facts(case).x)
    leaves = jax.tree.leaves(of_layer)
    assert {leaf.shape for leaf in leaves} >= {facts(case).layer.kernel.weight.shape, ()}
    for leaf in [*leaves, of_x]:
        assert np.isfinite(leaf).all()
        assert np.abs(leaf).max() > 0


@by_layer
def test_inputs_of_another_size_are_refused(case):
    x = jnp.ones((*case.inputs[:-1], case.inputs[-1] + 1))
    with unchecked(), pytest.raises(ValueError, match=rf"features on its .*{type(facts(case).layer).__name__}"):
        facts(case).layer(x)
