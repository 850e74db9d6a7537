"""Any Flax model onto crossbars, and back."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from qsynapse_jax.cells import AbstractCell
from qsynapse_jax.nn._kernels import CompiledKernel, MasterKernel, Physical, checked_tile, wide
from qsynapse_jax.nn._layers import CrossbarLayer
from qsynapse_jax.nn._model import Part, copy_of, crossbar_layers, exchanged, named, parts_of
from qsynapse_jax.tile import Tile

# Flax modules with a weight matrix that none of our layers stands for, and those that rewrite the weights of the layer
# within them at every call.
_UNMATCHED = (nnx.ConvTranspose, nnx.Einsum, nnx.LoRA)
_REWRITING = (nnx.WeightNorm, nnx.SpectralNorm)
# A matrix of one of these names in a module that is no layer of Flax is taken for one that the module multiplies with.
_WEIGHT_NAMES = ("kernel", "weight", "w")

# Longer lists of paths are cut: enough to see how they are built.
_NAMED = 12

_APART = "shares its weights with a part of the model that is not on the same tile"


def convert(model: Any, tile: Tile, rules: Mapping[str, Tile | None] | None = None, *, throw: bool = True) -> Any:
    """A model with its weight matrices on crossbars: the same weights, rounded to the levels of the tile's cell.

    Every `nnx.Linear`, `nnx.Conv` and `nnx.LinearGeneral` of a model, however deep, is replaced by its like on
    crossbars; normalization, dropout, embeddings, activations and arrays that a module of yours holds itself stay
    digital (a matrix called `kernel`, `weight` or `w` is refused: it looks like a layer). The full scale of each
    layer is the one that rounds its weights with the least squared error. Layers that are on crossbars already move to
    the new tile and keep their master weights and scale. All layers on one tile share one `Physical` variable.

    Args:
        model: any NNX model, also a single layer; it is left as it was.
        tile: what the layers sit on.
        rules: other tiles for some layers, by path, or None for those that shall be digital. A path such as
            "encoder/layers/0" counts for all that lies in it and may be a pattern, "encoder/*/out". An exact path
            goes before a pattern, a longer path before a shorter one, a later rule before an earlier one.
        throw: as for `CrossbarLayer`.

    Returns:
        The new model, on variables and buffers of its own. `crossbar_layers` lists what was converted.

    Raises:
        ValueError: a layer that has a weight matrix and cannot be converted; a rule whose path is not in the model;
            nothing to convert; layers whose weights are written into devices or compiled already.
    """
    checked_tile(tile)
    rules = {} if rules is None else rules
    model = copy_of(model)
    parts = parts_of(model)
    layers = [part for part in parts if _has_weights(part)]
    _check_rules(rules, [part.paths[0] for part in layers], [path for part in parts for path in part.paths])
    tiles = {id(part.node): _chosen_tile(part.paths, tile, rules) for part in layers}
    _refuse(layers, parts, tiles)
    physical: dict[int, Physical] = {}
    shared: dict[int, tuple[MasterKernel, nnx.Variable]] = {}
    new: dict[int, Any] = {}
    for layer in (part.node for part in layers):
        its_tile = tiles[id(layer)]
        if its_tile is None:
            if isinstance(layer, CrossbarLayer):
                new[id(layer)] = layer.to_digital()
            continue
        if id(its_tile) not in physical:
            physical[id(its_tile)] = Physical(its_tile)
        if id(layer.kernel) not in shared:
            shared[id(layer.kernel)] = _master(layer, physical[id(its_tile)], throw)
        kernel, scale = shared[id(layer.kernel)]
        if isinstance(layer, CrossbarLayer):
            layer.kernel = kernel
        else:
            new[id(layer)] = _form_of(layer).over(layer, kernel, scale)
    if not physical and not new:
        raise ValueError(
            f"Argument `model` must have a layer with a weight matrix, such as {_convertible()}, but "
            f"{type(model).__name__} has none{' that `rules` do not keep digital' if layers else ''}."
        )
    return exchanged(model, new)


def to_digital(model: Any) -> Any:
    """A model with Flax's own layers in place of those on crossbars.

    Layers with master weights get these, times their scale: `to_digital(convert(model, tile))` is `model` again.
    Written and frozen layers get what their tiles multiply with, wires and devices included.

    Args:
        model: any NNX model; it is left as it was.
    """
    model = copy_of(model)
    new: dict[int, Any] = {}
    weights: dict[int, Any] = {}
    for layer in crossbar_layers(model).values():
        digital: Any = layer.to_digital()
        # Layers that share a kernel share their weights again.
        digital.kernel = weights.setdefault(id(layer.kernel), digital.kernel)
        new[id(layer)] = digital
    return exchanged(model, new)


@jax.jit
def full_scale(kernel: Float[Array, "*groups rows cols"], cell: AbstractCell) -> Float[Array, ""]:
    """The weight that code `max` should stand for, so that rounding `kernel` to the cell's levels costs least."""
    candidates = jnp.max(jnp.abs(kernel)) * jnp.linspace(0.2, 1, 33)

    def squared_error(scale: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.sum((scale * cell.decode(cell.encode(kernel / scale)) - kernel) ** 2)

    best = candidates[jnp.argmin(jax.lax.map(squared_error, candidates))]
    return jnp.where(best > 0, best, 1)


def _master(layer: Any, physical: Physical, throw: bool) -> tuple[MasterKernel, nnx.Variable]:
    """Master weights of a layer on a tile, and the variable that scales them."""
    if isinstance(layer, CrossbarLayer):
        kernel: Any = layer.kernel
        return MasterKernel(kernel.weight, physical, throw=throw), layer.scale
    old = layer.kernel
    matrix = _form_of(layer).to_matrix(layer, old.get_value())
    scale = full_scale(wide(matrix), physical.get_value().cell).astype(matrix.dtype)
    weight = matrix / scale
    # A variable of the same kind, for filters; what it notes of its axes holds where they are the same.
    variable = old.replace(weight) if weight.ndim == old.get_value().ndim else type(old)(weight)
    return MasterKernel(variable, physical, throw=throw), nnx.Param(scale)


def _form_of(layer: Any) -> Any:
    """The class of crossbar layers that stands for a Flax layer; any subclass of `CrossbarLayer` is found."""
    for base in type(layer).__mro__:
        for form in CrossbarLayer.__subclasses__():
            if getattr(form, "digital", None) is base:
                return form
    return None


def _convertible() -> str:
    return ", ".join(form.digital.__name__ for form in CrossbarLayer.__subclasses__())


def _has_weights(part: Part) -> bool:
    """Whether a part is a layer with a weight matrix, on crossbars or not, or a matrix that a user's module holds."""
    if any(isinstance(node, _UNMATCHED) or _form_of(node) is not None for node in part.above):
        return False
    if isinstance(part.node, nnx.Param):
        own = part.owners and not type(part.owners[0]).__module__.startswith("flax.")
        named = part.paths[0].rpartition("/")[2] in _WEIGHT_NAMES
        return bool(own) and named and sum(size > 1 for size in part.node.shape) >= 2
    return isinstance(part.node, (CrossbarLayer, *_UNMATCHED)) or _form_of(part.node) is not None


def _refuse(layers: list[Part], parts: list[Part], tiles: dict[int, Tile | None]) -> None:
    """A `ValueError` that names every layer which shall go on crossbars and cannot."""
    wanted = [part for part in layers if tiles[id(part.node)] is not None]
    for part in wanted:
        if isinstance(part.node, CrossbarLayer) and not isinstance(part.node.kernel, MasterKernel):
            made, by = ("frozen", "freeze") if isinstance(part.node.kernel, CompiledKernel) else ("written", "program")
            raise ValueError(
                f"Argument `model` must have float master weights, but {_named(part)} is {made}; convert the model "
                f"that was given to `{by}`, or `to_digital(model)`."
            )
    refused = [(part, reason) for part in wanted if (reason := _reason(part, parts, tiles))]
    if refused:
        rules = ", ".join(f"{part.paths[0]!r}: None" for part, _ in refused)
        raise ValueError(
            "Argument `model` must have layers that can go on crossbars, but "
            f"{'; '.join(f'{_named(part)} {reason}' for part, reason in refused)}. Leave out what shall stay digital: "
            f"`rules={{{rules}}}`."
        )


def _named(part: Part) -> str:
    return f"{named(part.paths[0])} ({type(part.node).__name__})"


def _reason(part: Part, parts: list[Part], tiles: dict[int, Tile | None]) -> str:
    """Why a layer cannot go on crossbars, in words that follow its name; empty where it can."""
    layer = part.node
    if isinstance(layer, CrossbarLayer):
        sharing = [other.node for other in parts if getattr(other.node, "kernel", None) is layer.kernel]
        return _APART if any(tiles.get(id(other)) is not tiles[id(layer)] for other in sharing) else ""
    if isinstance(layer, nnx.Variable):
        return f"seems to be a matrix that {type(part.owners[0]).__name__} multiplies with itself"
    if (form := _form_of(layer)) is None:
        return "has no like on crossbars"
    if type(layer).__call__ is not form.digital.__call__:
        return f"is a {form.digital.__name__} with a `__call__` of its own"
    if reason := form.refusal(layer):
        return reason
    shape, usual = layer.kernel.shape, form.weight_shape(layer)
    if shape != usual:
        return f"has weights of shape {shape} instead of {usual}, perhaps layers stacked by `nnx.vmap`"
    own = {"dot_general": jax.lax.dot_general, "conv_general_dilated": jax.lax.conv_general_dilated}
    for option in (*own, "dot_general_cls", "preferred_element_type"):
        if getattr(layer, option, None) not in (own.get(option), None):
            return f"has a `{option}` of its own"
    if any(isinstance(node, _REWRITING) for node in part.above):
        return "has weights that a module around it rewrites at every call"
    kernel = next(other for other in parts if other.node is layer.kernel)
    return _APART if any(tiles.get(id(owner)) is not tiles[id(layer)] for owner in kernel.owners) else ""


def _chosen_tile(paths: Iterable[str], tile: Tile, rules: Mapping[str, Tile | None]) -> Tile | None:
    """The tile of a layer that lies at `paths`, or None where it stays digital; see `convert` for which rule counts."""
    best: tuple[bool, int, int, int] | None = None
    chosen: Tile | None = tile
    for number, (rule, value) in enumerate(rules.items()):
        for path in paths:
            depth = _depth(rule, path)
            rank = (not _is_pattern(rule), depth, len(rule), number)
            if depth >= 0 and (best is None or rank > best):
                best, chosen = rank, value
    return chosen


def _check_rules(rules: Any, layers: list[str], parts: list[str]) -> None:
    """A `ValueError` where rules are none, or their paths not in a model with `layers` among its `parts`."""
    if not isinstance(rules, Mapping):
        raise ValueError(
            "Argument `rules` must map paths of layers to a `Tile`, or to None for those that stay digital, e.g. "
            f"`{{'encoder/layers/0': None}}`, but is a {type(rules).__name__}."
        )
    for rule, value in rules.items():
        if value is not None:
            checked_tile(value)
        if not any(_depth(str(rule), path) >= 0 for path in (parts if value is None else layers)):
            near = get_close_matches(str(rule), layers, n=3, cutoff=0.3) or layers[:_NAMED]
            raise ValueError(
                f"Argument `rules` must name layers of the model, but {rule!r} is none; near it: "
                f"{', '.join(map(repr, near))}."
            )


def _depth(rule: str, path: str) -> int:
    """How many names of `path` a rule matches, from its root on; -1 if it does not match."""
    names = path.split("/") if path else []
    for count in range(len(names), -1, -1):
        above = "/".join(names[:count])
        if above == rule.strip("/") or (_is_pattern(rule) and fnmatchcase(above, rule)):
            return count
    return -1


def _is_pattern(rule: str) -> bool:
    return any(character in rule for character in "*?[")
