"""Which index is which, which way is positive, where the ends are. Numbers here are worked out by hand."""

from itertools import product

import numpy as np
import pytest

import qsynapse_jax as qs

pytestmark = pytest.mark.usefixtures("x64")

R = {"r_word": 10.0, "r_bit": 3.0, "r_driver": 100.0, "r_sense": 40.0}
SHAPE = (2, 3)  # 2 word lines, 3 bit lines


@pytest.mark.parametrize(("i", "j"), list(product(range(2), range(3))))
def test_path_of_a_single_cell(i, j):
    """Driver, j + 1 word-line segments, cell, as many bit-line segments as rows from here down, sense."""
    g = np.zeros(SHAPE)
    g[i, j] = 1e-2
    series = 100.0 + 10.0 * (j + 1) + 100.0 + 3.0 * (2 - i) + 40.0
    expected = np.zeros(SHAPE)
    expected[i, j] = 1 / series
    wires = qs.crossbar.Wires(**R)
    np.testing.assert_allclose(qs.crossbar.effective_conductance(g, wires), expected, rtol=1e-12)
    sol = qs.crossbar.solve(g, np.array([0.5, 0.5]), wires)
    np.testing.assert_allclose(sol.i_cell, 0.5 * expected, rtol=1e-12)
    np.testing.assert_allclose(sol.i_out, 0.5 * expected[i], rtol=1e-12)
    np.testing.assert_allclose(sol.v_word[i, j], 0.5 - 0.5 * (100.0 + 10.0 * (j + 1)) / series, rtol=1e-12)
    np.testing.assert_allclose(sol.v_bit[i, j], 0.5 * (3.0 * (2 - i) + 40.0) / series, rtol=1e-12)


def test_word_line_first_bit_line_second():
    g = np.arange(1.0, 7.0).reshape(SHAPE) * 1e-3
    sol = qs.crossbar.solve(g, np.array([1.0, 0.0]), qs.crossbar.Wires())
    np.testing.assert_allclose(sol.i_out, [1e-3, 2e-3, 3e-3], rtol=1e-14)
    np.testing.assert_allclose(sol.i_in, [6e-3, 0.0], rtol=1e-14)
    assert sol.v_word.shape == sol.v_bit.shape == sol.v_cell.shape == sol.i_cell.shape == SHAPE


def test_signs():
    """Currents run from the driver through the cell into the sense terminal; a negative input turns them all."""
    g = np.full(SHAPE, 1e-2)
    sol = qs.crossbar.solve(g, np.array([1.0, 1.0]), qs.crossbar.Wires(**R))
    assert np.all(np.asarray(sol.i_in) > 0)
    assert np.all(np.asarray(sol.i_cell) > 0)
    assert np.all(np.asarray(sol.i_out) > 0)
    v_word, v_bit = np.asarray(sol.v_word), np.asarray(sol.v_bit)
    # Downhill: along a word line to the right, across the cell, along a bit line down.
    assert np.all(v_word < 1)
    assert np.all(np.diff(v_word, axis=1) < 0)
    assert np.all(v_word > v_bit)
    assert np.all(v_bit > 0)
    assert np.all(np.diff(v_bit, axis=0) < 0)
    turned = qs.crossbar.solve(g, np.array([-1.0, -1.0]), qs.crossbar.Wires(**R))
    np.testing.assert_array_equal(turned.i_out, -np.asarray(sol.i_out))


def test_the_corner_by_driver_and_sense_suffers_least():
    sol = qs.crossbar.solve(np.full(SHAPE, 1e-3), np.ones(2), qs.crossbar.Wires(r_word=5.0, r_bit=5.0))
    v_cell = np.asarray(sol.v_cell)
    assert np.unravel_index(v_cell.argmax(), SHAPE) == (1, 0)  # last word line, first bit line
    assert np.unravel_index(v_cell.argmin(), SHAPE) == (0, 2)  # first word line, last bit line


def test_word_and_bit_line_resistance_are_not_exchangeable():
    g = np.zeros(SHAPE)
    g[1, 2] = 1e-2  # three word-line segments away from its driver, one bit-line segment from its sense
    along_word, along_bit = (
        qs.crossbar.effective_conductance(g, qs.crossbar.Wires(**{name: 10.0}))[1, 2] for name in ("r_word", "r_bit")
    )
    np.testing.assert_allclose(1 / along_word, 130.0, rtol=1e-12)
    np.testing.assert_allclose(1 / along_bit, 110.0, rtol=1e-12)


def test_driver_and_sense_resistance_count_once_a_line():
    """Two cells on one word line share its driver; two on one bit line share its sense terminal."""

    def currents(cells, **wires):
        g = np.zeros(SHAPE)
        for cell in cells:
            g[cell] = 1e-2
        return qs.crossbar.solve(g, np.ones(2), qs.crossbar.Wires(**wires)).i_out

    one_word_line, one_bit_line = [(1, 0), (1, 1)], [(0, 0), (1, 0)]
    shared, alone = 1 / (50.0 + 100.0 / 2), 1 / (50.0 + 100.0)
    np.testing.assert_allclose(currents(one_word_line, r_driver=50.0), [shared / 2, shared / 2, 0], rtol=1e-12)
    np.testing.assert_allclose(currents(one_bit_line, r_driver=50.0), [2 * alone, 0, 0], rtol=1e-12)
    np.testing.assert_allclose(currents(one_word_line, r_sense=50.0), [alone, alone, 0], rtol=1e-12)
    np.testing.assert_allclose(currents(one_bit_line, r_sense=50.0), [shared, 0, 0], rtol=1e-12)


def test_wires_default_to_ideal():
    wires = qs.crossbar.Wires()
    assert [float(r) for r in (wires.r_word, wires.r_bit, wires.r_driver, wires.r_sense)] == [0.0] * 4
    named = qs.crossbar.Wires(1.0, 2.0, 3.0, 4.0)
    assert [float(r) for r in (named.r_word, named.r_bit, named.r_driver, named.r_sense)] == [
        1.0,
        2.0,
        3.0,
        4.0,
    ]


def test_sum_over_word_lines_is_the_matrix_vector_product_of_the_effective_conductance():
    g = np.array([[1e-3, 2e-3, 5e-3], [4e-3, 1e-3, 2e-3]])
    v_in, wires = np.array([0.3, -0.8]), qs.crossbar.Wires(**R)
    g_eff = np.asarray(qs.crossbar.effective_conductance(g, wires))
    np.testing.assert_allclose(qs.crossbar.solve(g, v_in, wires).i_out, v_in @ g_eff, rtol=1e-11)
