"""The quantized synapse R, 2R, 4R, ...: exact conductances, what switches cost, and how to correct for them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.cells.zoo import INFINITE, branches, doubled, ladder, ladder_law

# Some of these switches are bad on purpose; that they are warned of is tested in test_branches.py.
pytestmark = [
    pytest.mark.usefixtures("x64"),
    pytest.mark.filterwarnings("ignore:A ladder R, 2R, 4R:UserWarning"),
]

Ladder = qs.cells.Ladder
ROUNDING = 1e-14


by_bits = pytest.mark.parametrize(
    "bits", [pytest.param(bits, marks=[] if bits in (1, 4) else pytest.mark.slow) for bits in range(1, 7)]
)


@jax.jit
def _conductance(cell, codes):
    return cell.conductance(codes)


def conductances(cell):
    """Of every code in order; compiled, once a number of bits."""
    return np.asarray(_conductance(cell, np.arange(cell.code_range[1] + 1)))[0]


@by_bits
def test_every_code_of_random_ladders_is_exact(bits):
    """Against rational arithmetic on the very same floating-point resistances: only the last roundings differ."""
    rng = np.random.default_rng(bits)
    for r_unit, r_on, ratio in zip(*10 ** rng.uniform([[3], [1], [0.1]], [[6], [5], [6]], (3, 4)), strict=True):
        case = ladder(bits, r_unit, r_on, r_on * ratio)
        exact = [float(case.exact(code)[0]) for code in case.codes]
        np.testing.assert_allclose(conductances(case.build()), exact, rtol=ROUNDING, atol=0)


@by_bits
def test_every_code_of_given_branches_is_exact(bits):
    r_branch = list(10 ** np.random.default_rng(bits).uniform(3, 6, bits))
    case = branches(r_branch, 700.0, 3e5, name="random")
    exact = [float(case.exact(code)[0]) for code in case.codes]
    np.testing.assert_allclose(conductances(case.build()), exact, rtol=ROUNDING, atol=0)


def test_one_unit_is_a_ladder_of_doubled_branches():
    given = Ladder(4, None, 5e3, 1e6, r_branch=jnp.asarray(doubled(80e3, 4)))
    unit = Ladder(4, 80e3, 5e3, 1e6)
    np.testing.assert_array_equal(unit.resistors(), [80e3, 160e3, 320e3, 640e3])
    np.testing.assert_array_equal(given.resistors(), unit.resistors())
    np.testing.assert_array_equal(conductances(given), conductances(unit))


@by_bits
def test_ideal_switches_give_uniform_levels(bits):
    """The step is 1 / (2^(bits-1) R), and code 0 does not conduct: branches add their currents, not resistances."""
    r = 80e3
    step = 1 / (2 ** (bits - 1) * r)
    g = conductances(Ladder(bits, r, 0.0, INFINITE))
    assert g[0] == 0
    np.testing.assert_allclose(g, step * np.arange(2**bits), rtol=ROUNDING, atol=0)


@by_bits
def test_resistors_that_allow_for_the_switch_give_uniform_levels(bits):
    """R_k = 2^k (R + r_on) - r_on: in series with its switch each branch is a power of two."""
    r, r_on = 20e3, 5e3
    r_branch = 2.0 ** np.arange(bits) * (r + r_on) - r_on
    g = conductances(Ladder(bits, None, r_on, INFINITE, r_branch=jnp.asarray(r_branch)))
    np.testing.assert_allclose(g, np.arange(2**bits) / (2 ** (bits - 1) * (r + r_on)), rtol=ROUNDING, atol=0)


def test_the_first_branch_is_the_most_significant_bit():
    cell = Ladder(3, 80e3, 0.0, INFINITE)
    np.testing.assert_allclose(
        cell.conductance(np.array([4, 2, 1]))[0], [1 / 80e3, 1 / 160e3, 1 / 320e3], rtol=ROUNDING
    )


def endpoint_nonlinearity(g):
    """Largest distance from the straight line through the first and the last level, in its own steps [LSB]."""
    step = (g[-1] - g[0]) / (len(g) - 1)
    return np.abs((g - g[0]) / step - np.arange(len(g))).max()


@pytest.mark.parametrize(
    ("r_off", "ratio", "expected"),
    [(1e6, 16, [0.03, 0.13, 0.47, 1.32]), pytest.param(80e3, 8, [0.15, 0.57, 1.52, 3.54], marks=pytest.mark.slow)],
)
def test_integral_nonlinearity_of_real_switches(r_off, ratio, expected):
    """Computed elsewhere for R_on = 5 kohm and 2 to 5 bits, to two decimals.

    It is the endpoint definition that gives these figures: offset and gain, which a differential cell and its full
    scale take out, are no error. Against the ideal step 1 / (2^(bits-1) R) the first row would be 0.43 ... 5.9, and
    from the least-squares line 0.02 ... 1.04.
    """
    found = [endpoint_nonlinearity(conductances(Ladder(n, ratio * 5e3, 5e3, r_off))) for n in (2, 3, 4, 5)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.006)  # 0.56495 is given as 0.57


def test_better_switches_approach_the_ideal_ladder_from_one_side():
    """Both errors, the on resistance in series and the leakage of open branches, are of first order and one sign."""
    ideal = conductances(Ladder(3, 80e3, 0.0, INFINITE))
    with_on = conductances(Ladder(3, 80e3, 80.0, INFINITE))
    with_off = conductances(Ladder(3, 80e3, 0.0, 80e6))
    assert (with_on[1:] < ideal[1:]).all()
    assert (with_off[:-1] > ideal[:-1]).all()
    # 0.1 % in series with the first branch; 0.1 % leakage past every open branch.
    np.testing.assert_allclose(1 - with_on[4] / ideal[4], 1e-3, rtol=2e-3)
    np.testing.assert_allclose(with_off[0], 3 / 80e6, rtol=1e-2)


def test_an_open_switch_has_no_slope_in_its_resistance():
    """Infinity is a value like any other to the derivative: of 1/(R + r_off), it is 0 and not NaN."""

    def total(r_off):
        return jnp.sum(Ladder(3, 80e3, 5e3, r_off).conductance(jnp.arange(8)))

    assert jax.grad(total)(jnp.asarray(INFINITE)) == 0


def test_the_smallest_step_of_the_finest_ladder_is_kept_in_float32():
    """16 bits: neighbouring levels differ by 1 part in 65535, 128 times the precision of the numbers."""
    with jax.enable_x64(False):
        codes = jnp.asarray([0, 1, 32767, 32768, 65534, 65535], jnp.int32)
        again = jax.jit(lambda cell: cell.encode(cell.decode(codes)))(Ladder(16, 10e3, 0.0, INFINITE))
        np.testing.assert_array_equal(again, codes)


def test_law_of_the_tests_on_paper():
    """1 kohm + 1 kohm on, 2 kohm + 8 kohm off: 1/2000 + 1/10000 S, so that the reference is not taken on trust."""
    assert float(ladder_law(0b10, [1e3, 2e3], 1e3, 8e3)) == pytest.approx(0.0006, rel=1e-15)
