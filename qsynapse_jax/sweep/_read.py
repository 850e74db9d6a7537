"""A store as one labelled data set."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qsynapse_jax._arrays import read_arrays, read_json
from qsynapse_jax.sweep._store import COLUMNS, INDEX, POINTS, SECONDS, SHAPES, SWEEP, read_marks

if TYPE_CHECKING:
    import xarray

PENDING, FINISHED, FAILED = 0, 1, 2
_STATUS = {
    "long_name": "whether a point is there",
    "flag_values": [PENDING, FINISHED, FAILED],
    "flag_meanings": "pending finished failed",
}


class _Part(NamedTuple):
    """One array of the points of one shape: which points they are, where it is known, and its labels."""

    index: np.ndarray
    known: np.ndarray
    values: np.ndarray
    dims: tuple[str, ...]
    attributes: dict[str, Any]


def open(path: str | Path) -> "xarray.Dataset":
    """What a sweep has found so far, complete or not.

    Args:
        path: folder of the store.

    Returns:
        The results by name, with units. Of a grid its axes are dimensions, `ds.loss.sel(r_wire=1.0)`; of other plans
        the points are, and the axes are coordinates along them. Results whose lengths differ from shape to shape are
        padded with NaN at the end. `status` is 0 where a point is not computed yet, 1 where it is, 2 where it failed,
        with the message in `error`; there numbers are NaN. `wall_time` [s] is that of every point. Attributes:
        `study`, `settings` (all that was asked) and `runs` (versions, device and start of every process that wrote) as
        JSON, `points`, `finished`, `failed`.

    Raises:
        ValueError: there is no sweep in the folder.
    """
    import xarray as xr

    path = Path(path)
    if not (path / SWEEP).is_file():
        raise ValueError(f"There is no sweep in {path}: {path / SWEEP} does not exist.")
    content = read_json(path / SWEEP)
    settings, grid = content["settings"], content["grid"]
    size = settings["points"]
    columns = read_arrays(path / COLUMNS, subject="The points of a sweep")
    status, error = np.zeros(size, np.int8), np.full(size, "", object)
    parts: dict[str, list[_Part]] = {}
    for name, part in _parts(path, settings["chunk"], status, error):
        parts.setdefault(name, []).append(part)
    shape, dims = (tuple(grid.values()), tuple(grid)) if grid else ((size,), ("point",))

    def variable(values: np.ndarray, inner: tuple[str, ...], attributes: dict[str, Any]) -> "xarray.Variable":
        return xr.Variable((*dims, *inner), values.reshape(*shape, *values.shape[1:]), attributes)

    coords = {}
    for number, (name, values) in enumerate(columns.items()):
        unit = {"units": settings["axes"][name]["unit"]}
        along = np.moveaxis(values.reshape(shape), number, 0).reshape(shape[number], -1)[:, 0] if grid else values
        coords[name] = xr.Variable((name if grid else "point",), along, unit)
    results = {name: variable(*_whole(found, size)) for name, found in parts.items()}
    if SECONDS in results:
        results[SECONDS] = results.pop(SECONDS)
    results["status"] = variable(status, (), _STATUS)
    results["error"] = variable(error, (), {"long_name": "why a point failed"})
    counts = {"finished": int(np.sum(status == FINISHED)), "failed": int(np.sum(status == FAILED))}
    about = {"study": settings["study"], "settings": json.dumps(settings), "runs": json.dumps(content["runs"])}
    return xr.Dataset(results, coords, {**about, "points": size, **counts})


def _parts(path: Path, chunk: int, status: np.ndarray, error: np.ndarray) -> Iterator[tuple[str, _Part]]:
    """All arrays, shape by shape; meanwhile `status` and `error` are filled in."""
    import zarr

    marks = read_marks(path)
    for described in sorted((path / SHAPES).glob("[0-9]*.json")):
        content = read_json(described)
        count = content["points"]
        arrays: Any = zarr.open_group(path / POINTS / described.stem, mode="r", zarr_format=3)
        index, known = arrays[INDEX][:], np.zeros(count, bool)
        timed = np.zeros(count, bool)
        for (group, number), mark in marks.items():
            if group != int(described.stem):
                continue
            here = slice(number * chunk, number * chunk + mark["points"])
            known[here] = timed[here] = True
            status[index[here]] = FINISHED
            for where, message in mark["errors"].items():
                place = number * chunk + int(where)
                known[place], status[index[place]], error[index[place]] = False, FAILED, message
        for name in (*content["results"], SECONDS):
            array, there = arrays[name], timed if name == SECONDS else known
            yield name, _Part(index, there, array[:], tuple(array.metadata.dimension_names[1:]), dict(array.attrs))


def _whole(parts: list[_Part], size: int) -> tuple[np.ndarray, tuple[str, ...], dict[str, Any]]:
    """One array for all points, padded with NaN where shapes differ and where a point is not known."""
    first = parts[0]
    if odd := [part.dims for part in parts if part.dims != first.dims]:
        raise ValueError(f"Results of one name must have the same dimensions, but these are {first.dims} and {odd[0]}.")
    inner = tuple(max(part.values.shape[1 + axis] for part in parts) for axis in range(len(first.dims)))
    full = all(part.values.shape[1:] == inner for part in parts) and sum(part.known.sum() for part in parts) == size
    dtype = np.result_type(*(part.values.dtype for part in parts))
    if not full and not np.issubdtype(dtype, np.inexact):
        # Integers and truth values have no NaN.
        dtype = np.dtype(float)
    whole = np.empty((size, *inner), dtype) if full else np.full((size, *inner), np.nan, dtype)
    for part in parts:
        where = (part.index[part.known], *(slice(n) for n in part.values.shape[1:]))
        whole[where] = part.values[part.known]
    return whole, first.dims, first.attributes
