"""Time to write an array: who waits for whom; and the budget of the speed-up."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs

pytestmark = pytest.mark.usefixtures("x64")
write_time, speed_up = qs.cost.write_time, qs.cost.speed_up
COLUMN: Any = "column"


def test_who_is_written_together_waits_for_the_slowest():
    """Two devices per cell, two rows, three columns, on paper."""
    time = jnp.asarray([[[1.0, 2, 3], [4, 0, 1]], [[5.0, 1, 1], [0, 2, 2]]])
    cases: tuple[tuple[Any, float, float], ...] = (
        ("cell", 22.0, 5.0 + 2 + 3 + 4 + 2 + 2),
        ("row", 3.0 + 4 + 5 + 2, 5.0 + 4),
        ("array", 4.0 + 5, 5.0),
    )
    for mode, serial, together in cases:
        assert float(write_time(time, mode)) == serial
        assert float(write_time(time, mode, branches_together=True)) == together


def test_modes_are_ordered():
    time = jnp.asarray(np.random.default_rng(0).exponential(1e-6, (3, 20, 30)))
    cell, row, array = (float(write_time(time, mode)) for mode in ("cell", "row", "array"))
    assert cell > row > array > 0


def test_energy_adds_up():
    assert float(qs.cost.write_energy(jnp.full((3, 4, 5), 2e-12))) == pytest.approx(1.2e-10)


def test_traces_are_taken_as_they_come():
    trace = qs.devices.Trace(**(vars(qs.devices.Trace.zeros((1, 2, 2))) | {"time": jnp.ones((1, 2, 2))}))
    assert float(write_time(trace, "row")) == 2
    assert float(qs.cost.write_energy(trace)) == 0


def test_the_corner_of_a_million():
    """1,000 iterations of 100 us against one pulse of 100 ns: 10^6; pulse counts alone, 10 to 10^3."""
    assert float(speed_up(1e3, 1e-4, 1e-7)) == pytest.approx(1e6)
    assert float(speed_up(1e3, 1e-4, 1e-7, branches=3)) == pytest.approx(1e6 / 3)
    np.testing.assert_allclose(speed_up(jnp.asarray([10.0, 1e3]), 1e-6, 1e-6), [10, 1e3])


def test_the_map_broadcasts():
    n, t, t_sw = jnp.asarray([9.0, 20, 137]), jnp.logspace(-6, -1, 6), jnp.asarray([1e-8, 1e-6])
    ratio = speed_up(n[:, None, None], t[None, :, None], t_sw[None, None, :])
    assert ratio.shape == (3, 6, 2)
    assert float(ratio[2, 5, 0]) == pytest.approx(137 * 0.1 / 1e-8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: write_time(jnp.ones((2, 2, 2)), COLUMN), 'Argument `mode` must be "cell", "row" or "array", but is'),
        (
            lambda: write_time(jnp.ones((2, 2)), "row"),
            r"Argument `trace` must have the shape \(devices, rows, columns\)",
        ),
        (lambda: speed_up(10.0, 0.0, 1e-7), r"Argument `t_iteration` must be positive and finite, but is 0 s"),
        (lambda: speed_up(10.0, 1e-6, -1.0), r"Argument `t_switch` must be positive and finite, but is -1 s"),
    ],
)
def test_wrong_use(call, message):
    from tests.unchecked import unchecked

    with unchecked(), pytest.raises(ValueError, match=rf"^{message}"):
        call()
