"""The condensed circuit against the nodal yardstick, and its derivatives of first and second order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qsynapse_jax.crossbar._condense import compile_lines
from tests.crossbar.nodal import nodal_solve

condense = jax.jit(compile_lines)


def circuit(shape, seed, low=1e-6, high=1e-3, ohms=20.0, zeros=0.0):
    """Cells spread evenly over the decades, segments each of its own resistance, some of both 0."""
    rng = np.random.default_rng(seed)
    g = np.exp(rng.uniform(np.log(low), np.log(high), shape))
    r_word, r_bit = rng.uniform(0, ohms, (2, *shape))
    for a in (g, r_word, r_bit):
        a[rng.random(shape) < zeros] = 0.0
    return g, r_word, r_bit


def in_drops(g, r_word, r_bit):
    """Cell by cell in the voltage drops, (1 + Z D) u = v: per-segment wires, which `nodal_solve` does not know."""
    n_word, n_bit = g.shape
    word = np.zeros((n_word, n_bit, n_word, n_bit))
    bit = np.zeros_like(word)
    for i in range(n_word):
        shared = np.minimum.outer(np.arange(n_bit), np.arange(n_bit))
        word[i, :, i, :] = np.cumsum(r_word[i])[shared]
    for j in range(n_bit):
        from_sense = np.cumsum(r_bit[::-1, j])[::-1]
        shared = np.maximum.outer(np.arange(n_word), np.arange(n_word))
        bit[:, j, :, j] = from_sense[shared]
    z = (word + bit).reshape(g.size, g.size)
    volts = np.repeat(np.eye(n_word), n_bit, axis=0)  # cells x word lines
    cell_volts = np.linalg.solve(np.eye(g.size) + z * g.ravel(), volts)
    return np.einsum("ijm->mj", (g.ravel()[:, None] * cell_volts).reshape(n_word, n_bit, n_word))


def nodal(g, r_word, r_bit):
    """The nodal yardstick for equal segments."""
    volts = np.eye(g.shape[0])
    return np.stack([nodal_solve(g, v, r_word=r_word, r_bit=r_bit).i_out for v in volts])


def error(got, expected):
    """Largest error relative to the largest entry."""
    return np.max(np.abs(got - expected)) / np.max(np.abs(expected))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (17, 1), (5, 7), pytest.param((20, 33), marks=pytest.mark.slow)])
def test_equal_segments_agree_with_nodal_analysis(shape):
    g, _, _ = circuit(shape, seed=1, zeros=0.1)
    g.flat[0] = 1e-3
    for r_word, r_bit in ((3.0, 7.0), (0.0, 5.0), (0.0, 0.0)):
        got = condense(g, np.full(shape, r_word), np.full(shape, r_bit))
        assert error(got, nodal(g, r_word, r_bit)) < 1e-12
    assert np.array_equal(got, g)  # ideal wires: exactly the cells


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "shape", [(10, 17), pytest.param((20, 33), marks=pytest.mark.slow), pytest.param((40, 40), marks=pytest.mark.slow)]
)
def test_segments_of_their_own_and_nine_decades(shape):
    for kwargs in ({"zeros": 0.2}, {"low": 1e-9, "high": 1.0}, {"ohms": 1e3, "low": 1e-3, "high": 1e-2}):
        cells = circuit(shape, seed=2, **kwargs)
        assert error(condense(*cells), in_drops(*cells)) < 1e-11


@pytest.mark.usefixtures("x32")
def test_single_precision_under_severe_drop():
    """The rounding of the inputs is shared with the reference; what is left is the elimination's own."""
    shape = (10, 17)
    for ohms, g in ((100.0, np.full(shape, 1e-3)), (1.0, circuit(shape, seed=3, low=1e-9, high=1.0)[0])):
        cells = [np.asarray(a, np.float32) for a in (g, np.full(shape, ohms), np.full(shape, ohms))]
        got = condense(*cells)
        assert got.dtype == jnp.float32
        assert error(got, in_drops(*(a.astype(np.float64) for a in cells))) < 1e-6


@pytest.mark.slow
@pytest.mark.usefixtures("x32")
def test_single_precision_at_128_lines_against_double():
    shape = (128, 128)
    for ohms, g in ((100.0, np.full(shape, 1e-3)), (100.0, circuit(shape, seed=3)[0])):
        cells = [np.asarray(a, np.float32) for a in (g, np.full(shape, ohms), np.full(shape, ohms))]
        with jax.enable_x64(True):
            expected = np.asarray(condense(*(a.astype(np.float64) for a in cells)))
        assert error(condense(*cells), expected) < 1e-6


def scaled(p):
    """Parameters of order one [mS, 10 ohm] so that one step suits all."""
    return p[0] * 1e-3, p[1] * 10.0, p[2] * 10.0


@pytest.fixture
def order_one(x64):
    g, r_word, r_bit = circuit((4, 10), seed=4, low=1e-4, high=2e-3, zeros=0.1)
    return jnp.asarray(np.stack([g / 1e-3, r_word / 10.0, r_bit / 10.0]))


def weighted(p):
    w = np.random.default_rng(5).normal(size=p.shape[1:])
    return jnp.sum(w * compile_lines(*scaled(p))) / 1e-3


@jax.jit
def derivatives(p, tangent):
    """Value, slope along `tangent` by forward mode, and gradient by reverse mode; compiled once for what follows."""
    value, slope = jax.jvp(weighted, (p,), (tangent,))
    return value, slope, jax.grad(weighted)(p)


def test_first_derivatives_against_differences(order_one):
    """Central differences need room on both sides of 0; where an entry is 0, one-sided ones of second order."""
    tangent = jnp.asarray(np.random.default_rng(6).normal(size=order_one.shape))
    inside, h = order_one + 0.01, 1e-5
    _, slope, gradient = derivatives(inside, tangent)
    up, down = (derivatives(inside + step * tangent, tangent)[0] for step in (h, -h))
    np.testing.assert_allclose((up - down) / (2 * h), slope, rtol=1e-6)
    np.testing.assert_allclose(jnp.sum(gradient * tangent), slope, rtol=1e-11)

    _, slope, gradient = derivatives(order_one, tangent)
    np.testing.assert_allclose(jnp.sum(gradient * tangent), slope, rtol=1e-11)
    # In directions that keep every entry non-negative.
    up, h = jnp.abs(tangent), 1e-4
    at = [derivatives(order_one + k * h * up, up)[0] for k in range(3)]
    np.testing.assert_allclose((-3 * at[0] + 4 * at[1] - at[2]) / (2 * h), jnp.sum(gradient * up), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_second_derivatives():
    """Forward over reverse against a difference of gradients. Reverse over reverse: `test_hessian`."""
    p = jnp.asarray(np.stack(circuit((4, 4), seed=7, low=1e-4, high=2e-3))) / np.array([1e-3, 10, 10])[:, None, None]
    tangent = jnp.asarray(np.random.default_rng(8).normal(size=p.shape))
    gradient = jax.jit(jax.grad(weighted))

    forward = jax.jit(lambda p: jax.jvp(jax.grad(weighted), (p,), (tangent,))[1])(p)
    h = 1e-5
    difference = (gradient(p + h * tangent) - gradient(p - h * tangent)) / (2 * h)
    scale = jnp.max(jnp.abs(forward))
    np.testing.assert_allclose(forward / scale, difference / scale, atol=1e-7)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_gradient_of_leading_axes_is_that_of_vmap():
    tiles = jnp.asarray(np.stack(circuit((3, 4, 4), seed=12), axis=1))
    weight = jnp.asarray(np.random.default_rng(13).normal(size=(3, 4, 4)))

    def native(p):
        return jnp.sum(weight * compile_lines(p[:, 0], p[:, 1], p[:, 2]))

    def mapped(p):
        return jnp.sum(weight * jax.vmap(lambda p: compile_lines(*p))(p))

    both = jax.jit(lambda p: (jax.grad(native)(p), jax.grad(mapped)(p)))(tiles)
    np.testing.assert_allclose(*both, rtol=1e-10, atol=1e-14)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_hessian():
    p = jnp.asarray(np.stack(circuit((4, 4), seed=7, low=1e-4, high=2e-3))) / np.array([1e-3, 10, 10])[:, None, None]
    by_forward, by_reverse = jax.jit(lambda p: (jax.hessian(weighted)(p), jax.jacrev(jax.grad(weighted))(p)))(p)
    hessian, scale = by_forward.reshape(p.size, p.size), float(jnp.max(jnp.abs(by_forward)))
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-12 * scale)
    np.testing.assert_allclose(by_reverse, by_forward, atol=1e-12 * scale)


@pytest.mark.usefixtures("x64")
def test_vmap_over_some_arguments_and_twice():
    g, r_word, r_bit = (jnp.asarray(a) for a in circuit((2, 3, 4, 10), seed=14))
    inner = jax.vmap(compile_lines, in_axes=(0, None, 0))
    got = jax.jit(jax.vmap(inner, in_axes=(0, None, None)))(g, r_word[0, 0], r_bit[1])
    expected = condense(g, jnp.broadcast_to(r_word[0, 0], g.shape), jnp.broadcast_to(r_bit[1], g.shape))
    np.testing.assert_allclose(got, expected, rtol=1e-13)


@pytest.mark.slow
@pytest.mark.usefixtures("x32")
def test_arrays_under_vmap_are_taken_in_groups():
    """Else all of them are in memory at once, out of the caches, and each takes longer than one alone."""
    tiles = [jax.ShapeDtypeStruct((32, 64, 64), np.float32)] * 3

    def memory(function):
        analysis = jax.jit(function).lower(*tiles).compile().memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    assert memory(jax.vmap(compile_lines)) <= 1.2 * memory(compile_lines)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_batches_agree_with_single_arrays():
    """Leading axes, `vmap` and `lax.map`, and the gradient inside and outside of them."""
    tiles = [jnp.asarray(a) for a in circuit((3, 4, 10), seed=9)]
    weight = jnp.asarray(np.random.default_rng(10).normal(size=(4, 10)))

    def loss(g, r_word, r_bit):
        return jnp.sum(weight * compile_lines(g, r_word, r_bit))

    def everything(g, r_word, r_bit):
        values = compile_lines(g, r_word, r_bit)
        by_map = jax.lax.map(lambda a: jax.grad(loss)(*a), (g, r_word, r_bit))
        by_vmap = jax.vmap(jax.grad(loss))(g, r_word, r_bit)
        of_vmap = jax.grad(lambda g: jnp.sum(jax.vmap(loss)(g, r_word, r_bit)))(g)
        of_native = jax.grad(lambda g: jnp.sum(weight[None] * compile_lines(g, r_word, r_bit)))(g)
        return values, (by_map, by_vmap, of_vmap, of_native)

    values, gradients = jax.jit(everything)(*tiles)
    one = jax.jit(jax.value_and_grad(loss))
    for k in range(3):
        cells = [a[k] for a in tiles]
        value, gradient = one(*cells)
        np.testing.assert_allclose(jnp.sum(weight * values[k]), value, rtol=1e-12)
        for other in gradients:
            np.testing.assert_allclose(other[k], gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_groups_of_tiles(monkeypatch):
    """More tiles than are treated at once, and not a multiple of it."""
    monkeypatch.setattr("qsynapse_jax.crossbar._condense._TOGETHER", 2 * 9 * 10)
    tiles = [jnp.asarray(a) for a in circuit((5, 9, 10), seed=11)]

    def loss(*a):
        return jnp.sum(jnp.sin(1e3 * compile_lines(*a)))

    values, gradient = jax.jit(jax.value_and_grad(loss))(*tiles)
    one = jax.jit(jax.value_and_grad(loss))
    alone = [one(*(a[k] for a in tiles)) for k in range(5)]
    np.testing.assert_allclose(values, sum(v for v, _ in alone), rtol=1e-12)
    np.testing.assert_allclose(gradient, jnp.stack([d for _, d in alone]), rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_compiles_for_accelerators(platform):
    """Nothing in it, gradient included, is a routine of one platform."""
    cells = [jax.ShapeDtypeStruct((9, 10), jnp.float32)] * 3
    gradient = jax.jit(jax.grad(lambda g, w, b: jnp.sum(compile_lines(g, w, b))))
    jax.export.export(gradient, platforms=[platform])(*cells)
