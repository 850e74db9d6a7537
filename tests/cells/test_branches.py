"""A ladder branch by branch: access transistors, bits, real parts, and the switch that is not good enough."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs

pytestmark = pytest.mark.usefixtures("x64")
Ladder = qs.cells.Ladder


@pytest.mark.parametrize("bits", [3, *(pytest.param(bits, marks=pytest.mark.slow) for bits in (1, 6))])
def test_switches_are_the_bits_of_the_code_most_significant_first(bits):
    codes = np.arange(2**bits).reshape(2, -1)
    targets = np.asarray(Ladder(bits, 80e3, 5e3, 1e8).targets(codes))
    assert targets.shape == (bits, *codes.shape)
    words = [format(code, f"0{bits}b") for code in codes.ravel()]
    expected = [[1 / 5e3 if bit == "1" else 1 / 1e8 for bit in word] for word in words]
    np.testing.assert_allclose(targets.reshape(bits, -1).T, expected, rtol=1e-15)


def test_every_part_counts():
    """One cell of three branches on paper: 1/(10k + 1k + 4k) + 1/(21k + 1k + 6k) + 1/(38k + 1k + 961k)."""
    cell = Ladder(3, None, 5e3, 1e6, jnp.asarray([10e3, 21e3, 38e3]), r_access=1e3)
    g = cell.assemble(1 / jnp.asarray([4e3, 6e3, 961e3]))
    assert float(g[0]) == pytest.approx(1 / 15e3 + 1 / 28e3 + 1 / 1e6, rel=1e-14)


def test_open_and_shorted_devices_are_exact_and_have_slopes():
    """dG/dg is 1 for an open device, 0 for a short; in between that of g/(1 + gR), on both sides of g = 1/R."""
    cell, g = Ladder(1, 10e3, 0.0, float("inf")), jnp.asarray([0.0, 1e-12, 0.99e-4, 1.01e-4, 1e3, jnp.inf])
    np.testing.assert_allclose(cell.assemble(g[None])[0, 1:-1], g[1:-1] / (1 + g[1:-1] * 10e3), rtol=1e-14)
    assert cell.assemble(g[None])[0, 0] == 0
    assert cell.assemble(g[None])[0, -1] == 1 / 10e3
    slope = np.asarray(jax.grad(lambda g: jnp.sum(cell.assemble(g[None])))(g))
    np.testing.assert_allclose(slope[:-1], 1 / (1 + g[:-1] * 10e3) ** 2, rtol=1e-14)


def test_a_switch_of_no_resistance_has_the_slope_of_a_small_one():
    """Its conductance is infinite, and its derivative in the resistance all the same -1/R^2, forward and reverse."""

    def total(r_on):
        return Ladder(3, 80e3, r_on, 1e6).conductance(jnp.asarray(6))[0]

    for slope in (jax.jit(jax.grad(total)), jax.jit(jax.jacfwd(total))):
        exact = -(1 / 80e3**2) * (1 + 1 / 4)
        np.testing.assert_allclose([slope(jnp.asarray(r)) for r in (0.0, 1e-4)], exact, rtol=1e-8)


def test_resistors_of_an_array_are_made_with_their_own_mismatch_and_one_process_factor():
    """Through both wrappers: every branch of every cell its own factor, as `Resistor.factor` has it, by hand."""
    resistor = qs.cells.Resistor(sigma_unit=0.1, sigma_process=0.2, tcr=1e-3)
    inner = Ladder(2, 10e3, 500.0, 1e7, resistor=resistor)
    cell, code = qs.cells.Differential(qs.cells.Sliced(inner, 2)), jnp.asarray([[5, -7, 14]])
    parts = cell.init(code.shape, key=jax.random.key(0))
    assert parts.local.shape == (2, 1, 3, 2, 2)
    g = np.asarray(cell.assemble(cell.targets(code), parts, temperature=350.0))
    factor = np.asarray(resistor.factor(parts, 350.0))
    for line, (sign, digit) in enumerate(np.ndindex(2, 2)):
        for column, value in enumerate(code[0].tolist()):
            bits = format(max(value if sign == 0 else -value, 0), "04b")[2 * digit : 2 * digit + 2]
            r = [10e3 * 2**k * factor[k, 0, column, sign, digit] + (500.0 if bits[k] == "1" else 1e7) for k in (0, 1)]
            assert g[line, 0, column] == pytest.approx(1 / r[0] + 1 / r[1], rel=1e-13)
    assert float(cell.reference_factor(parts, 350.0)) == pytest.approx(float(parts.die) * 1.05)
    assert float(cell.reference_factor(None)) == 1
    # Levels are those of the design, whatever is made.
    np.testing.assert_array_equal(cell.conductance(code), cell.assemble(cell.targets(code)))


def test_an_access_transistor_adds_to_both_states():
    plain, access = Ladder(3, 80e3, 5e3 + 700, 1e6 + 700), Ladder(3, 80e3, 5e3, 1e6, r_access=700.0)
    np.testing.assert_allclose(access.conductance(np.arange(8)), plain.conductance(np.arange(8)), rtol=1e-14)


def test_an_access_transistor_is_a_resistance():
    with pytest.raises(ValueError, match=r"^Argument `r_access` must be non-negative and finite, but is -1 ohm"):
        Ladder(3, 80e3, 5e3, 1e6, r_access=-1.0)


@pytest.mark.parametrize(
    ("bits", "ratio", "levels"),
    [(3, 60, "4 usable levels of the 8"), (5, 200, "8 usable levels of"), (2, 16, "2 usable levels")],
)
def test_more_bits_than_the_switch_supports(bits, ratio, levels):
    message = rf"of {bits} bits needs .* above 4\^{bits} = {4**bits}, but r_off/r_on is {ratio}, enough for {levels}"
    with pytest.warns(UserWarning, match=message) as caught:
        Ladder(bits, 80e3, 5e3, ratio * 5e3)
    assert "give `r_branch` values" in str(caught[0].message)


def test_hardly_a_switch_at_all():
    with pytest.warns(UserWarning, match="enough for 1 usable level of the 2;"):
        Ladder(1, 80e3, 5e3, 15e3)


def test_no_warning_where_there_is_no_reason():
    """Enough ratio; an ideal switch; branches that may allow for it; values that are not known while tracing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Ladder(3, 80e3, 5e3, 65 * 5e3)
        Ladder(8, 80e3, 0.0, 80e3)
        Ladder(8, 80e3, 5e3, float("inf"))
        Ladder(3, None, 5e3, 80e3, r_branch=jnp.asarray([10e3, 25e3, 55e3]))
        jax.jit(lambda r_off: Ladder(3, 80e3, 5e3, r_off).conductance(jnp.asarray(3)))(80e3)
