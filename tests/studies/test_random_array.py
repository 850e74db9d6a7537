"""Random arrays behind wires: what a sweep finds is what an independent solver of the nodal equations finds."""

import numpy as np
import pytest

from qsynapse_jax import sweep
from qsynapse_jax.studies import RANDOM_ARRAY, RandomArray
from tests.crossbar.nodal import nodal_solve

AXES = {"lines": 6, "inputs": 3, "levels": 4}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Ideal and resistive wires, exact and spread cells, two seeds; in one program."""
    plan = sweep.grid(RANDOM_ARRAY, r_wire=[0, 50], sigma=[0, 0.1], seed=[3, 4], fixed=AXES | {"r_driver": 10.0})
    return sweep.run(plan, tmp_path_factory.mktemp("sweep") / "sweep")


def test_currents_are_those_of_the_nodal_equations(found):
    assert found.attrs["failed"] == 0
    for sigma in (0.0, 0.1):
        point = RandomArray(r_wire=50.0, r_driver=10.0, sigma=sigma, seed=4, **AXES)
        meant, g = (np.asarray(x, float) for x in point.conductances())
        v = np.asarray(point.voltages(), float)
        i = np.stack([nodal_solve(g, one, r_word=50.0, r_bit=50.0, r_driver=10.0).i_out for one in v])
        here, ideal = found.sel(r_wire=50, sigma=sigma, seed=4), v @ meant
        wrong = (i - ideal) / ideal.max()
        # float32 currents, relative to the largest.
        np.testing.assert_allclose(here.i_mean, i.mean(), rtol=1e-6)
        np.testing.assert_allclose(here.loss, 1 - i.sum() / ideal.sum(), atol=2e-6)
        np.testing.assert_allclose(here.current_error, np.sqrt(np.mean(wrong**2)), rtol=1e-4)
        np.testing.assert_allclose(here.line_error, np.sqrt(np.mean(wrong**2, 0)), rtol=1e-4)
        assert here.agreement == np.mean(i.argmax(1) == ideal.argmax(1))
        gains = np.linspace(0.9, 1.5, 601)[:, None, None]
        best = np.sqrt(np.mean(((gains * i - ideal) / ideal.max()) ** 2, (1, 2))).min()
        np.testing.assert_allclose(here.corrected_error, best, rtol=1e-3)
        np.testing.assert_allclose(here.bits, -np.log2(np.sqrt(12) * best), atol=2e-3)


def test_without_wires_and_spread_nothing_is_lost(found):
    ideal = found.sel(r_wire=0, sigma=0)
    # The ends are 10 ohm beside 6 cells of 10 kohm and above: half a percent at most.
    assert np.all((ideal.loss > 0) & (ideal.loss < 0.006))
    assert np.all(found.loss.sel(r_wire=50) > found.loss.sel(r_wire=0))
    assert np.all(found.corrected_error.sel(sigma=0.1) > found.corrected_error.sel(sigma=0))


def test_cells_are_at_their_levels_and_spread_around_them():
    point = RandomArray(lines=128, levels=5, on_off=4.0, r_on=1e4, sigma=0.2, seed=7)
    meant, g = map(np.asarray, point.conductances())
    levels, counts = np.unique(meant.round(9), return_counts=True)
    np.testing.assert_allclose(levels, np.linspace(25e-6, 100e-6, 5), rtol=1e-4)
    # 128^2 / 5 of each, +- 51; 5 standard deviations of five levels leave three false alarms in a million.
    assert np.all(np.abs(counts - 128**2 / 5) < 5 * 51.2)
    spread = np.log(g / meant)
    assert abs(spread.mean()) < 5 * 0.2 / 128
    assert abs(spread.std() - 0.2) < 5 * 0.2 / 128 / np.sqrt(2)
    v = np.asarray(point.voltages())
    assert v.shape == (8, 128)
    assert 0 <= v.min() < 0.01
    assert 0.19 < v.max() <= 0.2


@pytest.mark.parametrize(
    ("value", "message"),
    [({"on_off": 1.0}, "`on_off` must be greater than 1"), ({"levels": 1}, "`levels` must be an integer from 2")],
)
def test_wrong_points_are_refused(value, message):
    with pytest.raises(ValueError, match=message):
        RandomArray(**value)
