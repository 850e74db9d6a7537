"""Second derivatives: of 16 parameters of a 3 x 3 array, by forward and reverse mode over each other."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.crossbar.problems import random_cells, random_volts

pytestmark = pytest.mark.usefixtures("x64")

SHAPE = (3, 3)
UNITS = np.concatenate([np.full(9, 1e-3), np.ones(3), np.full(4, 10.0)])  # 1 mS, 1 V, 10 ohm
STEP = 1e-4


def parameters():
    g = random_cells(SHAPE, seed=40, low=1e-4, high=2e-3) / 1e-3
    return np.concatenate([g.ravel(), random_volts((3,), seed=41), [2.0, 0.5, 1.5, 0.8]])


def unpacked(p):
    p = p * UNITS
    return p[:9].reshape(SHAPE), p[9:12], qs.crossbar.Wires(*p[12:])


def loss_solve(p):
    sol = qs.crossbar.solve(*unpacked(p))
    return jnp.sum(jnp.sin(sol.i_out / 1e-3)) + jnp.sum(sol.v_cell**2) + jnp.sum(sol.v_word * sol.v_bit)


def loss_effective(p):
    g, v_in, wires = unpacked(p)
    return jnp.sum(jnp.sin(v_in @ qs.crossbar.effective_conductance(g, wires) / 1e-3))


forward, reverse = jax.jacfwd, jax.jacrev
slow = pytest.mark.slow  # each takes seconds to compile; those without the mark go through every rule


@pytest.mark.parametrize(
    ("loss", "outer", "inner"),
    [
        pytest.param(loss_solve, forward, reverse, id="solve, forward over reverse"),
        pytest.param(loss_solve, reverse, reverse, id="solve, reverse over reverse", marks=slow),
        pytest.param(loss_solve, forward, forward, id="solve, forward over forward", marks=slow),
        pytest.param(loss_effective, forward, reverse, id="matrix, forward over reverse", marks=slow),
        pytest.param(loss_effective, reverse, reverse, id="matrix, reverse over reverse", marks=slow),
        pytest.param(loss_effective, forward, forward, id="matrix, forward over forward", marks=slow),
    ],
)
def test_hessian(loss, outer, inner, expected):
    hessian = np.asarray(jax.jit(outer(inner(loss)))(parameters()))
    correct = expected(loss)
    scale = np.abs(correct).max()
    assert np.all(np.abs(correct).max(axis=1) > 1e-3 * scale)  # every parameter has a part in it
    np.testing.assert_allclose(hessian, correct, rtol=1e-5, atol=1e-6 * scale)
    # To rounding, where the differences end: so all the modes agree.
    np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-10 * scale)


@pytest.fixture(scope="module")
def expected():
    """The Hessian by central differences of the gradient, computed once a loss."""

    @lru_cache
    def hessian(loss):
        p = parameters()
        shifts = STEP * np.eye(p.size)
        gradient = jax.jit(jax.vmap(jax.grad(loss)))(np.concatenate([p + shifts, p - shifts]))
        return np.asarray(gradient[: p.size] - gradient[p.size :]) / (2 * STEP)

    return hessian
