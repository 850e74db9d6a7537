"""Wrong use of cells is refused, by name and with the remedy."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.cells.zoo import by_kind_of_cell
from tests.unchecked import unchecked

Differential, Ladder, Multilevel = qs.cells.Differential, qs.cells.Ladder, qs.cells.Multilevel
NAN, INF = float("nan"), float("inf")


@pytest.fixture(autouse=True)
def as_users_run_it(x64: None) -> Iterator[None]:
    with unchecked():
        yield


def ladder(bits=3, r_unit=80e3, r_on=5e3, r_off=1e6, r_branch=None):
    return Ladder(bits, r_unit, r_on, r_off, r_branch)


@pytest.mark.parametrize("bits", [0, -1, 17, 2.0, True, "3"])
def test_bits(bits):
    with pytest.raises(
        ValueError, match=rf"^Argument `bits` must be an integer from 1 to 16, but is {bits!r}: one a branch\.$"
    ):
        ladder(bits=bits)


@pytest.mark.parametrize(
    ("resistors", "message"),
    [
        ({"r_unit": 0.0}, r"`r_unit` must be positive and finite, but r_unit = 0\.0 ohm\."),
        ({"r_unit": -1.0}, r"`r_unit` must be positive and finite, but r_unit = -1\.0 ohm\."),
        ({"r_unit": NAN}, r"`r_unit` must be positive and finite, but r_unit = nan ohm\."),
        ({"r_unit": INF}, r"`r_unit` must be positive and finite, but r_unit = inf ohm\."),
        ({"r_on": -5.0}, r"`r_on` must be non-negative and finite, but r_on = -5\.0 ohm\."),
        ({"r_on": NAN}, r"`r_on` must be non-negative and finite, but r_on = nan ohm\."),
        ({"r_on": INF}, r"`r_on` must be non-negative and finite, but r_on = inf ohm\."),
        ({"r_off": 4e3}, r"`r_off` must be above `r_on` = 5000 ohm, but is 4000 ohm; a switch that is off"),
        ({"r_off": 5e3}, r"`r_off` must be above `r_on` = 5000 ohm, but is 5000 ohm; a switch that is off"),
        ({"r_off": NAN}, r"`r_off` must be above `r_on` = 5000 ohm, but is nan ohm"),
        ({"r_unit": "80k"}, r"`r_unit` must be an array of real numbers, but "),
        ({"r_unit": np.ones(3)}, r"`r_unit` must be a scalar, but has shape \(3,\)\."),
        ({"r_on": np.asarray(5)}, r"`r_on` must be a float32 or float64 array, but has dtype int64; convert"),
    ],
)
def test_resistors(resistors, message):
    with pytest.raises(ValueError, match=rf"^Argument {message}"):
        ladder(**resistors)


def test_one_way_to_give_the_branches():
    message = r"^Give either `r_unit` or `r_branch` \[ohm\], and `None` for the other\.$"
    with pytest.raises(ValueError, match=message):
        ladder(r_unit=None)
    with pytest.raises(ValueError, match=message):
        ladder(r_branch=np.ones(3))


@pytest.mark.parametrize("shape", [(2,), (4,), (3, 1), ()])
def test_one_resistor_a_bit(shape):
    with pytest.raises(ValueError, match=r"^Argument `r_branch` must have shape \(3,\), one resistor a bit, but has"):
        ladder(r_unit=None, r_branch=np.ones(shape))


@pytest.mark.parametrize(("value", "shown"), [(0.0, r"0\.0"), (-2.0, r"-2\.0"), (NAN, "nan"), (INF, "inf")])
def test_every_branch_conducts(value, shown):
    message = rf"^Argument `r_branch` must be positive and finite, but r_branch\[1\] = {shown} ohm\.$"
    with pytest.raises(ValueError, match=message):
        ladder(r_unit=None, r_branch=np.array([1e3, value, 4e3]))


@pytest.mark.parametrize("levels", [1, 0, -4, 2**15 + 1, 2.0, True])
def test_levels(levels):
    message = rf"^Argument `levels` must be an integer from 2 to 32768, but is {levels!r}\.$"
    with pytest.raises(ValueError, match=message):
        Multilevel(levels, 1e-6, 1e-4)


@pytest.mark.parametrize(
    ("g_min", "g_max", "message"),
    [
        (-1e-6, 1e-4, r"`g_min` must be non-negative and finite, but g_min = -1e-06 S\."),
        (NAN, 1e-4, r"`g_min` must be non-negative and finite, but g_min = nan S\."),
        (1e-6, INF, r"`g_max` must be non-negative and finite, but g_max = inf S\."),
        (1e-6, NAN, r"`g_max` must be non-negative and finite, but g_max = nan S\."),
        (1e-4, 1e-4, r"`g_max` must be above `g_min` = 0\.0001 S, but is 0\.0001 S\."),
        (1e-4, 1e-6, r"`g_max` must be above `g_min` = 0\.0001 S, but is 1e-06 S\."),
    ],
)
def test_conductances(g_min, g_max, message):
    with pytest.raises(ValueError, match=rf"^Argument {message}$"):
        Multilevel(8, g_min, g_max)


@pytest.mark.parametrize(("cell", "kind"), [(Differential(ladder()), "Differential"), (None, "NoneType"), (3, "int")])
def test_only_a_cell_on_one_line_can_be_doubled(cell, kind):
    message = rf"^Argument `cell` must be a cell on a single bit line such as `Ladder`, but is a {kind}\.$"
    with pytest.raises(ValueError, match=message):
        Differential(cell)


@by_kind_of_cell
def test_codes(case):
    cell = case.build()
    low, high = cell.code_range
    message = f"^Argument `code` must hold integers from {low} to {high}, but"
    for read in (cell.conductance, cell.decode):
        with pytest.raises(ValueError, match=rf"{message} ranges from {low} to {high + 1}\.$"):
            read(np.array([low, high + 1]))
        with pytest.raises(ValueError, match=rf"{message} ranges from {low - 1} to {low - 1}\.$"):
            read(low - 1)
        with pytest.raises(ValueError, match=f"{message} has dtype float64; use `encode` to turn weights into codes"):
            read(np.array([0.0, 1.0]))
        with pytest.raises(ValueError, match=f"{message} has dtype bool; use `encode`"):
            read(True)
    assert cell.conductance(np.zeros((0, 3), int)).size == 0


@by_kind_of_cell
def test_weights(case):
    cell = case.build()
    for write in (cell.encode, cell.realise):
        with pytest.raises(ValueError, match=r"^Argument `w` must be a float32 or float64 array, but has dtype int64;"):
            write(np.array([0, 1]))
        with pytest.raises(ValueError, match=r"^Argument `w` must be an array of real numbers, but "):
            write("heavy")


def test_shapes_and_kinds_are_checked_of_traced_numbers_too():
    """Values are not known then, but shapes are: `jit` reports them at once."""
    with pytest.raises(ValueError, match=r"^Argument `r_unit` must be a scalar, but has shape \(2,\)\."):
        jax.eval_shape(lambda r: ladder(r_unit=r).span(), jnp.ones(2))
    with pytest.raises(ValueError, match=r"^Argument `r_branch` must have shape \(3,\)"):
        jax.eval_shape(lambda r: ladder(r_unit=None, r_branch=r).span(), jnp.ones(2))


def test_known_codes_are_checked_inside_a_trace():
    """A table of codes that `jit` closes over is known while it traces."""
    codes, beyond = jnp.asarray([0, 7]), jnp.asarray([1, 8])
    np.testing.assert_allclose(jax.jit(lambda cell: cell.decode(codes))(ladder()), [0, 1], rtol=0, atol=1e-14)
    with pytest.raises(ValueError, match=r"^Argument `code` must hold integers from 0 to 7, but ranges from 1 to 8\."):
        jax.jit(lambda cell: cell.decode(beyond))(ladder())
