"""Conductances that act like a target behind wires, against a dense solver and an optimizer of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares

import qsynapse_jax as qs
from tests.crossbar.nodal import nodal_solve
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x64")
P, Wires = qs.programming, qs.crossbar.Wires
# Both ends, and lines that differ: what nobody tuned for.
WIRES = {"r_word": 17.0, "r_bit": 41.0, "r_driver": 90.0, "r_sense": 35.0}


def behind(g):
    """Effective conductances, one input after another, by the tests' own solver."""
    return np.stack([nodal_solve(g, v, **WIRES).i_out for v in np.eye(len(g))])


def random(shape, seed=0, low=10e-6, high=100e-6):
    return np.random.default_rng(seed).uniform(low, high, shape)


def test_what_is_reachable_acts_like_its_target():
    """Three arrays of 5 x 4 cells; a third of the current is lost on the way to some, which need twice their target."""
    target = jnp.asarray(random((3, 5, 4), low=20e-6, high=6e-4))
    found = P.compensate(target, Wires(**WIRES))
    assert found.success.all()
    for g, wanted, error in zip(*(np.asarray(x) for x in (found.g, target, found.error)), strict=True):
        effective = behind(g)
        np.testing.assert_allclose(effective, wanted, rtol=1e-6)
        np.testing.assert_allclose(effective - wanted, error, atol=1e-15)
        assert (behind(wanted) / wanted).min() < 0.7
    # Bounds that stop nothing change nothing.
    again = P.compensate(target, Wires(**WIRES), (1e-6, 1.0))
    np.testing.assert_allclose(again.g, found.g, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.optimized
def test_64_lines_of_1_ohm():
    """The figures of the documentation: 10 to 100 uS."""
    target = random((64, 64))
    found = P.compensate(jnp.asarray(target), Wires(r_word=1.0, r_bit=1.0))
    assert np.abs(np.asarray(found.error) / target).max() < 5e-8
    assert np.asarray(found.g).max() == pytest.approx(132e-6, rel=0.01)
    with jax.enable_x64(False):
        found = P.compensate(jnp.asarray(target, "float32"), Wires(r_word=1.0, r_bit=1.0))
        assert np.abs(np.asarray(found.error) / target).max() < 5e-6


def test_within_bounds_it_is_the_best_that_an_optimizer_finds():
    """Least squares over 3 x 3 cells from numbers of a dense solver; bounds stop a third of the cells or more."""
    low, high = 50e-6, 1e-3
    target = random((3, 3), seed=1, low=low, high=high)
    target[0, 0], target[2, 0], target[1, 1] = high, low, high
    found = P.compensate(jnp.asarray(target), Wires(**WIRES), (low, high))
    best = least_squares(
        lambda g: 1e3 * (behind(g.reshape(3, 3) * 1e-3) * 1e3 - target * 1e3).ravel(),
        np.clip(target, 1.001 * low, 0.999 * high).ravel() * 1e3,
        bounds=(low * 1e3, high * 1e3),
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
    )
    error = np.asarray(found.error)
    assert (np.asarray(found.g) == high).sum() >= 2
    assert not found.success.all()
    assert (error**2).sum() == pytest.approx((best.fun**2).sum() * 1e-12, rel=1e-6)
    np.testing.assert_allclose(found.g, best.x.reshape(3, 3) * 1e-3, rtol=1e-5)
    np.testing.assert_allclose(behind(np.asarray(found.g)) - target, error, atol=1e-15)


def test_no_wires_and_cells_that_are_open():
    target = jnp.asarray(random((3, 3))).at[1, 1].set(0.0)
    ideal = P.compensate(target, Wires())
    np.testing.assert_allclose(ideal.g, target, rtol=1e-12)
    assert ideal.success.all()
    found = P.compensate(target, Wires(**WIRES))
    # What goes round an open cell is left, and said.
    assert np.asarray(found.g)[1, 1] == 0
    assert 0 < np.asarray(found.error)[1, 1] < 1e-8
    np.testing.assert_array_equal(found.success, np.asarray(target) > 0)


def test_gradients_are_those_of_finite_differences():
    """In targets and in a wire; a NaN where bounds stop a cell."""
    target, way = jnp.asarray(random((3, 3), high=6e-4)), jnp.asarray(random((3, 3), seed=3))

    def total(change, high=1.0):
        wires = Wires(**(WIRES | {"r_word": WIRES["r_word"] + 1e4 * change}))
        found = P.compensate(target + change * way, wires, (0.0, high), rtol=1e-11)
        return jnp.sum(found.g * jnp.arange(9.0).reshape(3, 3))

    step = 1e-4
    expected = (total(step) - total(-step)) / (2 * step)
    assert jax.grad(total)(0.0) == pytest.approx(float(expected), rel=1e-5)
    assert np.isnan(jax.grad(total)(0.0, high=7e-4))


def test_what_the_wires_cannot_carry_is_no_success():
    """Word lines of 107 ohm before the first cell carry less than 9.3 mS."""
    found = P.compensate(jnp.full((3, 3), 4e-3), Wires(**WIRES), (0.0, 1.0))
    assert np.isfinite(found.g).all()
    assert not found.success.any()
    assert behind(np.asarray(found.g)).sum(1).max() < 1 / 107


def test_tiles_side_by_side():
    target = jnp.asarray(random((2, 3, 3), low=50e-6, high=6e-4))
    beside = jax.vmap(lambda t: P.compensate(t, Wires(**WIRES), (0.0, 1.0)))(target)
    for g, one in zip(beside.g, target, strict=True):
        np.testing.assert_allclose(g, P.compensate(one, Wires(**WIRES), (0.0, 1.0)).g, rtol=1e-9)
    assert beside.success.all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"target": jnp.full((3, 3), jnp.nan)}, "`target` must be non-negative and finite, but target"),
        ({"target": jnp.full((3, 3), -1e-6)}, "`target` must be non-negative and finite, but target"),
        ({"target": jnp.full((3,), 1e-6)}, r"`target` must have shape \(\*tiles, wl, bl\)"),
        ({"target": jnp.full((3, 3), 2e-4)}, "`target` must lie within `bounds`, 10 uS to 100 uS, but holds 200 uS"),
        ({"bounds": (1e-4, 1e-5)}, r"`bounds` must be \(g_min, g_max\)"),
        ({"bounds": (-1e-4, 1e-5)}, "`bounds` must be non-negative"),
        ({"wires": Wires(r_driver=jnp.ones(4))}, r"`r_driver` must be a scalar or have shape \(3,\)"),
        ({"max_steps": 0}, "`max_steps` must be an integer of at least 1"),
        ({"rtol": 0.0}, "`rtol` must be positive"),
    ],
)
def test_wrong_input(changed, message):
    given = {"target": jnp.full((3, 3), 5e-5), "wires": Wires(r_word=1.0), "bounds": (1e-5, 1e-4)} | changed
    with unchecked(), pytest.raises(ValueError, match=f"^Argument {message}"):
        P.compensate(**given)
