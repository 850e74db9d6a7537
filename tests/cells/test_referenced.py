"""A signed weight on one bit line: a reference that all cells share stands for zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qsynapse_jax.cells import Differential, Ladder, Multilevel, Referenced, linearity
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x64")

CODES = jnp.arange(8)


def ladder():
    """Built inside a test, in its precision."""
    return Ladder(3, 80e3, 5e3, 1e6)


def test_weights_run_from_minus_one_to_one_about_the_middle():
    cell, g = Referenced(ladder()), np.asarray(ladder().conductance(CODES))[0]
    middle = (g[0] + g[-1]) / 2
    np.testing.assert_allclose(cell.offset(), middle, rtol=1e-14)
    np.testing.assert_allclose(cell.decode(CODES), (g - middle) / ((g[-1] - g[0]) / 2), atol=1e-14)
    np.testing.assert_array_equal(cell.encode(cell.decode(CODES)), CODES)
    np.testing.assert_allclose(cell.realise(cell.decode(CODES))[0], g, rtol=1e-14)


def test_an_error_of_the_reference_moves_every_weight_alike():
    right, wrong = Referenced(ladder()), Referenced(ladder(), 1.1 * Referenced(ladder()).offset())
    shift = np.asarray(wrong.decode(CODES) - right.decode(CODES))
    np.testing.assert_allclose(shift, -0.1 * float(right.offset() / right.span()), rtol=1e-9)
    # Nonlinearity does not see it.
    np.testing.assert_allclose(linearity(wrong).inl, linearity(right).inl, atol=1e-12)


def test_gradients_are_straight_through_in_weights_and_exact_in_the_reference():
    cell = Referenced(ladder())
    slope = jax.jit(jax.vmap(jax.grad(lambda w: cell.realise(w)[0])))(jnp.asarray([-1.2, -1.0, 0.3, 1.0, 1.2]))
    np.testing.assert_allclose(slope, np.array([0, 1, 1, 1, 0]) * float(cell.span()), rtol=1e-12)

    def weight(g_ref):
        return Referenced(ladder(), g_ref).decode(jnp.asarray(3))

    assert float(jax.jit(jax.grad(weight))(cell.offset())) == pytest.approx(-1 / float(cell.span()))


@pytest.mark.parametrize(
    ("cell", "g_ref", "message"),
    [
        (Differential(Multilevel(4, 1e-6, 1e-5)), None, "already signed"),
        (3, None, r"`cell` must be a cell such as `Ladder`, but is a int"),
        (Multilevel(4, 1e-6, 1e-5), -1e-6, "non-negative"),
    ],
)
def test_wrong_use(cell, g_ref, message):
    with unchecked(), pytest.raises(ValueError, match=message):
        Referenced(cell, g_ref)
