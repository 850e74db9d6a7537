"""Accuracy: what it refuses, and that it calls Python back only to say why a circuit has no solution."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import qsynapse_jax as qs
from qsynapse_jax.training import _measures
from tests.training.models import samples, software, tile

T = qs.training


def test_accuracy_refuses_labels_that_do_not_belong():
    x, y = samples(7)
    with pytest.raises(ValueError, match=r"labels `y` shape \(n,\) .* \(7, 5\) and \(6,\)"):
        T.accuracy(software(), x, y[:-1])


def test_accuracy_calls_back_for_circuits_without_a_solution_only():
    """What calls back cannot be kept in a cache of compiled programs; under `jit` there is no second look."""
    x, y = map(jnp.asarray, samples(7))
    network = qs.nn.convert(software(), tile(qs.crossbar.Wires(1.0, 2.0)))
    graphdef, variables = nnx.split(network)
    for throw in (True, False):
        text = _measures._accuracy.lower(graphdef, variables, x, y, 7, throw).as_text()
        assert ("callback" in text) == throw
    assert float(nnx.jit(T.accuracy)(network, x, y)) == float(T.accuracy(network, x, y))
    first = network.layers[0].kernel
    bad = jax.tree.map(lambda r: -r, first.tile.get_value().wires)
    first.tile.set_value(eqx.tree_at(lambda tile: tile.wires, first.tile.get_value(), bad))
    with pytest.raises(Exception, match="`wires` must hold non-negative resistances, but one is negative"):
        T.accuracy(network, x, y)
    quiet = qs.nn.convert(software(), tile(qs.crossbar.Wires(1.0, 2.0)), throw=False)
    quiet.layers[0].kernel.weight.set_value(jnp.full_like(quiet.layers[0].kernel.weight.get_value(), jnp.nan))
    assert 0 <= float(T.accuracy(quiet, x, y)) <= 1
