"""One pass over the samples as one compiled loop, and one step for those who bring their own batches."""

import warnings
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from qsynapse_jax._fields import Model, as_whole
from qsynapse_jax.nn import outer_gradients
from qsynapse_jax.training._data import check_samples
from qsynapse_jax.training._follow import renewed
from qsynapse_jax.training._loop import OnStep, compiled, run
from qsynapse_jax.training._state import Gradient, InPlace, State, kept, others_of, outputs_of, training_model
from qsynapse_jax.training.rules import Pulses


class Metrics(Model):
    """What an epoch was like: the loss before every step, shape (steps,)."""

    losses: Float[Array, " steps"]

    @property
    def loss(self) -> Float[Array, ""]:
        """Mean of the losses."""
        return jnp.mean(self.losses)


def epoch(
    state: State, x: Any, y: Any, batch_size: int = 64, *, on_step: OnStep | None = None
) -> tuple[State, Metrics]:
    """One pass over the samples in a new random order; the last incomplete batch is left out, another one every time.

    All steps are one loop, compiled once per shape of the samples and size of the batch.

    Args:
        state: as `init` or the last epoch gave it.
        x: inputs (n, ...), e.g. (n, features) or images (n, height, width, channels).
        y: labels (n,), integers from 0.
        batch_size: samples per step, cut down to n.
        on_step: called for every step with its number in the whole run and its loss, a tenth of a second or one step
            late; what it raises ends the epoch after the piece that has run by then.

    Raises:
        ValueError: inputs and labels that do not belong together, are not finite, or out of range.
        DivergedError: a step whose loss is not finite; the last good state is its `state`.
    """
    batch_size = as_whole(batch_size, "batch_size", 1)
    x, y = check_samples(x, y, state, batch_size)
    return checked_epoch(state, x, y, batch_size, on_step)


def checked_epoch(
    state: State, x: jax.Array, y: jax.Array, batch_size: int, on_step: OnStep | None
) -> tuple[State, Metrics]:
    """The same for samples that have been checked."""
    number, first = int(state.epoch) + 1, int(state.step)

    def message(step: int, loss: float) -> str:
        what = f"The parameters diverged at a loss of {loss:g}" if np.isfinite(loss) else f"The loss became {loss}"
        return (
            f"{what} in step {step} of epoch {number}; lower the learning rate. The last good state is the attribute "
            "`state` of this error."
        )

    key, order = _order(state.key, len(x), min(batch_size, len(x)))
    counted = None if on_step is None else lambda step, loss: on_step(first + step, loss)
    state = eqx.tree_at(lambda s: s.key, state, key)
    state, losses = run(_steps, state, order, (x, y), counted, message, epoch=number)
    if isinstance(state.rule, InPlace) and (remark := state.rule.rule.remark(state.rule_state[0])):
        warnings.warn(remark, stacklevel=3)
    return eqx.tree_at(lambda s: s.epoch, state, state.epoch + 1), Metrics(losses)


@partial(jax.jit, static_argnums=(1, 2))
def _order(key: PRNGKeyArray, n: int, batch_size: int) -> tuple[PRNGKeyArray, Array]:
    """The key for the next epoch, and which samples are in which batch of this one."""
    key, ordering = jax.random.split(key)
    steps = n // batch_size
    return key, jax.random.permutation(ordering, n)[: steps * batch_size].reshape(steps, batch_size)


# Compiled once per shape of the samples and size of the batch.
_steps = compiled(lambda state, batch, samples: advanced(state, samples[0][batch], samples[1][batch]))


def step(state: State, x: Any, y: Any) -> tuple[State, Float[Array, ""]]:
    """One step on one batch, for loops of one's own: may be jitted, donated, sharded; nothing is checked.

    Args:
        state: as `init` or the last step gave it.
        x: inputs (batch, ...).
        y: labels (batch,).

    Returns:
        The new state, and the loss before the step.
    """
    state, loss, _ = advanced(state, x, y)
    return state, loss


def pulses(state: State, x: Any, y: Any) -> dict[str, Pulses]:
    """What `step` would send to the arrays of every layer for a batch, as data for real hardware.

    Args:
        state: of a rule that moves devices by pulse trains; it is left as it was.
        x: inputs (batch, ...).
        y: labels (batch,).

    Returns:
        Pulses on rows and columns in the order of time, by the path of the layer, e.g. "layers/0".

    Raises:
        ValueError: another rule; samples as `epoch` refuses them.
    """
    if not isinstance(state.rule, InPlace):
        raise ValueError("Argument `state` must be of an in-place rule of `training.rules`, but is of an Optax one.")
    x, y = check_samples(x, y, state, len(x))
    return {path: Pulses.of(*sent) for path, sent in _sent(state, x, y).items()}


@jax.jit
def _sent(state: State, x: jax.Array, y: jax.Array) -> dict[str, Any]:
    state, rule = _followed(state), state.rule
    assert isinstance(rule, InPlace)
    found = _factors(state, x, y)
    return rule.rule.sent(found.model, state.rule_state[0], found.outer, jax.random.fold_in(state.key, state.step))


def advanced(state: State, x: jax.Array, y: jax.Array) -> tuple[State, Array, Array]:
    """The state after a step on a batch, the loss before it, and whether all parameters are still finite."""
    state, rule = _followed(state), state.rule
    new, loss = _by_gradient(state, rule, x, y) if isinstance(rule, Gradient) else _in_place(state, rule, x, y)
    finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(new.parameters)]
    return eqx.tree_at(lambda s: s.step, new, state.step + 1), loss, jnp.all(jnp.stack(finite))


def _followed(state: State) -> State:
    """The state with references for the step that comes."""
    model = training_model(state.graphdef, state.parameters, state.rest, {})
    key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), 1)
    return eqx.tree_at(lambda s: s.circuits, state, renewed(model, state.circuits, state.refresh, key))


def _by_gradient(state: State, rule: Gradient, x: jax.Array, y: jax.Array) -> tuple[State, Array]:
    def loss_of(parameters: Any) -> tuple[Array, Any]:
        outputs, rest = outputs_of(state.graphdef, state.wrt, parameters, state.rest, state.circuits, x)
        return _scalar(state.loss(outputs, y)), rest

    (loss, rest), slope = jax.value_and_grad(loss_of, has_aux=True)(state.parameters)
    updates, memory = rule.optimizer.update(slope, state.rule_state, state.parameters)
    parameters: Any = optax.apply_updates(state.parameters, updates)
    return _replaced(state, parameters, rest, memory), loss


def _factors(state: State, x: jax.Array, y: jax.Array) -> Any:
    """What rows and columns of all arrays receive for a batch."""

    def loss_of(model: Any) -> tuple[Array, None]:
        return _scalar(state.loss(model(x), y)), None

    model = training_model(state.graphdef, state.parameters, state.rest, state.circuits)
    return outer_gradients(loss_of, model, wrt=others_of(model, state.wrt))


def _in_place(state: State, rule: InPlace, x: jax.Array, y: jax.Array) -> tuple[State, Array]:
    found = _factors(state, x, y)
    memory, digital = state.rule_state
    model, memory = rule.rule.update(found.model, memory, found.outer, jax.random.fold_in(state.key, state.step))
    if rule.digital is not None:
        values = nnx.state(model, others_of(model, state.wrt))
        updates, digital = rule.digital.update(found.gradient, digital, values)
        nnx.update(model, optax.apply_updates(values, updates))
    _, parameters, rest = nnx.split(model, state.wrt, ...)
    return _replaced(state, kept(state.parameters, parameters), kept(state.rest, rest), (memory, digital)), found.value


def _replaced(state: State, parameters: Any, rest: Any, memory: Any) -> State:
    return eqx.tree_at(
        lambda s: (s.parameters, s.rest, s.rule_state),
        state,
        (parameters, rest, memory),
        is_leaf=lambda node: node is None,
    )


def _scalar(loss: Any) -> Array:
    if jnp.shape(loss) != ():
        raise ValueError(f"Argument `loss` must return a scalar, but its result has shape {jnp.shape(loss)}.")
    return loss
