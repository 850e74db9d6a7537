"""Learning rates that fall from epoch to epoch, in digital and in the arrays."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.training.models import KEY, SIZE, software, tile

T = qs.training


def test_digital_steps_shrink_by_the_factor_after_every_so_many():
    rule = T.sgd(0.1, decay=0.5, every=2)
    state, steps = rule.init(jnp.ones(())), []
    for _ in range(5):
        step, state = rule.update(jnp.ones(()), state)
        steps.append(np.asarray(step))
    np.testing.assert_allclose(steps, [-0.1, -0.1, -0.05, -0.05, -0.025], rtol=1e-6)
    # One object for equal settings, which is compiled once.
    assert T.sgd(0.1, decay=0.5, every=2) is rule


def test_any_rule_shrinks_likewise_and_its_numbers_stay():
    model = qs.nn.convert(software(), tile())
    rule = T.Decaying(T.rules.OuterSGD(0.1), 0.5, 2)
    x, delta = jnp.ones((1, SIZE[0])), jnp.full((1, SIZE[1]), 0.25)
    inner: Any = rule.rule
    kernel, state, moved = model.layers[0].kernel, rule.init(model), []
    for _ in range(5):
        before = kernel.weight.get_value()
        model, state = rule.update(model, state, {"layers/0": qs.nn.Outer(x, delta)}, KEY)
        moved.append(np.asarray(kernel.weight.get_value() - before))
    expected = -0.25 * np.array([0.1, 0.1, 0.05, 0.05, 0.025])
    np.testing.assert_allclose(moved, np.broadcast_to(expected[:, None, None], (5, *SIZE)), atol=1e-7)
    assert inner.learning_rate == jnp.float32(0.1)


def test_what_cannot_be():
    for make in (lambda decay: T.sgd(0.1, decay=decay), lambda decay: T.Decaying(T.rules.OuterSGD(0.1), decay, 1)):
        for decay in (0.0, 1.5):
            with pytest.raises(ValueError, match="`decay` must be above 0 and at most 1, but is"):
                make(decay)

    class Silent(T.rules.AbstractRule):
        inner: float = eqx.field(static=True, default=0.0)

        def init(self, model):
            return ()

        def update(self, model, rule_state, outer, key):
            return model, rule_state

    with pytest.raises(ValueError, match="`rule` must have a `learning_rate`, but a Silent has none"):
        T.Decaying(Silent(), 0.5, 1).init(software())
