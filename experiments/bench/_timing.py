"""Timing side by side: every round calls every contender, so that what disturbs one disturbs all."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qsynapse_jax.crossbar import Wires

# A contender is called again and again for about this long in its turn: shorter calls are lost in the noise of the
# clock and of cold caches.
_TURN_S = 0.1

# BLAS threads spin for some 20 ms after a call; the next contender must not share its cores with them.
_SETTLE_S = 0.04

# A call that takes this long is timed once more only. No compilation does, so a first call that does tells enough.
_ENDLESS_S = 20.0

# From here on an untimed call before the timed ones costs more than cold caches do.
_LONG_S = 0.3


@dataclass(frozen=True)
class Contender:
    """Something that is timed.

    Attributes:
        name: in tables.
        call: `call(k)` does the k-th variation of the inputs and returns what it computed.
        variations: how many there are.
        compiled: the first call compiles, so it does not tell how long others take.
    """

    name: str
    call: Callable[[int], Any]
    variations: int = 1
    compiled: bool = False


def ours(
    name: str, function: Callable[..., Any], inputs: Sequence[Sequence[np.ndarray]], r: float, dtype: str
) -> Contender:
    """One of ours: `function(*arrays, wires)` in a precision, with inputs that lie on the device before the clock runs.

    Args:
        name: in tables.
        function: called as it is; jit it or not.
        inputs: arrays for every variation.
        r: every wire segment [ohm].
        dtype: "float32" or "float64".
    """
    with precision(dtype):
        wires = Wires(r, r)
        ready = [tuple(jnp.asarray(x, dtype) for x in one) for one in inputs]

    def call(k: int) -> Any:
        with precision(dtype):
            return jax.block_until_ready(function(*ready[k], wires))

    return Contender(name, call, len(ready), compiled=True)


def precision(dtype: str) -> Any:
    """Context in which JAX computes in `dtype` by itself."""
    return jax.enable_x64(dtype == "float64")


@dataclass
class Timing:
    """What was measured of a contender [s].

    Attributes:
        first: its first call, of variation 0; tracing and compilation included where there are any.
        result: what that call returned.
        rounds: medians of its turns, by round.
        calls: every timed call.
    """

    first: float
    result: Any = None
    rounds: dict[int, float] = field(default_factory=dict)
    calls: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Of all calls [s]."""
        return statistics.median(self.calls)

    @property
    def least(self) -> float:
        """Of all calls [s]."""
        return min(self.calls)

    def data(self) -> dict[str, Any]:
        """For the result file."""
        return {
            "first_s": self.first,
            "median_s": self.median,
            "min_s": self.least,
            "calls": len(self.calls),
            "rounds_s": list(self.rounds.values()),
        }


class Ratio(NamedTuple):
    """How many times longer one takes than another: of the medians, and the quartiles over the rounds they shared."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g}-{self.high:.3g})"


def ratio(slow: Timing, fast: Timing) -> Ratio:
    """Ratio of medians of two contenders of one race, with its spread."""
    value = slow.median / fast.median
    shared = [slow.rounds[number] / fast.rounds[number] for number in slow.rounds.keys() & fast.rounds.keys()]
    if len(shared) < 2:
        return Ratio(value, value, value)
    low, _, high = statistics.quantiles(shared, n=4, method="inclusive")
    return Ratio(value, low, high)


def race(
    contenders: Sequence[Contender],
    *,
    budget_s: float,
    rounds: int = 15,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Timing]:
    """Times the contenders in rounds.

    Args:
        contenders: what to time; names must differ.
        budget_s: what one of them may spend in all, about. One that is slow gets fewer rounds, but at least three if a
            call takes less than the budget, else two, and one if it takes 20 s and more.
        rounds: at most.
        progress: told what is going on.
    """
    timings: dict[str, Timing] = {}
    usual: dict[str, float] = {}
    for one in contenders:
        progress(f"first call: {one.name}")
        started = time.perf_counter()
        result = jax.block_until_ready(one.call(0))
        first = time.perf_counter() - started
        timings[one.name] = Timing(first, result)
        again = one.compiled and first < _ENDLESS_S
        usual[one.name] = _seconds(one, 1 % one.variations) if again else first
    turns = {name: _turns(seconds, budget_s, rounds) for name, seconds in usual.items()}
    total = max(turns.values())
    for number in range(total):
        progress(f"round {number + 1} of {total}")
        for one in contenders:
            mine = turns[one.name]
            if (number + 1) * mine // total == number * mine // total:
                continue
            _turn(one, timings[one.name], number, usual[one.name])
    return timings


def _turns(seconds: float, budget_s: float, rounds: int) -> int:
    least = 1 if seconds > _ENDLESS_S else 2 if seconds > budget_s else 3
    return min(rounds, max(least, int(budget_s / max(seconds, _TURN_S))))


def _turn(one: Contender, timing: Timing, number: int, usual: float) -> None:
    time.sleep(_SETTLE_S)
    if usual < _LONG_S:
        one.call(number % one.variations)
    calls = max(1, int(_TURN_S / usual))
    taken = [_seconds(one, (number + k) % one.variations) for k in range(min(calls, 200))]
    timing.calls += taken
    timing.rounds[number] = statistics.median(taken)


def _seconds(one: Contender, variation: int) -> float:
    started = time.perf_counter()
    jax.block_until_ready(one.call(variation))
    return time.perf_counter() - started
