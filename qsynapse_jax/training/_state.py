"""All that continues from step to step, in one tree that can be saved, donated and compared."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Int, PRNGKeyArray

from qsynapse_jax._fields import Model
from qsynapse_jax.nn import MasterKernel, Physical, crossbar_layers
from qsynapse_jax.training._follow import FOLLOW, Circuits, Follow, begin, checked_refresh, install
from qsynapse_jax.training._measures import cross_entropy
from qsynapse_jax.training.rules import AbstractRule

Loss = Callable[[Any, Any], Any]


class Gradient(Model):
    """All parameters move along the gradient, by an Optax transformation."""

    optimizer: optax.GradientTransformation = eqx.field(static=True, repr=False)


class InPlace(Model):
    """Kernels on crossbars move by a rule; the other parameters along the gradient, or not at all."""

    rule: AbstractRule
    digital: optax.GradientTransformation | None = eqx.field(static=True, repr=False)


class State(Model):
    """A training run between two steps. No two of its leaves share a buffer: it can be donated.

    Attributes:
        graphdef: structure of the model. Static.
        wrt: which variables are parameters. Static.
        loss: loss of outputs and labels. Static.
        rule: what moves the parameters.
        parameters: variables that may move.
        rest: all other variables: statistics of normalization, random streams, physical parameters.
        rule_state: what the rule remembers.
        key: random numbers to come.
        step: steps made.
        epoch: epochs made.
        refresh: how closely circuits are followed; `None` where they are solved in every step. Static.
        circuits: the `Circuits` that are followed, by the path of their layer.
    """

    graphdef: nnx.GraphDef = eqx.field(static=True, repr=False)
    wrt: Any = eqx.field(static=True, repr=False)
    loss: Loss = eqx.field(static=True)
    rule: Gradient | InPlace
    parameters: Any
    rest: Any
    rule_state: Any
    key: PRNGKeyArray
    step: Int[Array, ""]
    epoch: Int[Array, ""]
    refresh: Follow | None = eqx.field(static=True)
    circuits: dict[str, Circuits]


def init(
    model: nnx.Module,
    rule: optax.GradientTransformation | AbstractRule,
    *,
    key: PRNGKeyArray,
    wrt: Any = nnx.Param,
    loss: Loss = cross_entropy,
    digital: optax.GradientTransformation | None = None,
    refresh: Follow | str = FOLLOW,
) -> State:
    """The state of a training run that has not begun; the model itself is left alone.

    Args:
        model: any NNX model of outputs (batch, ...) for inputs (batch, ...); layers that behave otherwise in training
            (dropout, batch normalization) do so in every step.
        rule: an Optax transformation, e.g. `optax.adam(1e-3)`, or an in-place rule of `training.rules`.
        key: order of the samples, and random numbers of the rule.
        wrt: which variables are trained, an NNX filter. Physical parameters of tiles are refused: a step could make
            a resistance negative. `codesign.optimize` moves them, within bounds.
        loss: scalar of (outputs, labels); labels are classes (integers) unless it is another than `cross_entropy`.
        digital: with an in-place rule, what moves the parameters that are no matrix on crossbars: scales, biases,
            digital layers. `None` leaves them as they are.
        refresh: how closely the circuits of layers behind wires are followed: compiled exactly when the tolerance of a
            `Follow` asks for it, and by a model of them in between (`crossbar.follow`). "always" solves them in every
            step. The model that comes out, `model(state)`, is exact in any case.

    Raises:
        ValueError: a rule that is none, or that finds nothing to move; `digital` beside an Optax `rule`; a filter that
            catches physical parameters, variables that are not real numbers, or nothing; another `refresh`.
    """
    follow = checked_refresh(refresh)
    # Static, therefore hashable.
    wrt = nnx.Any(*wrt) if isinstance(wrt, list | tuple) else wrt
    graphdef, parameters, rest = nnx.split(model, wrt, ...)
    _check_parameters(parameters)
    parameters, rest = _own((parameters, rest))
    if isinstance(rule, AbstractRule):
        moved: Gradient | InPlace = InPlace(rule, digital)
        others = nnx.state(model, others_of(model, wrt))
        copy = nnx.merge(graphdef, parameters, rest, copy=True)
        memory = (rule.init(copy), None if digital is None else digital.init(others))
    elif isinstance(rule, optax.GradientTransformation):
        if digital is not None:
            raise ValueError("Argument `digital` belongs to in-place rules: an Optax `rule` moves all parameters.")
        moved, memory = Gradient(rule), rule.init(parameters)
    else:
        raise ValueError(
            "Argument `rule` must be an Optax transformation, e.g. `optax.adam(1e-3)`, or a rule of `training.rules`, "
            f"but is a {type(rule).__name__}."
        )
    zero = jnp.zeros((), jnp.int32)
    circuits = begin(model, follow)
    return _own(State(graphdef, wrt, loss, moved, parameters, rest, memory, key, zero, zero, follow, circuits))


def others_of(model: Any, wrt: Any) -> Any:
    """A filter, by path, of the parameters that an in-place rule leaves to gradients."""
    kernels = [layer.kernel for layer in crossbar_layers(model).values()]
    weights = {id(kernel.weight) for kernel in kernels if isinstance(kernel, MasterKernel)}
    moved = {path for path, variable in nnx.to_flat_state(nnx.state(model, wrt)) if id(variable) in weights}
    return nnx.All(wrt, lambda path, variable: path not in moved)


def model(state: State) -> Any:
    """A model with the variables of the state; it shares nothing with the state."""
    return nnx.merge(state.graphdef, *_own((state.parameters, state.rest)))


def training_model(graphdef: nnx.GraphDef, parameters: Any, rest: Any, circuits: dict[str, Circuits]) -> Any:
    """A model that behaves as in training; it shares no variables with the trees."""
    model = nnx.merge(graphdef, parameters, rest, copy=True)
    install(model, circuits)
    model.train()
    return model


@partial(jax.jit, static_argnums=(0, 1))
def outputs_of(
    graphdef: nnx.GraphDef, wrt: Any, parameters: Any, rest: Any, circuits: dict[str, Circuits], x: jax.Array
) -> tuple[Any, Any]:
    """Outputs in training, and the variables that this moved: random streams, statistics of normalization.

    Jitted by itself, so that whoever asks for its shapes, its value or its slope runs through the model once.
    """
    model = training_model(graphdef, parameters, rest, circuits)
    outputs = model(x)
    _, _, moved = nnx.split(model, wrt, ...)
    return outputs, kept(rest, moved)


def kept(old: Any, new: Any) -> Any:
    """Those variables of `new` that `old` has, of its types: what a call adds (sown intermediates) does not stay."""
    found = dict(nnx.to_flat_state(new))
    new = nnx.from_flat_state([(path, found[path]) for path, _ in nnx.to_flat_state(old)])
    return jax.tree.map(lambda was, now: jnp.asarray(now, was.dtype), old, new)


def _own(tree: Any) -> Any:
    """The same with buffers of its own, and without weak types, which a first step would change to strong ones."""

    def copied(leaf: Any) -> jax.Array:
        leaf = jnp.asarray(leaf)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = jnp.array(jax.random.key_data(leaf), copy=True)
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        return jnp.array(leaf, leaf.dtype, copy=True)

    return jax.tree.map(copied, tree)


def _check_parameters(parameters: Any) -> None:
    paths = {"/".join(map(str, path)): variable for path, variable in nnx.to_flat_state(parameters)}
    if not paths:
        raise ValueError(
            "Argument `wrt` must catch variables of the model, but catches none: there is nothing to train."
        )
    if physical := [path for path, variable in paths.items() if isinstance(variable, Physical)]:
        raise ValueError(
            f"Argument `wrt` must not catch physical parameters, but it catches {_some(physical)}: a step can make a "
            "resistance negative. Find them within bounds: `codesign.optimize` with `codesign.Bounded`."
        )
    other = [
        path
        for path, variable in paths.items()
        if not all(jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.floating) for leaf in jax.tree.leaves(variable))
    ]
    if other:
        raise ValueError(
            f"Argument `wrt` must catch variables of real numbers, but it catches {_some(other)}, which have no slope."
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
