"""A run is in its folder as a whole or not at all, and one process at a time writes it."""

import os
import signal

import numpy as np
import pytest

from qsynapse_jax.studies import Record, find_run, run_folder
from qsynapse_jax.training import DivergedError

CONFIG = {"cell": {"bits": 3}, "epochs": 2}


def record(value=1.0):
    return Record("train", CONFIG, (0,), value, [], data={"x": np.full(2, value)})


def finish(out, value=1.0, **options):
    with run_folder(out, "train", CONFIG, **options) as run:
        (run.folder / "accuracy.png").write_text("picture")
        run.publish(record(value))
    return run


def begin_and_raise(out, error, **options):
    """A run that ends in an error after a part of it is finished."""
    with run_folder(out, "train", CONFIG, **options) as run:
        run.checkpoints.mkdir(exist_ok=True)
        (run.checkpoints / "float").write_text("trained")
        raise error


def stop(out, **options):
    with pytest.raises(KeyboardInterrupt) as caught:
        begin_and_raise(out, KeyboardInterrupt(), **options)
    return caught.value.__notes__[0]


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_complete_run_and_nothing_beside_it(tmp_path):
    finish(tmp_path / "new" / "run")
    assert names(tmp_path / "new") == {"run"}
    assert names(tmp_path / "new" / "run") == {"result.json", "data.npz", "accuracy.png"}
    assert find_run(tmp_path / "new" / "run").checksums.keys() == {"accuracy.png", "data.npz", "config"}


def test_an_empty_folder_is_free(tmp_path):
    (tmp_path / "run").mkdir()
    finish(tmp_path / "run")
    find_run(tmp_path / "run")


def test_a_used_folder_is_refused_and_kept(tmp_path):
    finish(tmp_path / "run")
    with pytest.raises(OSError, match=r"run is used already; choose a new name with `--out DIR`, or give `--over"):
        finish(tmp_path / "run", 2.0)
    assert find_run(tmp_path / "run").wall_time_s == 1.0


def test_overwrite_replaces_a_run_when_the_new_one_is_complete(tmp_path):
    out = tmp_path / "run"
    finish(out)
    note = stop(out, overwrite=True)
    assert "run.partial: give `--resume` to continue" in note
    assert f"{out} is as it was" in note
    assert find_run(out).wall_time_s == 1.0
    finish(out, 2.0, overwrite=True)
    assert find_run(out).wall_time_s == 2.0
    assert names(tmp_path) == {"run"}


@pytest.mark.parametrize("foreign", [["thesis.txt", "result.json"], ["holiday.png"]])
def test_overwrite_touches_no_folder_of_other_files(tmp_path, foreign):
    for name in foreign:
        (tmp_path / name).write_text("mine")
    with pytest.raises(OSError, match="is not replaced, because"):
        finish(tmp_path, overwrite=True)
    assert names(tmp_path) == set(foreign)


def test_a_file_a_mount_and_an_unwritable_place_are_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OSError, match="must be a folder that can be written"):
            finish(out, overwrite=True)
    with pytest.raises(OSError, match="root of a file system"):
        finish(type(tmp_path)("/"))
    assert names(tmp_path) == {"file"}


def test_a_partial_run_is_continued_or_begun_anew_and_nothing_else(tmp_path):
    out = tmp_path / "run"
    stop(out)
    assert not out.exists()
    with pytest.raises(OSError, match=r"run.partial holds a partial run: give `--resume`"):
        finish(out)
    with run_folder(out, "train", CONFIG, resume=True) as run:
        assert run.continued
        assert (run.checkpoints / "float").read_text() == "trained"
        run.publish(record())
    assert names(out) == {"result.json", "data.npz"}
    stop(tmp_path / "other")
    with run_folder(tmp_path / "other", "train", CONFIG, overwrite=True) as run:
        assert not run.checkpoints.exists()
        run.publish(record())


def test_other_settings_are_listed_and_refused(tmp_path):
    stop(tmp_path / "run")
    other = {"cell": {"bits": 4}, "epochs": 2, "seed": 1}
    message = r"other settings: `cell.bits` is 3 there and 4 here, `seed` is 'not set' there and 1 here; choose"
    with (
        pytest.raises(ValueError, match=message),
        run_folder(tmp_path / "run", "train", other, resume=True),
    ):
        pass
    assert (tmp_path / "run.partial" / "checkpoints" / "float").exists()


def test_resume_of_a_complete_run_has_nothing_to_do(tmp_path):
    assert not finish(tmp_path / "run", resume=True).continued
    with run_folder(tmp_path / "run", "train", CONFIG, resume=True) as run:
        assert run.complete
    with (
        pytest.raises(ValueError, match="`epochs` is 2 there and 9 here"),
        run_folder(tmp_path / "run", "train", CONFIG | {"epochs": 9}, resume=True),
    ):
        pass


def test_a_run_killed_while_it_is_moved_only_has_to_be_moved(tmp_path):
    """`kill -9` between the record and the last rename, with and without an old run in place."""
    for out in (tmp_path / "first", tmp_path / "second"):
        finish(out)
        with run_folder(out, "train", CONFIG, overwrite=True) as run:
            run.overwrite = False
            with pytest.raises(OSError, match="written by something else meanwhile"):
                run.publish(record(2.0))
        assert find_run(out).wall_time_s == 1.0
    (tmp_path / "second").rename(tmp_path / "second.partial" / "replaced")
    for name in ("first", "second"):
        with run_folder(tmp_path / name, "train", CONFIG, resume=True) as run:
            assert run.complete
        assert find_run(tmp_path / name).wall_time_s == 2.0
    assert names(tmp_path) == {"first", "second"}


def test_a_run_about_to_be_replaced_is_not_lost_with_the_new_one(tmp_path):
    out = tmp_path / "run"
    finish(out)
    stop(out, overwrite=True)
    out.rename(tmp_path / "run.partial" / "replaced")
    stop(out, overwrite=True)
    assert find_run(out).wall_time_s == 1.0


def test_two_at_once(tmp_path):
    with run_folder(tmp_path / "run", "train", CONFIG) as run:
        run.checkpoints.mkdir()
        for options in ({}, {"overwrite": True}, {"resume": True}):
            with pytest.raises(OSError, match="Another process is writing a run"):
                finish(tmp_path / "run", **options)
        run.publish(record())
    find_run(tmp_path / "run")


def test_an_error_of_the_study_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="diverged") as caught:
        begin_and_raise(tmp_path / "run", ValueError("diverged"))
    assert caught.value.__notes__ == ["Nothing was written."]
    assert names(tmp_path) == set()


def test_what_diverged_keeps_the_last_good_checkpoint_and_says_where(tmp_path):
    with pytest.raises(DivergedError) as caught:
        begin_and_raise(tmp_path / "run", DivergedError("diverged", state=None, step=1, loss=0.0))
    kept = tmp_path / "run.partial" / "checkpoints"
    assert caught.value.__notes__ == [f"The last good checkpoint is kept in {kept}; `--overwrite` begins anew."]
    assert (kept / "float").read_text() == "trained"
    finish(tmp_path / "run", overwrite=True)
    assert names(tmp_path) == {"run"}


def test_a_signal_waits_while_the_run_is_moved(tmp_path, monkeypatch):
    out, rename = tmp_path / "run", os.rename

    def interrupted(source, target):
        signal.raise_signal(signal.SIGINT)
        rename(source, target)

    monkeypatch.setattr(type(out), "rename", lambda self, target: interrupted(self, target))
    with pytest.raises(KeyboardInterrupt) as caught:
        finish(out)
    assert caught.value.__notes__ == [f"The run in {out} is complete."]
    find_run(out)


def test_no_complete_run_says_where_a_partial_one_is(tmp_path):
    with pytest.raises(ValueError, match=r"no complete run in .*: .*result.json does not exist"):
        find_run(tmp_path / "run")
    stop(tmp_path / "run")
    with pytest.raises(ValueError, match=r"A partial run is in .*run.partial: `--resume` continues it"):
        find_run(tmp_path / "run")
