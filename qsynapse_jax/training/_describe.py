"""What a training state is made of, in words that can be compared: never what training moves."""

import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from qsynapse_jax.nn import Physical
from qsynapse_jax.training._state import InPlace, State, model

# Set by `model.train()` and `model.eval()`: no property of a model.
_MODES = ("deterministic", "use_running_average")


def describe(state: State) -> dict[str, str]:
    """Every array by shape and dtype, every module by its settings, and what training leaves as it is by value."""
    entries = {"loss": _word(state.loss)}
    if isinstance(state.rule, InPlace):
        entries["rule"] = _value(state.rule.rule)
    for path, module in nnx.iter_modules(model(state)):
        settings = (
            f"{name}={_word(value)}" for name, value in sorted(vars(module).items()) if _is_setting(name, value)
        )
        entries[".".join(["model", *map(str, path)])] = f"{type(module).__name__}({', '.join(settings)})"
    for path, variable in nnx.to_flat_state(state.rest):
        if isinstance(variable, Physical):
            entries[".".join(["physical", *map(str, path)])] = _value(variable.get_value())
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        shape = ", ".join(map(str, leaf.shape))
        entries[jax.tree_util.keystr(path, simple=True, separator=".")] = f"{leaf.dtype}[{shape}]"
    return entries


def _is_setting(name: str, value: Any) -> bool:
    if name.startswith("_") or name in _MODES:
        return False
    plain = bool | int | float | complex | str | bytes | type | np.dtype | None
    return isinstance(value, plain) or callable(value) or (isinstance(value, tuple) and _is_plain(value))


def _is_plain(value: tuple) -> bool:
    return all(isinstance(v, bool | int | float | str | None) or (isinstance(v, tuple) and _is_plain(v)) for v in value)


def _word(value: Any) -> str:
    """Without addresses, which differ from process to process."""
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return repr(value)


def _value(value: Any) -> str:
    """In words, and with the exact numbers as a digest: words have four digits."""
    exact = hashlib.sha256()
    for leaf in jax.tree.leaves(value):
        exact.update(np.asarray(jnp.asarray(leaf)).tobytes())
    return f"{value!r} #{exact.hexdigest()[:6]}"
