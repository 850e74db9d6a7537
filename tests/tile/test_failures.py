"""Tiles that are none are refused, when they are built; matrices and inputs that do not fit, when they are given."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

Tile, Wires = qs.tile.Tile, qs.crossbar.Wires
CELL = qs.cells.Multilevel(4, 0.0, 1e-4)
SIGNED = qs.cells.Differential(CELL)


@pytest.fixture(autouse=True)
def as_users_run_it() -> Iterator[None]:
    with unchecked():
        yield


@pytest.mark.parametrize("shape", [(0, 4), (4, -1), (4.0, 4), (4,), (4, 4, 4), (True, 4), "64", None, 2.5])
def test_a_tile_is_two_positive_integers(shape):
    message = r"^Argument `shape` must be two positive integers \(word lines, bit lines\), e\.g\. \(64, 64\), but is "
    with pytest.raises(ValueError, match=message):
        Tile(CELL, shape=shape)


@pytest.mark.parametrize("shape", [(4, 3), (64, 1)])
def test_a_weight_fits_a_tile(shape):
    message = (
        rf"^Argument `shape` must have a multiple of 2 bit lines, the bit lines of one weight of a Differential, "
        rf"but is \({shape[0]}, {shape[1]}\)\.$"
    )
    with pytest.raises(ValueError, match=message):
        Tile(SIGNED, shape=shape)


def test_one_number_is_a_square_tile():
    assert Tile(CELL, shape=16).shape == (16, 16)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cell": 3}, "`cell` must be an `AbstractCell`, but is a `int`"),
        ({"wires": 1.0}, "`wires` must be a `Wires`, but is a `float`"),
        ({"device": CELL}, "`device` must be an `AbstractDevice`, but is a `Multilevel`"),
        ({"dac": 8}, "`dac` must be a `DAC`, but is a `int`"),
        ({"adc": 8}, "`adc` must be an `ADC`, but is a `int`"),
        ({"scheme": "fppv"}, "`scheme` must be an `AbstractScheme`, but is a `str`"),
        ({"v_read": 0.0}, "`v_read` must be positive and finite, but is 0 V"),
        ({"wires": Wires(r_word=jnp.ones(5))}, r"`r_word` must be a scalar or have shape .* for an array of \(8, 6\)"),
        (
            {"device": qs.devices.analog_rram(), "scheme": qs.programming.SinglePulse()},
            "`device` must be an `AbstractTwoLevel` for `SinglePulse`, but is a `GatedFilament`; devices that are: "
            "`Switch`",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_parts_of_another_kind(changed, message):
    with pytest.raises(ValueError, match=f"^Argument {message}"):
        Tile(**{"cell": CELL, "shape": (8, 6)} | changed)


def test_matrices_codes_and_inputs_that_do_not_fit():
    tile = Tile(SIGNED, shape=(8, 6))
    state = tile.init((5, 4), key=jax.random.key(0))
    with pytest.raises(ValueError, match=r"^Argument `shape` must be \(rows, cols\) of a matrix, but is 5\.$"):
        tile.init(5, key=jax.random.key(0))  # pyright: ignore
    with pytest.raises(ValueError, match=r"^Argument `shape` must be an integer of at least 1, but is 0\.$"):
        tile.init((5, 0), key=jax.random.key(0))
    with pytest.raises(ValueError, match=r"^Argument `code` must have the shape \(5, 4\) of the matrix, but has shape"):
        tile.program(state, jnp.zeros((4, 5), int), key=jax.random.key(1))
    with pytest.raises(ValueError, match=r"^Argument `code` must hold integers from -3 to 3, but ranges from 4 to 4"):
        tile.program(state, jnp.full((5, 4), 4), key=jax.random.key(1))
    with pytest.raises(ValueError, match=r"^Argument `x` must have shape \(\*batch, 5\) for a matrix of 5 rows, but"):
        tile.read(state, jnp.zeros((2, 4)))
    with pytest.raises(
        ValueError, match=r"^Argument `e` must have shape \(\*batch, 4\) for a matrix of 4 columns, but"
    ):
        tile.read_transposed(state, jnp.zeros((2, 5)))


@pytest.mark.parametrize("device", [None, qs.devices.Switch(5e3, 1e6)])
def test_degrees_celsius_are_an_error_wherever_a_temperature_is_given(device):
    tile = Tile(qs.cells.Ladder(3, 80e3, 5e3, 1e6), device=device)
    state = tile.init((2, 3), key=jax.random.key(0))
    for call in (lambda: tile.matrix(state, temperature=25.0), lambda: tile.age(state, 1.0, 85.0)):
        with pytest.raises(ValueError, match="looks like degrees Celsius"):
            call()
