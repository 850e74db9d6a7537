"""INL and DNL against exact arithmetic, the published table, and their definition."""

from fractions import Fraction
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qsynapse_jax.cells import Differential, Ladder, Multilevel, linearity

ROUNDING = 1e-11  # LSB, of 2^6 levels in float64


def exact_levels(resistors, r_on, r_off):
    """Conductances of every code, in fractions."""
    bits = len(resistors)
    return [
        sum(1 / (r + (r_on if code >> (bits - 1 - k) & 1 else r_off)) for k, r in enumerate(resistors))
        for code in range(2**bits)
    ]


def exact_linearity(levels):
    step = (levels[-1] - levels[0]) / (len(levels) - 1)
    inl = [float((g - levels[0]) / step - c) for c, g in enumerate(levels)]
    dnl = [float((b - a) / step - 1) for a, b in pairwise(levels)]
    return np.array(inl), np.array(dnl)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_a_random_ladder_against_exact_arithmetic(seed):
    random = np.random.default_rng(seed)
    bits = 2 * seed + 2
    resistors = [Fraction(int(r)) for r in random.integers(10_000, 900_000, bits)]
    r_on, r_off = Fraction(int(random.integers(1, 5000))), Fraction(int(random.integers(10_000_000, 10**9)))
    cell = Ladder(bits, None, float(r_on), float(r_off), jnp.asarray([float(r) for r in resistors]))
    levels = exact_levels(resistors, r_on, r_off)
    inl, dnl = exact_linearity(levels)
    found = linearity(cell)
    np.testing.assert_allclose(found.inl, inl, atol=ROUNDING)
    np.testing.assert_allclose(found.dnl, dnl, atol=ROUNDING)
    assert float(found.worst_inl) == pytest.approx(abs(inl).max(), abs=ROUNDING)
    assert float(found.worst_dnl) == pytest.approx(abs(dnl).max(), abs=ROUNDING)

    # The signed cell: the same levels, mirrored, on a line through zero.
    mirrored = [levels[0] - g for g in reversed(levels[1:])] + [g - levels[0] for g in levels]
    np.testing.assert_allclose(linearity(Differential(cell)).inl, exact_linearity(mirrored)[0], atol=ROUNDING)


@pytest.mark.parametrize(
    ("bits", "r_off", "ratio", "expected"),
    [
        (3, 1e6, 16, 0.13),
        *(
            pytest.param(*row, marks=pytest.mark.slow)
            for row in [(2, 1e6, 16, 0.03), (4, 1e6, 16, 0.47), (5, 1e6, 16, 1.32), (2, 80e3, 8, 0.15)]
        ),
    ],
)
def test_plain_ladders_of_known_nonlinearity(bits, r_off, ratio, expected):
    """INL of R, 2R, 4R, ... with switches of 5 kohm, computed by hand to two digits."""
    cell = Ladder(bits, None, 5e3, r_off, 5e3 * ratio * 2.0 ** jnp.arange(bits))
    assert float(linearity(cell).worst_inl) == pytest.approx(expected, abs=0.005)


def test_even_levels_have_none():
    assert float(linearity(Multilevel(33, 1e-6, 1e-4)).worst_inl) < 1e-5  # float32


def test_gain_and_offset_do_not_matter_and_arrays_are_batches():
    levels = jnp.asarray([[0.0, 1.0, 2.5, 3.0], [0.0, 2.0, 1.0, 3.0]])
    found = linearity(levels)
    np.testing.assert_allclose(found.inl, [[0, 0, 0.5, 0], [0, 1, -1, 0]], atol=1e-6)
    np.testing.assert_allclose(found.dnl, [[0, 0.5, -0.5], [1, -2, 1]], atol=1e-6)
    np.testing.assert_allclose(linearity(3 - 2 * levels).inl, found.inl, atol=1e-6)


@pytest.mark.usefixtures("x64")
def test_its_gradient_in_a_resistor():
    def worst(r_first):
        resistors = jnp.stack([r_first, jnp.asarray(20e3), jnp.asarray(41e3)])
        return linearity(Ladder(3, None, 500.0, 1e6, resistors)).worst_inl

    r, h = jnp.asarray(10.7e3), 1.0
    difference = (worst(r + h) - worst(r - h)) / (2 * h)
    assert float(jax.grad(worst)(r)) == pytest.approx(float(difference), rel=1e-6)


def test_one_level_is_no_staircase():
    with pytest.raises(ValueError, match="at least two levels"):
        linearity(jnp.ones(1))
