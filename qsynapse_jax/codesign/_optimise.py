"""Descent on physical parameters, one design at a time or a whole Pareto front at once."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from qsynapse_jax._checks import as_floating
from qsynapse_jax.codesign._parameters import Bounded, is_bounded, values

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


def optimise(
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
        steps: of the optimiser; one compilation for all.
        learning_rate: of Adam at the start, in units of the unbounded parameters, of which 4 span most of the range;
            it falls to 0.1 % of it along a cosine.
        optimizer: another Optax transformation in its place.
        key: random numbers for objectives that need them (device spread); a new one every step.
        on_step: called after every step with its number and loss.

    Returns:
        See `Optimum`.

    Raises:
        ValueError: no parameter to move; `steps` below 1; an objective that is not a scalar, or not finite.
    """
    leaves, tree = jax.tree.flatten(design, is_leaf=is_bounded)
    raws = [leaf.raw for leaf in leaves if is_bounded(leaf)]
    _check(raws, steps, learning_rate)
    optimizer = optimizer or _adam(learning_rate, steps)
    evaluate = partial(_loss, objective, tree, leaves)

    @jax.jit
    def step(raws: list[jax.Array], state: Any, key: jax.Array | None) -> tuple[list[jax.Array], Any, jax.Array]:
        loss, slope = jax.value_and_grad(evaluate)(raws, key)
        updates, state = optimizer.update(slope, state, raws)
        return optax.apply_updates(raws, updates), state, loss  # pyright: ignore[reportReturnType]

    state, losses = optimizer.init(raws), []
    for number in range(steps):
        raws, state, loss = step(raws, state, _fold(key, number))
        losses.append(loss)
        if on_step is not None:
            on_step(number + 1, _finite(float(loss), number))
    losses = np.array([*map(float, losses), float(jax.jit(evaluate)(raws, _fold(key, steps)))])
    for number, loss in enumerate(losses):
        _finite(float(loss), number)
    found = _rebuilt(tree, leaves, raws)
    return Optimum(found, values(found), jnp.asarray(losses))


class Front(eqx.Module):
    """Designs that trade one objective for another.

    Attributes:
        values: the designs with plain numbers, every leaf with a first axis of one design a weighting.
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
        design: as for `optimise`; every search begins there.
        weights: shape (designs, objectives), in the order of `objectives`, non-negative.
        steps: as for `optimise`.
        learning_rate: as for `optimise`.
        on_step: called after every step with its number and the mean loss.

    Raises:
        ValueError: weights of the wrong shape or sign; as `optimise`.
    """
    weights = as_floating(weights, "weights")
    if weights.ndim != 2 or weights.shape[1] != len(objectives):
        raise ValueError(
            f"Argument `weights` must have shape (designs, {len(objectives)}), a column for each of "
            f"{', '.join(objectives)}, but has shape {weights.shape}."
        )
    if not bool(jnp.all(weights >= 0)):
        raise ValueError("Argument `weights` must be non-negative, but holds a negative number.")
    leaves, tree = jax.tree.flatten(design, is_leaf=is_bounded)
    first = [leaf.raw for leaf in leaves if is_bounded(leaf)]
    _check(first, steps, learning_rate)
    optimizer = _adam(learning_rate, steps)

    def measured(raws: list[jax.Array]) -> jax.Array:
        found = values(_rebuilt(tree, leaves, raws))
        return jnp.stack([function(found) for function in objectives.values()])

    start = jax.jit(measured)(first)

    def loss(raws: list[jax.Array], weight: jax.Array) -> jax.Array:
        return jnp.sum(weight * measured(raws) / start)

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, 0))
    def step(raws: list[jax.Array], state: Any, weight: jax.Array) -> tuple[list[jax.Array], Any, jax.Array]:
        value, slope = jax.value_and_grad(loss)(raws, weight)
        updates, state = optimizer.update(slope, state, raws)
        return optax.apply_updates(raws, updates), state, value  # pyright: ignore[reportReturnType]

    raws = [jnp.broadcast_to(raw, (len(weights), *raw.shape)) for raw in first]
    state = jax.vmap(optimizer.init)(raws)
    for number in range(steps):
        raws, state, value = step(raws, state, weights)
        if on_step is not None:
            on_step(number + 1, _finite(float(jnp.mean(value)), number))
    reached = jax.jit(jax.vmap(measured))(raws)
    _finite(float(jnp.sum(reached)), steps)
    found = jax.vmap(lambda raws: values(_rebuilt(tree, leaves, raws)))(raws)
    by_name = dict(zip(objectives, reached.T, strict=True))
    return Front(found, by_name, efficient(reached))


def efficient(objectives: Float[Array, "designs objectives"]) -> Bool[Array, " designs"]:
    """Which designs no other one dominates: none is at least as good everywhere and better somewhere."""
    mine, other = objectives[:, None, :], objectives[None, :, :]
    dominated = jnp.all(other <= mine, -1) & jnp.any(other < mine, -1)
    return ~jnp.any(dominated, axis=1)


def _adam(learning_rate: float, steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(learning_rate, steps, alpha=1e-3))


def _rebuilt(tree: Any, leaves: list[Any], raws: list[jax.Array]) -> Any:
    """The design with other unbounded parameters."""
    new = iter(raws)
    moved = [eqx.tree_at(lambda b: b.raw, leaf, next(new)) if is_bounded(leaf) else leaf for leaf in leaves]
    return jax.tree.unflatten(tree, moved)


def _loss(objective: Any, tree: Any, leaves: list[Any], raws: list[jax.Array], key: jax.Array | None) -> jax.Array:
    found = values(_rebuilt(tree, leaves, raws))
    loss = objective(found) if key is None else objective(found, key)
    if jnp.shape(loss) != ():
        raise ValueError(f"Argument `objective` must return a scalar, but its result has shape {jnp.shape(loss)}.")
    return loss


def _fold(key: jax.Array | None, number: int) -> jax.Array | None:
    return None if key is None else jax.random.fold_in(key, number)


def _finite(loss: float, number: int) -> float:
    if not np.isfinite(loss):
        raise ValueError(
            f"The objective became {loss} after {number} steps; narrow the bounds of the parameters or lower "
            "`learning_rate`."
        )
    return loss


def _check(raws: list[jax.Array], steps: int, learning_rate: float) -> None:
    if not raws:
        raise ValueError(
            f"Argument `design` must hold at least one `{Bounded.__name__}` parameter, but holds none: there is "
            "nothing to find."
        )
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"Argument `steps` must be a positive integer, but is {steps!r}.")
    if not learning_rate > 0:
        raise ValueError(f"Argument `learning_rate` must be positive, but is {learning_rate}.")
