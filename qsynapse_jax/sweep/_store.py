"""The store of a sweep: labelled arrays that grow by whole chunks, whatever ends the process that writes them.

    DIR/sweep.json          what was asked, by which versions, on which machine
    DIR/plan.npz            values of the axes at every point
    DIR/shapes/000.json     of the points of one shape: which they are, what each gives
    DIR/points.zarr/000     their arrays (Zarr, names of dimensions and units as xarray reads them)
    DIR/done/000-00000.json a chunk is there: wall time, and what failed in it

A chunk of points is a chunk of every array, so no two of them share a file, and its mark is written, whole, when all of
its arrays are. What has no mark is not there: it is computed again, and never read.
"""

import contextlib
import errno
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qsynapse_jax._arrays import hold, read_json, write_arrays, write_json
from qsynapse_jax._provenance import device, differences, plain, versions
from qsynapse_jax.sweep._plan import Plan
from qsynapse_jax.sweep._program import Done
from qsynapse_jax.sweep._study import Check, Labelled

SWEEP, COLUMNS, SHAPES, POINTS, DONE, LOCK = "sweep.json", "plan.npz", "shapes", "points.zarr", "done", "lock"
SECONDS, INDEX = "wall_time", "index"
_TAKEN = {SECONDS, INDEX, "status", "error", "point"}


def mark_name(group: int, chunk: int) -> str:
    """File that says that a chunk is there."""
    return f"{group:03d}-{chunk:05d}.json"


class Store:
    """A store that this process writes; `open_store` gives it."""

    def __init__(self, path: Path, plan: Plan):
        self.path, self.plan, self.run = path, plan, 0

    def done(self) -> dict[tuple[int, int], dict[str, Any]]:
        """Marks of the chunks that are there, by group and number."""
        return read_marks(self.path)

    def describe(self, group: int, static: Mapping[str, Any], points: np.ndarray, schema: Mapping[str, Any]) -> None:
        """Makes the arrays for points of one shape, unless they are there.

        Args:
            group: number of the shape.
            static: values of the static axes.
            points: which points of the plan they are.
            schema: what each of them gives; empty where not even that is known, since all fail.
        """
        import zarr

        path = self.path / SHAPES / f"{group:03d}.json"
        outputs = {name: one for name, one in schema.items() if isinstance(one, Labelled)}
        # Where all points failed before anybody knew what they give, nothing is lost by making the arrays anew.
        if path.exists() and (read_json(path)["results"] or not outputs):
            return
        used = {*outputs, *(dim for one in outputs.values() for dim in one.dims)}
        if taken := sorted((_TAKEN | self.plan.study.axes.keys()) & used):
            raise ValueError(f"A result must not be called `{taken[0]}`, which is an axis or kept for every point.")
        root = zarr.open_group(self.path / POINTS, mode="a", zarr_format=3)
        made, chunk = root.create_group(f"{group:03d}", overwrite=True), self.plan.chunk

        def create(name: str, shape: tuple[int, ...], dtype: Any, dims: tuple[str, ...], **attributes: str) -> Any:
            fill = np.nan if np.issubdtype(dtype, np.inexact) else np.zeros((), dtype)[()]
            return made.create_array(
                name,
                shape=shape,
                chunks=(min(chunk, len(points)), *(max(1, n) for n in shape[1:])),
                dtype=dtype,
                dimension_names=dims,
                fill_value=fill,
                attributes={key: text for key, text in attributes.items() if text},
            )

        for name, one in outputs.items():
            shape, dims = (len(points), *one.value.shape), ("point", *one.dims)
            create(name, shape, np.dtype(one.value.dtype), dims, units=one.unit, long_name=one.what)
        what = "share of a point in the wall time of its batch, compilation left out"
        create(SECONDS, (len(points),), np.dtype(float), ("point",), units="s", long_name=what)
        create(INDEX, (len(points),), np.dtype(np.int64), ("point",), long_name="number of a point in the plan")[:] = (
            points
        )
        for name, values in self.plan.columns.items():
            column = values[points]
            # Texts have no fixed width in Zarr; they are static, so all the same, and stand in the description.
            if np.issubdtype(column.dtype, np.number):
                unit = self.plan.study.axes[name].unit
                create(name, column.shape, column.dtype, ("point",), units=unit)[:] = column
        described = {name: {"dims": list(one.dims), "unit": one.unit} for name, one in outputs.items()}
        checks = {name: one.message for name, one in schema.items() if isinstance(one, Check)}
        content = {"static": plain(static), "points": len(points), "results": described, "checks": checks}
        write_json(path, content)

    def write(self, group: int, chunk: int, done: Done, again: np.ndarray | None = None) -> None:
        """Writes a chunk, then its mark; `again`: only these of its points, the others stay."""
        import zarr

        begin, mark = chunk * self.plan.chunk, self.path / DONE / mark_name(group, chunk)
        count = len(done.seconds) if again is None else read_json(mark)["points"]
        rows = np.arange(count) if again is None else again
        arrays: Any = zarr.open_group(self.path / POINTS / f"{group:03d}", mode="r+", zarr_format=3)
        for name, values in (done.arrays | {SECONDS: done.seconds}).items():
            region = slice(begin, begin + count)
            whole = values if again is None else arrays[name][region]
            whole[rows] = values
            arrays[name][region] = whole
        errors = {str(rows[where]): message for where, message in done.errors.items()}
        content = {"points": count, "seconds": float(done.seconds.sum()), "errors": errors}
        content |= {"run": self.run, "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        write_json(mark, content)


@contextlib.contextmanager
def _room(path: Path) -> Iterator[None]:
    """Says what a full disk means for the store."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        full = OSError(
            f"The disk is full ({error.strerror}): what was just computed was not written to {path}. All that was "
            "finished before can be read; make room and give `--resume` (`resume=True`) to continue."
        )
        full.errno = error.errno
        for note in getattr(error, "__notes__", ()):
            full.add_note(note)
        raise full from None


def read_marks(path: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """Marks of the chunks that are there, by group and number."""
    found = {}
    for mark in sorted((path / DONE).glob("[0-9]*-[0-9]*.json")):
        group, chunk = mark.stem.split("-")
        found[int(group), int(chunk)] = read_json(mark)
    return found


@contextlib.contextmanager
def open_store(plan: Plan, path: Path, *, resume: bool) -> Iterator[Store]:
    """The store for a plan, which no second process can have meanwhile.

    Raises:
        OSError: a folder that is used, is being used, or cannot be written.
        ValueError: a store of another plan; says what differs.
    """
    handle = _lock(path)
    try:
        store = Store(path, plan)
        with _room(path):
            _begin(store, resume=resume)
            yield store
    finally:
        os.close(handle)


def _lock(path: Path) -> int:
    if path.exists() and not path.is_dir():
        raise OSError(f"Argument `out` must be a folder, but {path} is a file; choose another with `--out DIR`.")
    names = {one.name for one in path.iterdir() if not one.name.startswith(".")} if path.is_dir() else set()
    # Killed before it had said what it was about, a sweep leaves some of these, and nothing else.
    if SWEEP not in names and (foreign := sorted(names - {LOCK, COLUMNS, SHAPES, DONE})):
        raise FileExistsError(
            f"{path} holds files of another kind, `{foreign[0]}`; choose a new name with `--out DIR`."
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = None
        while handle is None:
            handle = hold(path / LOCK)
        return handle
    except BlockingIOError:
        raise BlockingIOError(
            f"Another process is writing the sweep in {path}; wait for it, or choose a new name with `--out DIR`."
        ) from None
    except OSError as error:
        raise OSError(
            f"Argument `out` must be a folder that can be written, but {path} is not ({error.strerror}); choose "
            "another with `--out DIR`."
        ) from None


def _begin(store: Store, *, resume: bool) -> None:
    path, settings = store.path, _settings(store.plan)
    here = {"versions": versions(), "device": device(), "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    runs = []
    if (path / SWEEP).exists():
        found = read_json(path / SWEEP)
        if odd := differences(settings, found.get("settings", {})):
            raise ValueError(
                f"The store in {path} was made by another plan: {'; '.join(odd)}. Choose a new name with `--out DIR`."
            )
        if not resume:
            raise FileExistsError(
                f"{path} holds a sweep of this plan: give `--resume` (`resume=True`) to continue it, or choose a new "
                "name with `--out DIR`."
            )
        runs = found["runs"]
    store.run = len(runs)
    for name in (SHAPES, DONE):
        (path / name).mkdir(exist_ok=True)
    for left in [
        *path.glob(".*.json"),
        *path.glob(".*.npz"),
        *(path / SHAPES).glob(".*.json"),
        *(path / DONE).glob(".*.json"),
    ]:
        left.unlink(missing_ok=True)
    write_arrays(path / COLUMNS, store.plan.columns)
    write_json(path / SWEEP, {"settings": settings, "grid": dict(store.plan.shape), "runs": [*runs, here]})


def _settings(plan: Plan) -> dict[str, Any]:
    import jax.numpy as jnp

    return plan.settings() | {"precision": jnp.result_type(float).name}
