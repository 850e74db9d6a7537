"""In-place rules: every rule keeps the contract, and plain descent by outer products is Optax's."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.training.models import KEY, assert_same, modal, numbers, samples, software, tile

T = qs.training

STEP = qs.devices.ConstantStep(dw_min=0.01, dw_min_std=0.3, dw_min_dtod=0.1)
PULSED = qs.tile.analog(STEP, shape=(4, 4))


@dataclass(frozen=True)
class Case:
    """A rule, and the gains of the arrays that it pulses; without them it moves master weights."""

    rule: Any
    gains: tuple[float, ...] = ()


# A new rule is entered here.
RULES = [
    Case(T.rules.OuterSGD(0.1)),
    Case(T.rules.AnalogSGD(0.1), (1.0,)),
    Case(T.rules.MixedPrecision(0.1), (1.0,)),
    Case(T.rules.CoarseToFine(0.1, switch=120), (1.0, 0.2)),
    Case(T.rules.TikiTaka(0.1, granularity=10.0, every=1), (0.0, 1.0)),
    Case(T.rules.TikiTaka(0.1, granularity=10.0, every=1, chopper=0.05), (0.0, 1.0)),
    Case(T.rules.TikiTaka(0.1, granularity=10.0, every=1, in_steps=True), (0.0, 1.0)),
    Case(T.rules.AGAD(0.1, granularity=10.0, every=1), (0.0, 1.0)),
    Case(T.rules.RIDER(0.1, granularity=10.0), (0.1, 1.0, 0.1)),
    Case(T.rules.ResidualLearning(0.1, arrays=3, every=1, slower=2, switch=200), (0.04, 0.2, 1.0)),
    Case(T.rules.ResidualLearning(0.1, cycle=8, nearest=True, carry=True), (0.2, 1.0)),
    Case(T.rules.WeightedSynapse(minor=0.02, major=0.05), (1.0, 0.2)),
]

# One object: a new one would be compiled anew.
SGD = optax.sgd(0.1)


# Of a kind with others of the list, or of few users: their programs take most of the time of these tests.
SELDOM = (
    T.rules.OuterSGD,
    T.rules.MixedPrecision,
    T.rules.TikiTaka,
    T.rules.RIDER,
    T.rules.ResidualLearning,
    T.rules.WeightedSynapse,
)


def _param(case):
    name = f"{type(case.rule).__name__}{len(case.gains) or ''}"
    return pytest.param(case, id=name, marks=pytest.mark.slow if isinstance(case.rule, SELDOM) else [])


@pytest.fixture(params=map(_param, RULES))
def case(request):
    return request.param


def on_crossbars(network=None, gains=()):
    network = qs.nn.convert(software(4) if network is None else network, tile())
    return qs.nn.pulsed(network, PULSED, gains=gains, key=KEY) if gains else network


def weights(model):
    """What rules move: master weights, or the weights of devices."""
    kernels = {path: layer.kernel for path, layer in qs.nn.crossbar_layers(model).items()}
    return {
        path: kernel.weight.get_value() if hasattr(kernel, "weight") else kernel.matrix()
        for path, kernel in kernels.items()
    }


def test_a_rule_moves_all_matrices_and_nothing_else(case):
    x, y = samples()
    network = on_crossbars(gains=case.gains)
    state, metrics = T.epoch(T.init(network, case.rule, key=KEY), x, y, 10)
    after = T.model(state)
    assert np.isfinite(metrics.losses).all()
    assert all(np.any(weights(after)[path] != w) for path, w in weights(network).items())
    for layer, old in zip(qs.nn.crossbar_layers(after).values(), qs.nn.crossbar_layers(network).values(), strict=True):
        assert_same((layer.scale.get_value(), layer.bias.get_value()), (old.scale.get_value(), old.bias.get_value()))
    assert_same(numbers(after, qs.nn.Physical), numbers(network, qs.nn.Physical))


def test_a_rule_learns_and_continues_where_it_was(case, tmp_path):
    x, y = samples(60)
    state = T.init(on_crossbars(gains=case.gains), case.rule, key=KEY, digital=SGD)
    losses = []
    for _ in range(5):
        T.save(state, tmp_path)
        state, metrics = T.epoch(state, x, y, 10)
        losses.append(float(metrics.loss))
    assert losses[-1] < losses[0]
    like = T.init(on_crossbars(gains=case.gains), case.rule, key=KEY, digital=SGD)
    again, _ = T.epoch(T.restore(tmp_path, like=like), x, y, 10)
    assert_same(numbers(T.model(again)), numbers(T.model(state)))


def test_a_model_without_matrices_on_crossbars_is_refused(case):
    what = "devices that learn in place" if case.gains else "master weights"
    with pytest.raises(ValueError, match=rf"`model` must have {what} .* it has no layer on crossbars; "):
        T.init(software(), case.rule, key=KEY)


@pytest.mark.slow
def test_outer_sgd_is_sgd_on_the_master_weights():
    """With dropout and batch statistics between the layers, and the other parameters on Optax's own descent."""
    x, y = samples()
    found = []
    for rule, digital in ((optax.sgd(0.05), None), (T.rules.OuterSGD(0.05), optax.sgd(0.05))):
        state = T.init(on_crossbars(modal()), rule, key=KEY, digital=digital)
        state, metrics = T.epoch(state, x, y, 10)
        found.append((metrics.losses, numbers(T.model(state))))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *found)


class Recorder(T.rules.AbstractRule):
    """Keeps what it is given."""

    def init(self, model):
        shapes = {path: layer.kernel.weight.shape for path, layer in qs.nn.crossbar_layers(model).items()}
        return {path: jnp.zeros(shape) for path, shape in shapes.items()}, jnp.zeros(2, jnp.uint32)

    def update(self, model, rule_state, outer, key):
        assert {path: (o.x.shape, o.delta.shape) for path, o in outer.items()} == {
            "layers/0": ((10, 5), (10, 4)),
            "layers/1": ((10, 4), (10, 3)),
        }
        return model, ({path: o.x.T @ o.delta for path, o in outer.items()}, jax.random.key_data(key))


def test_a_rule_receives_the_factors_of_every_presentation_and_a_new_key():
    """Their product is the slope of the loss in the matrix."""
    x, y = map(jnp.asarray, samples(10))
    network = on_crossbars()
    step = jax.jit(T.step)
    state, _ = step(first := T.init(network, Recorder(), key=KEY), x, y)
    (slopes, key), _ = state.rule_state
    gradient = nnx.jit(nnx.grad(lambda model: T.cross_entropy(model(x), y)))(network)
    for number, path in enumerate(slopes):
        expected = gradient["layers"][number]["kernel"]["weight"].get_value()
        np.testing.assert_allclose(slopes[path], expected, rtol=1e-5, atol=1e-6)
    (_, later), _ = step(state, x, y)[0].rule_state
    assert np.any(later != key)
    assert_same(numbers(T.model(state)), numbers(T.model(first)))
