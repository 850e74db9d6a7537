"""Crosspoints of 0 ohm: expressible, exact, and of no harm to the cells beside them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from qsynapse_jax.crossbar import ConjugateGradient, Elimination, Wires, effective_conductance, solve

SHAPE = (6, 5)
random = np.random.default_rng(11)
G = random.uniform(1e-6, 1e-3, SHAPE)
G[1, 2] = G[4, 2] = G[4, 0] = np.inf
V_IN = random.uniform(-1, 1, SHAPE[0])
WIRES = Wires(2.0, 3.0, 5.0, 1.0)
x64 = pytest.mark.usefixtures("x64")


@x64
def test_a_short_is_the_limit_of_a_small_resistance():
    almost = solve(np.where(np.isinf(G), 1e9, G), V_IN, WIRES)
    sol = solve(G, V_IN, WIRES)
    np.testing.assert_allclose(sol.i_out, almost.i_out, rtol=1e-8)
    np.testing.assert_allclose(sol.i_cell, almost.i_cell, rtol=1e-6)
    assert np.abs(np.asarray(sol.v_cell)[np.isinf(G)]).max() < 1e-14
    assert abs(sol.stats.power_balance) < 1e-12


@x64
def test_a_transistor_in_series_with_a_short_is_what_is_left():
    np.testing.assert_allclose(
        solve(G, V_IN, WIRES, law=qs.crossbar.Series(1e4)).i_out,
        solve(1 / (1 / G + 1e4), V_IN, WIRES).i_out,
        rtol=1e-12,
    )


@x64
def test_gradients_around_shorts_are_those_of_finite_differences():
    @jax.jit
    def weighted(x):
        g = jnp.asarray(G).at[0, 1].set(x[0])
        return jnp.sum(solve(g, V_IN, Wires(x[1], 3.0, x[2], 1.0)).i_out * jnp.arange(1.0, 6))

    x = jnp.array([1e-4, 2.0, 5.0])
    steps = 1e-5 * jnp.diag(x)
    expected = [(weighted(x + h) - weighted(x - h)) / (2 * jnp.sum(h)) for h in steps]
    np.testing.assert_allclose(jax.jit(jax.grad(weighted))(x), expected, rtol=1e-6)
    in_cells = jax.grad(lambda g: jnp.sum(solve(g, V_IN, WIRES).i_out))(jnp.asarray(G))
    assert np.isfinite(in_cells).all()
    np.testing.assert_array_equal(np.asarray(in_cells)[np.isinf(G)], 0)


@x64
def test_the_matrix_of_an_array_with_shorts():
    np.testing.assert_allclose(V_IN @ effective_conductance(G, WIRES), solve(G, V_IN, WIRES).i_out, rtol=1e-10)


@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize("solver", [qs.crossbar.Auto(), qs.crossbar.ConjugateGradient(), qs.crossbar.Modal()], ids=str)
@pytest.mark.parametrize("short", [1e9, np.inf])
def test_a_short_among_ordinary_cells_costs_them_no_digit(solver, short):
    """It drives a hundred million times what they drive: a residual of all cells together would be its alone."""
    g = np.full((32, 32), 1e-5, np.float32)
    g[3, 4] = short
    v_in = np.full(32, 0.2, np.float32)
    sol = solve(g, v_in, Wires(1.0, 1.0), solver=solver)
    with jax.enable_x64(True):
        exact = np.asarray(solve(g.astype(float), v_in.astype(float), Wires(1.0, 1.0)).i_out)
    np.testing.assert_allclose(sol.i_out, exact, rtol=0, atol=2e-6 * exact.max())
    others = np.arange(32) != 4
    np.testing.assert_allclose(sol.i_out[others], exact[others], rtol=1e-5)


@x64
def test_a_short_in_lines_with_ideal_far_ends():
    """Its own resistance is that of both ways: to the near end, and to the far one."""
    wires = Wires(2.0, 3.0, 5.0, 1.0, r_driver_far=0.0, r_sense_far=0.0)
    whole = np.zeros((20, 20))
    whole[-SHAPE[0] :, : SHAPE[1]] = G
    v_in = np.pad(V_IN, (14, 0))
    by_nodes, iterated = (solve(whole, v_in, wires, solver=s) for s in (Elimination(), ConjugateGradient()))
    np.testing.assert_allclose(iterated.i_out, by_nodes.i_out, rtol=0, atol=1e-10 * np.abs(by_nodes.i_out).max())


@x64
def test_what_has_no_answer_is_refused():
    with pytest.raises(ValueError, match="A path of 0 ohm joins two terminals"):
        solve(np.full((2, 2), np.inf), np.ones(2), Wires())
    with pytest.raises(ValueError, match="A path of 0 ohm joins two terminals"):
        solve(np.full((2, 2), np.inf), np.ones(2), Wires(r_word=np.zeros((2, 2))))
    with pytest.raises(ValueError, match="must be finite for cells with a nonlinear law"):
        solve(G, V_IN, WIRES, law=qs.crossbar.Sinh(2.0))
