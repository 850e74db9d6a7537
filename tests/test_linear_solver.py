"""The parts of the experiment `linear_solver`: the matrix in slices, and conjugate gradients on it."""

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.linear_solver._poisson import charges, laplacian, matrix, product, sliced, solve

pytestmark = pytest.mark.usefixtures("x64")
SIDE = 8
GOAL = matrix(SIDE)


def test_the_matrix_is_that_of_the_grid_and_slices_multiply_with_it():
    """Eigenvalues of the five-point star are 4 sin^2(i/2 h) + 4 sin^2(j/2 h)."""
    angles = np.pi * np.arange(1, SIDE + 1) / (2 * (SIDE + 1))
    expected = 4 * (np.sin(angles)[:, None] ** 2 + np.sin(angles)[None] ** 2)
    np.testing.assert_allclose(np.linalg.eigvalsh(GOAL), np.sort(expected.ravel()), rtol=1e-12)
    x = np.random.default_rng(0).normal(size=SIDE**2)
    slices = sliced(GOAL, 16, 8)
    # Of 4 x 8 blocks those of zeros are not built.
    assert slices.blocks.shape == (14, 16, 8)
    for found in (product(slices, jnp.asarray(x)), laplacian(jnp.asarray(x))):
        np.testing.assert_allclose(found, GOAL @ x, atol=1e-13)
    # One that is not symmetric, so that rows are not columns.
    other = np.random.default_rng(1).normal(size=GOAL.shape)
    np.testing.assert_allclose(product(sliced(other, 16, 8), jnp.asarray(x)), x @ other, atol=1e-12)


def test_refinement_goes_below_what_wrong_slices_reach_alone():
    """Slices off by 1 %: alone the residual is that of the wrong matrix, refined it is that of digital."""
    wrong = GOAL * (1 + 0.01 * np.random.default_rng(2).normal(size=GOAL.shape))
    slices, b = sliced(wrong, 16, 8), jnp.asarray(charges(SIDE))
    alone = solve(slices, b, jnp.asarray(0.0), products=120)
    of_wrong = np.linalg.solve(wrong.T, b)
    np.testing.assert_allclose(alone.x, of_wrong, rtol=1e-6, atol=1e-9)
    residual = np.linalg.norm(b - GOAL @ of_wrong) / np.linalg.norm(b)
    assert float(alone.residual[-1]) == pytest.approx(residual, rel=1e-6)
    assert residual > 1e-3
    refined = solve(slices, b, jnp.asarray(0.1), products=120)
    assert alone.refined == 0
    assert refined.refined > 3
    assert refined.residual[-1] < 1e-12
    np.testing.assert_allclose(refined.x, np.linalg.solve(GOAL, b), rtol=1e-9, atol=1e-11)
    # Converters of 8 and 10 bits are one more error that is refined away.
    rounded = solve(slices, b, jnp.asarray(0.3), products=120, bits=(8, 10))
    assert rounded.residual[-1] < 1e-12
    assert abs(rounded.residual[5] - refined.residual[5]) > 1e-6
