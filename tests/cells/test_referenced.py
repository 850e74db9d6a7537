"""A signed weight on one bit line: a reference that all cells share stands for zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from qsynapse_jax.cells import Differential, Ladder, Multilevel, Referenced, linearity

pytestmark = pytest.mark.usefixtures("x64")

CODES = jnp.arange(8)


def ladder():
    """Built inside a test, in its precision."""
    return Ladder(3, 80e3, 5e3, 1e6)


def test_weights_run_from_minus_one_to_one_about_the_middle():
    cell, g = Referenced(ladder()), np.asarray(ladder().conductance(CODES))
    middle = (g[0] + g[-1]) / 2
    np.testing.assert_allclose(cell.offset(), middle, rtol=1e-14)
    np.testing.assert_allclose(cell.decode(CODES), (g - middle) / ((g[-1] - g[0]) / 2), atol=1e-14)
    np.testing.assert_array_equal(cell.encode(cell.decode(CODES)), CODES)
    np.testing.assert_allclose(cell.realise(cell.decode(CODES)), g, rtol=1e-14)


def test_an_error_of_the_reference_moves_every_weight_alike():
    right, wrong = Referenced(ladder()), Referenced(ladder(), 1.1 * Referenced(ladder()).offset())
    shift = np.asarray(wrong.decode(CODES) - right.decode(CODES))
    np.testing.assert_allclose(shift, -0.1 * float(right.offset() / right.span()), rtol=1e-9)
    # Nonlinearity does not see it.
    np.testing.assert_allclose(linearity(wrong).inl, linearity(right).inl, atol=1e-12)


def test_a_matrix_on_tiles_is_the_weights_it_was_made_of():
    w = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (9, 5)))
    cell = Referenced(Multilevel(257, 1e-6, 1e-4))
    effective = qs.tile.TiledArray(cell, None, (4, 3)).effective_weight(w)
    np.testing.assert_allclose(effective, w, atol=1 / 256 + 1e-9)
    # Half the bit lines of the differential cell.
    assert qs.tile.TiledArray(cell, None, (4, 3)).conductance(w).shape == (9, 5)


def test_gradients_are_straight_through_in_weights_and_exact_in_the_reference():
    cell = Referenced(ladder())
    slope = jax.vmap(jax.grad(cell.realise))(jnp.asarray([-1.2, -1.0, 0.3, 1.0, 1.2]))
    np.testing.assert_allclose(slope, np.array([0, 1, 1, 1, 0]) * float(cell.span()), rtol=1e-12)

    def weight(g_ref):
        return Referenced(ladder(), g_ref).decode(jnp.asarray(3))

    assert float(jax.grad(weight)(cell.offset())) == pytest.approx(-1 / float(cell.span()))


@pytest.mark.parametrize(
    ("cell", "g_ref", "message"),
    [
        (Differential(Multilevel(4, 1e-6, 1e-5)), None, "single bit line"),
        (Multilevel(4, 1e-6, 1e-5), -1e-6, "non-negative"),
    ],
)
def test_wrong_use(cell, g_ref, message):
    with pytest.raises(ValueError, match=message):
        Referenced(cell, g_ref)
