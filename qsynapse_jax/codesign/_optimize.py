"""Descent on physical parameters within bounds, one design at a time or a whole Pareto front at once."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax._fields import Model, as_whole, check, positive
from qsynapse_jax.training import DivergedError, descend

OnStep = Callable[[int, float], None]

# A start at a bound has no slope there: it begins this share of the range (of logarithms) inside.
_INSIDE = 1e-3


class Bounded(Model):
    """A positive physical parameter that is to be found between two bounds.

        value = low (high / low)^s,  s = 1 / (1 + exp(-raw))

    The optimizer moves `raw`, which knows no bounds: equal steps are equal ratios, as a resistor of 1 kohm and one of
    1 Mohm want it.

    Args:
        value: where the search begins, any shape; at a bound it begins 0.1 % of the range inside.
        low: least value allowed, a scalar or of the shape of `value`, in the same unit.
        high: largest value allowed, likewise.

    Raises:
        ValueError: bounds that are not positive, not finite, or not ascending (infeasible); a `value` outside of them.
    """

    raw: Float[Array, "*shape"]
    low: Float[Array, "..."]
    high: Float[Array, "..."]

    def __init__(self, value: ArrayLike, low: ArrayLike, high: ArrayLike):
        value, low, high = (
            as_floating(jnp.asarray(x, jnp.result_type(float)) if isinstance(x, int | float) else x, name)
            for x, name in ((value, "value"), (low, "low"), (high, "high"))
        )
        _check(value, low, high)
        share = jnp.log(value / low) / jnp.log(high / low)
        share = jnp.clip(share, _INSIDE, 1 - _INSIDE)
        self.raw = jnp.log(share) - jnp.log1p(-share)
        self.low, self.high = low, high

    @property
    def value(self) -> Float[Array, "*shape"]:
        """The parameter itself, in its own unit."""
        return self.low * (self.high / self.low) ** jax.nn.sigmoid(self.raw)


def _check(value: jax.Array, low: jax.Array, high: jax.Array) -> None:
    for bound, name in ((low, "low"), (high, "high")):
        if bound.ndim and bound.shape != value.shape:
            raise ValueError(
                f"Argument `{name}` must be a scalar or of the shape of `value`, {value.shape}, but is {bound.shape}."
            )
        check(bound, name, "", positive)
    if not is_concrete(value, low, high):
        return
    least, most, start = np.broadcast_arrays(np.asarray(low), np.asarray(high), np.asarray(value))
    if not (least < most).all():
        where = np.argwhere(~(least < most))[0]
        raise ValueError(
            f"Argument `low` must be below `high`, but {least[tuple(where)]:g} is not below {most[tuple(where)]:g}: no "
            "value is feasible. Widen them, or leave the parameter out of the design to keep it fixed."
        )
    outside = ~((start >= least * (1 - 1e-6)) & (start <= most * (1 + 1e-6)))
    if outside.any():
        where = tuple(np.argwhere(outside)[0])
        raise ValueError(
            f"Argument `value` must lie within its bounds, but {start[where]:g} is outside of {least[where]:g} to "
            f"{most[where]:g}; move the start or the bounds."
        )


def _is_bounded(leaf: Any) -> bool:
    return isinstance(leaf, Bounded)


def values(design: Any) -> Any:
    """A design with every `Bounded` parameter replaced by its value; everything else stays."""
    return jax.tree.map(lambda leaf: leaf.value if _is_bounded(leaf) else leaf, design, is_leaf=_is_bounded)


class Optimum(Model):
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
        on_step: called for every step with its number and loss, a tenth of a second or one step late; what it raises
            ends the search after the piece that has run by then.

    Raises:
        ValueError: no parameter to move; `steps` below 1; an objective that is not a scalar.
        training.DivergedError: an objective that is not finite; `state` is the last good design.
    """
    raws, fixed = _parted(design)
    steps = as_whole(steps, "steps", 1)
    adam = _adam(learning_rate, steps)
    optimizer = adam if optimizer is None else optimizer

    def loss_of(raws: Any, key: PRNGKeyArray | None) -> jax.Array:
        numbers = values(eqx.combine(raws, fixed))
        loss = objective(numbers) if key is None else objective(numbers, key)
        if jnp.shape(loss) != ():
            raise ValueError(f"Argument `objective` must return a scalar, but its result has shape {jnp.shape(loss)}.")
        return loss

    def update(carry: Any, number: jax.Array) -> Any:
        current = None if key is None else jax.random.fold_in(key, number)
        moved, loss = _moved(lambda raws: loss_of(raws, current), optimizer, *carry)
        # The last step only measures what the one before it made.
        return jax.tree.map(lambda new, old: jnp.where(number < steps, new, old), moved, carry), loss

    raws, losses = _descended(update, (raws, optimizer.init(raws)), steps + 1, fixed, _up_to(steps, on_step))
    design = eqx.combine(raws, fixed)
    return Optimum(design, values(design), losses)


class Front(Model):
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
        on_step: as for `optimize`, with the mean loss.

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
    raws, fixed = _parted(design)
    steps = as_whole(steps, "steps", 1)
    optimizer = _adam(learning_rate, steps)

    @jax.jit
    def measured(raws: Any) -> jax.Array:
        numbers = values(eqx.combine(raws, fixed))
        return jnp.stack([function(numbers) for function in objectives.values()])

    start = measured(raws)

    def one(raws: Any, memory: Any, weight: jax.Array) -> tuple[Any, jax.Array]:
        return _moved(lambda raws: jnp.sum(weight * measured(raws) / start), optimizer, raws, memory)

    def update(carry: Any, number: jax.Array) -> Any:
        raws, memory = carry
        moved, losses = jax.vmap(one)(raws, memory, weights)
        return moved, jnp.mean(losses)

    raws = jax.tree.map(lambda raw: jnp.broadcast_to(raw, (len(weights), *raw.shape)), raws)
    raws, _ = _descended(update, (raws, jax.vmap(optimizer.init)(raws)), steps, fixed, on_step)
    reached = jax.jit(jax.vmap(measured))(raws)
    by_name = dict(zip(objectives, reached.T, strict=True))
    return Front(jax.vmap(lambda raws: values(eqx.combine(raws, fixed)))(raws), by_name, _efficient(reached))


def _parted(design: Any) -> tuple[Any, Any]:
    """A design taken apart: what moves, unbounded, and all that does not; `eqx.combine` puts it together."""

    def moves(leaf: Any) -> Any:
        nothing = jax.tree.map(lambda _: False, leaf)
        return eqx.tree_at(lambda bounded: bounded.raw, nothing, True) if _is_bounded(leaf) else False

    raws, fixed = eqx.partition(design, jax.tree.map(moves, design, is_leaf=_is_bounded))
    if not jax.tree.leaves(raws):
        raise ValueError(
            "Argument `design` must hold at least one `Bounded` parameter, but holds none: there is nothing to find."
        )
    return raws, fixed


def _moved(
    loss_of: Callable[[Any], jax.Array], optimizer: optax.GradientTransformation, raws: Any, memory: Any
) -> tuple[Any, jax.Array]:
    """Unbounded parameters and what the optimizer remembers after a step, and the loss before it."""
    loss, slope = jax.value_and_grad(loss_of)(raws)
    updates, memory = optimizer.update(slope, memory, raws)
    return (optax.apply_updates(raws, updates), memory), loss


def _descended(update: Any, carry: Any, steps: int, fixed: Any, on_step: OnStep | None) -> tuple[Any, Any]:
    """What a descent of `carry, loss = update(carry, number)` made of the unbounded parameters, and its losses."""

    def checked(carry: Any, number: jax.Array) -> Any:
        carry, loss = update(carry, number)
        return carry, loss, jnp.all(jnp.stack([jnp.all(jnp.isfinite(raw)) for raw in jax.tree.leaves(carry[0])]))

    def message(step: int, loss: float) -> str:
        return (
            f"The objective became {loss} after {step - 1} steps; narrow the bounds of the parameters or lower "
            "`learning_rate`. The last good design is the attribute `state` of this error."
        )

    try:
        (raws, _), losses = descend(checked, carry, steps, on_step=on_step, message=message)
    except DivergedError as error:
        error.state = eqx.combine(error.state[0], fixed)
        raise
    return raws, losses


def _efficient(objectives: Float[Array, "designs objectives"]) -> Bool[Array, " designs"]:
    """Which designs no other one dominates: none is at least as good everywhere and better somewhere."""
    mine, other = objectives[:, None, :], objectives[None, :, :]
    dominated = jnp.all(other <= mine, -1) & jnp.any(other < mine, -1)
    return ~jnp.any(dominated, axis=1)


def _adam(learning_rate: float, steps: int) -> optax.GradientTransformation:
    check(learning_rate, "learning_rate", "", positive)
    return optax.adam(optax.cosine_decay_schedule(learning_rate, steps, alpha=1e-3))


def _up_to(steps: int, on_step: OnStep | None) -> OnStep | None:
    if on_step is None:
        return None
    return lambda number, loss: on_step(number, loss) if number <= steps else None
