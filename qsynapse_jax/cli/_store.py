"""What is written, a run's folder or one file: checked before work starts, each file whole or not at all."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from qsynapse_jax.cli._config import StudyConfig
from qsynapse_jax.nn import MLP, CrossbarDense, software_mlp, to_crossbar


class OutputError(OSError):
    """The output folder or file cannot be used; the message says why."""


def prepare_folder(folder: Path) -> None:
    """Makes the folder and proves that a file can be written there, before hours of work depend on it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"Argument `out` must be a folder that can be written, but {folder} is not ({error.strerror}); "
            "choose another with `--out DIR`."
        ) from None


def prepare_file(path: Path, *, source: Path) -> None:
    """Proves that a file can be written there, and that it is not the one that is being read."""
    if not path.parent.is_dir():
        raise OutputError(
            f"Argument `out` must lie in a folder that exists, but {path.parent} does not; make it first, e.g. "
            f"`mkdir -p {path.parent}`."
        )
    if path.exists() and path.samefile(source):
        raise OutputError(f"Argument `out` must not be the input, but is {path}; choose another with `--out FILE`.")
    # Renaming over a device such as /dev/null would destroy it.
    if path.exists() and not path.is_file():
        raise OutputError(f"Argument `out` must be a file, but {path} is a folder or a device; choose another name.")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(
            f"Argument `out` must be a file that can be written, but {path} is not ({error.strerror}); "
            "choose another with `--out FILE`."
        ) from None


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` on a temporary neighbour of `path` and renames it: a reader sees the old file or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A JSON file, indented for people."""
    text = json.dumps(content, indent=2, default=str) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text))


def network_arrays(name: str, network: MLP) -> dict[str, np.ndarray]:
    """Parameters of a network by name: NAME/LAYER/kernel, bias and, on crossbars, scale and code."""
    arrays = {}
    for number, layer in enumerate(network.layers):
        arrays[f"{name}/{number}/kernel"] = layer.kernel.get_value()
        arrays[f"{name}/{number}/bias"] = layer.bias.get_value()
        if isinstance(layer, CrossbarDense):
            arrays[f"{name}/{number}/scale"] = layer.scale.get_value()
            arrays[f"{name}/{number}/code"] = layer.code()
    return {key: np.asarray(value) for key, value in arrays.items()}


def write_weights(path: Path, networks: dict[str, MLP]) -> None:
    """All networks of a run in one .npz file."""
    arrays = {}
    for name, network in networks.items():
        arrays |= network_arrays(name, network)
    write_arrays(path, arrays)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Arrays by name in an .npz file."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]

    write_whole(path, write)


def read_weights(path: Path, config: StudyConfig) -> dict[str, MLP]:
    """The networks of `write_weights`; crossbar ones behind ideal wires."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    networks = {}
    for name in dict.fromkeys(key.split("/")[0] for key in arrays):
        kernels = [arrays[f"{name}/{k}/kernel"] for k in range(len(config.hidden_sizes) + 1)]
        network = software_mlp([kernels[0].shape[0], *(k.shape[1] for k in kernels)], rngs=nnx.Rngs(0))
        if f"{name}/0/scale" in arrays:
            network = to_crossbar(network, cell=config.cell.build(), wires=None, tile=config.tile_shape())
        for number, layer in enumerate(network.layers):
            for parameter in ("kernel", "bias", "scale"):
                if f"{name}/{number}/{parameter}" in arrays:
                    getattr(layer, parameter).set_value(jnp.asarray(arrays[f"{name}/{number}/{parameter}"]))
        networks[name] = network
    return networks
