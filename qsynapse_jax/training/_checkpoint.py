"""Checkpoints of a training state: written as a whole or not at all, and read only into a state of the same kind."""

import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from qsynapse_jax.nn import Physical
from qsynapse_jax.training._state import InPlace, State, model

# Of what stands in the folder of a checkpoint. A new one must be given where an old reader would misread it.
_FORMAT = 1
_KEPT = 2
# Differences told; the rest is counted.
_TOLD = 12
# Set by `model.train()` and `model.eval()`: no property of a model.
_MODES = ("deterministic", "use_running_average")


def save(state: State, folder: str | Path) -> None:
    """Writes a checkpoint into `folder`, beside the one before; older ones are removed.

    A checkpoint is picked up only once all of it is on disk, whatever ends the process meanwhile. Written by Orbax.
    """
    write(state, folder, {})


def restore(folder: str | Path, *, like: State) -> State:
    """The newest checkpoint in `folder`, as it was saved to the last bit.

    Args:
        folder: as it was given to `save` or `fit`.
        like: a state of the same model and rule, e.g. a new one from `init`; its numbers do not matter, except those
            that training does not move: the physical parameters of tiles and the numbers of a rule must be the same.

    Raises:
        ValueError: a folder without a checkpoint, or with one that is damaged, of a newer format, or of another model
            or configuration, with what differs.
    """
    return read(folder, like)[0]


def write(state: State, folder: str | Path, extra: dict[str, Any]) -> None:
    """Likewise with more that is to be kept, anything that JSON can hold."""
    import orbax.checkpoint as ocp

    leaves = _leaves(state)
    entries = _described(state)
    note = {
        "format": _FORMAT,
        "fingerprint": _fingerprint(entries),
        "entries": entries,
        "step": int(state.step),
        "epoch": int(state.epoch),
        "extra": extra,
    }
    path = Path(folder).resolve()
    path.mkdir(parents=True, exist_ok=True)
    with _manager(path) as manager:
        # Counted, not named by the step: what is saved last is the newest, whichever run it came from.
        number = (manager.latest_step() or 0) + 1
        arrays = {name: np.asarray(_data(leaf)) for name, leaf in leaves.items()}
        parts = {"arrays": ocp.args.StandardSave(arrays), "note": ocp.args.JsonSave(note)}
        manager.save(number, args=ocp.args.Composite(**parts), force=True)


def has_checkpoint(folder: str | Path) -> bool:
    """Whether `restore` would find anything in `folder`."""
    path = Path(folder).resolve()
    if not path.is_dir():
        return False
    with _manager(path) as manager:
        return manager.latest_step() is not None


def read(folder: str | Path, like: State) -> tuple[State, dict[str, Any]]:
    """The newest checkpoint, and what `write` was given besides the state."""
    import orbax.checkpoint as ocp

    path = Path(folder).resolve()
    if not has_checkpoint(path):
        raise ValueError(
            f"Folder {path} holds no checkpoint; give the folder that `training.save` or `training.fit` wrote to."
        )
    with _manager(path) as manager:
        number = manager.latest_step()
        note = _part(manager, number, path, "note", ocp.args.JsonRestore())
        _check_note(note, like, path)
        wanted = {
            name: jax.ShapeDtypeStruct(data.shape, data.dtype)
            for name, leaf in _leaves(like).items()
            for data in (np.asarray(_data(leaf)),)
        }
        arrays = _part(manager, number, path, "arrays", ocp.args.StandardRestore(wanted))
    leaves = [_placed(np.asarray(arrays[name]), leaf) for name, leaf in _leaves(like).items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves), note["extra"]


def _manager(path: Path) -> Any:
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(max_to_keep=_KEPT, enable_async_checkpointing=False, create=False)
    return ocp.CheckpointManager(path, options=options)


def _part(manager: Any, number: int, path: Path, name: str, how: Any) -> Any:
    import orbax.checkpoint as ocp

    try:
        found = manager.restore(number, args=ocp.args.Composite(**{name: how}))[name]
    except Exception as error:  # Orbax, TensorStore and JSON raise errors of a dozen types
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"Folder {path / str(number)} is no checkpoint of `training.save`, or is damaged: {reason[0]}"
        ) from error
    return found


def _check_note(note: Any, like: State, path: Path) -> None:
    if not isinstance(note, dict) or not {"format", "entries", "fingerprint", "extra"} <= set(note):
        raise ValueError(f"Folder {path} holds a checkpoint, but none of `training.save`.")
    if note["format"] > _FORMAT:
        raise ValueError(
            f"Folder {path} holds a checkpoint of format {note['format']}, newer than format {_FORMAT}, which this "
            "version reads; use the version of qsynapse_jax that wrote it, or a newer one."
        )
    entries = _described(like)
    if lines := differences(note["entries"], entries):
        raise ValueError(
            f"Folder {path} holds a checkpoint of another model or configuration (fingerprint {note['fingerprint']} "
            f"stored, {_fingerprint(entries)} expected):\n" + told(lines)
        )


def differences(stored: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """One line for every entry that is not the same in both."""
    lines = []
    for name in sorted({*stored, *expected}):
        if name not in expected:
            lines.append(f"  {name}: extra in the checkpoint, {stored[name]}")
        elif name not in stored:
            lines.append(f"  {name}: missing in the checkpoint, {expected[name]} expected")
        elif stored[name] != expected[name]:
            lines.append(f"  {name}: {stored[name]} stored, {expected[name]} expected")
    return lines


def told(lines: list[str]) -> str:
    """As many lines as one reads."""
    more = len(lines) - _TOLD
    return "\n".join(lines if more <= 0 else [*lines[:_TOLD], f"  and {more} more"])


def _fingerprint(entries: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()[:12]


def digest(*arrays: Any) -> str:
    """What tells other numbers from these, to the last bit."""
    exact = hashlib.sha256()
    for array in arrays:
        exact.update(np.asarray(array).tobytes())
    return exact.hexdigest()[:12]


def _described(state: State) -> dict[str, str]:
    """What a state is made of, in words that can be compared, never what training moves.

    Every array is told by shape and dtype, every module by its settings, and what training leaves as it is by value.
    """
    entries = {"loss": _word(state.loss), "refresh": "always" if state.refresh is None else repr(state.refresh)}
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
    for name, leaf in _leaves(state).items():
        entries[name] = f"{leaf.dtype}[{', '.join(map(str, leaf.shape))}]"
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
    return f"{value!r} #{digest(*map(jnp.asarray, jax.tree.leaves(value)))[:6]}"


def _leaves(state: State) -> dict[str, Any]:
    flat, _ = jax.tree_util.tree_flatten_with_path(state)
    # Slashes would make folders of them.
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in flat}


def _data(leaf: jax.Array) -> jax.Array:
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _placed(value: np.ndarray, like: jax.Array) -> jax.Array:
    """The number where and as the other one lies: a key of its kind, on its devices."""
    data = _data(like)
    # What is bound to its devices is another argument to a compiled program than what is not.
    placed = jax.device_put(value, data.sharding) if data.committed else jnp.asarray(value)
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(placed, impl=jax.random.key_impl(like))
    return placed
