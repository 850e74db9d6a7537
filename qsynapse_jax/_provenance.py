"""Where a result comes from: versions, machine and memory, settings as a file can hold them, and how two differ."""

import dataclasses
import math
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

import qsynapse_jax

_PACKAGES = ("jax", "jaxlib", "flax", "equinox", "optax", "numpy")
# The limit of a container, where there is one.
_CONTAINER = Path("/sys/fs/cgroup/memory.max")


def versions() -> dict[str, str]:
    """Of Python and the packages that a result depends on."""
    found = {"qsynapse_jax": qsynapse_jax.__version__, "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in _PACKAGES}


def device() -> str:
    """The machine in words: accelerator, or processor and the cores that this process may use."""
    first = jax.devices()[0]
    if first.platform != "cpu":
        return f"{first.platform.upper()}: {len(jax.devices())} x {first.device_kind}"
    processor, info = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if info.exists():
        named = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        processor = named[0] if named else processor
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"CPU: {processor}, {cores} cores"


def memory() -> int | None:
    """Memory of the device that computes, or of the machine [bytes]; `None` where nobody says."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit")
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    try:
        return min(there, int(_CONTAINER.read_text()))
    except (OSError, ValueError):
        return there


def plain(value: Any) -> Any:
    """A value as JSON can hold it: a path as text, a number that is not finite as "inf" or "nan"."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def differences(asked: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """What differs between the settings that are asked for here and those that a file holds, in words."""
    here, stored = _flat(asked), _flat(there)
    return [
        f"`{name}` is {stored.get(name, 'not set')!r} there and {here.get(name, 'not set')!r} here"
        for name in dict.fromkeys([*here, *stored])
        if here.get(name) != stored.get(name)
    ]


def _flat(content: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(content, Mapping):
        return {name: content}
    parts = [_flat(part, key if name in ("", "config") else f"{name}.{key}") for key, part in content.items()]
    return {key: value for part in parts for key, value in part.items()}
