"""Preferred numbers and increments."""

import numpy as np
import pytest

from qsynapse_jax.codesign import SERIES, to_increment, to_series


@pytest.mark.parametrize(
    ("series", "count", "some"), [("E12", 12, 8.2), ("E24", 24, 9.1), ("E96", 96, 9.76), ("E192", 192, 9.2)]
)
def test_values_of_a_series_stay_and_repeat_by_decades(series, count, some):
    fine = np.geomspace(1, 9.9999, 20_001)
    decade = np.unique(to_series(fine, series).round(6))
    assert len(decade[decade < 9.9999]) == count
    assert some in decade
    np.testing.assert_allclose(to_series(decade * 1e4, series), decade * 1e4)


def test_the_nearest_in_ratio_beyond_the_decade_too():
    np.testing.assert_allclose(to_series(np.array([9.7e3, 9.4e3, 0.0495]), "E24"), [10e3, 9.1e3, 0.051])
    assert set(SERIES) >= {"E6", "E12", "E24", "E48", "E96", "E192"}


def test_increments():
    np.testing.assert_allclose(to_increment(np.array([1049.0, 1051.0, 3.0]), 100.0), [1000, 1100, 100])


def test_wrong_use():
    with pytest.raises(ValueError, match="`series` must be one of E6, E12"):
        to_series(np.ones(1), "E7")
    with pytest.raises(ValueError, match="`values` must be positive"):
        to_series(np.zeros(1))
    with pytest.raises(ValueError, match="`increment` must be positive"):
        to_increment(np.ones(1), 0.0)
