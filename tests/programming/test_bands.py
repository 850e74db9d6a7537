"""Target bands: the published ones, and evenly spaced ones of any number."""

import numpy as np
import pytest

import qsynapse_jax as qs

pytestmark = pytest.mark.usefixtures("x64")
even_bands, radar_bands = qs.programming.even_bands, qs.programming.radar_bands


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


@pytest.mark.parametrize("levels", [2, 5, 16])
def test_even_bands_lie_around_their_levels(levels):
    low, high = map(np.asarray, even_bands(levels, 1e-5, 1e-4, 0.2))
    step = 9e-5 / (levels - 1)
    np.testing.assert_allclose((low + high)[1:] / 2, 1e-5 + step * np.arange(1, levels), rtol=1e-12)
    np.testing.assert_allclose((high - low)[1:], np.full(levels - 1, 0.4 * step), rtol=1e-9)
    assert low[0] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: radar_bands(4), r"`bits` must be 2 or 3, but is 4; `even_bands` makes bands of any number\."),
        (lambda: even_bands(1, 0.0, 1e-4), r"`levels` must be an integer of at least 2, but is 1\."),
        (lambda: even_bands(4, 1e-4, 1e-5), r"`g_max` must be above `g_min` = 0\.0001 S, which must not be negative"),
        (lambda: even_bands(4, 0.0, 1e-4, 0.5), r"`tolerance` must be between 0 and 1/2 of a step, but is 0\.5; wider"),
    ],
)
def test_wrong_numbers(call, message):
    with pytest.raises(ValueError, match=rf"^Argument {message}"):
        call()
