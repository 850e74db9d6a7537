"""Training inside the array against aihwkit: steps of a network under two rules, and updates of one array.

784-256-128-10, sigmoids, soft bounds of 50 states with spread and noise, rate 0.1, on MNIST images (digits if quick);
updates of 1024 x 1024 devices. Reads are perfect on both sides, trains have 31 slots at most, and a transfer
follows every presentation. aihwkit runs in an environment of its own, in turns with ours:

    python -m venv ENV && ENV/bin/pip install aihwkit==1.1.0 torch==2.10.0
    python -m experiments.bench.in_place --peer ENV/bin/python
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments._in_place import Sigmoids, begin, on_arrays
from experiments.bench._report import Report, shown_time
from experiments.bench._timing import Contender, Timing, race, ratio
from qsynapse_jax import datasets, devices, tile, training
from qsynapse_jax.training import rules

_SPREAD: dict[str, Any] = {
    "dw_min_dtod": 0.3,
    "w_max_dtod": 0.3,
    "w_min_dtod": 0.3,
    "up_down_dtod": 0.01,
    "dw_min_std": 0.3,
}
_RULES = {
    "sgd": (rules.AnalogSGD(0.1), (1.0,)),
    "agad": (rules.AGAD(0.1, every=1, trains=rules.PulseTrains(length=31)), (0.0, 1.0)),
}
_UPDATES = {"soft": (devices.SoftBounds, 0.04), "constant": (devices.ConstantStep, 0.001)}


@dataclass(frozen=True)
class Config:
    """How much is measured."""

    peer: Path | None = None
    """Python of an environment with aihwkit; without it ours is timed alone."""
    quick: bool = False
    """A small network and array: proves that it runs, not what it claims."""
    out: Path | None = None
    """Result file; beside this script where not given (if quick, in runs/quick/bench)."""
    hidden: tuple[int, ...] = (256, 128)
    """Hidden layers."""
    batches: tuple[int, ...] = (1, 64)
    """Samples per step."""
    steps: tuple[int, ...] = (500, 8)
    """Steps per call, for each size of a batch."""
    lines: int = 1024
    """Of the array that is updated."""
    repeats: int = 5
    """Updates per call."""
    budget: float = 20.0
    """Time one contender may take [s], about."""
    rounds: int = 9
    """At most."""


def main(config: Config) -> Path:
    """Runs the benchmark and writes its result."""
    if config.quick:
        config = Config(
            config.peer, True, config.out, (8,), steps=(20, 2), batches=(1, 4), lines=32, budget=0.1, rounds=2
        )
    report = Report("in_place", config)
    data = datasets.load("digits" if config.quick else "mnist")
    with _peer(config.peer) as ask, tempfile.TemporaryDirectory() as folder:
        if config.peer is not None:
            report.peers = {"aihwkit": "1.1.0"}
        for batch, steps in zip(config.batches, config.steps, strict=True):
            n = batch * steps
            x, y = data.x_train[:n].astype(np.float32), data.y_train[:n].astype(np.int64)
            job = {"kind": "step", "batch": batch, "length": 31} | _saved(Path(folder), f"{batch}", x=x, y=y)
            job["sizes"] = [x.shape[1], *config.hidden, data.n_classes]
            for rule in _RULES:
                race_ = [_ours(rule, job["sizes"], (x, y), batch), *_theirs(ask, job | {"rule": rule})]
                timings = race(race_, budget_s=config.budget, rounds=config.rounds, progress=report.progress)
                _table(report, f"A step, {rule}, batch {batch}", timings, steps, f"in_place_{rule}_{batch}")
        rng = np.random.default_rng(0)
        x = rng.uniform(0, 1, config.lines).astype(np.float32)
        d = rng.uniform(-0.5, 0.5, config.lines).astype(np.float32)
        for kind, (_, dw_min) in _UPDATES.items():
            job = {"kind": "update", "device": kind, "dw_min": dw_min, "n": config.lines, "length": 31, "rate": 0.1}
            job |= {"repeats": config.repeats} | _saved(Path(folder), kind, x=x, d=d)
            race_ = [_our_update(kind, x, d, config), *_theirs(ask, job)]
            timings = race(race_, budget_s=config.budget, rounds=config.rounds, progress=report.progress)
            title = f"An update of {config.lines} x {config.lines} devices, {kind} steps of {dw_min:g}"
            _table(report, title, timings, config.repeats, f"in_place_update_{kind}")
    report.note("Times are per step or update. First call: all of a call, with compilation.")
    return report.write()


def _saved(folder: Path, name: str, **arrays: np.ndarray) -> dict[str, Any]:
    """Arrays on disk, where the peer finds them."""
    for key, array in arrays.items():
        np.save(folder / f"{name}_{key}.npy", array)
    return {key: str(folder / f"{name}_{key}.npy") for key in arrays}


def _table(report: Report, title: str, timings: dict[str, Timing], per: int, figure: str) -> None:
    rows = []
    for name, timing in timings.items():
        times = (shown_time(timing.first), *(shown_time(t / per) for t in (timing.median, timing.least)))
        rows.append([name, *times, str(ratio(timing, timings["ours"]))])
        report.measure(job=title, contender=name, per=per, time=timing.data())
    report.table(title, ["", "first call", "median", "minimum", "times ours"], rows)
    if not report.config.quick and "aihwkit" in timings:
        report.figure(figure, ratio(timings["aihwkit"], timings["ours"]))


def _ours(rule: str, sizes: list[int], data: tuple[Any, Any], batch: int) -> Contender:
    """Epochs over the samples, one after the other."""
    analog = tile.analog(devices.SoftBounds(dw_min=0.04, **_SPREAD))
    moved, gains = _RULES[rule]
    state = begin(on_arrays(Sigmoids(sizes, 0), analog, gains, 0), moved, 0)

    def call(k: int) -> jax.Array:
        nonlocal state
        state, metrics = training.epoch(state, *data, batch)
        return jax.block_until_ready(metrics.losses)

    return Contender("ours", call, 1, compiled=True)


def _our_update(kind: str, x: np.ndarray, d: np.ndarray, config: Config) -> Contender:
    """Updates of one array, one after the other."""
    made, dw_min = _UPDATES[kind]
    device = made(dw_min=dw_min, **_SPREAD)
    trains = rules.PulseTrains(length=31)

    @jax.jit
    def updated(state: Any, key: jax.Array) -> Any:
        def one(state: Any, key: jax.Array) -> tuple[Any, None]:
            bits, noise = jax.random.split(key)
            sent = trains.send(jnp.asarray(x), jnp.asarray(d), 0.1 / dw_min, bits)
            return device.pulse(state, sent.counts(), key=noise), None

        return jax.lax.scan(one, state, jax.random.split(key, config.repeats))[0]

    state = device.init((config.lines, config.lines), key=jax.random.key(0))
    return Contender("ours", lambda k: jax.block_until_ready(updated(state, jax.random.key(k)).w), 3, compiled=True)


def _theirs(ask: Any, job: dict[str, Any]) -> list[Contender]:
    return [] if ask is None else [Contender("aihwkit", lambda k: ask(job), 1, compiled=True)]


@contextmanager
def _peer(python: Path | None) -> Iterator[Any]:
    """Asks a process of the peer for a job: it answers when the job is done."""
    if python is None:
        yield None
        return
    script = Path(__file__).with_name("_aihwkit.py")
    with subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None

        def ask(job: dict[str, Any]) -> float:
            assert process.stdout is not None
            print(json.dumps(job), file=process.stdin, flush=True)
            answer = process.stdout.readline()
            if not answer:
                raise RuntimeError("aihwkit ended without an answer; what it said stands above.")
            return json.loads(answer)

        yield ask
        process.stdin.close()


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m experiments.bench.in_place", description=__doc__))
