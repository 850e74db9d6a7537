"""Where the blocks of a matrix lie, counted once more by hand."""

from collections.abc import Iterator

import numpy as np

from tests.crossbar.nodal import nodal_solve


def blocks(shape: tuple[int, int], tile: tuple[int, int]) -> Iterator[tuple[tuple[int, int], slice, slice]]:
    """Place, rows and columns of every tile; incomplete blocks are the first of the rows, the last of the columns."""
    stops = list(range(shape[0], 0, -tile[0]))[::-1]
    starts = range(0, shape[1], tile[1])
    for down, stop in enumerate(stops):
        for across, start in enumerate(starts):
            rows = slice(max(stop - tile[0], 0), stop)
            yield (down, across), rows, slice(start, min(start + tile[1], shape[1]))


def nodal_effective(g: np.ndarray, tile: tuple[int, int], wires: dict[str, float]) -> np.ndarray:
    """Effective conductance [S] of a matrix on tiles: each block a circuit of its own, solved node by node."""
    g_eff = np.zeros_like(g)
    for _, rows, columns in blocks(g.shape, tile):
        block = g[rows, columns]
        for i, v_in in enumerate(np.eye(len(block))):
            g_eff[rows, columns][i] = nodal_solve(block, v_in, **wires).i_out
    return g_eff
