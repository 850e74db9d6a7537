"""The gradient of every crossbar matrix as factors, which is what its rows and columns receive."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from qsynapse_jax._fields import described
from qsynapse_jax.nn._kernels import AbstractKernel, Presented
from qsynapse_jax.nn._model import kernels


class Outer(NamedTuple):
    """Factors of the derivative of a loss in a kernel's matrix: `dL/dmatrix = sum over n of x[n]^T delta[n]`.

    Attributes:
        x: inputs of every presentation: batch, positions of a window and calls, one after the other.
        delta: derivative of the loss in the outputs `x @ matrix` of the kernel, likewise.
    """

    x: Float[Array, "n *groups rows"]
    delta: Float[Array, "n *groups cols"]

    __repr__ = described


class OuterGradients(NamedTuple):
    """What one forward and backward pass gives.

    Attributes:
        value: the loss.
        aux: what else the loss function returned.
        gradient: in the variables asked for, an `nnx.State`.
        outer: an `Outer` per kernel, by the path of its layer.
        model: the model after the pass: statistics of a normalization have moved.
    """

    value: Float[Array, ""]
    aux: Any
    gradient: Any
    outer: dict[str, Outer]
    model: Any

    __repr__ = described


def outer_gradients(
    loss: Callable[[Any], tuple[Float[Array, ""], Any]], model: Any, *, wrt: Any = nnx.Param
) -> OuterGradients:
    """Loss and gradient of a model, and of every kernel the factors of its gradient instead of their product.

    The outputs of every call of a kernel have a zero added whose derivative is asked for. How many calls there are,
    and of which shapes, is found by tracing the loss once before. Layers within `nnx.scan` or
    another transformation of Flax that loops are not supported.

    Args:
        loss: of a model; returns a scalar and anything else.
        model: any NNX model with layers on crossbars; it is left as it was.
        wrt: which variables `gradient` is in; for a rule that moves the matrices itself, those of the others.
    """

    def observed(calls: dict[str, Any]) -> Any:
        copy = nnx.clone(model, graph=True)
        for path, kernel in kernels(copy).items():
            kernel.presented = Presented(calls.get(path, ()))
        return nnx.split(copy, wrt, Presented, ..., graph=True)

    def run(*states: Any) -> Any:
        copy = nnx.merge(graph, *states, copy=True)
        value, aux = loss(copy)
        calls = {path: _taken(kernel) for path, kernel in kernels(copy).items()}
        return value, (calls, aux, nnx.split(copy, graph=True))

    graph, *states = observed({})
    shapes = jax.eval_shape(lambda *states: run(*states)[1][0], *states)
    graph, *states = observed(
        {path: tuple((None, jnp.zeros(y.shape, y.dtype)) for _, y in calls) for path, calls in shapes.items()}
    )
    differentiated = jax.value_and_grad(run, argnums=(0, 1), has_aux=True)
    (value, (calls, aux, after)), (gradient, zeros) = differentiated(*states)
    derivatives = kernels(nnx.merge(graph, states[0], zeros, states[2]))
    outer = {
        path: Outer(*(jnp.concatenate(arrays) for arrays in (inputs, deltas)))
        for path, kernel in derivatives.items()
        if (inputs := [x for x, _ in calls[path]]) and (deltas := [delta for _, delta in _taken(kernel)])
    }
    return OuterGradients(value, aux, gradient, outer, nnx.merge(*after))


def _taken(kernel: AbstractKernel) -> tuple[Any, ...]:
    """What a kernel noted of its calls; it notes no more."""
    presented, kernel.presented = kernel.presented, nnx.data(None)
    return () if presented is None else presented.get_value()
