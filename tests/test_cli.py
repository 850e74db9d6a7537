"""The command line as a person meets it: a run, its files, its table again, and wrong use."""

import contextlib
import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import qsynapse_jax
from qsynapse_jax.cells import Differential, Ladder
from qsynapse_jax.cli import main
from qsynapse_jax.crossbar import Wires, effective_conductance
from qsynapse_jax.datasets import load
from qsynapse_jax.studies import find_run, write_record
from tests.conftest import READS_ONLY

# Tiles of one shape for both layers, so that less is compiled: 32 word lines and 16 bit lines.
TRAIN = ["train", "--hidden", "8", "--epochs", "2", "--tile-shape", "32", "16", "--r-word", "7", "--r-bit", "21"]
CELL = ["--bits", "2", "--r-unit", "1e4", "--r-on", "500", "--r-off", "5e5"]


def figures(folder):
    return {one.name: one.ours for one in find_run(folder).figures}


def refused(capsys, *arguments):
    """What is said to wrong use: one message, status 2, no traceback."""
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("qsynapse: ")
    assert said.count("\n") == 1
    return said


@contextlib.contextmanager
def all_shared():
    """Meanwhile other processes can take all that JAX compiles, down to the smallest program."""
    name = "jax_persistent_cache_min_compile_time_secs"
    before = jax.config.values[name]
    jax.config.update(name, 0.0)
    try:
        yield
    finally:
        jax.config.update(name, before)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A folder that all workers of this test run have in common, of a name that no other test run has."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cli"


@pytest.fixture(scope="module")
def run(shared):
    """One run, because it takes long, of which many things are asked; one worker makes it, the others wait."""
    folder, over = shared / "new" / "folder", shared / "over"
    try:
        shared.mkdir()
    except FileExistsError:
        while not over.exists():
            time.sleep(0.1)
    else:
        try:
            # As in the tests themselves, which then share what was compiled.
            with all_shared(), jax.numpy_rank_promotion("raise"):
                main([*TRAIN, *CELL, "--seed", "3", "--out", str(folder)])
        finally:
            over.touch()
    assert folder.exists(), "the worker that made the run failed"
    return folder


def test_every_file_is_whole(run):
    names = {"result.json", "data.npz", "weights.npz", "epochs.csv", "accuracy.png", "ir_drop.png", "weights.png"}
    assert {path.name for path in run.iterdir()} == names
    assert [path.name for path in run.parent.iterdir()] == ["folder"]
    for name in names:
        assert (run / name).stat().st_size > (100 if name.endswith(".csv") else 500)
        assert (run / name).stat().st_mode & 0o777 == 0o644


def test_the_result_says_how_it_came_about(run):
    record = find_run(run)
    assert record.config["cell"] == {"bits": 2, "r_unit": 1e4, "r_on": 500.0, "r_off": 5e5}
    assert list(record.seeds) == [3]
    assert record.device.startswith(("CPU", "GPU", "TPU"))
    assert record.wall_time_s > 0
    assert record.data["history/circuit/accuracy"].shape == (2,)
    assert {"weights.npz", "data.npz", "accuracy.png"} <= record.checksums.keys()


def test_evaluate_recomputes_the_table_from_the_weights(run, capsys):
    main(["evaluate", str(run)])
    printed = capsys.readouterr().out
    for name, value in figures(run).items():
        assert f"{value:.2f} %" in printed or not name.startswith("test_accuracy")
    assert "note:" not in printed


def test_the_table_follows_from_the_saved_arrays_alone(run):
    """As an outsider would: codes, conductances, tiles cut by hand, effective conductances, two matrix products."""
    data, arrays = load("digits"), np.load(run / "weights.npz")
    ladder, wires = Ladder(2, 1e4, 500.0, 5e5), Wires(7.0, 21.0)
    cell, span = Differential(ladder), float(ladder.span())
    x = data.x_test
    for layer, n_in in (("layers/0", 64), ("layers/1", 8)):
        plus, minus = (np.asarray(g) for g in cell.conductance(arrays[f"circuit/{layer}/code"]))
        g = np.stack([plus, minus], axis=-1).reshape(n_in, -1)
        # Row blocks of at most 32 with the incomplete one first, column blocks of 16 with the incomplete one last.
        tops = [(max(0, end - 32), end) for end in range(n_in, 0, -32)]
        blocks = [
            [np.asarray(effective_conductance(g[i:j, k : k + 16], wires)) for k in range(0, g.shape[1], 16)]
            for i, j in sorted(tops)
        ]
        g_eff = np.block(blocks)
        weight = (g_eff[:, 0::2] - g_eff[:, 1::2]) / span
        x = arrays[f"circuit/{layer}/scale"] * (x @ weight) + arrays[f"circuit/{layer}/bias"]
        x = np.maximum(x, 0) if layer == "layers/0" else x
    accuracy = 100 * np.mean(np.argmax(x, axis=1) == data.y_test)
    # One sample of 500 may fall the other way by rounding.
    assert abs(accuracy - figures(run)["test_accuracy_circuit"]) <= 0.21


def test_a_used_folder_is_refused_before_any_work(run, capsys):
    message = refused(capsys, *TRAIN, "--out", str(run))
    assert "is used already; choose a new name with `--out DIR`, or give `--overwrite`" in message
    message = refused(capsys, *TRAIN, *CELL, "--seed", "4", "--resume", "--out", str(run))
    assert "has other settings: `seed` is 3 there and 4 here" in message


def test_resume_of_a_complete_run_says_so(run, capsys):
    main([*TRAIN, *CELL, "--seed", "3", "--resume", "--out", str(run)])
    assert "is complete already. Its table: qsynapse evaluate" in capsys.readouterr().out


def weights(change):
    def damage(folder):
        with np.load(folder / "weights.npz") as stored:
            arrays = {name: stored[name] for name in stored.files}
        change(arrays)
        np.savez(folder / "weights.npz", **arrays)
        believe(folder)

    return damage


def config(**changes):
    def damage(folder):
        record = find_run(folder)
        record.config["cell"].update(changes)
        write_record(record, folder / "result.json")

    return damage


def believe(folder):
    """Makes the record vouch for the weights that are there: what is in them must still fit."""
    from hashlib import sha256

    record = find_run(folder)
    checksums = record.checksums | {"weights.npz": sha256((folder / "weights.npz").read_bytes()).hexdigest()}
    write_record(dataclasses.replace(record, checksums=checksums), folder / "result.json")


def write_weights(content):
    def damage(folder):
        (folder / "weights.npz").write_bytes(content)
        believe(folder)

    return damage


DAMAGED = {
    "no result": (lambda folder: (folder / "result.json").unlink(), "no complete run in"),
    "empty result": (lambda folder: (folder / "result.json").write_text(""), "result.json is no JSON file"),
    "a list": (lambda folder: (folder / "result.json").write_text("[]"), "result.json is no record"),
    "edited config": (
        lambda folder: (folder / "result.json").write_text(
            (folder / "result.json").read_text().replace('"bits": 2', '"bits": 3')
        ),
        "result.json was changed after it was written",
    ),
    "config of other cells": (config(bits=3), "weights.npz does not fit the configuration: the codes"),
    "config that cannot be": (config(r_on=1e9), "result.json holds a configuration that cannot be: Argument `r_off`"),
    "config of another kind": (config(bits="two"), "result.json holds a configuration that cannot be: `bits` is 'two'"),
    "no weights": (lambda folder: (folder / "weights.npz").unlink(), "weights.npz, which does not exist"),
    "weights of another run": (
        lambda folder: np.savez(folder / "weights.npz", x=np.zeros(3)),
        "weights.npz does not belong to",
    ),
    "empty weights": (write_weights(b""), "weights.npz is none"),
    "cut weights": (write_weights(b"PK\x03\x04" + bytes(100)), "weights.npz is none"),
    "unknown weights": (weights(lambda a: a.update(extra=np.zeros(3))), "weights.npz holds an unknown `extra`"),
    "unknown parameter": (
        weights(lambda a: a.update({"float/layers/9/kernel": np.zeros(3)})),
        "it holds an unknown `layers/9/kernel`",
    ),
    "a missing parameter": (weights(lambda a: a.pop("circuit/layers/0/scale")), "it has no `layers/0/scale`"),
    "a parameter of another shape": (
        weights(lambda a: a.update({"float/layers/0/bias": np.zeros(5, "float32")})),
        "it holds `layers/0/bias` of float32 (5,) in place of float32 (8,)",
    ),
    "weights of other codes": (
        weights(lambda a: a.update({"circuit/layers/0/kernel/weight": 0 * a["circuit/layers/0/kernel/weight"]})),
        "the codes `circuit/layers/0/code` are not those",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_evaluate_believes_no_damaged_run(run, tmp_path, capsys, case):
    damage, message = DAMAGED[case]
    shutil.copytree(run, tmp_path / "copy")
    damage(tmp_path / "copy")
    assert message in refused(capsys, "evaluate", str(tmp_path / "copy"))


def killed(arguments, number, seconds):
    """What is left of a process that gets a signal after so many seconds, if it is not done before; and its status."""
    program = f"from qsynapse_jax.cli import main; main({arguments!r})"
    environment = os.environ | READS_ONLY
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    _, said = process.communicate()
    return process.returncode, said


def check_what_is_there(out, tables, capsys):
    """`evaluate` finds no complete run, or prints the table of one that is."""
    capsys.readouterr()
    try:
        main(["evaluate", str(out)])
    except SystemExit:
        assert "There is no complete run in" in capsys.readouterr().err
        return None
    printed = capsys.readouterr().out
    fitting = [name for name, table in tables.items() if all(f"{value:.2f} %" in printed for value in table.values())]
    assert fitting
    assert "note:" not in printed
    return fitting[0]


def accuracies(folder):
    return {name: value for name, value in figures(folder).items() if name.startswith("test_accuracy")}


def check_equal(one, other):
    """Two runs are the same to the last bit, but for the time they took."""
    assert accuracies(one) == accuracies(other)
    for name in ("weights.npz", "data.npz"):
        with np.load(one / name) as first, np.load(other / name) as second:
            assert first.files == second.files
            for key in first.files:
                np.testing.assert_array_equal(first[key], second[key], err_msg=key)


# A run takes about that long [s], most of it to start, with what was compiled for the run of all tests at hand.
LONGEST = 8
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_whatever_kills_a_run_it_is_complete_or_absent_and_continues_bit_by_bit(run, kills, tmp_path, capsys):
    out, arguments = tmp_path / "run", [*TRAIN, *CELL, "--seed", "3", "--out", str(tmp_path / "run")]
    tables = {"this": accuracies(run)}
    for turn in range(kills):
        number, seconds = SIGNALS[turn % len(SIGNALS)], random.uniform(1, LONGEST)
        status, said = killed([*arguments, "--resume"], number, seconds)
        # Python ends without a message where it is hit before it knows what to do.
        assert status in (0, -number, 128 + number), said
        if status == 128 + number:
            assert "interrupted." in said
            # A process that ends before it has looked at the folder says nothing of what an earlier one left there.
            assert "--resume" not in said or (tmp_path / "run.partial").exists()
        if check_what_is_there(out, tables, capsys):
            check_equal(out, run)
            shutil.rmtree(out)
    main([*arguments, "--resume"])
    check_equal(out, run)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
def test_whatever_kills_an_overwriting_run_one_of_the_two_is_there(run, tmp_path, capsys):
    arguments = [*TRAIN, *CELL, "--seed", "4", "--out", str(tmp_path / "run")]
    main(arguments)
    tables = {"old": accuracies(run), "new": accuracies(tmp_path / "run")}
    shutil.rmtree(tmp_path / "run")
    shutil.copytree(run, tmp_path / "run")
    for turn in range(10):
        number, seconds = SIGNALS[turn % len(SIGNALS)], random.uniform(1, LONGEST)
        killed([*arguments, "--overwrite"], number, seconds)
        if check_what_is_there(tmp_path / "run", tables, capsys) == "new":
            shutil.rmtree(tmp_path / "run")
            shutil.copytree(run, tmp_path / "run")
    main([*arguments, "--overwrite"])
    assert check_what_is_there(tmp_path / "run", tables, capsys) == "new"


WRONG = {
    "unknown data set": (["--dataset", "mnst"], "Did you mean 'mnist'"),
    "no bits": (["--bits", "0"], "`bits` must be an integer from 1"),
    "negative wire": (["--r-wire", "-1"], "`r_wire` must be non-negative"),
    "nan wire": (["--r-bit", "nan"], "`r_bit` must be non-negative"),
    "no epochs": (["--epochs", "0"], "`epochs` must be positive"),
    "no rate": (["--learning-rate", "inf"], "`learning_rate` must be positive and finite"),
    "odd tile": (["--tile-shape", "31"], "multiple of 2 bit lines"),
    "no tile": (["--tile-shape", "0"], "`tile_shape` must be one or two positive"),
    "three tiles": (["--tile-shape", "1", "2", "3"], "`tile_shape` must be one or two positive"),
    "switch upside down": (["--r-on", "1e6", "--r-off", "1e3"], "`r_off` must be above `r_on`"),
    "empty layer": (["--hidden", "0"], "`hidden` must hold positive"),
}


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_wrong_use_is_one_message_before_any_training(case, tmp_path, capsys):
    arguments, message = WRONG[case]
    assert message in refused(capsys, "train", *arguments, "--out", str(tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_divergence_is_a_message_and_leaves_nothing(tmp_path, capsys):
    message = refused(capsys, "train", "--hidden", "4", "--learning-rate", "1e38", "--out", str(tmp_path / "out"))
    assert "lower the learning rate. Nothing was written." in message
    assert not list(tmp_path.iterdir())


def test_an_output_folder_that_is_a_file_is_refused_and_kept(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert "`out` must be a folder that can be written" in refused(capsys, "train", "--out", str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "mine"


def test_evaluating_something_else_says_what_is_missing(tmp_path, capsys):
    assert "result.json does not exist" in refused(capsys, "evaluate", str(tmp_path))


def test_the_version(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"qsynapse {qsynapse_jax.__version__}\n"


def test_help_names_version_and_completion(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "qsynapse --version" in printed
    assert "--tyro-print-completion" in printed
