"""Compiled programs of one run, kept for the next: JAX's persistent compilation cache, in the user's cache folder.

JAX takes what it finds there for what it wrote. So that a damaged file is neither run nor complained about, each entry
has its checksum beside it, written when the command that made it ends, and what has none, or another, is removed
before the next one begins.
"""

import contextlib
import hashlib
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import pooch
from jax.experimental.compilation_cache import compilation_cache

# Bytes that may be there when a command begins. The 180 programs of `qsynapse demo` take 2.3 MB, 0.9 of them an epoch.
_MOST = 200_000_000

# JAX by itself keeps what takes a second to compile. A small training that compiles all takes 60 s of processor time,
# one that finds the dozen programs of JAX's own choice 19 s, one that finds all 184 of them 15 s: epochs and accuracies
# are most of it, and call nobody so that they can be kept. Where a variable of JAX names a folder, others of JAX say
# what goes there.
_SETTINGS = {"jax_persistent_cache_min_compile_time_secs": 0.0, "jax_persistent_cache_min_entry_size_bytes": 0}

_ENTRY, _SUM = "-cache", ".sha256"


@dataclass(frozen=True)
class Cache:
    """Whether a command keeps what it compiles."""

    compilation_cache: bool = True
    """Keep no compiled programs for the next run. Else they go into the user's cache folder, or the one that
    JAX_COMPILATION_CACHE_DIR names."""


@contextlib.contextmanager
def kept_programs(cache: Cache, say: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile JAX keeps what it compiles and takes what is there; nothing is kept where `cache` says so.

    What was set before is set again afterwards. `say` is told where new programs went, or why none can go anywhere.
    """
    names = ("jax_compilation_cache_dir", "jax_enable_compilation_cache", *_SETTINGS)
    before = {name: getattr(jax.config, name) for name in names}
    changed: dict[str, object] = {}
    folder = None
    if not cache.compilation_cache:
        changed = {"jax_enable_compilation_cache": False}
    elif before["jax_compilation_cache_dir"] is None and before["jax_enable_compilation_cache"]:
        folder = _folder(say)
        changed = {} if folder is None else {"jax_compilation_cache_dir": str(folder), **_SETTINGS}
    new = 0
    try:
        _update(changed)
        yield
    finally:
        _update({name: before[name] for name in changed})
        new = 0 if folder is None else _seal(folder)
    if new:
        say(f"{new} compiled programs are kept for the next run in {folder}; not with --no-compilation-cache.")


def _update(settings: dict[str, object]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    # JAX looks at them once, before the first program.
    if settings:
        compilation_cache.reset_cache()


def _folder(say: Callable[[str], None]) -> Path | None:
    """The folder, swept, for programs of this machine; `None` where nothing can be written."""
    folder = Path(pooch.os_cache("qsynapse_jax")) / "compiled" / _machine()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        _sweep(folder)
    except OSError as error:
        say(f"compiled programs are not kept: {folder} cannot be used ({error.strerror}).")
        return None
    return folder


def _machine() -> str:
    """A name for the processor: what was compiled for another one, in a home that both share, may not run here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    known = sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    return hashlib.sha256("\n".join([platform.machine(), platform.processor(), *known]).encode()).hexdigest()[:12]


def _entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith(_ENTRY)]


def _beside(entry: Path) -> Path:
    return entry.with_name(entry.name + _SUM)


def _digest(entry: Path) -> str:
    return hashlib.sha256(entry.read_bytes()).hexdigest()


def _sweep(folder: Path) -> None:
    """Removes what is damaged or was never finished, and the oldest of what is too much."""
    room = _MOST
    for entry in sorted(_entries(folder), key=lambda path: path.stat().st_mtime, reverse=True):
        room -= entry.stat().st_size
        kept = _beside(entry)
        if room < 0 or not kept.exists() or kept.read_text() != _digest(entry):
            entry.unlink(missing_ok=True)
            kept.unlink(missing_ok=True)


def _seal(folder: Path) -> int:
    """Writes the checksums of new entries; how many there are."""
    new = 0
    with contextlib.suppress(OSError):
        for entry in _entries(folder):
            if not _beside(entry).exists():
                _beside(entry).write_text(_digest(entry))
                new += 1
    return new
