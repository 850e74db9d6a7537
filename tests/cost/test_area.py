"""Area against resistance: the published table of nodes, and what widening a line does."""

import jax
import jax.numpy as jnp
import pytest

import qsynapse_jax as qs

WIDTHS = {130: 175e-9, 32: 56e-9, 7: 18e-9}


@pytest.mark.parametrize(("node", "per_cell"), [(130, 0.157), (32, 0.734), (7, 3.528)])
def test_a_crossbar_at_the_least_pitch_of_a_node(node, per_cell):
    """Resistance of a cell pitch of two widths, as computed by hand from the same width, aspect ratio, resistivity."""
    found = qs.cost.lines(qs.cost.metal_of_node(node), WIDTHS[node], WIDTHS[node])
    assert float(found.wires.r_word) == pytest.approx(per_cell, rel=0.01)
    assert float(found.wires.r_bit) == pytest.approx(per_cell, rel=0.01)
    assert float(found.cell_area) == pytest.approx((2 * WIDTHS[node]) ** 2, rel=1e-5)


def test_wider_word_lines_are_longer_bit_lines():
    metal = qs.cost.metal_of_node(32)
    narrow, wide = qs.cost.lines(metal, 56e-9, 56e-9), qs.cost.lines(metal, 112e-9, 56e-9)
    assert float(wide.wires.r_word) == pytest.approx(float(narrow.wires.r_word) / 2, rel=1e-5)
    assert float(wide.wires.r_bit) == pytest.approx(float(narrow.wires.r_bit) * 1.5, rel=1e-5)
    # Under a cell that is wider than the line, the pitch does not move.
    under = [qs.cost.lines(metal, w, w, word_pitch=1e-6, bit_pitch=1e-6) for w in (56e-9, 112e-9)]
    assert float(under[0].cell_area) == float(under[1].cell_area) == pytest.approx(1e-12)
    assert float(under[1].wires.r_bit) == pytest.approx(float(under[0].wires.r_bit) / 2, rel=1e-5)


def test_resistors_cost_squares():
    area = qs.cost.resistor_area(jnp.array([1e4, 2e4]), 1e4, 1e-6)
    assert area.tolist() == pytest.approx([1e-12, 2e-12])


def test_gradient_of_resistance_and_area_in_a_width():
    metal = qs.cost.metal_of_node(32)
    slope = jax.jit(jax.grad(lambda w: jnp.log(qs.cost.lines(metal, w, 56e-9).wires.r_word)))(jnp.asarray(80e-9))
    assert float(slope) == pytest.approx(-1 / 80e-9, rel=1e-5)


def test_wrong_use():
    with pytest.raises(ValueError, match="`nm` must be one of 130, 90"):
        qs.cost.metal_of_node(28)
    with pytest.raises(ValueError, match="`word_width` must be positive"):
        qs.cost.lines(qs.cost.metal_of_node(32), 0.0, 1e-7)
    with pytest.raises(ValueError, match="`thickness` must be positive"):
        qs.cost.Metal(2e-8, -1e-7, 1e-7)
    with pytest.raises(ValueError, match="`sheet_resistance` must be positive"):
        qs.cost.resistor_area(jnp.ones(2), 0.0, 1e-6)
