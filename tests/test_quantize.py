"""Rounding to levels against brute force, and the derivative that passes through it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs

nearest_level = qs.quantize.nearest_level
straight_through = qs.quantize.straight_through


def brute_force_distance(levels, x):
    return np.abs(np.asarray(x)[..., None] - np.asarray(levels)).min(axis=-1)


# 257 and more levels are found by another search than fewer.
@pytest.mark.parametrize("n", [1, 2, 256, 257])
def test_the_nearest_level_is_found_in_any_order(n, x64):
    rng = np.random.default_rng(n)
    levels, x = rng.normal(size=n), rng.normal(scale=1.5, size=(5, 40))
    index = jax.jit(nearest_level)(jnp.asarray(levels), jnp.asarray(x))
    in_order = jax.jit(nearest_level)(jnp.sort(jnp.asarray(levels)), jnp.asarray(x))
    np.testing.assert_array_equal(np.sort(levels)[in_order], levels[index])
    assert index.shape == x.shape
    assert index.dtype == jnp.int32
    # Exact: a level that is merely close to the nearest would show.
    np.testing.assert_array_equal(np.abs(x - levels[index]), brute_force_distance(levels, x))


def test_each_level_is_its_own_nearest():
    levels = jnp.asarray([0.3, -1.0, 2.0, 0.25, 0.0])
    np.testing.assert_array_equal(nearest_level(levels, levels), np.arange(5))


def test_beyond_the_ends_lies_the_end_level():
    levels = jnp.asarray([0.5, 1.0, -2.0])
    x = jnp.asarray([-jnp.inf, -1e30, -2.1, 1.1, 1e30, jnp.inf])
    np.testing.assert_array_equal(nearest_level(levels, x), [2, 2, 2, 1, 1, 1])


def test_halfway_the_lower_level_is_taken():
    """A tie has no right answer, but it has one: midway of these levels is exact in binary."""
    levels = jnp.asarray([1.0, 0.0, 0.5])
    np.testing.assert_array_equal(nearest_level(levels, jnp.asarray([0.25, 0.75])), [1, 2])


def test_equal_levels_do_no_harm():
    levels = jnp.asarray([0.0, 0.5, 0.5, 1.0])
    index = np.asarray(nearest_level(levels, jnp.asarray([0.1, 0.4, 0.5, 0.6, 0.9])))
    np.testing.assert_array_equal(np.asarray(levels)[index], [0.0, 0.5, 0.5, 0.5, 1.0])


def test_a_scalar_and_a_trace_are_rounded_alike():
    levels = jnp.asarray([0.0, 0.4, 1.0])
    x = jnp.linspace(-0.5, 1.5, 21)
    expected = nearest_level(levels, x)
    np.testing.assert_array_equal(jax.jit(nearest_level)(levels, x), expected)
    np.testing.assert_array_equal(jax.vmap(nearest_level, in_axes=(None, 0))(levels, x), expected)
    assert nearest_level(levels, x[7]).shape == ()


def test_what_is_no_number_has_no_level():
    levels, x = jnp.asarray([0.0, 1.0]), jnp.asarray([0.2, jnp.nan])
    with pytest.raises(ValueError, match=r"^Argument `x` must be a number, but x\[1\] = nan; replace .*\.$"):
        nearest_level(levels, x)
    np.testing.assert_array_equal(jax.jit(nearest_level)(levels, x), [0, np.iinfo(np.int32).min])


def test_straight_through_has_one_value_and_two_derivatives():
    """d/dx of (a(x), straight through s(x)) is a' + s': what was not rounded keeps its own derivative."""

    def f(x):
        return straight_through(jnp.floor(x) * x, jnp.sin(x))

    x = jnp.asarray(2.6)
    value, tangent = jax.jvp(f, (x,), (jnp.ones_like(x),))
    np.testing.assert_allclose(value, 2 * 2.6, rtol=1e-6)
    np.testing.assert_allclose(tangent, 2 + np.cos(2.6), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(f)(x), 2 + np.cos(2.6), rtol=1e-6)


def test_straight_through_leaves_the_value_to_the_last_bit():
    value = jnp.asarray([1e-7, 3.3333333, -2e5])
    surrogate = jnp.asarray([1e7, -0.1, 123.456])
    np.testing.assert_array_equal(straight_through(value, surrogate), value)
    np.testing.assert_array_equal(jax.jit(straight_through)(value, surrogate), value)
