"""Files: read without trusting them, written whole or not at all, locked against a second process."""

import json
import math
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

try:
    import fcntl
except ImportError:
    # Windows has no such locks: two processes that write one folder are then the user's to avoid.
    fcntl = None

_READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# All that a damaged or hostile file has been seen to raise.
_UNREADABLE = (ValueError, OSError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


def read_arrays(
    path: Path, *, subject: str, remedy: str = ".", check_names: Callable[[list[str]], None] = lambda names: None
) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, or a `ValueError` of one line that names the file and the array.

    Args:
        path: the file.
        subject: what the file is to the reader of a message, e.g. "Argument `file`".
        remedy: the end of a message, e.g. how such a file is written.
        check_names: called before any array is read; raises where a name is unknown.
    """
    if not path.exists():
        raise ValueError(f"{subject} must be an .npz file, but {path} does not exist{remedy}")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename.removesuffix(".npy") for info in archive.infolist()]
    except _UNREADABLE:
        raise ValueError(f"{subject} must be an .npz file, but {path} is none{remedy}") from None
    check_names(names)
    arrays, name = {}, ""
    try:
        with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as stored:
            for name, info in zip(names, archive.infolist(), strict=True):
                _check_size(archive, info)
                arrays[name] = stored[name]
    except _UNREADABLE as error:
        raise ValueError(f"Array `{name}` of {path} cannot be read ({error}){remedy}") from None
    return arrays


def _check_size(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    """A header may claim any size, and NumPy allocates what it claims before it reads."""
    with archive.open(info) as member:
        read_header = _READ_HEADER.get(np.lib.format.read_magic(member))
        if read_header is None:
            return
        shape, _, dtype = read_header(member)
    size = math.prod(shape) * dtype.itemsize
    if size > info.file_size and not dtype.hasobject:
        raise ValueError(f"its header claims {size:,} bytes, but {info.file_size:,} are stored")


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes arrays by name into an .npz file."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **{name: np.asarray(array) for name, array in arrays.items()})  # pyright: ignore[reportArgumentType]

    write_whole(path, write)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` on a temporary neighbor of `path` and renames it: a reader sees the old file or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Writes what `plain` makes of settings."""
    text = json.dumps(content, indent=2) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON file that can be read ({error}).") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no record: it must hold an object, but holds {content!r:.60}.")
    return content


def hold(path: Path) -> int | None:
    """Locks a file, made where it is missing, for as long as this process lives or until the handle is closed.

    `None` where the file was moved away meanwhile: try again.

    Raises:
        BlockingIOError: another process holds it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None
