"""Nodal analysis in decimal arithmetic of 60 digits, with wires of 0 ohm merged into one node: what is right.

It shares no formula with the package, and no rounding with anything.
"""

from decimal import Decimal, getcontext
from typing import Any, NamedTuple

import numpy as np

getcontext().prec = 60

Node = tuple[str, int, int]


class Exact(NamedTuple):
    """Currents out of the bit lines [A] and node voltages [V], NaN where a node is connected to no terminal."""

    i_out: np.ndarray
    v_word: np.ndarray
    v_bit: np.ndarray


class _Graph:
    """Nodes, those merged that 0 ohm joins, and conductances between them."""

    def __init__(self) -> None:
        self.parent: dict[Node, Node] = {}
        self.edges: list[tuple[Node, Node, Decimal]] = []

    def root(self, node: Node) -> Node:
        self.parent.setdefault(node, node)
        while self.parent[node] != node:
            node = self.parent[node]
        return node

    def resistor(self, p: Node, q: Node, *ohms: Any) -> None:
        """Resistances in series; of an infinite one only the nodes are kept."""
        p, q = self.root(p), self.root(q)
        if any(np.isinf(r) for r in ohms):
            return
        r = sum((Decimal(float(r)) for r in ohms), Decimal(0))
        if r == 0:
            self.parent[p] = q
        else:
            self.edges.append((p, q, 1 / r))


def exact_solve(
    g: np.ndarray,
    v_in: np.ndarray,
    r_word: np.ndarray,
    r_bit: np.ndarray,
    r_driver: np.ndarray,
    r_sense: np.ndarray,
    r_driver_far: np.ndarray,
    r_sense_far: np.ndarray,
) -> Exact | None:
    """The operating point of Ohmic cells, all arguments at their full shapes; `None` where 0 ohm joins terminals."""
    rows, columns = g.shape
    graph = _Graph()
    for i, j in np.ndindex(rows, columns):
        word, bit = ("word", i, j), ("bit", i, j)
        driver, sense = ("driver", i, 0), ("sense", j, 0)
        graph.resistor(word, driver if j == 0 else ("word", i, j - 1), r_word[i, j], r_driver[i] if j == 0 else 0.0)
        last = i == rows - 1
        graph.resistor(bit, sense if last else ("bit", i + 1, j), r_bit[i, j], r_sense[j] if last else 0.0)
        if j == columns - 1:
            graph.resistor(word, driver, r_driver_far[i])
        if i == 0:
            graph.resistor(bit, sense, r_sense_far[j])
        if np.isinf(g[i, j]):
            graph.resistor(word, bit, 0.0)
        elif g[i, j] > 0:
            graph.edges.append((word, bit, Decimal(float(g[i, j]))))
    return _solved(graph, g.shape, v_in)


def _solved(graph: _Graph, shape: tuple[int, int], v_in: np.ndarray) -> Exact | None:
    voltage: dict[Node, Decimal] = {}
    column: dict[Node, int] = {}
    for i, v in enumerate(v_in):
        root = graph.root(("driver", i, 0))
        if voltage.setdefault(root, Decimal(float(v))) != Decimal(float(v)):
            return None
    for j in range(shape[1]):
        root = graph.root(("sense", j, 0))
        if root in voltage:
            return None
        voltage[root], column[root] = Decimal(0), j
    edges = [(graph.root(p), graph.root(q), c) for p, q, c in graph.edges]
    edges = [edge for edge in edges if edge[0] != edge[1]]
    beside: dict[Node, list[Node]] = {}
    for p, q, _ in edges:
        beside.setdefault(p, []).append(q)
        beside.setdefault(q, []).append(p)
    reached, ahead = set(voltage), list(voltage)
    while ahead:
        new = set(beside.get(ahead.pop(), ())) - reached
        reached |= new
        ahead += new
    edges = [edge for edge in edges if edge[0] in reached]
    voltage |= _eliminate([node for node in reached if node not in voltage], edges, voltage)
    out = [Decimal(0)] * shape[1]
    for p, q, c in edges:
        for at, other in ((p, q), (q, p)):
            if at in column:
                out[column[at]] += c * (voltage[other] - voltage[at])
    at_word, at_bit = np.empty(shape), np.empty(shape)
    for kind, nodes in (("word", at_word), ("bit", at_bit)):
        for i, j in np.ndindex(*shape):
            nodes[i, j] = float(voltage.get(graph.root((kind, i, j)), Decimal("nan")))
    return Exact(np.array(out, float), at_word, at_bit)


def _eliminate(free: list[Node], edges: Any, voltage: dict[Node, Decimal]) -> dict[Node, Decimal]:
    """Gauss elimination of the free nodes."""
    index = {node: k for k, node in enumerate(sorted(free))}
    n = len(free)
    a = np.full((n, n + 1), Decimal(0), dtype=object)
    for p, q, c in edges:
        for at, other in ((p, q), (q, p)):
            if at in index:
                a[index[at], index[at]] += c
                to = index.get(other)
                a[index[at], n if to is None else to] += c * voltage[other] if to is None else -c
    for k in range(n):
        a[k, k:] = a[k, k:] / a[k, k]
        for row in range(k + 1, n):
            if a[row, k] != 0:
                a[row, k:] = a[row, k:] - a[row, k] * a[k, k:]
    x = [Decimal(0)] * n
    for k in reversed(range(n)):
        x[k] = a[k, n] - sum((a[k, m] * x[m] for m in range(k + 1, n)), Decimal(0))
    return {node: x[k] for node, k in index.items()}
