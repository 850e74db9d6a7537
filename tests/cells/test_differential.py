"""A signed weight on two bit lines: symmetric, with a zero that is none by accident."""

import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs

pytestmark = pytest.mark.usefixtures("x64")

Differential, Ladder, Multilevel = qs.cells.Differential, qs.cells.Ladder, qs.cells.Multilevel

INNER = {
    "ladder": lambda: Ladder(3, 40e3, 5e3, 1e6),
    "ladder_crossing": lambda: Ladder(5, 5e3, 5e3, 80e3),
    "multilevel": lambda: Multilevel(6, 1e-6, 1e-4),
}
by_inner = pytest.mark.parametrize("inner", [pytest.param(build, id=name) for name, build in INNER.items()])


@by_inner
def test_twice_the_levels_less_the_zero_they_share(inner):
    cell, n = Differential(inner()), inner().code_range[1] + 1
    assert cell.signs == (1, -1)
    assert cell.code_range == (1 - n, n - 1)
    levels = np.asarray(cell.decode(np.arange(1 - n, n)))
    assert len(np.unique(levels)) == 2 * n - 1


@by_inner
def test_the_opposite_weight_is_the_two_lines_exchanged(inner):
    cell = Differential(inner())
    codes = np.arange(cell.code_range[0], cell.code_range[1] + 1)
    g = np.asarray(cell.conductance(codes))
    np.testing.assert_array_equal(g[:, ::-1], g[::-1])
    np.testing.assert_array_equal(cell.decode(-codes), -np.asarray(cell.decode(codes)))
    w = np.random.default_rng(0).uniform(-1.3, 1.3, 200)
    np.testing.assert_array_equal(cell.encode(-w), -np.asarray(cell.encode(w)))
    np.testing.assert_array_equal(np.asarray(cell.realise(-w))[::-1], cell.realise(w))


@by_inner
def test_code_zero_cancels(inner):
    """Cells that conduct when off are no weight, as long as both do the same."""
    g = np.asarray(Differential(inner()).conductance(jnp.asarray(0)))
    assert g[0] == g[1] > 0
    np.testing.assert_array_equal(Differential(inner()).decode(jnp.asarray(0)), 0.0)


@by_inner
def test_the_positive_half_is_the_inner_cell(inner):
    cell, one = Differential(inner()), inner()
    codes = np.arange(one.code_range[1] + 1)
    plus, minus = cell.conductance(codes)
    np.testing.assert_array_equal(plus, one.conductance(codes))
    np.testing.assert_array_equal(minus, np.full(len(codes), one.conductance(jnp.asarray(0))))
    np.testing.assert_array_equal(cell.decode(codes), one.decode(codes))
    assert cell.span() == one.span()


def test_the_plus_line_comes_first():
    plus, minus = Differential(Multilevel(3, 0.0, 1e-4)).conductance(np.array([2, -1]))
    np.testing.assert_allclose(plus, [1e-4, 0], rtol=1e-15)
    np.testing.assert_allclose(minus, [0, 5e-5], rtol=1e-15)


def test_halfway_between_levels_is_written_towards_zero():
    cell = Differential(Multilevel(3, 0.0, 1e-4))
    np.testing.assert_array_equal(cell.encode(np.array([-0.75, -0.25, 0.25, 0.75])), [-1, 0, 0, 1])
