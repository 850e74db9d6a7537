"""Wrong use of cells is refused, by name and with the remedy."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.cells.zoo import by_kind_of_cell
from tests.unchecked import unchecked

Differential, Ladder, Multilevel = qs.cells.Differential, qs.cells.Ladder, qs.cells.Multilevel
Referenced, Sliced = qs.cells.Referenced, qs.cells.Sliced
NAN, INF = float("nan"), float("inf")


@pytest.fixture(autouse=True)
def as_users_run_it(x64: None) -> Iterator[None]:
    with unchecked():
        yield


def ladder(bits: Any = 3, r_unit: Any = 80e3, r_on: Any = 5e3, r_off: Any = 1e6, r_branch: Any = None):
    return Ladder(bits, r_unit, r_on, r_off, r_branch)


@pytest.mark.parametrize("bits", [0, -1, 17, 2.0, True, "3"])
def test_bits(bits):
    with pytest.raises(
        ValueError, match=rf"^Argument `bits` must be an integer from 1 to 16, one per branch, but is {bits!r}\.$"
    ):
        ladder(bits=bits)


@pytest.mark.parametrize(
    ("resistors", "message"),
    [
        ({"r_unit": 0.0}, r"`r_unit` must be positive and finite, but is 0 ohm\."),
        ({"r_unit": -1.0}, r"`r_unit` must be positive and finite, but is -1 ohm\."),
        ({"r_unit": NAN}, r"`r_unit` must be positive and finite, but is nan ohm\."),
        ({"r_unit": INF}, r"`r_unit` must be positive and finite, but is inf ohm\."),
        ({"r_on": -5.0}, r"`r_on` must be non-negative and finite, but is -5 ohm\."),
        ({"r_on": NAN}, r"`r_on` must be non-negative and finite, but is nan ohm\."),
        ({"r_on": INF}, r"`r_on` must be non-negative and finite, but is inf ohm\."),
        ({"r_off": 4e3}, r"`r_off` must be above `r_on` = 5 kohm, but is 4 kohm; a switch that is off"),
        ({"r_off": 5e3}, r"`r_off` must be above `r_on` = 5 kohm, but is 5 kohm; a switch that is off"),
        ({"r_off": NAN}, r"`r_off` must be positive \(infinity is allowed\), but is nan ohm"),
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
    with pytest.raises(ValueError, match=r"^Argument `r_branch` must have shape \(3,\), one resistor per bit, but has"):
        ladder(r_unit=None, r_branch=np.ones(shape))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0 ohm"), (-2.0, "-2 ohm"), (NAN, "nan ohm; replace .*"), (INF, "inf ohm")],
)
def test_every_branch_conducts(value, shown):
    message = rf"^Argument `r_branch` must be positive and finite, but r_branch\[1\] = {shown}\.$"
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
        (-1e-6, 1e-4, r"`g_min` must be non-negative and finite, but is -1e-06 S\."),
        (NAN, 1e-4, r"`g_min` must be non-negative and finite, but is nan S\."),
        (1e-6, INF, r"`g_max` must be non-negative and finite, but is inf S\."),
        (1e-6, NAN, r"`g_max` must be non-negative and finite, but is nan S\."),
        (1e-4, 1e-4, r"`g_max` must be above `g_min` = 100 uS, but is 100 uS\."),
        (1e-4, 1e-6, r"`g_max` must be above `g_min` = 100 uS, but is 1 uS\."),
    ],
)
def test_conductances(g_min, g_max, message):
    with pytest.raises(ValueError, match=rf"^Argument {message}$"):
        Multilevel(8, g_min, g_max)


SIGNED = (Differential(ladder()), Referenced(ladder()), Differential(Sliced(ladder(), 2)))


@pytest.mark.parametrize("wrap", [Differential, Referenced, lambda cell: Sliced(cell, 2)])
def test_only_a_cell_without_a_sign_can_be_wrapped(wrap):
    for cell in SIGNED:
        message = rf"^Argument `cell` must hold weights without a sign, but a {type(cell).__name__} is already signed; "
        with pytest.raises(ValueError, match=message + r"give `\w+` the cell within it\.$"):
            wrap(cell)
    for cell, kind in ((None, "NoneType"), (3, "int")):
        with pytest.raises(ValueError, match=rf"^Argument `cell` must be a cell such as `Ladder`, but is a {kind}\.$"):
            wrap(cell)


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (0, r"must be an integer of at least 1, one per digit, but is 0\."),
        (2.0, r"must be an integer of at least 1, one per digit, but is 2\.0\."),
        (6, r"must leave no more than 65536 levels, but 6 digits of 8 levels are 262144\."),
    ],
)
def test_slices(slices, message):
    with pytest.raises(ValueError, match=rf"^Argument `slices` {message}$"):
        Sliced(ladder(), slices)


def test_narrow_integers_do_not_wrap():
    """200 of 255 in eight bits without a sign: its opposite is 56 there."""
    cell, code = Differential(Ladder(8, 80e3, 0.0, INF)), np.array([200, 255], "uint8")
    wide = code.astype("int32")
    # Compiled as one; codes that are known are checked there too.
    narrow, same = jax.jit(lambda: [(cell.conductance(c), cell.decode(c), cell.targets(c)) for c in (code, wide)])()
    for one, other in zip(narrow, same, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (np.asarray(narrow[0])[1] == 0).all()


def test_not_a_number_is_no_weight():
    w = jnp.asarray([[0.5, NAN]])
    for write in (Differential(ladder()).encode, ladder().encode, ladder().realise, Referenced(ladder()).realise):
        with pytest.raises(ValueError, match=r"^Argument `w` must be a number, but w\[0, 1\] = nan; replace .*\.$"):
            write(w)


@by_kind_of_cell
def test_codes(case):
    cell = case.build()
    low, high = cell.code_range
    message = f"^Argument `code` must hold integers from {low} to {high}, but"
    for read in (cell.conductance, cell.decode, cell.targets):
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
