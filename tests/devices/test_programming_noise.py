"""Fits of what write-verify leaves: their numbers, their law, and what they are not known for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x64")
presets = qs.devices.presets


@pytest.mark.parametrize(
    ("build", "g", "sigma"),
    [
        # By hand, in uS: the sum of all coefficients at 40 uS, and at 20 uS in powers of 1/2.
        (presets.wan_2022, [0.0, 20.0, 40.0], [0.348, 2.0228125, 1.103]),
        (lambda: presets.wan_2022(86_400.0), [0.0, 40.0], [0.701, 2.651]),
        (lambda: presets.wan_2022(172_800.0), [40.0], [2.677]),
        (presets.wan_2022_cubic, [0.0, 10.0, 39.26], [1.053, 2.4136, 1.6806]),
        (presets.cmo_written, [9.0, 88.2], [0.0104302, 0.0950783]),
        (lambda: presets.cmo_written(0.02), [50.0], [0.5757323]),
    ],
)
def test_the_numbers_of_the_sources(build, g, sigma):
    np.testing.assert_allclose(build().sigma(jnp.asarray(g) * 1e-6), np.asarray(sigma) * 1e-6, rtol=1e-4)


def test_cells_spread_around_their_targets():
    """20,000 cells: mean and spread within five standard errors, 1e-6 of false alarm; and none below 0."""
    n, noise = 20_000, presets.wan_2022()
    found = np.asarray(noise.found(jnp.full(n, 30e-6), key=jax.random.key(0)))
    sigma = float(noise.sigma(jnp.asarray(30e-6)))
    assert abs(found.mean() - 30e-6) < 5 * sigma / n**0.5
    assert abs(found.std() / sigma - 1) < 5 / (2 * n) ** 0.5
    assert (np.asarray(noise.found(jnp.zeros(n), key=jax.random.key(1))) >= 0).all()
    slope = jax.grad(lambda g: noise.found(g, key=jax.random.key(0)).sum())(jnp.full(n, 30e-6))
    moved = np.asarray(noise.found(jnp.full(n, 30e-6 + 1e-9), key=jax.random.key(0)))
    # Differences of first order: 3e-5 of the argument.
    np.testing.assert_allclose(slope, (moved - found) / 1e-9, rtol=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: presets.wan_2022(60.0), r"`seconds` must be one of 1, 86400, 172800, which were measured, but is 60"),
        (lambda: presets.cmo_written(2.0), r"`acceptance` must be one of 0\.002, 0\.02, which were measured, but is 2"),
        (
            lambda: presets.cmo_written().sigma(jnp.asarray([20e-6, 4e-3])),
            r"`g` must be from 9 uS to 88\.2 uS, which the noise is known of, but g\[1\] = 0\.004 S\.",
        ),
        (lambda: presets.wan_2022().sigma(jnp.asarray(np.nan)), r"`g` must be from 0 S to 40 uS, which .* is nan S\."),
        (lambda: qs.devices.ProgrammingNoise(1e-6, 1e-6, 0.0, 1e-5), r"`coefficients` must be a vector of one number"),
    ],
)
def test_what_was_not_measured_is_refused(call, message):
    with unchecked(), pytest.raises(ValueError, match=f"^Argument {message}"):
        call()
