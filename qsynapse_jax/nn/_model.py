"""Walking through a model: its layers by path, copies, and other parts put in place of some."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Key, PRNGKeyArray

from qsynapse_jax.nn._kernels import AbstractKernel, copied
from qsynapse_jax.nn._layers import CrossbarLayer

# One key for all layers, or one for each.
Keys = PRNGKeyArray | Key[Array, " layers"]


def children(node: Any) -> list[tuple[str, Any]]:
    """Parts of a module or a container by name, numbers in their order, then names in theirs."""
    if isinstance(node, nnx.Pytree):
        items = [(name, child) for name, child in vars(node).items() if not name.startswith("_pytree__")]
    elif isinstance(node, dict):
        items = [(str(name), child) for name, child in node.items()]
    elif isinstance(node, list | tuple):
        items = [(str(number), child) for number, child in enumerate(node)]
    else:
        return []
    return sorted(items, key=lambda item: (0, int(item[0]), "") if item[0].isdigit() else (1, 0, item[0]))


def named(path: str) -> str:
    """A path as messages name it."""
    return repr(path or "the model itself")


class Part(NamedTuple):
    """A module or a variable of a model.

    Attributes:
        node: itself.
        paths: all its paths, "encoder/layers/0"; several where it is shared.
        above: what it lies in by its first path, outermost first.
        owners: the modules that hold it directly.
    """

    node: Any
    paths: list[str]
    above: tuple[Any, ...]
    owners: list[Any]


def parts_of(model: Any) -> list[Part]:
    """Modules and variables of a model in the order of their first paths; layers on crossbars are not taken apart."""
    found: dict[int, Part] = {}

    def visit(node: Any, path: str, above: tuple[Any, ...]) -> None:
        part = found.setdefault(id(node), Part(node, [], above, []))
        part.paths.append(path)
        part.owners.extend(above[-1:])
        if not isinstance(node, CrossbarLayer) and not any(node is outer for outer in above):
            for name, child in children(node):
                visit(child, f"{path}/{name}".lstrip("/"), (*above, node))

    visit(model, "", ())
    return [part for part in found.values() if isinstance(part.node, nnx.Pytree | nnx.Variable)]


def crossbar_layers(model: Any) -> dict[str, CrossbarLayer]:
    """The layers of a model that are on crossbars, by path, e.g. "encoder/layers/0"; a shared one by its first.

    They are the model's own: what is changed in them is changed in it.
    """
    return {part.paths[0]: part.node for part in parts_of(model) if isinstance(part.node, CrossbarLayer)}


def kernels(model: Any) -> dict[str, AbstractKernel]:
    """The kernels of a model by the path of their layer; one that layers share by the first of them.

    Raises:
        ValueError: there are none.
    """
    found: dict[int, tuple[str, AbstractKernel]] = {}
    for path, layer in crossbar_layers(model).items():
        found.setdefault(id(layer.kernel), (path, layer.kernel))
    if not found:
        raise ValueError(
            f"Argument `model` must have layers on crossbars, but a {type(model).__name__} has none; put them there "
            "first: `model = convert(model, tile)`."
        )
    return dict(found.values())


def copy_of(model: Any) -> Any:
    """The same model, on variables and buffers of its own."""
    graph, state = nnx.split(model, graph=True)
    return nnx.merge(graph, copied(state))


def with_kernels(model: Any, new: Callable[[str, AbstractKernel, Any], AbstractKernel], key: Any = None) -> Any:
    """A copy of a model whose kernels are `new(path, kernel, key)`; one key is split among them, several are theirs."""
    model = nnx.clone(model, graph=True)
    old = kernels(model)
    if key is None:
        keys = [None] * len(old)
    elif jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == (len(old),):
        keys = list(key)
    else:
        keys = jax.random.split(key, len(old))
    replaced = {id(kernel): new(path, kernel, key) for (path, kernel), key in zip(old.items(), keys, strict=True)}
    for layer in crossbar_layers(model).values():
        layer.kernel = replaced[id(layer.kernel)]
    # What was made here may share arrays with the old model or within itself, such as the zeros of a trace.
    return copy_of(model)


def exchanged(node: Any, new: dict[int, Any], seen: set[int] | None = None) -> Any:
    """A model with `new[id(part)]` in place of every part named there, in modules in place."""
    seen = set() if seen is None else seen
    if id(node) in new:
        return new[id(node)]
    if id(node) in seen:
        return node
    if isinstance(node, nnx.Pytree):
        seen.add(id(node))
    changed = {}
    for name, child in children(node):
        if (part := exchanged(child, new, seen)) is not child:
            changed[name] = part
    if isinstance(node, nnx.Pytree):
        for name, part in changed.items():
            setattr(node, name, nnx.data(part))
        return node
    if not changed:
        return node
    if isinstance(node, dict):
        return type(node)((key, changed.get(str(key), child)) for key, child in node.items())
    parts = [changed.get(str(number), child) for number, child in enumerate(node)]
    return type(node)(*parts) if hasattr(node, "_fields") else type(node)(parts)
