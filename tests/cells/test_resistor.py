"""Resistors: mismatch that shrinks with their size, and factors that a die shares."""

import jax
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x64")
Resistor = qs.cells.Resistor


def test_mismatch_shrinks_with_the_root_of_the_units():
    """5 branches of 10,000 cells, spread within five standard errors 1/sqrt(2n): false alarm 3e-6."""
    n = 10_000
    state = Resistor(sigma_unit=0.02).init(5, (100, 100), key=jax.random.key(0))
    assert state.local.shape == (5, 100, 100)
    spread = np.log(state.local).reshape(5, -1).std(axis=1)
    np.testing.assert_allclose(spread, 0.02 / np.sqrt(2.0 ** np.arange(5)), rtol=5 / (2 * n) ** 0.5)
    # Independent from branch to branch: five standard errors of ten correlations, false alarm 6e-6.
    correlation = np.corrcoef(np.log(state.local).reshape(5, -1)) - np.eye(5)
    assert np.abs(correlation).max() < 5 / n**0.5


def test_the_process_factor_is_one_per_die():
    """2,000 dice: one factor each, with the spread asked for within five standard errors."""
    dice = jax.vmap(lambda key: Resistor(sigma_process=0.15).init(2, (3,), key=key))(
        jax.random.split(jax.random.key(1), 2000)
    )
    assert dice.die.shape == (2000,)
    assert abs(np.log(dice.die).std() / 0.15 - 1) < 5 / 4000**0.5
    np.testing.assert_array_equal(dice.local, np.ones((2000, 2, 3)))


def test_temperature_moves_all_alike():
    resistor = Resistor(sigma_unit=0.01, sigma_process=0.1, tcr=1e-3, reference=300.0)
    state = resistor.init(3, (4, 5), key=jax.random.key(2))
    hot = np.asarray(resistor.factor(state, 400.0)) / np.asarray(resistor.factor(state, 300.0))
    np.testing.assert_allclose(hot, np.full((3, 4, 5), 1.1), rtol=1e-12)
    np.testing.assert_allclose(resistor.factor(state), state.local * resistor.shared_factor(state), rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Resistor(sigma_unit=-0.1), r"`sigma_unit` must be non-negative and finite, but is -0\.1"),
        (
            lambda: Resistor(reference=25.0),
            r"`reference` must be in kelvin and at least 200 K, but is 25 K; that",
        ),
    ],
)
def test_wrong_numbers(call, message):
    with unchecked(), pytest.raises(ValueError, match=rf"^Argument {message}"):
        call()
