"""Reference problems as data: circuits of ngspice, and random arrays with tags."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import qsynapse_jax as qs

GOLDEN = Path(__file__).parents[1] / "golden"


class Problem(NamedTuple):
    """One circuit. `tags` say what is special, so that a test can choose."""

    name: str
    g: np.ndarray  # [S]
    v_in: np.ndarray  # [V]
    wires: dict[str, float]  # [ohm]
    tags: frozenset[str] = frozenset()

    def padded(self, shape: tuple[int, int]) -> "Problem":
        """The same circuit in a larger array: the lines that are added, at the far ends, have only open cells."""
        rows, columns = (to - now for to, now in zip(shape, self.g.shape, strict=True))
        inputs = [(0, 0)] * (self.v_in.ndim - 1)
        g = np.pad(self.g, [(rows, 0), (0, columns)])
        return self._replace(g=g, v_in=np.pad(self.v_in, [*inputs, (rows, 0)]))

    def ohms(self, dtype: Any) -> dict[str, float]:
        """The wires as they are after rounding to a precision, for a reference solve."""
        return {name: float(np.asarray(r, dtype)) for name, r in self.wires.items()}

    def cast(self, dtype: Any) -> tuple[np.ndarray, np.ndarray, qs.crossbar.Wires]:
        """The arguments of `solve` in a precision."""
        return self.g.astype(dtype), self.v_in.astype(dtype), qs.crossbar.Wires(**self.wires)


class Golden(NamedTuple):
    """A circuit and what ngspice found."""

    problem: Problem
    i_out: np.ndarray
    v_word: np.ndarray
    v_bit: np.ndarray


def load_golden(name: str) -> Golden:
    """One file of `tests/golden`."""
    with np.load(GOLDEN / f"{name}.npz") as case:
        wires = {
            ours: float(case[theirs])
            for ours, theirs in (
                ("r_word", "r_word_line"),
                ("r_bit", "r_bit_line"),
                ("r_driver", "r_source"),
                ("r_sense", "r_sense"),
            )
        }
        problem = Problem(name, case["conductance"], case["voltage"], wires)
        return Golden(problem, case["bit_line_current"], case["word_line_node_voltage"], case["bit_line_node_voltage"])


def golden_names() -> list[str]:
    """The linear cases: cells that are resistors."""
    names = []
    for path in sorted(GOLDEN.glob("*.npz")):
        with np.load(path) as case:
            if case["cell"] == "resistor":
                names.append(path.stem)
    return names


def random_cells(shape: tuple[int, ...], *, seed: int, low: float = 1e-6, high: float = 1e-3) -> np.ndarray:
    """Conductances spread evenly on a logarithmic scale [S]."""
    rng = np.random.default_rng(seed)
    return np.exp(rng.uniform(np.log(low), np.log(high), shape))


def random_volts(shape: tuple[int, ...], *, seed: int) -> np.ndarray:
    """Voltages of both signs, up to 1 V."""
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def _problem(name: str, shape: tuple[int, int], wires: dict[str, float], *tags: str, **cells: Any) -> Problem:
    seed = sum(map(ord, name))
    g = random_cells(shape, seed=seed, **cells)
    if "open" in tags:
        g[np.random.default_rng(seed + 1).random(shape) < 0.4] = 0.0
        g[1, :] = 0.0  # a word line that carries nothing
        g[:, 2] = 0.0  # and a bit line
    if "no current" in tags:
        g[:] = 0.0
    return Problem(name, g, random_volts(shape[:1], seed=seed + 2), wires, frozenset(tags))


# One shape for all that needs no other, and those of `tests/golden` for the rest: each costs compilations.
SHAPE = (5, 7)
UNEQUAL = {"r_word": 3.0, "r_bit": 0.7, "r_driver": 20.0, "r_sense": 8.0}

PROBLEMS = [
    _problem("equal_wires", SHAPE, {"r_word": 1.0, "r_bit": 1.0}),
    _problem("unequal_wires", SHAPE, UNEQUAL),
    _problem("ideal_wires", SHAPE, {}, "ideal"),
    _problem("ideal_word_lines", SHAPE, {"r_bit": 5.0, "r_sense": 2.0}),
    _problem("ideal_bit_lines", SHAPE, {"r_word": 5.0, "r_driver": 2.0}),
    _problem("only_ends", SHAPE, {"r_driver": 150.0, "r_sense": 70.0}),
    _problem("open_cells", SHAPE, UNEQUAL, "open"),
    _problem("all_open", SHAPE, UNEQUAL, "open", "no current"),
    _problem("wide_range", SHAPE, {"r_word": 1.0, "r_bit": 2.0}, low=1e-12, high=1e-1),
    _problem("severe_drop", SHAPE, {"r_word": 1e3, "r_bit": 1e3}, "severe", low=1e-3, high=1e-2),
    _problem("tall", (32, 16), UNEQUAL),
    _problem("one_cell", (1, 1), UNEQUAL),
    _problem("one_word_line", (1, 16), UNEQUAL),
    _problem("one_bit_line", (16, 1), UNEQUAL),
]


def problem(name: str) -> Problem:
    """The problem of that name."""
    return next(p for p in PROBLEMS if p.name == name)


def as_float64(x: jax.Array | np.ndarray) -> np.ndarray:
    """For comparison with a reference: NumPy, double."""
    return np.asarray(x, np.float64)
