"""Laws that fall as the voltage rises: one answer where the wires are steeper, else a start or an error."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq, root

import qsynapse_jax as qs
from tests.crossbar.problems import random_cells
from tests.unchecked import unchecked

C = qs.crossbar
RESULTS = C.RESULTS
x64, SLOW = pytest.mark.usefixtures("x64"), pytest.mark.slow
AT_RUN_TIME = (jax.errors.JaxRuntimeError, RuntimeError)

A, B = 0.35, 0.05


def valley(g, v, a, b, xp=jnp):
    """Rises, falls beyond a / sqrt(2), and rises again: a tunnel diode."""
    return g * (v * xp.exp(-((v / a) ** 2)) + b * v)


TUNNEL_DIODE = C.Law(valley, (A, B))


def one_cell(v_in: Any, r: Any, *, g: float = 1e-3, law: C.AbstractLaw = TUNNEL_DIODE, **options: Any):
    """A cell behind two ends of r ohm."""
    wires = C.Wires(r_driver=r, r_sense=r)
    return C.solve(jnp.full((1, 1), g), jnp.reshape(v_in, (1,)), wires, law=law, **options)


def crossings(v_in, r, g=1e-3):
    """All voltages of that cell at which its current is that of the wires, by bisection."""

    def off(v):
        return v + 2 * r * valley(g, v, A, B, np) - v_in

    grid = np.linspace(0, v_in, 2001)
    edges = np.flatnonzero(np.diff(np.sign(off(grid))))
    return [float(cast(Any, brentq(off, grid[k], grid[k + 1], xtol=1e-15))) for k in edges]


@x64
@pytest.mark.parametrize("v_in", [pytest.param(0.3, marks=SLOW), 0.4, pytest.param(1.0, marks=SLOW)])
def test_one_cell_behind_wires_that_are_steeper(v_in):
    """Below, on and beyond the fall; derivatives against differences of bisections."""
    (v,) = crossings(v_in, 200.0)

    def current(v_in, r):
        return one_cell(v_in, r).i_out[0]

    def bisected(v_in, r):
        return valley(1e-3, crossings(v_in, r)[0], A, B, np)

    step = 1e-4
    arguments = (jnp.asarray(v_in), jnp.asarray(200.0))
    value, (by_v, by_r) = jax.jit(jax.value_and_grad(current, argnums=(0, 1)))(*arguments)
    np.testing.assert_allclose(value, valley(1e-3, v, A, B, np), rtol=1e-11)
    up, down = (bisected(v_in + h, 200.0) for h in (step, -step))
    np.testing.assert_allclose(by_v, (up - down) / (2 * step), rtol=1e-5, atol=1e-10)
    difference = (bisected(v_in, 200.1) - bisected(v_in, 199.9)) / 0.2
    np.testing.assert_allclose(by_r, difference, rtol=1e-5, atol=1e-13)


@x64
@SLOW
def test_second_derivatives():
    """On the fall, where they are largest: of the voltage over the resistance, forward and reverse over reverse."""

    def current(x):
        return one_cell(x[0], 100.0 * x[1]).i_out[0] / 1e-4

    def bisected(x):
        return valley(10.0, crossings(x[0], 100.0 * x[1])[0], A, B, np)

    x, h = np.array([0.4, 2.0]), 1e-3
    shifts = h * np.eye(2)
    expected = [
        [sum(s * t * bisected(x + s * p + t * q) for s in (1, -1) for t in (1, -1)) / (4 * h * h) for q in shifts]
        for p in shifts
    ]
    for second in (jax.jacfwd(jax.grad(current)), jax.jacrev(jax.grad(current))):
        np.testing.assert_allclose(jax.jit(second)(x), expected, rtol=1e-4)


@x64
def test_the_smallest_case():
    """2 ohm of wire against a slope of -9e-7 S: ended in a `ConvergenceError` once."""
    sol = C.solve(np.full((1, 1), 1e-4), np.array([1.16]), C.Wires(1.0, 1.0), law=C.Polynomial(np.array([0.0, -0.25])))
    v: Any = brentq(lambda v: v + 2e-4 * (v - 0.25 * v**3) - 1.16, 0, 1.16, xtol=1e-15)
    np.testing.assert_allclose(sol.v_cell, [[v]], rtol=1e-12)


@pytest.mark.slow
@x64
def test_several_operating_points_need_a_start():
    low, middle, high = crossings(1.1, 3000.0)
    with pytest.raises(ValueError, match=r"`law` falls.*Give a start, `v_cell0=`.*It falls beyond 2[5-9]\d mV"):
        one_cell(1.1, 3000.0)
    np.testing.assert_array_equal(one_cell(1.1, 3000.0, throw=False).i_out, np.nan)

    @jax.jit
    @jax.vmap
    def from_(start, v_in):
        return jax.jvp(lambda v: one_cell(v, 3000.0, v_cell0=start).v_cell[0, 0], (v_in,), (jnp.ones_like(v_in),))

    v, slope = from_(jnp.asarray([0.0, middle, 1.1]), jnp.full(3, 1.1))
    np.testing.assert_allclose(v, [low, middle, high], rtol=1e-11)
    up, down = (np.array(crossings(1.1 + h, 3000.0)) for h in (1e-5, -1e-5))
    np.testing.assert_allclose(slope, (up - down) / 2e-5, rtol=1e-5)


@pytest.mark.slow  # compilation, most of it
@x64
def test_under_jit_the_error_comes_at_run_time():
    with pytest.raises(AT_RUN_TIME, match=r"circuit may have several operating points\. Give a start"):
        jax.block_until_ready(jax.jit(lambda v: one_cell(v, 3000.0).i_out)(1.1))
    # One array of several leaves the others alone, and its gradient is no number.
    both = jax.jit(jax.vmap(jax.value_and_grad(lambda r: one_cell(1.1, r, throw=False).i_out[0])))
    value, slope = both(jnp.asarray([200.0, 3000.0]))
    np.testing.assert_allclose(value[0], one_cell(1.1, 200.0).i_out[0], rtol=1e-11)
    assert np.isfinite(slope[0])
    assert np.isnan(value[1])
    assert np.isnan(slope[1])


SHAPE = (8, 8)
G = random_cells(SHAPE, seed=70, low=1e-4, high=1e-3)
V = np.linspace(0.1, 0.9, 8)
R = 1.5


def drops(i, r=R):
    """Of wires of `r` ohm a segment, by Kirchhoff's laws [V]."""
    word = np.cumsum(r * np.cumsum(i[:, ::-1], axis=1)[:, ::-1], axis=1)
    return word + np.cumsum((r * np.cumsum(i, axis=0))[::-1], axis=0)[::-1]


def by_scipy(g, v_in, r, start):
    def off(u):
        u = u.reshape(g.shape)
        return (u - v_in[:, None] + drops(valley(g, u, A, B, np), r)).ravel()

    found = root(off, start.ravel(), tol=1e-14)
    return found.x.reshape(g.shape), np.abs(off(found.x)).max()


def total(g, v_in, r, **options):
    sol = C.solve(g, v_in, C.Wires(r, r), law=TUNNEL_DIODE, **options)
    return 1e3 * jnp.sum(sol.i_out * jnp.arange(1.0, 9.0, dtype=g.dtype)), sol


@pytest.mark.slow
@x64
def test_an_array_against_scipy():
    (_, sol), gradient = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))(
        jnp.asarray(G), jnp.asarray(V), jnp.asarray(R)
    )
    expected, left = by_scipy(G, V, R, np.broadcast_to(V[:, None], SHAPE))
    assert left < 1e-13
    np.testing.assert_allclose(sol.v_cell, expected, rtol=0, atol=1e-11)
    assert (
        np.sum(
            np.asarray(
                jax.vmap(jax.vmap(jax.grad(valley, 1), (0, 0, None, None)), (0, 0, None, None))(
                    jnp.asarray(G), sol.v_cell, A, B
                )
            )
            < 0
        )
        > 10
    )  # cells that fall
    assert sol.stats.current_error < 1e-11

    def weighed(g, v_in, r):
        v = by_scipy(g, v_in, r, expected)[0]
        return 1e3 * np.sum(valley(g, v, A, B, np) * np.arange(1.0, 9.0))

    rng = np.random.default_rng(71)
    dg, dv, dr = 1e-4 * rng.normal(size=SHAPE), rng.normal(size=8), 0.3
    step = 1e-4
    up, down = (weighed(G + h * dg, V + h * dv, R + h * dr) for h in (step, -step))
    along = np.sum(gradient[0] * dg) + np.sum(gradient[1] * dv) + gradient[2] * dr
    np.testing.assert_allclose(along, (up - down) / (2 * step), rtol=1e-6)


@x64
def test_a_start_on_a_branch_is_followed_by_a_batch():
    """Behind 6 kohm cells have two stable voltages: each pattern of starts is a solution near it."""
    law, wires = C.Law(valley, (A, B)), C.Wires(1.0, 1.0, r_driver=6000.0)
    g, v_in = jnp.full((2, 1), 1e-3), jnp.full((3, 2), 1.1)
    start = jnp.asarray([[0.1, 0.1], [0.1, 0.7], [0.7, 0.7]])[:, :, None]
    sol = C.solve(g, v_in, wires, law=law, v_cell0=start)
    np.testing.assert_array_equal(sol.v_cell > 0.4, start > 0.4)
    assert np.max(sol.stats.residual) < 1e-11


@pytest.mark.slow
@pytest.mark.usefixtures("x32")
def test_in_float32():
    g, v = G.astype(np.float32), V.astype(np.float32)
    _, sol = total(jnp.asarray(g), jnp.asarray(v), jnp.float32(R))
    expected, _ = by_scipy(g.astype(float), v.astype(float), R, np.broadcast_to(V[:, None], SHAPE))
    np.testing.assert_allclose(sol.v_cell, expected, rtol=0, atol=3e-6)
    np.testing.assert_allclose(
        one_cell(np.float32(1.1), 3000.0, v_cell0=np.float32(1.1)).v_cell[0, 0], crossings(1.1, 3000.0)[2], rtol=1e-5
    )


@x64
@pytest.mark.parametrize(
    ("law", "v_in", "r", "taken"),
    [
        (lambda g, v: g * jnp.where(v > 0.5, 0.5 * v, v), 0.5007, 1.0, False),
        (lambda g, v: g * jnp.where(v > 0.5, 0.5 * v, v), 0.6, 1.0, True),
        (lambda g, v: g * v * (v - 0.2) * (v - 0.4), 0.3, 10.0, False),
        (lambda g, v: g * (jnp.exp(v / 0.1) - 1.5), 0.3, 10.0, True),
        (lambda g, v: g * jnp.where(v > 0, 1.0, jnp.nan) * jnp.abs(v) ** 1.5, 0.3, 10.0, True),
    ],
    ids=[
        "falls by a jump",
        "jumps where no cell can be",
        "delivers power",
        "delivers power, rises",
        "undefined below 0",
    ],
)
def test_what_is_taken(law, v_in, r, taken):
    sol = one_cell(v_in, r, law=C.Law(law), throw=False)
    assert sol.result == (RESULTS.successful if taken else RESULTS.ambiguous)


@x64
@SLOW
def test_beyond_an_open_nothing_is_proved():
    wires = C.Wires(1.0, 1.0, r_driver=np.array([1.0, np.inf]))
    arguments = (np.full((2, 2), 1e-4), np.array([0.5, 0.0]), wires)
    with pytest.raises(ValueError, match="several operating points"):
        C.solve(*arguments, law=TUNNEL_DIODE)
    sol = C.solve(*arguments, law=TUNNEL_DIODE, v_cell0=0.1)
    np.testing.assert_allclose(np.sum(sol.i_cell[1]), 0, atol=1e-16)
    np.testing.assert_allclose(sol.i_cell, TUNNEL_DIODE.current(jnp.asarray(arguments[0]), sol.v_cell), atol=1e-14)


@x64
def test_starts_are_checked():
    with (
        unchecked(),
        pytest.raises(ValueError, match=r"`v_cell0` must broadcast to \(\*batch, wl, bl\) = \(1, 1\), but"),
    ):
        one_cell(0.3, 1.0, v_cell0=np.zeros(2))
    with pytest.raises(ValueError, match="Argument `v_cell0` must be finite, but v_cell0 = nan V"):
        one_cell(0.3, 1.0, v_cell0=np.nan)
    # A linear circuit has one answer, wherever one starts.
    np.testing.assert_array_equal(
        one_cell(0.3, 1.0, law=C.Ohmic(), v_cell0=9.0).i_out, one_cell(0.3, 1.0, law=C.Ohmic()).i_out
    )


@x64
@SLOW
@pytest.mark.parametrize("seed", range(3))
def test_no_second_answer_is_overlooked(seed):
    """Random 3 x 3 circuits that are solved without a start, searched for other answers from 20 places each."""
    rng = np.random.default_rng(seed)
    solve = jax.jit(lambda g, v, a, b, r: C.solve(g, v, C.Wires(r, r), law=C.Law(valley, (a, b)), throw=False))
    solved = 0
    for _ in range(100):
        g, v = 10 ** rng.uniform(-4, -2, (3, 3)), rng.uniform(-1.5, 1.5, 3)
        a, b, r = rng.uniform(0.1, 0.8), rng.choice([0.0, 0.05, 0.3]), 10 ** rng.uniform(0, 3)
        sol = solve(g, v, a, b, r)

        def off(u, g=g, v=v, a=a, b=b, r=r):
            u = u.reshape(3, 3)
            return (u - v[:, None] + drops(valley(g, u, a, b, np), r)).ravel()

        assert sol.result in (RESULTS.successful, RESULTS.ambiguous)
        if sol.result == RESULTS.ambiguous:
            continue
        solved += 1
        span = np.ptp(np.append(v, 0.0))
        for start in rng.uniform(-span, span, (20, 9)):
            found = root(off, start, tol=1e-13).x
            if np.abs(off(found)).max() < 1e-10:
                np.testing.assert_allclose(found.reshape(3, 3), sol.v_cell, rtol=0, atol=1e-7)
    assert 30 < solved < 90


@x64
@SLOW
def test_random_arrays_in_float32():
    """12 x 12 cells, some of which fall: rounding must not hold up what float64 solves."""
    rng = np.random.default_rng(5)
    solve = jax.jit(lambda g, v, a, b, r: C.solve(g, v, C.Wires(r, r), law=C.Law(valley, (a, b)), throw=False))
    for _ in range(30):
        g, v = 10 ** rng.uniform(-5, -3, (12, 12)), rng.uniform(-1.5, 1.5, (4, 12))
        numbers = (g, v, rng.uniform(0.1, 0.8), rng.choice([0.0, 0.05, 0.3]), 10 ** rng.uniform(-1, 1.5))
        exact, single = solve(*numbers), solve(*(np.asarray(x, np.float32) for x in numbers))
        assert exact.result == single.result == RESULTS.successful
        scale = float(jnp.max(jnp.abs(exact.i_out)))
        np.testing.assert_allclose(single.i_out, exact.i_out, rtol=0, atol=3e-5 * scale)


@x64
def test_a_start_that_leads_nowhere_is_said():
    """From 1 V there is a valley of the residual without an operating point in it: the only one is at 61 mV."""
    law = qs.crossbar.Law(lambda g, v: 10 * g * (v**3 - 1.5 * v**2 + 0.6 * v))
    wires = qs.crossbar.Wires(r_driver=3000.0)
    with pytest.raises(qs.crossbar.ConvergenceError, match=r"no step brings it closer\. Give another start, `v_cell0="):
        qs.crossbar.solve(np.array([[1e-3]]), np.ones(1), wires, law=law, v_cell0=1.0)
