"""The settings of the comparison in words, and read again from a record."""

import math
from pathlib import Path

import pytest

from qsynapse_jax.studies import CellConfig, CodesignConfig, NetworkConfig, Record, read_record, write_record
from qsynapse_jax.studies._config import read_config


def stored(config, folder):
    """The JSON values that a record holds of a configuration."""
    write_record(Record("x", config, (0,), 0.0, []), folder / "result.json")
    return read_record(folder / "result.json").config


def test_the_demo_in_words():
    text = "\n".join(NetworkConfig.demo().hardware())
    for expected in (
        "7.06 ohm",
        "21.2 ohm",
        "8 kohm, 16 kohm, 32 kohm",
        "uS",
        "64 word lines x 64 bit lines",
        "per weight",
    ):
        assert expected in text


def test_an_ideal_switch_is_open():
    assert "to open)" in "\n".join(NetworkConfig(cell=CellConfig(r_off=math.inf)).hardware())


@pytest.mark.parametrize("kind", [NetworkConfig, CodesignConfig])
def test_settings_survive_a_record(kind, tmp_path):
    cell = CellConfig(r_off=math.inf if kind is NetworkConfig else 1e6)
    config = kind(cell=cell, hidden=(3, 4), tile_shape=(8,), r_word=2.0)
    assert read_config(kind, stored(config, tmp_path), Path("result.json")) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": "2"}, "cannot be: `epochs` is '2'"),
        ({"seed": True}, "cannot be: `seed` is True"),
        ({"hidden": [8, None]}, "cannot be: `hidden` is None"),
        ({"cell": 3}, "holds no configuration: 3"),
        ({"out": "runs"}, "`out` is unknown or missing"),
        ({"tile_shape": [0]}, "cannot be: Argument `tile_shape` must be"),
    ],
)
def test_what_is_no_setting_is_named(change, message, tmp_path):
    with pytest.raises(ValueError, match=r"^result.json") as caught:
        read_config(NetworkConfig, stored(NetworkConfig(), tmp_path) | change, Path("result.json"))
    assert message in str(caught.value)
