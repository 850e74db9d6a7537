"""Points of one shape: compiled once under `vmap`, run in batches that fit, spread over the devices that are there."""

import contextlib
import logging
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxpr_as_fun
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from qsynapse_jax._provenance import memory
from qsynapse_jax.sweep._axes import place
from qsynapse_jax.sweep._plan import Plan
from qsynapse_jax.sweep._study import Check, Labelled

# What the arrays of one batch may take [bytes]: of a CPU so that they stay in its caches (random arrays of 64 x 64
# cells took 0.8 ms each in batches of 16 or 64, 1.6 ms in one of 256); of an accelerator a share of its memory.
_CACHED = 8e6
_SHARE = 0.4
_LANES = "points"
# Characters of an error that are kept with a point.
_LONGEST = 2000


@dataclass
class Done:
    """What a chunk came to.

    Attributes:
        arrays: results by name, the points along their first axis; NaN or 0 where a point failed.
        errors: messages by the place of a point in the chunk.
        seconds: wall time of every point [s], compilation left out: its share of the batch that it was in.
    """

    arrays: dict[str, np.ndarray]
    errors: dict[int, str]
    seconds: np.ndarray


@dataclass
class Program:
    """All that points of one shape share.

    Args:
        plan: of which they are.
        static: values of the static axes.
        points: how many there are.

    Attributes:
        lanes: points of one batch, known once it is compiled.
        compile_seconds: what that took [s].
    """

    plan: Plan
    static: Mapping[str, Any]
    points: int
    lanes: int = 0
    compile_seconds: float = 0.0
    _compiled: dict[int, Any] = field(default_factory=dict)
    _busy: Any = field(default_factory=threading.Lock)

    def __getstate__(self) -> dict[str, Any]:
        """Without what only this process can run: whoever gets a copy compiles it for its own device."""
        return {"plan": self.plan, "static": self.static, "points": self.points}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)

    @property
    def varying(self) -> dict[str, np.dtype]:
        """Axes along which points are mapped, with the type that a program takes."""
        axes = self.plan.study.axes
        return {name: _dtype(axes[name].whole) for name in self.plan.columns if not axes[name].static}

    def schema(self) -> dict[str, Labelled | Check]:
        """What every point gives: shapes and types in place of arrays. Traces the study, once; compiles nothing."""
        return self._traced[1]

    @property
    def _traced(self) -> tuple[ClosedJaxpr, dict[str, Any]]:
        if not hasattr(self, "_trace"):
            one = {name: jax.ShapeDtypeStruct((), dtype) for name, dtype in self.varying.items()}
            self._trace = jax.make_jaxpr(self._point, return_shape=True)(one, self._constants())
        return self._trace

    def _point(self, varying: Mapping[str, Any], constants: Mapping[str, Any]) -> dict[str, Any]:
        study = self.plan.study
        fixed = {n: v for n, v in self.plan.constants.items() if study.axes[n].static}
        values = fixed | dict(self.static) | dict(varying) | dict(constants)
        return study(place(study.point, {study.axes[name].path: value for name, value in values.items()}))

    def _constants(self) -> dict[str, Any]:
        """Numbers that do not vary, as operands: another value of them is no other program."""
        axes = self.plan.study.axes
        return {
            name: np.asarray(value, _dtype(axes[name].whole))
            for name, value in self.plan.constants.items()
            if not axes[name].static
        }

    def run(self, columns: Mapping[str, np.ndarray]) -> Done:
        """Results of the points whose values are given, one by one where they fail together."""
        with self._busy, _quiet():
            count = len(next(iter(columns.values())))
            try:
                self._fitting()
            except Exception as error:
                return failed(error, count)
            given = {name: np.asarray(columns[name], dtype) for name, dtype in self.varying.items()}
            return self._batches(given, count)

    def _batches(self, given: dict[str, np.ndarray], count: int) -> Done:
        parts, begun = [], 0
        while begun < count:
            # Asked for every time: what does not fit into memory halves it.
            lanes = self._fitting()
            parts.append(self._batch(_rows(given, begun, begun + lanes), min(lanes, count - begun)))
            begun += lanes
        return _joined(parts)

    def _batch(self, batch: dict[str, np.ndarray], count: int) -> Done:
        try:
            out, seconds = self._call(batch, count, self._fitting())
        except Exception as error:
            if "RESOURCE_EXHAUSTED" in str(error) and self.lanes > self._devices:
                self._halve()
                return self._batches(batch, count)
            if count == 1:
                return failed(error, 1)
            # One of them has ended all: each by itself, so that the others are kept.
            return _joined([self._alone(_rows(batch, k, k + 1)) for k in range(count)])
        return _checked(out, count, seconds)

    def _alone(self, one: dict[str, np.ndarray]) -> Done:
        try:
            out, seconds = self._call(one, 1, 1)
        except Exception as error:
            return failed(error, 1)
        return _checked(out, 1, seconds)

    def _call(self, batch: dict[str, np.ndarray], count: int, lanes: int) -> tuple[dict[str, Any], float]:
        """Runs the program for `lanes` points; where there are fewer, the last is computed again and left out."""
        call = self._program(lanes)
        padded = {name: np.concatenate([v, np.repeat(v[-1:], lanes - count, 0)]) for name, v in batch.items()}
        started = time.perf_counter()
        out = jax.device_get(call(padded, self._constants()))
        return out, time.perf_counter() - started

    @property
    def _devices(self) -> int:
        return len(jax.local_devices())

    def _fitting(self) -> int:
        """Points of a batch: as many as fit, estimated from what is traced, then told by what is compiled."""
        if not self.lanes:
            on_cpu = jax.default_backend() == "cpu"
            most = (memory() or 4e9) * _SHARE
            each = max(1, _largest(self._traced[0].jaxpr))
            fitting, chunk = max(1, int((_CACHED if on_cpu else most) / each)), min(self.plan.chunk, self.points)
            # A chunk divided evenly into batches, and those among the devices.
            batches = -(-chunk // (fitting * self._devices))
            self.lanes = -(-chunk // (batches * self._devices)) * self._devices
            while self.lanes > self._devices and _temporary(self._program(self.lanes)) > most * self._devices:
                self._halve()
        return self.lanes

    def _halve(self) -> None:
        self.lanes = max(1, self.lanes // 2 // self._devices) * self._devices

    def _program(self, lanes: int) -> Any:
        if lanes not in self._compiled:
            traced, schema = self._traced
            structure = jax.tree.structure(schema)

            def point(varying: Mapping[str, Any], constants: Mapping[str, Any]) -> Any:
                return jax.tree.unflatten(structure, jaxpr_as_fun(traced)(*jax.tree.leaves((varying, constants))))

            on = self._devices if lanes % self._devices == 0 else 1
            mapped = jax.vmap(point, in_axes=(0, None), axis_size=lanes // on)
            options: dict[str, Any] = {}
            if on > 1:
                mesh, spread, same = Mesh(np.asarray(jax.local_devices()), (_LANES,)), P(_LANES), P()
                # Every device by itself. Left to the compiler, they would agree on every step of a loop, and wait for
                # each other for ever where the points of one of them raise.
                mapped = jax.shard_map(mapped, mesh=mesh, in_specs=(spread, same), out_specs=spread, check_vma=False)
                options = {"in_shardings": (NamedSharding(mesh, spread), NamedSharding(mesh, same))}
            shapes = {name: jax.ShapeDtypeStruct((lanes,), dtype) for name, dtype in self.varying.items()}
            started = time.perf_counter()
            self._compiled[lanes] = jax.jit(mapped, **options).lower(shapes, self._constants()).compile()
            self.compile_seconds += time.perf_counter() - started
        return self._compiled[lanes]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Meanwhile JAX does not print the way of every error that a callback of `equinox.error_if` raises."""
    logger = logging.getLogger("jax._src.callback")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _rows(batch: Mapping[str, np.ndarray], begin: int, end: int) -> dict[str, np.ndarray]:
    return {name: values[begin:end] for name, values in batch.items()}


def _dtype(whole: bool) -> np.dtype:
    return np.dtype(np.int32) if whole else np.dtype(jnp.result_type(float))


def _temporary(program: Any) -> int:
    """Memory that a compiled program takes beside its operands [bytes]; 0 where it does not say."""
    analysis = program.memory_analysis()
    return 0 if analysis is None else analysis.temp_size_in_bytes + analysis.output_size_in_bytes


def _largest(jaxpr: Jaxpr) -> int:
    """What the operands and results of the largest step of a program take [bytes], of one point."""
    found = 0
    for step in jaxpr.eqns:
        inner = [part for value in step.params.values() for part in _programs(value)]
        here = sum(_size(v.aval) for v in (*step.invars, *step.outvars))
        found = max(found, here, *map(_largest, inner)) if inner else max(found, here)
    return found


def _programs(value: Any) -> Iterator[Jaxpr]:
    if isinstance(value, ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, Jaxpr):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _programs(part)


def _size(aval: Any) -> int:
    shape, dtype = getattr(aval, "shape", ()), getattr(aval, "dtype", None)
    return prod(shape) * getattr(dtype, "itemsize", 4)


def _checked(out: dict[str, Any], count: int, seconds: float) -> Done:
    """Of a batch that ran: its arrays, and the points whose checks say that they failed."""
    errors: dict[int, str] = {}
    for check in out.values():
        if isinstance(check, Check):
            for where in np.flatnonzero(check.failed[:count]):
                errors.setdefault(int(where), check.message)
    arrays = {name: np.array(one.value[:count]) for name, one in out.items() if isinstance(one, Labelled)}
    for values in arrays.values():
        values[list(errors)] = np.nan if np.issubdtype(values.dtype, np.inexact) else 0
    return Done(arrays, errors, np.full(count, seconds / count))


def _joined(parts: list[Done]) -> Done:
    """One after the other; of points that gave no arrays, arrays like those of the others."""
    like = next((part.arrays for part in parts if part.arrays), {})
    errors, begun, arrays = {}, 0, {name: [] for name in like}
    for part in parts:
        count = len(part.seconds)
        errors |= {begun + where: message for where, message in part.errors.items()}
        for name, values in like.items():
            arrays[name].append(part.arrays[name] if part.arrays else _missing(values, count))
        begun += count
    joined = {name: np.concatenate(values) for name, values in arrays.items()}
    return Done(joined, errors, np.concatenate([part.seconds for part in parts]))


def _missing(values: np.ndarray, count: int) -> np.ndarray:
    fill: Any = np.nan if np.issubdtype(values.dtype, np.inexact) else 0
    return np.full((count, *values.shape[1:]), fill, values.dtype)


def failed(error: BaseException, count: int) -> Done:
    """Of points that all ended in an error."""
    # What equinox.error_if says stands in the middle of pages about where it was said.
    said = re.search(r"EquinoxRuntimeError: (.*?)\n+-{9}", str(error), re.DOTALL)
    message = said[1] if said else f"{type(error).__name__}: {' '.join(str(error).split())}"
    message = message[:_LONGEST]
    return Done({}, dict.fromkeys(range(count), message), np.zeros(count))
