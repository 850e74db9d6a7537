"""A signed weight on two bit lines: symmetric, with a zero that is none by accident."""

from functools import cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs

# Some of these switches are bad on purpose; that they are warned of is tested in test_branches.py.
pytestmark = [
    pytest.mark.usefixtures("x64"),
    pytest.mark.filterwarnings("ignore:A ladder R, 2R, 4R:UserWarning"),
]

Differential, Ladder, Multilevel = qs.cells.Differential, qs.cells.Ladder, qs.cells.Multilevel

INNER = {
    "ladder": lambda: Ladder(3, 40e3, 5e3, 1e6),
    "ladder_crossing": lambda: Ladder(5, 5e3, 5e3, 80e3),
    "multilevel": lambda: Multilevel(6, 1e-6, 1e-4),
}
by_inner = pytest.mark.parametrize(
    "inner", [pytest.param(name, marks=pytest.mark.slow if name == "ladder" else []) for name in INNER]
)


@cache
def facts(name):
    """What a cell and its double compute for all codes and for random weights, compiled once."""
    one, cell = INNER[name](), Differential(INNER[name]())
    n = one.code_range[1] + 1
    codes, w = jnp.arange(1 - n, n), np.random.default_rng(0).uniform(-1.3, 1.3, 200)

    @jax.jit
    def compute(one, cell, codes, w):
        return {
            "levels": cell.decode(codes),
            "g": cell.conductance(codes),
            "code": cell.encode(w),
            "code_of_opposite": cell.encode(-w),
            "realised": cell.realise(w),
            "realised_opposite": cell.realise(-w),
            "inner_levels": one.decode(codes[n - 1 :]),
            "inner_g": one.conductance(codes[n - 1 :]),
            "spans": jnp.stack([cell.span(), one.span()]),
        }

    found = {name: np.asarray(value) for name, value in compute(one, cell, codes, w).items()}
    return SimpleNamespace(**found, cell=cell, n=n, zero=n - 1)


@by_inner
def test_twice_the_levels_less_the_zero_they_share(inner):
    cell, n = facts(inner).cell, facts(inner).n
    assert cell.significance == (1, -1)
    assert cell.code_range == (1 - n, n - 1)
    assert len(np.unique(facts(inner).levels)) == 2 * n - 1


@by_inner
def test_the_opposite_weight_is_the_two_lines_exchanged(inner):
    it = facts(inner)
    np.testing.assert_array_equal(it.g[:, ::-1], it.g[::-1])
    np.testing.assert_array_equal(it.levels[::-1], -it.levels)
    np.testing.assert_array_equal(it.code_of_opposite, -it.code)
    np.testing.assert_array_equal(it.realised_opposite[::-1], it.realised)


@by_inner
def test_code_zero_cancels(inner):
    """Cells that conduct when off are no weight, as long as both do the same."""
    plus, minus = facts(inner).g[:, facts(inner).zero]
    assert plus == minus > 0
    assert facts(inner).levels[facts(inner).zero] == 0


@by_inner
def test_the_positive_half_is_the_inner_cell(inner):
    it = facts(inner)
    plus, minus = it.g[:, it.zero :]
    np.testing.assert_array_equal(plus, it.inner_g[0])
    np.testing.assert_array_equal(minus, np.full(it.n, it.inner_g[0, 0]))
    np.testing.assert_array_equal(it.levels[it.zero :], it.inner_levels)
    assert it.spans[0] == it.spans[1]


def test_the_plus_line_comes_first():
    plus, minus = Differential(Multilevel(3, 0.0, 1e-4)).conductance(np.array([2, -1]))
    np.testing.assert_allclose(plus, [1e-4, 0], rtol=1e-15)
    np.testing.assert_allclose(minus, [0, 5e-5], rtol=1e-15)


def test_halfway_between_levels_is_written_towards_zero():
    cell = Differential(Multilevel(3, 0.0, 1e-4))
    np.testing.assert_array_equal(cell.encode(np.array([-0.75, -0.25, 0.25, 0.75])), [-1, 0, 0, 1])
