"""Learning rates that fall from epoch to epoch: of gradient descent in digital, and of any in-place rule."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import PRNGKeyArray

from qsynapse_jax._fields import Rule, Scalar, check, positive, real, whole
from qsynapse_jax.nn import Outer
from qsynapse_jax.training.rules import AbstractRule

_FACTOR = Rule("above 0 and at most 1", lambda x: (x > 0) & (x <= 1))


def sgd(learning_rate: float, *, decay: float = 1.0, every: int = 1) -> optax.GradientTransformation:
    """Plain gradient descent as an Optax transformation, whose rate is `learning_rate decay^(steps // every)`.

    Args:
        learning_rate: at the start.
        decay: factor of the rate, above 0 and at most 1.
        every: steps from one decay to the next, e.g. those of an epoch.

    Raises:
        ValueError: numbers out of range.
    """
    check(learning_rate, "learning_rate", "", positive)
    check(decay, "decay", "", _FACTOR)
    return _sgd(float(learning_rate), float(decay), every)


@lru_cache
def _sgd(learning_rate: float, decay: float, every: int) -> optax.GradientTransformation:
    """One object for equal settings: a new one would be compiled anew."""
    return optax.sgd(optax.exponential_decay(learning_rate, every, decay, staircase=True))


class Decaying(AbstractRule):
    """An in-place rule whose learning rate is multiplied by `decay` after every `every` steps.

    Args:
        rule: any rule with a `learning_rate`.
        decay: factor of the rate, above 0 and at most 1.
        every: steps from one decay to the next, e.g. those of an epoch. Static.

    Raises:
        ValueError: numbers out of range; a rule without a learning rate, once it is given a model.
    """

    rule: AbstractRule
    decay: Scalar = real("", _FACTOR)
    every: int = whole(1)

    def init(self, model: nnx.Module) -> Any:
        if not hasattr(self.rule, "learning_rate"):
            raise ValueError(f"Argument `rule` must have a `learning_rate`, but a {type(self.rule).__name__} has none.")
        return self.rule.init(model), jnp.zeros((), jnp.int32)

    def update(
        self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray
    ) -> tuple[nnx.Module, Any]:
        memory, step = rule_state
        factor = self.decay ** (step // self.every).astype(self.decay.dtype)
        rule: Any = self.rule
        rule = eqx.tree_at(lambda rule: rule.learning_rate, rule, rule.learning_rate * factor)
        model, memory = rule.update(model, memory, outer, key)
        return model, (memory, step + 1)

    def remark(self, rule_state: Any) -> str:
        return self.rule.remark(rule_state[0])
