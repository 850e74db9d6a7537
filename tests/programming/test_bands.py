"""The published target bands."""

import numpy as np
import pytest

import qsynapse_jax as qs

pytestmark = pytest.mark.usefixtures("x64")
radar_bands = qs.programming.radar_bands


@pytest.mark.parametrize("bits", [2, 3])
def test_published_bands_ascend_and_do_not_touch(bits):
    low, high = map(np.asarray, radar_bands(bits))
    assert low.shape == high.shape == (2**bits,)
    assert (low < high).all()
    assert (high[:-1] < low[1:]).all()
    assert low[0] == 0
    assert high[-1] == np.inf
    assert 1 / high[0] == pytest.approx(80e3)


def test_published_two_bit_bands_in_ohm():
    low, high = map(np.asarray, radar_bands(2))
    np.testing.assert_allclose(1 / high[1:3], [8.51e3, 5.77e3], rtol=1e-12)
    np.testing.assert_allclose(1 / low[1:], [9.31e3, 6.01e3, 5e3], rtol=1e-12)


def test_other_numbers_of_bits_are_not_published():
    with pytest.raises(ValueError, match=r"^Argument `bits` must be 2 or 3, but is 4; `program` makes"):
        radar_bands(4)
