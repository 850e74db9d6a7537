"""The yardstick: a textbook nodal solve of the same circuit, node by node and segment by segment, in SciPy.

Modified nodal analysis: 2MN node voltages and the current of every wire segment are unknown, so that a segment of
0 ohm is an equation like any other (`v_a - v_b - 0 i = 0`) and needs no merging of nodes. It shares no formula with
the package, which has neither nodes nor segments.
"""

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu


class Nodal(NamedTuple):
    """Currents [A] and node voltages [V] for one input vector."""

    i_out: np.ndarray
    v_word: np.ndarray
    v_bit: np.ndarray
    i_cell: np.ndarray
    word_segment: np.ndarray  # current in the segment on the driver side of each cell
    bit_segment: np.ndarray  # current in the segment on the sense side of each cell


def nodal_solve(
    g: ArrayLike,
    v_in: ArrayLike,
    r_word: ArrayLike = 0.0,
    r_bit: ArrayLike = 0.0,
    r_driver: ArrayLike = 0.0,
    r_sense: ArrayLike = 0.0,
    r_driver_far: ArrayLike | None = None,
    r_sense_far: ArrayLike | None = None,
    v_out: ArrayLike = 0.0,
) -> Nodal:
    """The operating point of the circuit that the README of `tests/golden` draws.

    Resistances may differ by segment and by line, and be infinite.
    """
    g, v_in = np.asarray(g, float), np.asarray(v_in, float)
    n_word, n_bit = g.shape
    r_word = np.broadcast_to(r_word, g.shape)
    r_bit = np.broadcast_to(np.asarray(r_bit)[:, None] if np.ndim(r_bit) == 1 else r_bit, g.shape)
    r_driver, r_sense = np.broadcast_to(r_driver, n_word), np.broadcast_to(r_sense, n_bit)
    v_out = np.broadcast_to(v_out, n_bit)
    cells = np.arange(g.size).reshape(g.shape)
    word, bit, word_branch, bit_branch = (cells + k * g.size for k in range(4))
    entries: list[tuple[int, int, float]] = []
    word_far, bit_far = np.split(4 * g.size + np.arange(n_word + n_bit), [n_word])
    rhs = np.zeros(4 * g.size + n_word + n_bit)
    for i in range(n_word):
        for j in range(n_bit):
            # Kirchhoff's current law: what leaves the node by the cell and by the wires, less what arrives.
            entries += [(word[i, j], word[i, j], g[i, j]), (word[i, j], bit[i, j], -g[i, j])]
            entries += [(bit[i, j], bit[i, j], g[i, j]), (bit[i, j], word[i, j], -g[i, j])]
            entries.append((word[i, j], word_branch[i, j], -1.0))
            entries.append((bit[i, j], bit_branch[i, j], 1.0))
            if j + 1 < n_bit:
                entries.append((word[i, j], word_branch[i, j + 1], 1.0))
            if i > 0:
                entries.append((bit[i, j], bit_branch[i - 1, j], -1.0))
            # Ohm's law of the segment on the driver side, and of the one on the sense side.
            r = r_word[i, j] + (r_driver[i] if j == 0 else 0.0)
            if np.isinf(r):  # an open: no current
                entries.append((word_branch[i, j], word_branch[i, j], 1.0))
            else:
                entries.append((word_branch[i, j], word[i, j], -1.0))
                entries.append((word_branch[i, j], word_branch[i, j], -r))
            if np.isinf(r):
                pass
            elif j == 0:
                rhs[word_branch[i, j]] = -v_in[i]
            else:
                entries.append((word_branch[i, j], word[i, j - 1], 1.0))
            last = i == n_word - 1
            r = r_bit[i, j] + (r_sense[j] if last else 0.0)
            if np.isinf(r):
                entries.append((bit_branch[i, j], bit_branch[i, j], 1.0))
                continue
            entries.append((bit_branch[i, j], bit[i, j], 1.0))
            entries.append((bit_branch[i, j], bit_branch[i, j], -r))
            if last:
                rhs[bit_branch[i, j]] = v_out[j]
            else:
                entries.append((bit_branch[i, j], bit[i + 1, j], -1.0))
    # Current into a word line, or out of a bit line, at its far end. A loop of 0 ohm determines none: 0.
    for i, far in enumerate(np.broadcast_to(np.inf if r_driver_far is None else r_driver_far, n_word)):
        if np.isinf(far) or far + r_driver[i] + r_word[i].sum() == 0:
            entries.append((word_far[i], word_far[i], 1.0))
            continue
        entries += [(word[i, -1], word_far[i], -1.0), (word_far[i], word[i, -1], 1.0), (word_far[i], word_far[i], far)]
        rhs[word_far[i]] = v_in[i]
    for j, far in enumerate(np.broadcast_to(np.inf if r_sense_far is None else r_sense_far, n_bit)):
        if np.isinf(far) or far + r_sense[j] + r_bit[:, j].sum() == 0:
            entries.append((bit_far[j], bit_far[j], 1.0))
            continue
        entries += [(bit[0, j], bit_far[j], 1.0), (bit_far[j], bit[0, j], 1.0), (bit_far[j], bit_far[j], -far)]
        rhs[bit_far[j]] = v_out[j]
    rows, columns, values = zip(*entries, strict=True)
    matrix = coo_array((values, (rows, columns)), shape=(rhs.size, rhs.size)).tocsc()
    lu = splu(matrix)
    x = lu.solve(rhs)
    x += lu.solve(rhs - matrix @ x)  # one refinement: wires of 1e-3 ohm stand beside cells of 1e6 ohm
    v_word, v_bit, word_segment, bit_segment = x[: 4 * g.size].reshape(4, n_word, n_bit)
    return Nodal(bit_segment[-1] + x[bit_far], v_word, v_bit, g * (v_word - v_bit), word_segment, bit_segment)


def network(
    resistors: list[tuple[Hashable, Hashable, float]],
    cells: list[tuple[Hashable, Hashable, float]],
    held: dict[Hashable, float],
) -> tuple[dict[Hashable, float], np.ndarray]:
    """Voltages of all nodes [V] and currents of all resistors, from their first node to their second [A].

    Any circuit of resistors [ohm], 0 included, and cells [S], whose nodes in `held` have given voltages [V].
    """
    nodes = list(dict.fromkeys(node for a, b, _ in [*resistors, *cells] for node in (a, b)))
    number = {node: k for k, node in enumerate(nodes)}
    size = len(nodes) + len(resistors)
    matrix, rhs = np.zeros((size, size)), np.zeros(size)
    for a, b, g in cells:
        for one, other in ((a, b), (b, a)):
            matrix[number[one], number[one]] += g
            matrix[number[one], number[other]] -= g
    for k, (a, b, r) in enumerate(resistors, len(nodes)):
        matrix[number[a], k], matrix[number[b], k] = 1.0, -1.0
        matrix[k, number[a]], matrix[k, number[b]], matrix[k, k] = 1.0, -1.0, -r
    for node, v in held.items():
        matrix[number[node]] = 0.0
        matrix[number[node], number[node]], rhs[number[node]] = 1.0, v
    x = np.linalg.solve(matrix, rhs)
    x += np.linalg.solve(matrix, rhs - matrix @ x)
    return {node: x[k] for node, k in number.items()}, x[len(nodes) :]
