"""Descent on physical parameters, one design at a time or a whole Pareto front at once."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from qsynapse_jax._checks import as_floating
from qsynapse_jax._fields import as_whole, check, positive
from qsynapse_jax.codesign._parameters import Bounded, is_bounded, values
from qsynapse_jax.training import DivergedError, descend

OnStep = Callable[[int, float], None]


class Optimum(eqx.Module):
    """What a search found.

    Attributes:
        design: the design with its parameters at their best, still `Bounded`: a start for another search.
        values: the same with plain numbers.
        losses: the objective before every step and after the last, shape (steps + 1,).
    """

    design: Any
    values: Any
    losses: Float[Array, " steps"]


def optimize(
    objective: Callable[..., Float[Array, ""]],
    design: Any,
    *,
    steps: int = 400,
    learning_rate: float = 0.1,
    optimizer: optax.GradientTransformation | None = None,
    key: PRNGKeyArray | None = None,
    on_step: OnStep | None = None,
) -> Optimum:
    """Moves the `Bounded` parameters of `design` to where `objective` is least.

    Args:
        objective: `objective(values)`, or `objective(values, key)` where `key` is given: a scalar to make small, any
            function that JAX can differentiate, of the design with plain numbers in the place of `Bounded`.
        design: any tree, e.g. a dictionary of `Bounded` parameters; what is not `Bounded` stays as it is.
        steps: of the optimizer; one compilation for all.
        learning_rate: of Adam at the start, in units of the unbounded parameters, of which 4 span most of the range;
            it falls to 0.1 % of it along a cosine.
        optimizer: another Optax transformation in its place.
        key: random numbers for objectives that need them (device spread); a new one every step.
        on_step: called after every step with its number and loss.

    Returns:
        See `Optimum`.

    Raises:
        ValueError: no parameter to move; `steps` below 1; an objective that is not a scalar.
        training.DivergedError: an objective that is not finite; `state` is the last good design.
    """
    found = _Parameters(design)
    steps = _checked(found, steps, learning_rate)
    optimizer = _adam(learning_rate, steps) if optimizer is None else optimizer

    def loss_of(raws: list[jax.Array], key: PRNGKeyArray | None) -> jax.Array:
        numbers = values(found.design(raws))
        loss = objective(numbers) if key is None else objective(numbers, key)
        if jnp.shape(loss) != ():
            raise ValueError(f"Argument `objective` must return a scalar, but its result has shape {jnp.shape(loss)}.")
        return loss

    def update(carry: Any, number: jax.Array) -> Any:
        (raws, memory), current = carry, None if key is None else jax.random.fold_in(key, number)
        loss, slope = jax.value_and_grad(loss_of)(raws, current)
        updates, memory = optimizer.update(slope, memory, raws)
        moved = (optax.apply_updates(raws, updates), memory)
        # The last step only measures what the one before it made.
        kept = jax.tree.map(lambda new, old: jnp.where(number < steps, new, old), moved, carry)
        return kept, loss, _all_finite(kept[0])

    carry = (found.raws, optimizer.init(found.raws))
    raws, losses = _descended(update, carry, steps + 1, found, _up_to(steps, on_step))
    design = found.design(raws)
    return Optimum(design, values(design), losses)


class Front(eqx.Module):
    """Designs that trade one objective for another.

    Attributes:
        values: the designs with plain numbers, every leaf with a first axis of one design per weighting.
        objectives: of every design, in their own units, shape (designs,) each.
        efficient: whether no other design of the front is at least as good in every objective and better in one.
    """

    values: Any
    objectives: dict[str, Float[Array, " designs"]]
    efficient: Bool[Array, " designs"]


def pareto_front(
    objectives: Mapping[str, Callable[[Any], Float[Array, ""]]],
    design: Any,
    weights: Float[Array, "designs objectives"],
    *,
    steps: int = 400,
    learning_rate: float = 0.1,
    on_step: OnStep | None = None,
) -> Front:
    """One search for every row of `weights`, all at once: the sum of weighted objectives, each in units of its start.

    Args:
        objectives: functions of the values of a design, by name, all to be made small and positive.
        design: as for `optimize`; every search begins there.
        weights: shape (designs, objectives), in the order of `objectives`, non-negative.
        steps: as for `optimize`.
        learning_rate: as for `optimize`.
        on_step: called after every step with its number and the mean loss.

    Raises:
        ValueError: weights of the wrong shape or sign; as `optimize`.
        training.DivergedError: as `optimize`.
    """
    weights = as_floating(weights, "weights")
    if weights.ndim != 2 or weights.shape[1] != len(objectives):
        raise ValueError(
            f"Argument `weights` must have shape (designs, {len(objectives)}), a column for each of "
            f"{', '.join(objectives)}, but has shape {weights.shape}."
        )
    if not bool(jnp.all(weights >= 0)):
        raise ValueError("Argument `weights` must be non-negative, but holds a negative number.")
    found = _Parameters(design)
    steps = _checked(found, steps, learning_rate)
    optimizer = _adam(learning_rate, steps)

    @jax.jit
    def measured(raws: list[jax.Array]) -> jax.Array:
        numbers = values(found.design(raws))
        return jnp.stack([function(numbers) for function in objectives.values()])

    start = measured(found.raws)

    def one(raws: list[jax.Array], memory: Any, weight: jax.Array) -> tuple[Any, jax.Array]:
        value, slope = jax.value_and_grad(lambda raws: jnp.sum(weight * measured(raws) / start))(raws)
        updates, memory = optimizer.update(slope, memory, raws)
        return (optax.apply_updates(raws, updates), memory), value

    def update(carry: Any, number: jax.Array) -> Any:
        raws, memory = carry
        moved, losses = jax.vmap(one)(raws, memory, weights)
        return moved, jnp.mean(losses), _all_finite(moved[0])

    raws = [jnp.broadcast_to(raw, (len(weights), *raw.shape)) for raw in found.raws]
    raws, _ = _descended(update, (raws, jax.vmap(optimizer.init)(raws)), steps, found, on_step)
    reached = jax.jit(jax.vmap(measured))(raws)
    by_name = dict(zip(objectives, reached.T, strict=True))
    return Front(jax.vmap(lambda raws: values(found.design(raws)))(raws), by_name, _efficient(reached))


class _Parameters:
    """A design taken apart: what moves, unbounded, and all that does not."""

    def __init__(self, design: Any):
        self.leaves, self.tree = jax.tree.flatten(design, is_leaf=is_bounded)
        self.raws = [leaf.raw for leaf in self.leaves if is_bounded(leaf)]

    def design(self, raws: list[jax.Array]) -> Any:
        """The design with other unbounded parameters."""
        new = iter(raws)
        moved = [eqx.tree_at(lambda b: b.raw, leaf, next(new)) if is_bounded(leaf) else leaf for leaf in self.leaves]
        return jax.tree.unflatten(self.tree, moved)


def _descended(update: Any, carry: Any, steps: int, found: _Parameters, on_step: OnStep | None) -> tuple[Any, Any]:
    """Unbounded parameters after a descent, and its losses."""

    def message(step: int, loss: float) -> str:
        return (
            f"The objective became {loss} after {step - 1} steps; narrow the bounds of the parameters or lower "
            "`learning_rate`. The last good design is the attribute `state` of this error."
        )

    try:
        (raws, _), losses = descend(update, carry, steps, on_step=on_step, message=message)
    except DivergedError as error:
        error.state = found.design(error.state[0])
        raise
    return raws, losses


def _efficient(objectives: Float[Array, "designs objectives"]) -> Bool[Array, " designs"]:
    """Which designs no other one dominates: none is at least as good everywhere and better somewhere."""
    mine, other = objectives[:, None, :], objectives[None, :, :]
    dominated = jnp.all(other <= mine, -1) & jnp.any(other < mine, -1)
    return ~jnp.any(dominated, axis=1)


def _adam(learning_rate: float, steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(learning_rate, steps, alpha=1e-3))


def _all_finite(raws: list[jax.Array]) -> jax.Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(raw)) for raw in raws]))


def _up_to(steps: int, on_step: OnStep | None) -> OnStep | None:
    if on_step is None:
        return None
    return lambda number, loss: on_step(number, loss) if number <= steps else None


def _checked(found: _Parameters, steps: int, learning_rate: float) -> int:
    if not found.raws:
        raise ValueError(
            f"Argument `design` must hold at least one `{Bounded.__name__}` parameter, but holds none: there is "
            "nothing to find."
        )
    check(learning_rate, "learning_rate", "", positive)
    return as_whole(steps, "steps", 1)
