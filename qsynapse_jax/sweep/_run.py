"""Runs a plan: here, or on the workers of a Dask cluster."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qsynapse_jax.sweep._plan import Plan
from qsynapse_jax.sweep._program import Done, Program, failed
from qsynapse_jax.sweep._read import open as read_store
from qsynapse_jax.sweep._store import Store, open_store

if TYPE_CHECKING:
    import xarray

# How often a chunk is tried anew on a cluster whose worker raised something that is no failure of a point.
_RETRIES = 2


class Progress(NamedTuple):
    """How far a sweep is.

    Attributes:
        points: of the plan.
        finished: that are there, failed ones too.
        failed: of these.
        computed: by this process.
        doing: in words.
    """

    points: int
    finished: int
    failed: int
    computed: int
    doing: str


@dataclass
class _Shape:
    """Points of one shape, and the chunks of them that are left; of those that are there, the points to try again."""

    group: int
    program: Program
    points: np.ndarray
    left: dict[int, np.ndarray | None]

    @property
    def words(self) -> str:
        return ", ".join(f"{name} = {value}" for name, value in self.program.static.items()) or "all points"

    def columns(self, chunk: int) -> dict[str, np.ndarray]:
        plan = self.program.plan
        chosen = self.points[chunk * plan.chunk : (chunk + 1) * plan.chunk]
        if (again := self.left[chunk]) is not None:
            chosen = chosen[again]
        return {name: values[chosen] for name, values in plan.columns.items()}

    def schema(self) -> Mapping[str, Any]:
        """What every point gives; nothing where the study fails at all of them."""
        try:
            return self.program.schema()
        except Exception:
            # A study of one's own may raise anything while it is traced: its points record that as they are computed.
            return {}


def run(
    plan: Plan,
    out: str | Path,
    *,
    resume: bool = False,
    retry: bool = False,
    scheduler: str | None = None,
    on_progress: Callable[[Progress], object] = lambda progress: None,
) -> "xarray.Dataset":
    """Computes every point of a plan that is not in the store yet, and gives what `open` gives.

    Points of one shape are compiled together, once, and run under `vmap` in batches that fit into memory, spread over
    all devices that this process has. Every chunk of them is written when it is done. A point that fails is recorded
    with its error, and the others go on.

    Args:
        plan: what to compute.
        out: folder of the store.
        resume: continue what another process began; begin where there is nothing.
        retry: compute points again that failed; those that are there stay as they are.
        scheduler: address of a Dask scheduler, "tcp://host:8786": chunks are computed by its workers, written here.
            What a lost worker had is computed by another one. Every worker needs this package and the module of the
            study, one thread, and a device of its own.
        on_progress: is told how far it is, after every chunk and before every compilation.

    Raises:
        OSError: the folder cannot be had, or the disk is full.
        ValueError: the folder holds a sweep of another plan.
    """
    path = Path(out)
    with open_store(plan, path, resume=resume) as store:
        marks, shapes = store.done(), []
        for group, (static, points) in enumerate(plan.groups()):
            left: dict[int, np.ndarray | None] = {}
            for chunk in range(-(-len(points) // plan.chunk)):
                errors = marks[group, chunk]["errors"] if (group, chunk) in marks else None
                if errors is None:
                    left[chunk] = None
                elif retry and errors:
                    left[chunk] = np.asarray(sorted(map(int, errors)))
            if left:
                shapes.append(_Shape(group, Program(plan, static, len(points)), points, left))
        told = _Told(plan.size, marks, retry, on_progress)
        try:
            for shape, chunk, done in (
                _here(store, shapes, told) if scheduler is None else _there(store, shapes, told, scheduler)
            ):
                store.write(shape.group, chunk, done, shape.left[chunk])
                told.add(done, shape.words)
        except BaseException as error:
            error.add_note(f"{told.finished} of {plan.size} points are in {path}: give `--resume` to continue.")
            raise
    return read_store(path)


class _Told:
    """Counts, and tells."""

    def __init__(self, points: int, marks: Mapping[Any, Any], retry: bool, listener: Callable[[Progress], object]):
        self.points, self.listener, self.computed = points, listener, 0
        self.finished = sum(mark["points"] for mark in marks.values())
        self.failed = sum(len(mark["errors"]) for mark in marks.values())
        if retry:
            self.finished, self.failed = self.finished - self.failed, 0
        self.say("beginning")

    def say(self, doing: str) -> None:
        self.listener(Progress(self.points, self.finished, self.failed, self.computed, doing))

    def add(self, done: Done, doing: str) -> None:
        self.finished += len(done.seconds)
        self.computed += len(done.seconds)
        self.failed += len(done.errors)
        self.say(doing)


def _here(store: Store, shapes: list[_Shape], told: _Told) -> Iterator[tuple[_Shape, int, Done]]:
    for shape in shapes:
        told.say(f"compiling {shape.words}")
        store.describe(shape.group, shape.program.static, shape.points, shape.schema())
        for chunk in shape.left:
            yield shape, chunk, shape.program.run(shape.columns(chunk))
        # Compiled programs keep memory, of which hundreds of shapes would take all.
        shape.program = Program(shape.program.plan, shape.program.static, len(shape.points))


def _there(store: Store, shapes: list[_Shape], told: _Told, scheduler: str) -> Iterator[tuple[_Shape, int, Done]]:
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise ValueError("A scheduler needs Dask: pip install 'qsynapse_jax[cluster]'.") from None
    try:
        connected = Client(scheduler, set_as_default=False)
    except OSError as error:
        raise OSError(f"No Dask scheduler answers at {scheduler} ({error}); begin one with `dask scheduler`.") from None
    with connected as client:
        wanted = {}
        for shape in shapes:
            told.say(f"looking at {shape.words}")
            store.describe(shape.group, shape.program.static, shape.points, shape.schema())
            # A task of its own, so that a worker gets it once and keeps what it compiles of it.
            program = client.submit(_program, shape.program, pure=False, retries=_RETRIES)
            for chunk in shape.left:
                columns = shape.columns(chunk)
                # Shape after shape: a worker compiles each of them once.
                future = client.submit(_computed, program, columns, pure=False, retries=_RETRIES, priority=-shape.group)
                wanted[future] = (shape, chunk)
        for future in as_completed(list(wanted), loop=client.loop):
            shape, chunk = wanted.pop(future)
            try:
                # Where its worker died just now, this waits for another one.
                done = future.result()
            except Exception as error:
                if future.status != "error":
                    # No fault of the points.
                    raise ConnectionError(f"The Dask scheduler at {scheduler} was lost ({error}).") from None
                done = failed(error, len(next(iter(shape.columns(chunk).values()))))
            yield shape, chunk, done
            future.release()


def _program(program: Program) -> Program:
    return program


def _computed(program: Program, columns: dict[str, np.ndarray]) -> Done:
    return program.run(columns)
