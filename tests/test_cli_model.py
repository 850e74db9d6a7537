"""A network of one's own on the command line: trained, found again, put on crossbars as it is, and refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from qsynapse_jax.cli import main
from qsynapse_jax.datasets import load
from qsynapse_jax.studies import find_run
from tests.refusal import refused

NETS = """
from flax import nnx
import qsynapse_jax as qs


class CNN(nnx.Module):
    def __init__(self, shape, classes, rngs):
        steps, channels = shape
        self.conv = nnx.Conv(channels, 4, (3,), feature_group_count=2, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)
        self.out = nnx.Linear(4 * steps, classes, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.conv(x))).reshape(len(x), -1)
        return self.out(self.drop(x))


def cnn(shape, classes, rngs):
    return CNN(shape, classes, rngs)


def pretrained(shape, classes, rngs):
    from my_layers import flat

    model = nnx.Sequential(flat, nnx.Linear(8, classes, rngs=rngs))
    return qs.nn.load_weights(model, "weights.safetensors")


def two_columns(shape, classes, rngs):
    return nnx.Sequential(lambda x: x.reshape(len(x), -1), nnx.Linear(8, 2, rngs=rngs))


def of_images(shape, classes, rngs):
    height, width, channels = shape


def for_rows(shape, classes, rngs):
    return nnx.Linear(8, classes, rngs=rngs)


def empty(shape, classes, rngs):
    return nnx.Sequential(lambda x: x.reshape(len(x), -1)[:, :3])


def on_crossbars(shape, classes, rngs):
    cell = qs.cells.Differential(qs.cells.Ladder(2, 1e4, 500.0, 5e5))
    tile = qs.tile.Tile(cell, shape=(8, 8))
    return nnx.Sequential(lambda x: x.reshape(len(x), -1), qs.nn.CrossbarDense(8, classes, tile=tile, rngs=rngs))


def nothing(shape, classes, rngs):
    pass


model = nnx.Linear(8, 3, rngs=nnx.Rngs(0))
number = 3
"""
TRAIN = ["train", "--data", "mine.npz", "--tile-shape", "8", "--r-word", "7", "--r-bit", "21", "--batch-size", "16"]
# The largest of each class: a matrix that is known.
KNOWN = np.eye(8, dtype=np.float32)[:3]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where one works: a module, and samples of 4 steps and 2 channels in 3 classes."""
    monkeypatch.chdir(tmp_path)
    Path("my_cnns.py").write_text(NETS)
    Path("my_layers.py").write_text("def flat(x):\n    return x.reshape(len(x), -1)\n")
    x = np.random.default_rng(0).uniform(0, 1, (40, 4, 2)).astype(np.float32)
    np.savez("mine.npz", x=x, y=(x.reshape(40, -1) @ KNOWN.T).argmax(-1))


def accuracies(out):
    return {one.name: one.ours for one in find_run(Path(out)).figures if one.name.startswith("test_accuracy")}


@pytest.mark.slow  # compiles three trainings; the next test does all else
def test_a_network_of_ones_own_is_trained_four_ways_and_found_again(capsys):
    """Groups, statistics and dropout included."""
    main([*TRAIN, "--model", "./my_cnns.py:cnn", "--epochs", "2", "--out", "run"])
    assert "mine.npz, ./my_cnns.py:cnn network, seed 0" in " ".join(capsys.readouterr().out.split())
    assert len(accuracies("run")) == 4
    stored = np.load("run/weights.npz")
    assert {"circuit/conv/code", "circuit/norm/mean", "float/out/kernel"} <= set(stored.files)
    with open("run/epochs.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["network"], line["epoch"]) for line in lines] == [
        (name, number) for name in ("float", "quantized", "circuit") for number in "12"
    ]
    history = find_run(Path("run")).data["history/circuit/loss"]
    np.testing.assert_allclose([float(line["loss"]) for line in lines[-2:]], history, rtol=1e-6)
    main(["evaluate", "run"])
    printed = capsys.readouterr().out
    assert all(f"{value:.2f} %" in printed for value in accuracies("run").values())
    assert "note:" not in printed


def test_a_model_that_brings_its_weights_is_not_trained(capsys):
    """Rounded to codes and put behind wires. The record names it, and whoever changes it is told."""
    save_file({"fc.weight": KNOWN, "fc.bias": np.zeros(3, np.float32)}, "weights.safetensors")
    main([*TRAIN, "--model", "./my_cnns.py:pretrained", "--epochs", "0", "--out", "run"])
    found = accuracies("run")
    assert list(found) == ["test_accuracy_float", "test_accuracy_quantized", "test_accuracy_deployed"]
    assert found["test_accuracy_float"] == 100
    assert "trained through the circuit" not in capsys.readouterr().out
    np.testing.assert_array_equal(np.load("run/weights.npz")["float/layers/1/kernel"], KNOWN.T)
    assert {path.name for path in Path("run").glob("*.png")} == {"ir_drop.png", "weights.png"}
    assert not Path("run/epochs.csv").exists()
    main(["evaluate", "run"])
    assert "note:" not in capsys.readouterr().out
    assert json.loads(Path("run/result.json").read_text())["config"]["model"] == "./my_cnns.py:pretrained"
    Path("my_cnns.py").write_text(
        NETS.replace(
            "nnx.Sequential(flat, nnx.Linear(8, classes, rngs",
            "nnx.Sequential(flat, nnx.Linear(8, classes, use_bias=False, rngs",
        )
    )
    save_file({"fc.weight": KNOWN}, "weights.safetensors")
    message = refused(capsys, "evaluate", "run")
    assert "does not fit the configuration: it holds an unknown `layers/1/bias`" in message
    assert "The run was of the model ./my_cnns.py:pretrained, which may have changed since." in message
    Path("my_cnns.py").unlink()
    assert "`model` must name a file that exists" in refused(capsys, "evaluate", "run")


@pytest.mark.slow  # `test_a_model_that_brings_its_weights_is_not_trained` builds a model by the same function
def test_a_model_that_brings_its_weights_goes_on_a_measured_array():
    save_file({"fc.weight": KNOWN, "fc.bias": np.zeros(3, np.float32)}, "weights.safetensors")
    np.savetxt("levels.csv", [1.0, 20.0, 60.0])
    command = ["network", "--levels", "levels.csv", "--data", "mine.npz", "--epochs", "0", "--out", "run"]
    main([*command, "--model", "my_cnns:pretrained"])
    assert accuracies("run") == {"test_accuracy_float": 100, "test_accuracy_levels": 100}


def test_samples_keep_the_shape_of_the_file_and_images_have_a_channel():
    data = load("mine.npz").shaped()
    np.testing.assert_array_equal(data.x_test, np.load("mine.npz")["x"][4::5])
    assert load("digits").shaped().x_test.shape == (500, 8, 8, 1)


WRONG = {
    "no colon": ("my_cnns", "must be module:name or file.py:name, e.g. my_nets:cnn, but is 'my_cnns'"),
    "no module": ("my_cnn:cnn", "there is no `my_cnn`. Did you mean `my_cnns`?"),
    "no file": ("./my_cnn.py:cnn", "has no `my_cnn.py`. Did you mean `my_cnns.py`?"),
    "no function": ("my_cnns:cn", "must be in my_cnns, but it has no `cn`. Did you mean `cnn`?"),
    "a number": ("my_cnns:number", "must be a function that makes a model, but is of type int"),
    "a model": ("my_cnns:model", "must be a function that makes a model, but is of type Linear"),
    "no model": ("my_cnns:nothing", "must return a flax.nnx.Module, but returns one of type NoneType"),
    "for other samples": (
        "my_cnns:of_images",
        "called as function((4, 2), 3, rngs=rngs), but raises ValueError: not enough values to unpack (expected 3, got "
        "2) (my_cnns.py, line",
    ),
    "for rows": ("my_cnns:for_rows", "must return a model for inputs of shape (batch, 4, 2), but it raises TypeError"),
    "other classes": ("my_cnns:two_columns", "floats of shape (batch, 3), but for 2 samples it gives float32 of shape"),
    "no layer": ("my_cnns:empty", "must have a layer with a weight matrix, such as Conv, Linear"),
    "on crossbars": (
        "my_cnns:on_crossbars",
        "must return a model in software, but some of its layers are on crossbars",
    ),
    "no weights": ("my_cnns:pretrained", "raises ValueError: Argument `path` must be a safetensors file"),
    "broken module": (
        "broken:f",
        "but broken raises ModuleNotFoundError: No module named 'my_lairs' (broken.py, line 2)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_model_that_cannot_be_is_one_message_before_any_training(case, capsys):
    name, message = WRONG[case]
    Path("broken.py").write_text("import math\nimport my_lairs\n")
    assert message in refused(capsys, *TRAIN, "--model", name, "--out", "run")
    assert not list(Path().glob("run*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "my_cnns:cnn", "--hidden", "4"], "`hidden` must be left out where `model` is given"),
        (["--epochs", "0"], "`epochs` must be positive, or 0 with a `model` that brings its weights"),
        (["--model", "my_cnns:cnn", "--epochs", "-1"], "`epochs` must be positive, but is -1"),
    ],
)
def test_settings_that_do_not_go_with_a_model_are_refused(arguments, message, capsys):
    assert message in refused(capsys, "train", *arguments, "--out", "run")
    assert message in refused(capsys, "network", "--map", "none.csv", *arguments, "--out", "run")
