"""A ladder branch by branch: access transistors, bits, real parts, and the switch that is not good enough."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs

pytestmark = pytest.mark.usefixtures("x64")
Ladder = qs.cells.Ladder


@pytest.mark.parametrize("bits", [1, 3, 6])
def test_bits_are_those_of_the_code_most_significant_first(bits):
    cell = Ladder(bits, 80e3, 5e3, 1e8)
    codes = np.arange(2**bits).reshape(2, -1)
    on = np.asarray(cell.bits_of(jnp.asarray(codes)))
    assert on.shape == (bits, *codes.shape)
    words = [format(code, f"0{bits}b") for code in codes.ravel()]
    np.testing.assert_array_equal(on.reshape(bits, -1).T, [[bit == "1" for bit in word] for word in words])


def test_nominal_parts_are_the_cell():
    cell = Ladder(4, 80e3, 5e3, 1e7, r_access=2e3)
    codes = jnp.arange(16)
    on = cell.bits_of(codes)
    resistors = jnp.broadcast_to(cell.resistors()[:, None], (4, 16))
    g = cell.branch_conductance(resistors, jnp.where(on, cell.r_on, cell.r_off))
    np.testing.assert_array_equal(g, cell.conductance(codes))


def test_every_part_counts():
    """One cell of three branches on paper: 1/(10k + 1k + 4k) + 1/(21k + 1k + 6k) + 1/(38k + 1k + 961k)."""
    cell = Ladder(3, 10e3, 5e3, 1e6, r_access=1e3)
    g = cell.branch_conductance(jnp.asarray([10e3, 21e3, 38e3]), jnp.asarray([4e3, 6e3, 961e3]))
    assert float(g) == pytest.approx(1 / 15e3 + 1 / 28e3 + 1 / 1e6, rel=1e-14)


def test_an_access_transistor_adds_to_both_states():
    plain, access = Ladder(3, 80e3, 5e3 + 700, 1e6 + 700), Ladder(3, 80e3, 5e3, 1e6, r_access=700.0)
    np.testing.assert_allclose(access.conductance(np.arange(8)), plain.conductance(np.arange(8)), rtol=1e-14)


def test_an_access_transistor_is_a_resistance():
    with pytest.raises(ValueError, match=r"^Argument `r_access` must be non-negative and finite, but r_access = -1\.0"):
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
