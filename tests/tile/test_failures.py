"""Tiles that are none are refused."""

from collections.abc import Iterator

import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked


@pytest.fixture(autouse=True)
def as_users_run_it() -> Iterator[None]:
    with unchecked():
        yield


@pytest.mark.parametrize("tile", [(0, 4), (4, -1), (4.0, 4), (4,), (4, 4, 4), (True, 4), "64", None, 2.5])
def test_a_tile_is_two_positive_integers(tile):
    cell = qs.cells.Multilevel(4, 0.0, 1e-4)
    message = r"^Argument `tile` must be two positive integers \(word lines, bit lines\), e\.g\. \(64, 64\), but is "
    with pytest.raises(ValueError, match=message):
        qs.tile.TiledArray(cell, None, tile)


@pytest.mark.parametrize("tile", [(4, 3), (64, 1)])
def test_a_weight_fits_a_tile(tile):
    cell = qs.cells.Differential(qs.cells.Multilevel(4, 0.0, 1e-4))
    message = (
        rf"^Argument `tile` must have a multiple of 2 bit lines, the bit lines of one weight of a Differential, "
        rf"but is \({tile[0]}, {tile[1]}\)\.$"
    )
    with pytest.raises(ValueError, match=message):
        qs.tile.TiledArray(cell, None, tile)


def test_one_number_is_a_square_tile():
    assert qs.tile.TiledArray(qs.cells.Multilevel(4, 0.0, 1e-4), None, 16).tile == (16, 16)
