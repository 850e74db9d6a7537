"""A circuit followed: exact at its reference, honest about the rest."""

from typing import Any, cast

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import qsynapse_jax as qs
from qsynapse_jax.crossbar import Wires, effective_conductance, error, follow, renew, solve
from tests.unchecked import unchecked

KEY = jax.random.key(0)
SEVERE = Wires(2.0, 2.0)


def cells(shape, seed=0, low=1 / 40e3, high=1e-3, dtype=jnp.float32):
    """Conductances of the published rival: 1 to 40 kohm [S]."""
    return jnp.asarray(np.random.default_rng(seed).uniform(low, high, shape), dtype)


def moved(g, share, seed=1):
    """Each cell moved by a random share of itself."""
    return g * jnp.asarray(1 + share * np.random.default_rng(seed).uniform(-1, 1, g.shape), g.dtype)


def fields(g, wires):
    """Cell voltages per volt on every word line, and per volt on every bit line, by exact solves."""
    wl, bl = g.shape
    f = solve(g, jnp.eye(wl, dtype=g.dtype), wires).v_cell
    h = solve(g, jnp.zeros((bl, wl), g.dtype), wires, v_out=-jnp.eye(bl, dtype=g.dtype)).v_cell
    return f, h


def slopes(model, g, wires, cotangent):
    """Gradients of the model and of the circuit for the same derivative of a loss in the matrix."""
    exact = jax.vjp(lambda g: effective_conductance(g, wires), g)[1](cotangent)[0]
    return jax.vjp(model, g)[1](cotangent)[0], exact


def cosine(a, b):
    return float(jnp.sum(a * b) / jnp.sqrt(jnp.sum(a**2) * jnp.sum(b**2)))


WIRES = {
    "severe": SEVERE,
    "ideal": Wires(0.0, 0.0),
    "both_ends": Wires(2.0, 3.0, r_driver=5.0, r_sense=1.0, r_driver_far=5.0, r_sense_far=1.0),
    "uneven": Wires(np.linspace(1, 3, 11), np.linspace(2, 1, 7)),
}


@pytest.mark.parametrize("kind", WIRES)
def test_a_model_is_exact_at_its_reference_and_near_the_circuit_around_it(x64, kind):
    wires, g = WIRES[kind], cells((7, 11), dtype=jnp.float64)
    g = g.at[2, 3].set(0.0)
    model = follow(g, wires)
    np.testing.assert_array_equal(model(g), effective_conductance(g, wires))
    # Every line is driven alone here, so that only off times off and the mean over lines are left out.
    near = moved(g, 1e-3)
    change = jnp.max(jnp.abs(effective_conductance(near, wires) - model.g_eff))
    assert jnp.max(jnp.abs(model(near) - effective_conductance(near, wires))) < 0.01 * change + 1e-18
    found = error(model, near, KEY)
    assert found.slope < 0.01
    assert found.value < 1e-4


def test_ideal_wires_make_an_ideal_model(x64):
    g = cells((7, 11), dtype=jnp.float64)
    np.testing.assert_allclose(follow(g, Wires(0.0, 0.0))(moved(g, 0.9)), moved(g, 0.9), rtol=1e-14)


# Lines alone, one comb more than lines, blocks that are cut off, teeth of different numbers.
@pytest.mark.parametrize(
    "shape", [(1, 1), (17, 33), *(pytest.param(s, marks=pytest.mark.slow) for s in ((1, 20), (40, 64), (100, 130)))]
)
def test_lines_driven_together_show_what_each_does_alone(x64, shape):
    g = cells(shape, dtype=jnp.float64)
    f, h = fields(g, SEVERE)
    wl, bl = (np.arange(n) for n in shape)
    model = follow(g, SEVERE)
    for found, exact in ((model.p, f[wl, wl]), (model.q, h[bl, :, bl].T)):
        assert jnp.linalg.norm(found - exact) < 0.02 * jnp.linalg.norm(exact)


@pytest.mark.parametrize(
    ("shape", "ohms"),
    [((33, 24), 10.0), *(pytest.param(s, 2.0, marks=pytest.mark.slow) for s in ((64, 64), (128, 96)))],
)
def test_gradients_are_nearly_exact_where_a_quarter_of_the_current_arrives(shape, ohms):
    g, wires = cells(shape), Wires(ohms, ohms)
    model = follow(g, wires)
    assert jnp.sum(model.g_eff) < 0.35 * jnp.sum(g)
    now = moved(g, 0.05)
    rng = np.random.default_rng(2)
    # Inputs of one sign make every line load all others alike, the harder case.
    cotangent = jnp.asarray(rng.uniform(0, 1, (shape[0], 1)) * rng.normal(size=(1, shape[1])), g.dtype)
    ours, exact = slopes(model, now, wires, cotangent)
    assert cosine(ours, exact) > 0.98
    attenuation = model.g_eff / g
    constant, _ = slopes(lambda g: g * attenuation, now, wires, cotangent)
    assert jnp.linalg.norm(ours - exact) < 0.3 * jnp.linalg.norm(constant - exact)


def test_the_gradient_of_a_model_is_that_of_its_value(x64):
    g = cells((17, 33), dtype=jnp.float64)
    model, scale = follow(g, SEVERE), 1e-4
    check_grads(lambda x: model(g + scale * x) / scale, (jnp.asarray(moved(g, 0.5) - g) / scale,), 2, rtol=1e-6)


@pytest.mark.slow
def test_what_an_error_says_is_true():
    """Value and slope by random inputs against whole matrices and autodiff, over steps from 1 % to 40 %."""
    g = cells((3, 33, 24))
    model = follow(g, SEVERE)
    for share in (0.01, 0.1, 0.4):
        now = moved(g, share)
        found = error(model, now, jax.random.key(7))
        exact = effective_conductance(now, SEVERE)
        full = jnp.max(jnp.sum(exact, 1))
        v = jnp.asarray(np.random.default_rng(3).uniform(0, 1, (1000, 33)), g.dtype)
        true = jnp.max(jnp.abs(jnp.einsum("km,tmn->tkn", v, model(now) - exact))) / (0.5 * full)
        assert 0.3 < found.value / true < 1.5
        rng = np.random.default_rng(4)
        off = [
            float(jnp.linalg.norm(ours - exact) / jnp.linalg.norm(exact))
            for _ in range(4)
            for w in [rng.uniform(0, 1, (3, 33, 1)) * rng.normal(size=(3, 1, 24))]
            for ours, exact in [slopes(model, now, SEVERE, jnp.asarray(w, g.dtype))]
        ]
        assert 0.5 * min(off) < found.slope < 2 * max(off)


@pytest.mark.slow  # compilation, most of it
def test_renewal_measures_the_old_and_keeps_what_still_holds():
    g = cells((2, 20, 24))
    model, now = follow(g, SEVERE), moved(g, 0.05)
    new, before, after = renew(model, now, KEY)
    measured = error(model, now, KEY)
    np.testing.assert_allclose(before.value, measured.value, rtol=1e-2)
    np.testing.assert_allclose(before.slope, measured.slope, rtol=1e-2)
    assert after.value < 1e-5
    assert after.slope <= before.slope
    chex.assert_trees_all_close(new, follow(now, SEVERE), rtol=1e-5)
    kept, _, _ = renew(model, now, KEY, slope=10.0)
    np.testing.assert_array_equal(kept.p, model.p)
    np.testing.assert_array_equal(kept.g_eff, new.g_eff)


@pytest.mark.slow  # compilation, most of it
def test_models_are_compiled_once_and_work_under_jit_and_vmap():
    g, traces = cells((2, 20, 24)), []

    @jax.jit
    def both(g, r):
        traces.append(r)
        model = follow(g, Wires(r, r), throw=False)
        return model(1.01 * g), error(model, 1.01 * g, KEY).value

    for r in (1.0, 2.0):
        value, off = both(g, r)
        np.testing.assert_allclose(value, follow(g, Wires(r, r))(1.01 * g), rtol=1e-5)
        assert off < 1e-3
    assert len(traces) == 1
    by_wires = jax.vmap(lambda r: follow(g, Wires(r, r), throw=False)(1.01 * g))(jnp.asarray([1.0, 2.0]))
    np.testing.assert_allclose(by_wires[1], value, rtol=1e-5)


@pytest.mark.slow  # compilation, most of it
def test_the_reference_is_no_variable():
    g = cells((7, 11))
    assert not jnp.any(jax.grad(lambda g: jnp.sum(follow(g, SEVERE, throw=False)(jax.lax.stop_gradient(g))))(g))


def test_wrong_use():
    g = cells((7, 11))
    model, no_wires = follow(g, SEVERE), cast(Any, 2.0)
    with pytest.raises(
        ValueError, match=r"shape \(7, 11\) of the reference, but has shape \(7, 10\).*follow\(g, wires\)"
    ):
        model(g[:, :10])
    with pytest.raises(ValueError, match="must have the shape"):
        error(model, g[None], KEY)
    with pytest.raises(ValueError, match=r"g_ref\[1, 2\] is a short.*effective_conductance"):
        follow(g.at[1, 2].set(jnp.inf), SEVERE)
    with pytest.raises(ValueError, match=r"g\[1, 2\] = nan"):
        follow(g.at[1, 2].set(jnp.nan), SEVERE)
    with unchecked(), pytest.raises(ValueError, match="must be a `Wires`"):
        follow(g, no_wires)
    assert jnp.all(jnp.isnan(follow(g.at[1, 2].set(jnp.nan), SEVERE, throw=False).g_eff))
    new, _, _ = renew(model, g.at[1, 2].set(jnp.nan), KEY)
    assert jnp.all(jnp.isnan(new(g)))
    assert qs.crossbar.follow is follow


@pytest.mark.slow  # compilation, most of it
@pytest.mark.parametrize("shape", [(7, 11), (11, 7)])
def test_the_derivative_at_the_reference_can_be_exact(x64, shape):
    g = cells(shape, dtype=jnp.float64).at[2, 3].set(0.0)
    model, weights = follow(g, SEVERE), np.random.default_rng(5).normal(size=shape)
    value, slope = jax.value_and_grad(lambda g: jnp.sum(weights * model.exactly(g)))(g)
    exact, expected = jax.value_and_grad(lambda g: jnp.sum(weights * effective_conductance(g, SEVERE)))(g)
    np.testing.assert_allclose(value, exact, rtol=1e-12)
    np.testing.assert_allclose(slope, expected, rtol=0, atol=float(1e-4 * jnp.max(jnp.abs(expected))))
