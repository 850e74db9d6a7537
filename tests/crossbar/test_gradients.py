"""First derivatives against central differences: every argument, forward and reverse, under `jit` and `vmap`.

At the edge of what is allowed, an open cell or a wire of 0 ohm, the difference is one-sided (second order).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.crossbar.problems import random_cells, random_volts

pytestmark = pytest.mark.usefixtures("x64")

SHAPE = (3, 4)
WIRES = ("r_word", "r_bit", "r_driver", "r_sense")
N_CELLS, N_VOLTS = 12, 6
# In these units every parameter matters about equally, so that one step suits all: 1 mS, 1 V, 10 ohm.
UNITS = np.concatenate([np.full(N_CELLS, 1e-3), np.ones(N_VOLTS), np.full(4, 10.0)])
STEP = 1e-4  # truncation about 1e-8, and rounding 1e-13 / STEP = 1e-9


def parameters(kind):
    """Conductances, two input vectors and wires, in UNITS."""
    g = random_cells(SHAPE, seed=20, low=1e-4, high=2e-3) / 1e-3
    wires = np.array([2.0, 0.5, 1.5, 0.8])
    if kind == "open cells":
        g[0, 1] = g[2, 2] = g[1, 3] = 0.0
        g[:, 0] = 0.0
    elif kind == "ideal wires":
        wires[:] = 0.0
    elif kind == "ideal word lines":
        wires[[0, 2]] = 0.0
        g[1, 1] = 0.0
    return np.concatenate([g.ravel(), random_volts((N_VOLTS,), seed=21), wires])


KINDS = ("generic", "open cells", "ideal wires", "ideal word lines")


def unpacked(p):
    p = p * UNITS.astype(p.dtype)
    g, v_in = p[:N_CELLS].reshape(SHAPE), p[N_CELLS:-4].reshape(2, -1)
    return g, v_in, qs.crossbar.Wires(*p[-4:])


def weights(shape, seed):
    return np.random.default_rng(seed).normal(size=shape)


def loss_solve(p):
    """Every output of `solve`, each with its own weights, in mA and V."""
    sol = qs.crossbar.solve(*unpacked(p))
    outputs = (sol.i_out / 1e-3, sol.i_cell / 1e-3, sol.v_word, sol.v_bit, sol.i_in / 1e-3, sol.v_cell)
    return sum(jnp.sum(weights(x.shape, seed).astype(x.dtype) * x) for seed, x in enumerate(outputs))


def loss_effective(p):
    g, v_in, wires = unpacked(p)
    i_out = v_in @ qs.crossbar.effective_conductance(g, wires)
    return jnp.sum(weights(i_out.shape, 9).astype(p.dtype) * (i_out / 1e-3) ** 2)


LOSSES = {"solve": loss_solve, "effective_conductance": loss_effective}


def difference(values_at, p):
    """The gradient by differences of second order, one-sided where a conductance or a resistance is 0."""
    points, coefficients = [], []
    for k, edge in enumerate(p == 0):
        offsets, c = ((0, 1, 2), (-1.5, 2.0, -0.5)) if edge else ((-1, 0, 1), (-0.5, 0.0, 0.5))
        for offset in offsets:
            points.append(p.copy())
            points[-1][k] += offset * STEP
        coefficients.append(c)
    values = np.asarray(values_at(np.stack(points))).reshape(-1, 3)
    return np.sum(values * np.array(coefficients), axis=1) / STEP


# One compiled function for all the tests: compiling is what takes the time here.
VALUE = {name: jax.jit(jax.vmap(loss)) for name, loss in LOSSES.items()}
REVERSE = {name: jax.jit(jax.vmap(jax.grad(loss))) for name, loss in LOSSES.items()}
FORWARD = {name: jax.jit(jax.vmap(jax.jacfwd(loss))) for name, loss in LOSSES.items()}
POINTS = np.stack([parameters(kind) for kind in KINDS])


def assert_gradients(actual, expected):
    for kind, one, other in zip(KINDS, actual, expected, strict=True):
        atol = 1e-6 * np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=atol, err_msg=kind)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n != "solve" else []) for n in LOSSES])
def test_under_jit_and_vmap(name):
    expected = np.stack([difference(VALUE[name], p) for p in POINTS])
    # An open cell that starts to conduct adds a current in proportion to the voltage across it: not 0.
    scale = np.abs(expected[1]).max()
    assert np.all(np.abs(expected[1, :N_CELLS][POINTS[1, :N_CELLS] == 0]) > 1e-3 * scale)
    assert_gradients(REVERSE[name](POINTS), expected)
    assert_gradients(FORWARD[name](POINTS), expected)


@pytest.mark.slow  # compilation, most of it
def test_without_jit():
    direction = weights(POINTS[1].shape, 30)
    expected = direction @ REVERSE["effective_conductance"](POINTS)[1]
    _, tangent = jax.jvp(loss_effective, (jnp.asarray(POINTS[1]),), (jnp.asarray(direction),))
    np.testing.assert_allclose(tangent, expected, rtol=1e-12)


@pytest.mark.parametrize("argument", ["g", "v_in", *WIRES])
def test_one_argument_alone(argument):
    """Only one argument is differentiated, the others are constants: terms that are absent, not zero."""
    g, v_in, wires = unpacked(parameters("open cells"))

    def output(x):
        if argument == "g":
            return qs.crossbar.solve(x, v_in, wires).i_out
        if argument == "v_in":
            return qs.crossbar.solve(g, x, wires).i_out
        values = {name: getattr(wires, name) for name in WIRES}
        return qs.crossbar.solve(g, v_in, qs.crossbar.Wires(**values | {argument: x})).i_out

    x = {"g": g, "v_in": v_in}.get(argument)
    x = np.asarray(getattr(wires, argument) if x is None else x)
    unit = 1e-3 if argument == "g" else 1.0
    direction = unit * np.abs(weights(x.shape, 31))  # upwards: the cells at 0 may only grow
    values = [np.asarray(output(x + k * STEP * direction)) for k in (0, 1, 2)]
    expected = (-1.5 * values[0] + 2.0 * values[1] - 0.5 * values[2]) / STEP
    out_weights = weights(expected.shape, 32)
    (gradient,) = jax.jit(lambda x: jax.vjp(output, x)[1](jnp.asarray(out_weights)))(x)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(np.sum(gradient * direction), np.sum(out_weights * expected), rtol=0, atol=1e-6 * scale)


def test_gradient_of_ideal_wires_is_that_of_the_matrix_product():
    """In closed form: di_out[n]/dg[m, n] = v_in[m]."""
    g, v_in, _ = unpacked(parameters("generic"))
    ideal = qs.crossbar.Wires()
    gradient = jax.jit(jax.grad(lambda g: jnp.sum(qs.crossbar.solve(g, v_in, ideal).i_out)))(g)
    np.testing.assert_allclose(gradient, np.broadcast_to(v_in.sum(0)[:, None], SHAPE), rtol=1e-13)


def unconverged(g, v_in, wires, *, max_steps=1):
    return qs.crossbar.solve(g, v_in, wires, max_steps=max_steps, throw=False).i_out


def test_gradient_that_did_not_converge_is_nan():
    """Without input nothing flows and the solve ends at once; its derivatives need steps that it may not take."""
    g, v_in, wires = unpacked(parameters("generic"))
    v_in = jnp.zeros_like(v_in)
    assert np.all(np.asarray(unconverged(g, v_in, wires)) == 0)  # a success
    gradient = jax.jit(jax.grad(lambda *x: jnp.sum(unconverged(*x)), argnums=(0, 1, 2)))(g, v_in, wires)
    assert all(np.all(np.isnan(leaf)) for leaf in jax.tree.leaves(gradient))
    _, tangent = jax.jit(lambda v, dv: jax.jvp(lambda v: unconverged(g, v, wires), (v,), (dv,)))(v_in, v_in + 1)
    assert np.all(np.isnan(tangent))


def test_gradient_around_a_point_that_did_not_converge_is_nan():
    """The derivative's own solve ends within the steps allowed, that of the point does not."""
    g, v_in, wires = unpacked(parameters("generic"))
    _, tangent = jax.jvp(lambda v: unconverged(g, v, wires), (v_in,), (jnp.zeros_like(v_in),))
    assert np.all(np.isnan(tangent))


def test_gradient_of_a_failed_effective_conductance_is_nan():
    g, _, wires = unpacked(parameters("generic"))

    line_by_line = {"solver": qs.crossbar.ConjugateGradient(), "throw": False}

    def output(g, wires, max_steps):
        return jnp.sum(qs.crossbar.effective_conductance(g, wires, max_steps=max_steps, **line_by_line))

    gradient = jax.jit(jax.grad(output, argnums=(0, 1)), static_argnums=2)(g, wires, 1)
    assert all(np.all(np.isnan(leaf)) for leaf in jax.tree.leaves(gradient))


def test_gradient_at_values_that_are_refused_is_nan():
    """Not 0, the derivative of a NaN that was put in the place of the result."""
    g, v_in, wires = unpacked(jnp.asarray(parameters("generic")))
    gradient = jax.jit(jax.grad(lambda *x: jnp.sum(unconverged(*x, max_steps=99)), argnums=(0, 1, 2)))
    for bad in ((g.at[0, 0].set(-1e-3), v_in), (g.at[0, 0].set(jnp.nan), v_in), (g, v_in.at[0, 0].set(jnp.inf))):
        assert all(np.all(np.isnan(leaf)) for leaf in jax.tree.leaves(gradient(*bad, wires)))


def test_float32():
    """Single precision loses digits in a derivative as in a solve, no more: 1e-5 of the largest."""
    expected = REVERSE["effective_conductance"](POINTS)
    actual = REVERSE["effective_conductance"](POINTS.astype(np.float32))
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
