"""A network that learns in its arrays: its settings, where it starts, what is measured of it, and how it goes on."""

import inspect
import re
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from qsynapse_jax import devices
from qsynapse_jax.devices import presets
from qsynapse_jax.studies import InsituConfig, Progress, run_folder, run_insitu
from tests.training.models import assert_same

# One size, rule and rate for all, so that training is compiled once; numbers of devices are no other program.
SMALL: dict[str, Any] = {
    "hidden": (4,),
    "epochs": 3,
    "train_images": 60,
    "rule": "sgd",
    "learning_rate": 0.2,
    "seed": 1,
}
PATHS = ("layers/0", "layers/1")
PRESETS = [
    name
    for name, make in vars(presets).items()
    if not name.startswith("_") and hasattr(getattr(make, "__annotations__", {}).get("return"), "pulse")
]


@pytest.fixture(scope="module")
def result():
    """Devices of a dozen steps, so that some come to their bounds; as within a test, so that programs are shared."""
    with jax.numpy_rank_promotion("raise"):
        return run_insitu(InsituConfig(**SMALL, states=12.0))


@pytest.mark.slow  # compilation, most of it
def test_what_is_told_follows_from_the_devices(result):
    """A matrix of 64 x 4 and one of 4 x 10."""
    assert (result.layers, result.samples, result.devices) == ((64, 4, 10), (60, 500), 296)
    moved = sum(np.sum(result.weights[f"{path}/last"] != result.weights[f"{path}/first"]) for path in PATHS)
    pulses = [epoch.measured["pulses"] for epoch in result.histories["insitu"]]
    # A device moves by its pulses alone; each of them may have been pulsed back.
    assert 0 < pulses[0] < pulses[1] < pulses[2]
    assert 0 < moved <= pulses[2]
    assert 0 < result.last["saturated"] < 0.5
    assert 0 <= result.last["cut"] <= 1
    record = result.record(1.0)
    found = {one.name: one.ours for one in record.figures}
    assert found["test_accuracy_insitu"] == pytest.approx(100 * record.data["history/insitu/accuracy"][-1])
    assert found["lost_in_the_arrays"] == pytest.approx(
        found["test_accuracy_float"] - found["test_accuracy_insitu"], abs=1e-4
    )
    assert found["saturated_devices"] == pytest.approx(100 * record.data["history/insitu/saturated"][-1], rel=1e-5)
    assert [row[0] for row in record.tables["epochs"].rows] == ["1", "2", "3"]


class Listening(Progress):
    """Keeps the first loss of every stage."""

    def __init__(self):
        self.first = {}

    def stage(self, name, total):
        self.name = name

    def step(self, number, loss=None):
        self.first.setdefault(self.name, loss)


def test_both_networks_start_from_the_same_weights_and_devices_answer_by_their_law():
    """Uniform devices take all weights of the float network, shrunk to fit; a pulse leads a sixth of what is left."""
    listening = Listening()
    uniform = replace(InsituConfig(**SMALL), epochs=1, states=12.0, spread=0.0, asymmetry=0.0)
    result = run_insitu(uniform, listening)
    software, arrays = listening.first.values()
    assert software == pytest.approx(arrays, rel=1e-5)
    largest = max(np.abs(result.weights[f"{path}/first"]).max() for path in PATHS)
    assert 0.5 < largest <= 1
    assert result.bounds == pytest.approx((-1, 1))
    left = (5 / 6) ** np.arange(25)
    up = 1 - 2 * left
    down = -1 + (up[-1] + 1) * left[1:]
    expected = 1e-6 + 9e-6 * (np.r_[up, down] + 1) / 2
    np.testing.assert_allclose(result.response["g"], np.tile(expected[:, None], 8), rtol=1e-4)
    np.testing.assert_array_equal(result.response["pulses"], np.arange(49))


class Stopping(Progress):
    """Ends the process, as it were, in the middle of the arrays' second epoch."""

    def stage(self, name, total):
        self.name = name

    def step(self, number, loss=None):
        if self.name == "learnt in the arrays" and number > 70:
            raise KeyboardInterrupt


def test_a_run_that_was_interrupted_ends_to_the_last_bit_as_if_it_had_not_been(result, tmp_path, monkeypatch):
    monkeypatch.setattr("qsynapse_jax.studies._train._CHECKPOINT_SECONDS", 0.0)
    place = (tmp_path / "run", "insitu", result.config)
    with pytest.raises(KeyboardInterrupt), run_folder(*place) as run:
        run_insitu(result.config, Stopping(), run=run)
    with run_folder(*place, resume=True) as run:
        again = run_insitu(result.config, run=run)
    assert (run.continued, again.continued) == (True, True)
    assert again.histories == result.histories
    assert_same(again.weights, result.weights)


@pytest.mark.parametrize("name", ["soft-bounds", "linear", "constant", "exponential", "power", *PRESETS])
def test_every_device_has_a_name_and_its_own_numbers(name):
    device = InsituConfig(device=name).physical_device()
    if name in PRESETS:
        assert repr(device) == repr(getattr(presets, name)())
    else:
        assert float(device.dw_min) == pytest.approx(2 / 50)
        assert (float(device.dw_min_dtod), float(device.up_down_dtod)) == pytest.approx((0.2, 0.1))
    changed = InsituConfig(device=name, states=20.0, spread=0.05, asymmetry=0.02, noise=0.3).physical_device()
    assert float((changed.w_max - changed.w_min) / changed.dw_min) == pytest.approx(20)
    numbers = [float(getattr(changed, one)) for one in ("dw_min_dtod", "w_max_dtod", "up_down_dtod", "dw_min_std")]
    assert numbers == pytest.approx([0.05, 0.05, 0.02, 0.3])


def test_a_measured_table_is_a_device(tmp_path):
    path = tmp_path / "mine.csv"
    rows = [f"{k},{1e-6 * (k + 1)},{1e-6 * (6 - k)}" for k in range(6)]
    path.write_text("\n".join(["pulse,g_up,g_down", *rows]) + "\n")
    device = InsituConfig(device=str(path)).physical_device()
    assert isinstance(device, devices.MeasuredStep)
    assert float(device.g_max) == pytest.approx(6e-6)
    with pytest.raises(ValueError, match=r"`states` cannot be set for .*mine\.csv, whose curves say how large"):
        InsituConfig(device=str(path), states=10.0)


def test_rates_and_the_switch_count_epochs_as_steps_and_presentations():
    config = InsituConfig(rule="coarse-to-fine", epochs=4, batch_size=2, gains=(1.0, 0.2, 0.04), switch=(1.0, 2.5))
    rule, _ = config.learning(100)
    inner: Any = rule.rule
    assert (rule.every, inner.switch) == (100, (200, 500))
    usual: Any = InsituConfig(rule="coarse-to-fine", epochs=4).learning(100)[0].rule
    assert usual.switch == (200,)


def test_a_carry_hands_on_what_the_finest_array_is_worth():
    config = InsituConfig(rule="residual", learning_rate=0.06, gains=(0.06, 1.0), cycle=64, carry=True)
    rule: Any = config.learning(100)[0].rule
    assert (rule.transfer, rule.learning_rate, rule.cycle) == (pytest.approx(0.06), pytest.approx(1.0), 64)
    assert rule.nearest
    assert rule.carry
    assert config.hardware()[0].startswith("rule:   residual with a carry;")


WRONG = {
    "rule": ({"rule": "adag"}, r"`rule` must be one of sgd, .* but is 'adag'. Did you mean 'agad'\?"),
    "device": ({"device": "cmo_hfx"}, r"`device` must be one of soft-bounds, .* Did you mean 'cmo-hfox'\?"),
    "file": ({"device": "none.csv"}, "`device` must be a file of measured curves, but none.csv does not exist"),
    "activation": ({"activation": "tanh"}, "`activation` must be one of relu, sigmoid"),
    "states and dw_min": ({"states": 10.0, "dw_min": 0.1}, "`states` and `dw_min` say the same"),
    "one state": ({"states": 1.0}, "`states` must be at least 2, but is 1"),
    "no step": ({"dw_min": -0.1}, "`dw_min` must be positive"),
    "negative spread": ({"spread": -0.1}, "`spread` must be non-negative and finite"),
    "no rate": ({"learning_rate": 0.0}, "`learning_rate` must be positive"),
    "growing rate": ({"decay": 1.1}, "`decay` must be above 0 and at most 1"),
    "no train": ({"rule": "sgd", "train_length": 0}, "`train_length` must be at least 1"),
    "no epochs": ({"epochs": 0}, "`epochs` must be at least 1"),
    "no images": ({"train_images": -3}, "`train_images` must be at least 1"),
    "negative wire": ({"r_wire": -1.0}, "`r_wire` must be non-negative"),
    "no tile": ({"tile_shape": (0,)}, "`tile_shape` must be one or two positive"),
    "empty layer": ({"hidden": (0,)}, "`hidden` must hold positive"),
    "useless option": ({"rule": "sgd", "every": 2}, "`every` is for the rules .*tiki-taka, agad.*; sgd has no use"),
    "one array more": ({"rule": "sgd", "gains": (1.0, 1.0)}, r"`gains` must hold as many numbers as \(1.0,\) for"),
    "one array less": ({"rule": "coarse-to-fine", "gains": (1.0,)}, "`gains` must hold 2 numbers or more for"),
    "carry of one array": ({"rule": "sgd", "carry": True}, "`carry` is for the rule residual; sgd has no use for it"),
    "carry from nothing": (
        {"rule": "residual", "gains": (0.0, 1.0), "carry": True},
        r"`gains` must hold positive numbers in ascending order for a carry, but is \(0\.0, 1\.0\)",
    ),
    "two clocks": ({"rule": "residual", "cycle": 64, "every": 2}, "`cycle` and `every` say the same"),
    "no cycle": ({"rule": "residual", "cycle": 0}, "`cycle` must be at least 1"),
    "gains of nothing": ({"gains": (0.0, 0.0)}, "`gains` must hold numbers of at least 0, one of them above"),
    "switches": ({"rule": "coarse-to-fine", "switch": (1.0, 2.0)}, "`switch` must hold one number less than"),
    "late switch": ({"rule": "coarse-to-fine", "switch": (0.0,)}, "`switch` must hold positive epochs"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_said_before_any_work(case):
    changes, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        InsituConfig(**changes)


def test_more_images_than_there_are():
    with pytest.raises(ValueError, match="`train_images` must be at most 1,297, all of digits, but is 2,000"):
        run_insitu(InsituConfig(train_images=2000))


def test_every_name_is_in_the_help():
    """Of a rule or a preset that is added."""
    words = set(re.findall(r"[\w-]+", inspect.getsource(InsituConfig)))
    assert {name.replace("_", "-") for name in PRESETS} <= words
    with pytest.raises(ValueError, match="`rule` must be one of") as caught:
        InsituConfig(rule="?")
    assert set(re.findall(r"[\w-]+", str(caught.value).split("one of")[1].split(" but ")[0])) <= words


@pytest.mark.slow
def test_the_defaults_learn():
    """AGAD on devices of 50 states that differ by 20 %."""
    result = run_insitu(InsituConfig())
    assert result.accuracies["insitu"] > 93
