"""The circuits that are timed, and their textbook form, in which the peers get them.

The nodal equations have 2 wl bl unknowns: the voltages of both nodes of every cell. With wires of more than 0 ohm the
matrix is symmetric and positive definite, which is what SuperLU's symmetric mode, CHOLMOD and KLU are best at.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

from qsynapse_jax.crossbar import Sinh

# Of SciPy's orderings the best for these matrices; with diagonal pivots and one vector a solve it is what SuperLU can
# do: a matrix of right-hand sides takes six times longer there.
SYMMETRIC = {"diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}


class Cells(NamedTuple):
    """Range of cell resistances [ohm], log-uniform."""

    low: float
    high: float

    @property
    def label(self) -> str:
        """In words."""
        low, high = (_short(r) for r in self)
        return f"all {low}" if self.low == self.high else f"{low}-{high}"

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Conductances [S]."""
        return 1 / np.exp(rng.uniform(np.log(self.low), np.log(self.high), shape))


def _short(r: float) -> str:
    size, prefix = next((size, prefix) for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if r >= size)
    return f"{r / size:g}{prefix}"


MILD = Cells(10e3, 1e6)
WIDE = Cells(1e3, 1e6)
LOW = Cells(1e3, 1e3)


class Problem:
    """One array, its inputs, and its nodal equations, which are assembled once and not timed.

    Attributes:
        g: conductances [S], shape (wl, bl).
        v_in: inputs [V], shape (inputs, wl).
        r: every wire segment [ohm], more than 0.
        matrix: nodal conductances [S], word-line nodes before bit-line nodes, compressed columns.
        rhs: source currents [A], shape (inputs, nodes).
    """

    def __init__(self, g: np.ndarray, v_in: np.ndarray, r: float):
        self.g, self.v_in, self.r = g, v_in, r
        self.matrix = nodal_matrix(g, r)
        self.rhs = np.zeros((len(v_in), 2 * g.size))
        self.rhs[:, : g.size : g.shape[1]] = v_in / r

    def i_out(self, nodes: np.ndarray) -> np.ndarray:
        """Bit-line currents [A] from node voltages, shape (..., nodes)."""
        return nodes[..., -self.g.shape[1] :] / self.r

    def reference(self) -> np.ndarray:
        """Bit-line currents by sparse LU in float64 with one step of refinement [A], shape (inputs, bl)."""
        factors = splu(self.matrix, permc_spec="MMD_AT_PLUS_A", **SYMMETRIC)
        found = []
        for b in self.rhs:
            x = factors.solve(b)
            found.append(self.i_out(x + factors.solve(b - self.matrix @ x)))
        return np.stack(found)


def make(n: int, cells: Cells, *, r: float = 1.0, inputs: int = 1, seed: int = 0) -> Problem:
    """An n x n array of random cells with inputs of 0 to 1 V, all float32 numbers, so that everyone solves the same."""
    rng = np.random.default_rng([seed, n, inputs])
    g = cells.draw((n, n), rng).astype(np.float32).astype(float)
    return Problem(g, rng.uniform(0, 1, (inputs, n)).astype(np.float32).astype(float), r)


def nodal_matrix(g: np.ndarray, r: float) -> csc_matrix:
    """Conductances between the nodes of an array whose wire segments all have `r` ohm."""
    word = np.arange(g.size).reshape(g.shape)
    bit = word + g.size
    wire = 1 / r
    pairs = [(word, bit, g), (word[:, 1:], word[:, :-1], wire), (bit[:-1], bit[1:], wire)]
    rows, columns, values = [word[:, 0], bit[-1]], [word[:, 0], bit[-1]], [np.full(len(g), wire)]
    values.append(np.full(g.shape[1], wire))
    for a, b, conductance in pairs:
        a, b = a.ravel(), b.ravel()
        y = np.broadcast_to(np.ravel(conductance), a.shape)
        rows += [a, b, a, b]
        columns += [a, b, b, a]
        values += [y, y, -y, -y]
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    matrix = csc_matrix(entries, shape=(2 * g.size, 2 * g.size))
    matrix.sort_indices()
    return matrix


def sinh_reference(problem: Problem, law: Sinh, *, steps: int = 50) -> np.ndarray:
    """Bit-line currents of sinh cells [A] for the first input: Newton's method on the nodal equations in float64."""
    k, cells = float(law.k), problem.g.size
    x = np.zeros(2 * cells)
    wires = nodal_matrix(np.zeros_like(problem.g), problem.r)
    for _ in range(steps):
        v = (x[:cells] - x[cells:]).reshape(problem.g.shape)
        current = (problem.g * np.sinh(k * v) / k).ravel()
        out = wires @ x + np.concatenate([current, -current]) - problem.rhs[0]
        slope = nodal_matrix(problem.g * np.cosh(k * v), problem.r)
        step = splu(slope, permc_spec="MMD_AT_PLUS_A", **SYMMETRIC).solve(out)
        x -= step
        # The rounding of the equations is about 1e-13 V, and the error is the square of the step.
        if np.max(np.abs(step)) < 1e-9:
            return problem.i_out(x)
    raise RuntimeError("The reference did not converge; lower the voltages.")


def worst(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest error relative to the largest number."""
    return float(np.max(np.abs(np.asarray(found, float) - expected)) / np.max(np.abs(expected)))
