"""`--config FILE`, own data and commands that do not exist: what is said, and what a command is given."""

import json

import pytest

from qsynapse_jax.cli import _main, main
from qsynapse_jax.cli._settings import command_and_settings
from qsynapse_jax.studies import InsituConfig, NetworkConfig

COMMANDS = _main.COMMANDS


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_settings_of_a_file_are_defaults(tmp_path):
    (tmp_path / "mine.toml").write_text("epochs = 3\nhidden = [5]\nr_word = 2\n[cell]\nbits = 2\n")
    rest, command = command_and_settings(["train", "--config", str(tmp_path / "mine.toml"), "--seed", "1"], COMMANDS)
    assert rest == ["train", "--seed", "1"]
    expected = NetworkConfig(epochs=3, hidden=(5,), r_word=2.0)
    assert command.config == NetworkConfig(epochs=3, hidden=(5,), r_word=2.0, cell=command.config.cell) != expected
    assert command.config.cell.bits == 2
    assert command.config.cell.r_unit == expected.cell.r_unit


def test_the_record_of_a_run_is_a_file_of_settings(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"config": {"rule": "sgd", "hidden": None, "seed": 4}}))
    _, command = command_and_settings(["insitu", f"--config={tmp_path / 'result.json'}"], COMMANDS)
    assert command.config == InsituConfig(rule="sgd", seed=4)


def test_options_overrule_the_file(tmp_path, monkeypatch):
    """And --data is --dataset."""
    asked = []
    monkeypatch.setattr(COMMANDS["train"], "run", lambda command, console: asked.append(command.config))
    (tmp_path / "mine.toml").write_text("epochs = 3\nseed = 9\n")
    main(["train", "--config", str(tmp_path / "mine.toml"), "--seed", "1", "--data", "mine.npz"])
    main(["train", "--data=mine.npz"])
    assert asked == [NetworkConfig(epochs=3, seed=1, dataset="mine.npz"), NetworkConfig(dataset="mine.npz")]


WRONG = {
    "epoch = 3": "`epoch` is unknown or missing. Did you mean `epochs`?",
    "epochs = 'x'": "`epochs` is 'x'",
    "[cell]\nbit = 2": "`bit` is unknown or missing. Did you mean `bits`?",
    "tile_shape = [0]": "Argument `tile_shape` must be one or two positive integers",
    "epochs": "must name a .toml file of settings or the result.json of a run",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_setting_is_named(tmp_path, capsys, text):
    (tmp_path / "mine.toml").write_text(text)
    assert WRONG[text] in refused(capsys, "train", "--config", str(tmp_path / "mine.toml"))


def test_a_file_that_is_none_and_a_command_without_settings(tmp_path, capsys):
    assert "but none.toml cannot be read (No such file" in refused(capsys, "train", "--config", "none.toml")
    (tmp_path / "result.json").write_text("[]")
    assert "the result.json of a run, but" in refused(capsys, "train", "--config", str(tmp_path / "result.json"))
    assert "must be given once" in refused(capsys, "train", "--config")
    assert "Option --config is for the commands train, insitu" in refused(capsys, "solve", "x", "--config", "a.toml")


def test_the_nearest_command_is_named(capsys):
    message = refused(capsys, "slove", "map.csv")
    assert "There is no command 'slove'; there are demo, train" in message
    assert "Did you mean `qsynapse solve`?" in message
