"""Weights of any model by the path of the parameter: NAME/layers/0/kernel/weight; and the codes of its crossbars."""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import keystr, tree_flatten_with_path

from qsynapse_jax._arrays import read_arrays, write_arrays
from qsynapse_jax.nn import Physical, crossbar_layers

# The configuration says what a tile is, and no random number belongs to the weights.
_KEPT = nnx.Not(nnx.Any(Physical, nnx.RngState))


def _model_arrays(model: nnx.Module) -> dict[str, np.ndarray]:
    """Every variable of a model but its tiles, by path."""
    leaves, _ = tree_flatten_with_path(nnx.to_pure_dict(nnx.state(model, _KEPT)))
    return {keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


def _model_codes(model: nnx.Module) -> dict[str, np.ndarray]:
    """Codes of every layer on crossbars, by path of the layer."""
    return {f"{path}/code": np.asarray(layer.kernel.code()) for path, layer in crossbar_layers(model).items()}


def _set_arrays(model: nnx.Module, arrays: Mapping[str, np.ndarray], what: str) -> None:
    """Gives a model, in place, the variables of `_model_arrays`, or says which do not fit."""
    state = nnx.state(model, _KEPT)
    leaves, structure = tree_flatten_with_path(nnx.to_pure_dict(state))
    wanted = {keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    differences = [f"has no `{name}`" for name in wanted if name not in arrays]
    differences += [f"holds an unknown `{name}`" for name in arrays if name not in wanted]
    differences += [
        f"holds `{name}` of {arrays[name].dtype} {arrays[name].shape} in place of {leaf.dtype} {leaf.shape}"
        for name, leaf in wanted.items()
        if name in arrays and (arrays[name].shape, arrays[name].dtype) != (leaf.shape, leaf.dtype)
    ]
    if differences:
        more = f", and {len(differences) - 3} more differences" if len(differences) > 3 else ""
        raise ValueError(f"{what} does not fit the configuration: it {', '.join(differences[:3])}{more}.")
    filled = jax.tree.unflatten(structure, [jnp.asarray(arrays[name]) for name in wanted])
    nnx.replace_by_pure_dict(state, filled)
    nnx.update(model, state)


def write_models(path: Path, models: Mapping[str, nnx.Module]) -> None:
    """Weights and codes of several models in one .npz file."""
    arrays = {}
    for name, model in models.items():
        arrays |= {f"{name}/{key}": value for key, value in (_model_arrays(model) | _model_codes(model)).items()}
    write_arrays(path, arrays)


def read_models(path: Path, models: Mapping[str, nnx.Module]) -> None:
    """Gives models, in place, the weights of `write_models`; their codes must be those that were stored.

    Raises:
        ValueError: a file that is none, weights of other models, or codes that the cells of these would not hold.
    """
    arrays = read_arrays(path, subject="The weights of a run")
    owners = {key: key.split("/", 1)[0] for key in arrays}
    if unknown := sorted(key for key, owner in owners.items() if owner not in models):
        raise ValueError(f"{path} holds an unknown `{unknown[0]}`.")
    for name, model in models.items():
        own = {key.split("/", 1)[1]: arrays[key] for key, owner in owners.items() if owner == name and "/" in key}
        codes = {key: own.pop(key) for key in sorted(own) if key.endswith("/code")}
        _set_arrays(model, own, f"{path}, `{name}`,")
        found = _model_codes(model)
        for key in sorted(codes.keys() | found.keys()):
            if key not in codes or key not in found or not np.array_equal(codes[key], found[key]):
                raise ValueError(
                    f"{path} does not fit the configuration: the codes `{name}/{key}` are not those of the cells that "
                    "the configuration describes."
                )
