"""Checkpoints: whole or absent, the same to the last bit, and refused where they do not belong."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.conftest import READS_ONLY
from tests.training.killed import run
from tests.training.models import ADAM, KEY, assert_same, modal, numbers, samples, software, tile

T = qs.training
ROOT = Path(__file__).parents[2]


def plain(state):
    """Leaves of a state as arrays."""
    leaves = jax.tree.leaves(state)
    return [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in leaves]


def test_what_is_restored_is_what_was_saved_and_goes_on_alike(tmp_path):
    (x, y), folder = samples(), tmp_path / "new" / "run"
    state = T.init(modal(), ADAM, key=KEY)
    for _ in range(3):
        state, _ = T.epoch(state, x, y, 8)
        T.save(state, folder)
    like = T.init(modal(seed=1), ADAM, key=jax.random.key(5))
    found = T.restore(folder, like=like)
    assert_same(plain(found), plain(state))
    assert jax.tree.structure(found) == jax.tree.structure(state)
    assert [leaf.weak_type for leaf in plain(found)] == [leaf.weak_type for leaf in plain(state)]
    assert_same(plain(T.epoch(found, x, y, 8)), plain(T.epoch(state, x, y, 8)))
    # Only the newest two are kept.
    assert sorted(path.name for path in folder.iterdir()) == ["2", "3"]


@pytest.mark.slow  # tests/test_cli.py kills and resumes a run by default
def test_resumed_is_as_never_interrupted(tmp_path):
    """After an error, with all records; and a run that is finished is finished."""
    network, expected = run()
    calls = []

    def stop(record):
        calls.append(record.number)
        if record.number == 3:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        run(tmp_path, on_epoch=stop)
    again, history = run(tmp_path, resume=True, on_epoch=lambda record: calls.append(record.number))
    assert calls == [*range(1, 4), *range(4, 41)]
    assert history == expected
    assert_same(numbers(again), numbers(network))
    finished, history = run(tmp_path, resume=True, on_epoch=lambda record: pytest.fail("worked"))
    assert history == expected
    assert_same(numbers(finished), numbers(network))


def killed(folder, seconds):
    """A process that trains on and is killed after so many seconds of training."""
    command = [sys.executable, "-m", "tests.training.killed", str(folder), str(seconds)]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | READS_ONLY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.mark.slow  # tests/test_cli.py kills whole runs by default
def test_kill_at_any_moment_loses_nothing_that_was_written(tmp_path):
    rng = np.random.default_rng()
    times = rng.uniform(0, 0.5, 2)
    folders = [tmp_path / str(k) for k in range(len(times))]
    network, expected = run()
    processes = [killed(folder, time) for folder, time in zip(folders, times, strict=True)]
    for process, folder in zip(processes, folders, strict=True):
        assert process.wait(timeout=120) in (-9, 0)
        again, history = run(folder, resume=True)
        assert history == expected, times
        assert_same(numbers(again), numbers(network))


@pytest.mark.slow
def test_twenty_kills_of_one_run(tmp_path):
    rng, (network, expected) = np.random.default_rng(), run()
    like = T.init(modal(), optax.adam(optax.constant_schedule(1.0)), key=KEY)
    for _ in range(20):
        killed(tmp_path, rng.uniform(0, 0.2)).wait(timeout=120)
        assert int(T.restore(tmp_path, like=like).epoch) >= 1
    again, history = run(tmp_path, resume=True)
    assert history == expected
    assert_same(numbers(again), numbers(network))


def test_a_half_written_checkpoint_is_not_picked_up(tmp_path):
    """Neither one that Orbax was writing, nor a folder of other things beside them."""
    state = T.init(software(), ADAM, key=KEY)
    T.save(state, tmp_path)
    (tmp_path / "2.orbax-checkpoint-tmp").mkdir()
    (tmp_path / "notes").mkdir()
    assert_same(plain(T.restore(tmp_path, like=state)), plain(state))
    T.save(state, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "notes"]


@pytest.mark.parametrize("kind", ["missing", "empty", "other things", "a file"])
def test_a_folder_that_is_no_checkpoint(kind, tmp_path):
    folder = tmp_path / "run"
    if kind == "a file":
        folder.write_text("1")
    elif kind != "missing":
        folder.mkdir()
    if kind == "other things":
        (folder / "weights.npz").write_bytes(b"0")
    with pytest.raises(ValueError, match=r"^Folder .*run holds no checkpoint; give the folder that `training.save`"):
        T.restore(folder, like=T.init(software(), ADAM, key=KEY))


def note_of(folder):
    return next(folder.glob("*/note/metadata"))


@pytest.mark.parametrize("damage", ["empty folder", "note", "arrays", "others"])
def test_a_damaged_checkpoint_names_its_folder(damage, tmp_path):
    state = T.init(software(), ADAM, key=KEY)
    T.save(state, tmp_path)
    message = r"^Folder .*1 is no checkpoint of `training.save`, or is damaged: "
    if damage == "empty folder":
        (tmp_path / "2").mkdir()
        message = r"^Folder .*2 is no checkpoint"
    elif damage == "note":
        note_of(tmp_path).write_bytes(b"\xff\x00")
    elif damage == "arrays":
        for path in (tmp_path / "1" / "arrays").rglob("*"):
            if path.is_file():
                path.write_bytes(b"")
    else:
        note_of(tmp_path).write_text("[]")
        message = r"^Folder .* holds a checkpoint, but none of `training.save`\."
    with pytest.raises(ValueError, match=message):
        T.restore(tmp_path, like=state)


def test_a_newer_format_is_refused(tmp_path):
    state = T.init(software(), ADAM, key=KEY)
    T.save(state, tmp_path)
    note = json.loads(note_of(tmp_path).read_text())
    note_of(tmp_path).write_text(json.dumps(note | {"format": 2}))
    with pytest.raises(
        ValueError, match=r"of format 2, newer than format 1, which this version reads; use the version"
    ):
        T.restore(tmp_path, like=state)


class Narrow(nnx.Module):
    """As a plain network of one layer, with a setting of its own."""

    def __init__(self, leak):
        self.layers, self.leak = nnx.List([nnx.Linear(5, 3, rngs=nnx.Rngs(0))]), leak

    def __call__(self, x):
        return self.layers[0](x)


@pytest.mark.parametrize(
    ("saved", "expected", "lines"),
    [
        (
            lambda: T.init(software(4), ADAM, key=KEY),
            lambda: T.init(software(6), ADAM, key=KEY),
            [r"parameters\.layers\.0\.kernel\.value: float32\[5, 4\] stored, float32\[5, 6\] expected"],
        ),
        (
            lambda: T.init(software(), ADAM, key=KEY),
            lambda: T.init(software(6), ADAM, key=KEY),
            [r"parameters\.layers\.1\.bias\.value: missing in the checkpoint, float32\[3\] expected"],
        ),
        (
            lambda: T.init(software(), ADAM, key=KEY),
            lambda: T.init(software(), optax.sgd(0.1), key=KEY),
            [r"rule_state\.0\.mu\.layers\.0\.bias\.value: extra in the checkpoint, float32\[3\]"],
        ),
        (
            lambda: T.init(Narrow(0.1), ADAM, key=KEY),
            lambda: T.init(Narrow(0.2), ADAM, key=KEY),
            [r"model: Narrow\(leak=0\.1\) stored, Narrow\(leak=0\.2\) expected"],
        ),
        (
            lambda: T.init(qs.nn.convert(software(), tile(qs.crossbar.Wires(1.0, 2.0))), ADAM, key=KEY),
            lambda: T.init(qs.nn.convert(software(), tile(qs.crossbar.Wires(1.0, 2.00001))), ADAM, key=KEY),
            [r"physical\.layers\.0\.kernel\.tile: Tile\(.*r_bit=2 ohm.* #(?P<digest>\w+) stored, Tile\(.* expected"],
        ),
        (
            lambda: T.init(qs.nn.convert(software(), tile()), T.rules.OuterSGD(0.1), key=KEY),
            lambda: T.init(qs.nn.convert(software(), tile()), T.rules.OuterSGD(0.2), key=KEY),
            [r"rule: OuterSGD\(learning_rate=0\.1\) #\w+ stored, OuterSGD\(learning_rate=0\.2\) #\w+ expected"],
        ),
    ],
    ids=["shape", "layer", "optimizer", "setting", "wires", "rule"],
)
def test_a_checkpoint_of_another_model_or_configuration_lists_the_differences(saved, expected, lines, tmp_path):
    T.save(saved(), tmp_path)
    with pytest.raises(ValueError, match=r"of another model or configuration \(fingerprint \w{12} stored, \w{12}") as e:
        T.restore(tmp_path, like=expected())
    for line in lines:
        assert e.match(r"\n  " + line)
    assert len(str(e.value).splitlines()) <= 14


def test_modes_and_numbers_of_a_model_are_no_configuration(tmp_path):
    network = modal()
    T.save(T.init(network, ADAM, key=KEY), tmp_path)
    network.eval()
    T.restore(tmp_path, like=T.init(network, ADAM, key=jax.random.key(9)))


def test_a_run_of_other_settings_is_not_continued(tmp_path):
    data: dict[str, Any] = {"train": samples(), "test": samples(8, seed=1)}
    options: dict[str, Any] = {"key": KEY, "epochs": 2, "batch_size": 10, "checkpoint": tmp_path}
    T.fit(software(), **data, **options)
    with pytest.raises(ValueError, match=r"holds a checkpoint; continue that run with `resume=True`, or give another"):
        T.fit(software(), **data, **options)
    for changed, line in (
        ({"epochs": 4}, r"epochs: 2 stored, 4 expected"),
        ({"key": jax.random.key(1)}, r"key: \w+ stored, \w+ expected"),
        ({"train": samples(seed=3)}, r"train: \w+ stored, \w+ expected"),
    ):
        arguments: dict[str, Any] = data | options | changed
        with pytest.raises(ValueError, match=r"holds the checkpoint of another run of `fit`:\n  " + line):
            T.fit(software(), **arguments, resume=True)
