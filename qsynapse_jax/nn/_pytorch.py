"""Weights that PyTorch trained, from a safetensors file, turned to lie as Flax has them."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx

from qsynapse_jax.nn._layers import CrossbarLayer
from qsynapse_jax.nn._model import children, copy_of, named

_LINEAR = {"kernel": "weight", "bias": "bias"}
_NORM = {"scale": "weight", "bias": "bias"}
# What PyTorch calls the variables of a layer.
_LAYERS: dict[Any, dict[str, str]] = {
    nnx.Linear: _LINEAR,
    nnx.Conv: _LINEAR,
    nnx.BatchNorm: {**_NORM, "mean": "running_mean", "var": "running_var"},
    nnx.LayerNorm: _NORM,
    nnx.GroupNorm: _NORM,
    nnx.RMSNorm: _NORM,
    nnx.Embed: {"embedding": "weight"},
}
_SUFFIXES = {suffix for parts in _LAYERS.values() for suffix in parts.values()}
# Modules of Flax that only hold others; what lies in its other modules, such as nnx.LinearGeneral, has its own layout.
_HOLDERS = (nnx.List, nnx.Dict, nnx.Sequential)
# How often a BatchNorm of PyTorch was called; its running statistics are what counts.
_COUNT = "num_batches_tracked"


class _Slot(NamedTuple):
    """A variable of the model that a tensor of the file fills.

    Attributes:
        variable: itself.
        layer: the path of its layer, or its own where a module holds it that is no such layer.
        suffix: what PyTorch calls it in the layer; empty without one.
        order: axes of the tensor in the order of the variable's.
        foreign: the module of Flax that holds it and has no like in PyTorch; empty else.
    """

    variable: nnx.Variable
    layer: str
    suffix: str
    order: tuple[int, ...]
    foreign: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor in the file."""
        return tuple(int(self.variable.shape[self.order.index(axis)]) for axis in range(len(self.order)))


def load_weights(
    model: Any,
    path: str | Path,
    names: Mapping[str, str | None] | None = None,
    *,
    flattened: Mapping[str, tuple[int, ...] | None] | None = None,
) -> Any:
    """A model in software with weights that PyTorch trained, of a safetensors file; torch is not needed.

    The file is what `safetensors.torch.save_file(model.state_dict(), path)` writes. Weights are turned: those of
    `nnx.Linear` from (out, in) to (in, out), those of `nnx.Conv` from (out, in, height, width) to (height, width, in,
    out), in any number of dimensions; BatchNorm's weight, bias, running_mean and running_var become scale, bias, mean
    and var.

    Args:
        model: any NNX model that is not on crossbars yet; it is left as it was.
        path: of the file.
        names: what the file calls a layer of the model, {"layers/0": "fc1"}, or a single variable of it,
            {"layers/0/kernel": "fc1.weight"}; None for what stays as it is in the model. Where no names are given,
            layers that are called alike belong together, and of the others those of equal kind and shapes, if there is
            one of each, or if both sides tell several of them apart by numbers alone; anything else is refused.
        flattened: for the first layer after `flatten`, by path, the shape that PyTorch flattens,
            {"out": (channels, height, width)}: channels come first there and last here, so that its inputs have
            another order. None where the order is the same, because the model here flattens channels first too.

    Returns:
        The new model, on variables of its own; `convert` puts it on crossbars.

    Raises:
        ValueError: a file that is none; variables without a tensor, tensors that nothing uses, shapes that do not fit;
            numbers that are not finite; a layer that may follow a `flatten` and is not in `flattened`; a model on
            crossbars.
        ModuleNotFoundError: safetensors is not installed, with the line that installs it.
    """
    file, flattened = Path(path), {} if flattened is None else flattened
    found = list(_layers(model))
    layers = {where: layer for where, layer, _ in found}
    slots = {where: slot for each in found for where, slot in _slots(*each)}
    tensors = _read(file)
    chosen = _guessed(slots, tensors, file) if names is None else _expanded(names, slots)
    _check_complete(chosen, slots, tensors, file)
    filled = {where: name for where, name in chosen.items() if name is not None}
    for where, name in filled.items():
        _check_tensor(name, tensors[name], where, slots[where])
    _check_flattened(flattened, layers, {slots[where].layer for where in filled})
    new = copy_of(model)
    for where, name in filled.items():
        slot, variable = slots[where], new
        for part in where.split("/"):
            variable = dict(children(variable))[part]
        value = _in_our_order(tensors[name], slot, layers[slot.layer], flattened.get(slot.layer))
        variable.set_value(jnp.asarray(value, slot.variable.dtype))
    return new


def _layers(model: Any) -> Iterator[tuple[str, Any, Any]]:
    """Layers that PyTorch has too, and variables that lie in no such layer, each with its path and what holds it.

    They come in the order in which the model defines them, if it was not split and merged since.
    """
    seen: set[int] = set()

    def visit(node: Any, path: str, holder: Any) -> Iterator[tuple[str, Any, Any]]:
        if isinstance(node, nnx.Pytree | nnx.Variable) and id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, CrossbarLayer):
            raise ValueError(
                f"Argument `model` must be in software, but {named(path)} is on crossbars; load the weights first, "
                "`convert` afterwards."
            )
        if isinstance(node, (nnx.Variable, *_LAYERS)):
            yield path, node, holder
            return
        parts = children(node)
        if isinstance(node, nnx.Pytree | dict):
            order = {str(name): number for number, name in enumerate(node if isinstance(node, dict) else vars(node))}
            parts.sort(key=lambda part: order[part[0]])
        for name, child in parts:
            yield from visit(child, f"{path}/{name}".lstrip("/"), node)

    return (found for found in visit(model, "", None) if not isinstance(found[1], nnx.RngState))


def _slots(path: str, layer: Any, holder: Any) -> Iterator[tuple[str, _Slot]]:
    """Variables of a layer by path."""
    if isinstance(layer, nnx.Variable):
        foreign = type(holder).__module__.startswith("flax.") and not isinstance(holder, _HOLDERS)
        yield path, _Slot(layer, path, "", tuple(range(layer.ndim)), type(holder).__name__ if foreign else "")
        return
    for name, suffix in next(parts for kind, parts in _LAYERS.items() if isinstance(layer, kind)).items():
        variable = getattr(layer, name, None)
        if isinstance(variable, nnx.Variable):
            turned = name == "kernel"
            # Inputs and outputs last and in this order here, outputs and inputs first there.
            order = (*range(2, variable.ndim), 1, 0) if turned else tuple(range(variable.ndim))
            yield f"{path}/{name}".lstrip("/"), _Slot(variable, path, suffix, order)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Tensors of a file by name, but for counts."""
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Weights of PyTorch need the package safetensors: pip install 'qsynapse_jax[pytorch]'."
        ) from error
    remedy = "write one with `safetensors.torch.save_file(model.state_dict(), path)`"
    if not path.is_file():
        raise ValueError(f"Argument `path` must be a safetensors file, but {path} does not exist; {remedy}.")
    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"Argument `path` must be a safetensors file, but {path} is none ({error}); {remedy}."
        ) from None
    return {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[2] != _COUNT}


def _expanded(names: Mapping[str, str | None], slots: Mapping[str, _Slot]) -> dict[str, str | None]:
    """The tensor of every variable that is named, itself or by its layer."""
    chosen: dict[str, str | None] = {}
    known = list(dict.fromkeys([*(slot.layer for slot in slots.values()), *slots]))
    # A variable that is named itself goes before its layer.
    for ours, theirs in sorted(names.items(), key=lambda item: item[0] in slots):
        if ours in slots:
            chosen[ours] = theirs
        elif ours in known:
            own = {path: slot.suffix for path, slot in slots.items() if slot.layer == ours}
            chosen |= {path: None if theirs is None else _joined(theirs, suffix) for path, suffix in own.items()}
        else:
            near = get_close_matches(ours, known, n=3, cutoff=0.3) or known[:12]
            raise ValueError(
                f"Argument `names` must name layers or variables of the model, but {ours!r} is none; near it: "
                f"{', '.join(map(repr, near))}."
            )
    return chosen


def _guessed(slots: Mapping[str, _Slot], tensors: Mapping[str, np.ndarray], path: Path) -> dict[str, str | None]:
    """Which layer of the file belongs to which of the model, where that is beyond doubt."""
    ours: dict[str, dict[str, tuple[int, ...]]] = {}
    theirs: dict[str, dict[str, tuple[int, ...]]] = {}
    for slot in slots.values():
        ours.setdefault(slot.layer, {})[slot.suffix] = slot.shape
    for name, tensor in tensors.items():
        layer, _, suffix = name.rpartition(".")
        layer, suffix = (layer, suffix) if suffix in _SUFFIXES else (name, "")
        theirs.setdefault(layer, {})[suffix] = tensor.shape
    pairs: dict[str, str] = {}
    for layer, parts in ours.items():
        if theirs.get(layer.replace("/", ".")) == parts:
            pairs[layer] = layer.replace("/", ".")
    for layer, parts in ours.items():
        if layer in pairs or "" in parts:
            continue
        alike = [one for one in ours if one not in pairs and ours[one] == parts]
        like = [one for one in theirs if one not in pairs.values() and theirs[one] == parts]
        # Several of one shape: names that differ in their numbers alone say in which order they come.
        told = all(len({re.sub(r"\d+", "0", one) for one in side}) == 1 for side in (alike, like))
        if len(alike) == len(like) and told:
            pairs |= dict(zip(sorted(alike, key=_numbers), sorted(like, key=_numbers), strict=True))
    if len(pairs) < len(ours) or len(pairs) < len(theirs):
        lists = [
            ", ".join(f"{name or 'the model'} {_shapes(parts)}" for name, parts in found.items())
            for found in (ours, theirs)
        ]
        raise ValueError(
            f"Argument `names` must say which layers of {path} are which, e.g. {{{next(iter(ours), '')!r}: "
            f"{next(iter(theirs), '')!r}}}, because names and shapes do not. The model has, in PyTorch's layout, "
            f"{lists[0]}; the file has {lists[1]}."
        )
    return {path: _joined(pairs[slot.layer], slot.suffix) for path, slot in slots.items()}


def _joined(layer: str, suffix: str) -> str:
    """A tensor's name; of a file of one layer, or of a variable without one, it is only half as long."""
    return ".".join(filter(None, [layer, suffix]))


def _numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def _shapes(parts: Mapping[str, tuple[int, ...]]) -> str:
    return "(" + ", ".join(f"{name or 'itself'} {'x'.join(map(str, shape))}" for name, shape in parts.items()) + ")"


def _check_complete(
    chosen: Mapping[str, str | None], slots: Mapping[str, _Slot], tensors: Mapping[str, np.ndarray], path: Path
) -> None:
    """Every variable has a tensor, or none on purpose, and every tensor is used."""
    if missing := [one for one in slots if one not in chosen]:
        raise ValueError(
            f"Argument `names` must name every variable of the model, but leaves out {', '.join(missing)}; give None "
            "for what stays as it is."
        )
    used = [name for name in chosen.values() if name is not None]
    if missing := [name for name in used if name not in tensors]:
        near = get_close_matches(missing[0], tensors, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{path} has no {', '.join(missing)}, only {', '.join(tensors) or 'nothing'}.{hint}")
    if unused := [name for name in tensors if name not in used]:
        raise ValueError(
            f"{path} holds {', '.join(unused)} too, which no variable of the model is named after; name the layers, or "
            "write a file without them."
        )


def _check_tensor(name: str, tensor: np.ndarray, path: str, slot: _Slot) -> None:
    if slot.foreign:
        raise ValueError(
            f"Variable {path!r} must be of a layer that PyTorch has too ({', '.join(k.__name__ for k in _LAYERS)}) or "
            f"of a module of yours, but is of a {slot.foreign}; give `names` with {path!r}: None and set it yourself."
        )
    if tensor.shape != slot.shape:
        turned = f", which PyTorch has as {slot.shape}" if slot.shape != slot.variable.shape else ""
        raise ValueError(
            f"Tensor {name} must fit {path!r} of shape {slot.variable.shape}{turned}, but has shape {tensor.shape}."
        )
    if not jnp.issubdtype(tensor.dtype, jnp.floating):
        raise ValueError(f"Tensor {name} must hold floats, but holds {tensor.dtype}.")
    if not np.isfinite(tensor.astype(np.float64)).all():
        raise ValueError(f"Tensor {name} must be finite, but is not; the training that made it diverged.")


def _features(layer: Any) -> int | None:
    """Inputs of a layer that may come right after a `flatten`."""
    if isinstance(layer, nnx.Linear):
        return layer.in_features
    if isinstance(layer, nnx.BatchNorm | nnx.LayerNorm):
        return layer.num_features
    return None


def _check_flattened(flattened: Mapping[str, Any], layers: Mapping[str, Any], filled: set[str]) -> None:
    """Shapes that `flattened` gives fit their layers; and no layer is left out whose inputs may have another order."""
    for path, shape in flattened.items():
        features = _features(layers.get(path))
        if features is None or not (shape is None or (len(shape) > 1 and prod(shape) == features)):
            wanted = f"have shapes (channels, height, width) with {features} elements for {path!r}, or None"
            wanted = "name linear layers or normalizations of the model" if features is None else wanted
            raise ValueError(f"Argument `flattened` must {wanted}, but is {dict(flattened)}.")
    for path, channels in _after_flatten(layers):
        if path in filled and path not in flattened:
            raise ValueError(
                f"Argument `flattened` must say from which shape {named(path)} gets its {_features(layers[path])} "
                f"inputs, because they may be those of a convolution of {channels} channels: PyTorch flattens "
                f"(channels, height, width), this model (height, width, channels). Give `flattened={{{path!r}: "
                f"({channels}, height, width)}}`, or `{{{path!r}: None}}` where the order is the same."
            )


def _after_flatten(layers: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Layers that may follow the `flatten` of a convolution, and the channels of that.

    Such a layer has several inputs per channel. It is none where as many come from another layer: from the one before
    it; and, because a model that was split and merged does not know its order any more, from any other.
    """
    linear = [layer.out_features for layer in layers.values() if isinstance(layer, nnx.Linear)]
    channels = [layer.out_features for layer in layers.values() if isinstance(layer, nnx.Conv)]
    before, last = None, channels[-1] if channels else 1
    sizes: set[int] = set()
    for path, layer in layers.items():
        features = _features(layer)
        last = layer.out_features if isinstance(layer, nnx.Conv) else last
        if features is not None:
            near = [last] if _several(features, last) and (features != before or features in sizes) else []
            any_ = [one for one in channels if _several(features, one) and features not in (*linear, *channels)]
            if found := near + any_:
                sizes.add(features)
                yield path, found[0]
        before = layer.out_features if isinstance(layer, nnx.Linear) else before


def _several(features: int, channels: int) -> bool:
    return features > channels > 1 and features % channels == 0


def _in_our_order(tensor: np.ndarray, slot: _Slot, layer: Any, shape: tuple[int, ...] | None) -> np.ndarray:
    """A tensor as the variable has it: inputs, if they were flattened, with channels last; axes turned."""
    by_input = slot.suffix == "weight" or not isinstance(layer, nnx.Linear)
    if shape is not None and by_input:
        apart = tensor.reshape(*tensor.shape[:-1], *shape)
        tensor = np.moveaxis(apart, -len(shape), -1).reshape(tensor.shape)
    return tensor.transpose(slot.order)
