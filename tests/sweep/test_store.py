"""A store holds whole chunks, whatever ended the process that wrote it, and one process at a time writes it."""

import errno
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from qsynapse_jax import sweep
from tests.conftest import READS_ONLY
from tests.sweep import killed
from tests.sweep.zoo import FRAGILE, LINE, MOODY, QUICK, WEATHER

ROOT = Path(__file__).parents[2]
PLAN = sweep.grid(LINE, cells=[2, 3], gain=[1, 2, 60.0], chunk=2)
# One shape, two chunks, the first point fails.
SHORT = sweep.grid(QUICK, gain=[60, 1, 2.0], chunk=2)


class Killed(BaseException):
    """Stands for SIGKILL: nobody catches it."""


def same(found, expected):
    """Bit for bit; a time is what it was."""
    xr.testing.assert_identical(found.drop_vars("wall_time"), expected.drop_vars("wall_time").assign_attrs(found.attrs))
    assert found.attrs["finished"] + found.attrs["failed"] == found.attrs["points"]


def interrupt(monkeypatch, number, error, *, after=False):
    """From the `number`-th file on that takes its name, none does any more: each is written beside its place first."""
    calls, replace = itertools.count(), Path.replace

    def counted(path, target):
        if next(calls) >= number:
            if after:
                replace(path, target)
            raise error
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", counted)
    return calls


def test_killed_at_any_file_it_goes_on_and_ends_as_if_it_had_not_been(tmp_path, monkeypatch):
    """Every sweep ends before its n-th file has its name, or when it has; then it is continued."""
    with monkeypatch.context() as patch:
        calls = interrupt(patch, np.inf, None)
        expected = sweep.run(SHORT, tmp_path / "whole")
    # Of the files that are there before the first result every third, then all.
    found, files = set(), next(calls)
    for number in [n for n in range(files) if n % 3 == 0 or n > files - 8]:
        out = tmp_path / str(number)
        with monkeypatch.context() as patch:
            interrupt(patch, number, Killed(), after=number % 2 == 1)
            with pytest.raises(Killed):
                sweep.run(SHORT, out)
        if (out / "sweep.json").exists():
            part = sweep.open(out)
            known = part.status.values > 0
            found.add(tuple(known.tolist()))
            for name in part.keys() & {"y", "wall_time"}:
                shown = ~np.isnan(part[name].values)
                np.testing.assert_array_equal(
                    shown.reshape(len(known), -1).any(1), known & (part.status != 2 if name == "y" else True)
                )
        same(sweep.run(SHORT, out, resume=True), expected)
    assert found >= {(False, False, False), (True, True, False)}


def test_finished_points_are_not_computed_again(tmp_path):
    out, seen = tmp_path / "sweep", []
    with pytest.raises(Killed) as stop:
        sweep.run(PLAN, out, on_progress=lambda p: (_ for _ in ()).throw(Killed()) if p.computed == 3 else None)
    assert f"3 of 6 points are in {out}: give `--resume`" in stop.value.__notes__[0]
    part = sweep.open(out)
    assert (part.attrs["finished"], part.attrs["failed"]) == (2, 1)
    times = part.wall_time.sel(cells=2)
    whole = sweep.run(PLAN, out, resume=True, on_progress=seen.append)
    assert [progress.computed for progress in seen] == [0, 0, 2, 3]
    assert [progress.finished for progress in seen] == [3, 3, 5, 6]
    np.testing.assert_array_equal(whole.wall_time.sel(cells=2), times)
    assert len(json.loads(whole.attrs["runs"])) == 2
    again = sweep.run(PLAN, out, resume=True, on_progress=seen.append)
    assert seen[-1].computed == 0
    assert again.drop_attrs().identical(whole.drop_attrs())


def test_what_failed_is_tried_again_and_the_rest_stays(tmp_path, monkeypatch):
    plan, seen = sweep.grid(MOODY, cells=[3, 4], seed=range(5), chunk=3), []
    before = sweep.run(plan, tmp_path)
    np.testing.assert_array_equal(before.status, [[1, 2, 1, 2, 1], [2] * 5])
    monkeypatch.setitem(WEATHER, "bad", False)
    again = sweep.run(plan, tmp_path, resume=True)
    xr.testing.assert_equal(again, before)
    after = sweep.run(plan, tmp_path, resume=True, retry=True, on_progress=seen.append)
    assert (seen[0].finished, seen[-1].computed, after.attrs["failed"]) == (3, 7, 0)
    np.testing.assert_array_equal(after.y, [[0, 1, 2, 3, 4]] * 2)
    stays = before.status == 1
    np.testing.assert_array_equal(after.wall_time.where(stays), before.wall_time.where(stays))
    assert np.all(after.error == "")


def begin(out, *delays):
    """Sweeps in processes that are killed after these times [s]; how many chunks there were then."""
    command = [sys.executable, "-m", "tests.sweep.killed", str(out), *map(str, delays)]
    environment = {**os.environ, **READS_ONLY, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process cannot make a copy of itself here")
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments_loses_nothing(kills, tmp_path):
    """Each lives until it has written a chunk and then up to two chunks longer, so that all of them find work."""
    rng = np.random.default_rng()
    said = begin(tmp_path / "sweep", *rng.uniform(0, 0.02, kills).round(4))
    assert len(said) == kills
    assert "ended" not in said
    plan = killed.plan(kills)
    same(sweep.run(plan, tmp_path / "sweep", resume=True), sweep.run(plan, tmp_path / "whole"))


def test_a_second_process_is_refused(tmp_path):
    out = tmp_path / "sweep"

    def second(progress):
        with pytest.raises(BlockingIOError, match=r"Another process is writing the sweep in .*sweep; wait for it"):
            sweep.run(PLAN, out, resume=True)

    sweep.run(sweep.grid(LINE, gain=[1]), out, on_progress=second)


def test_a_store_of_another_plan_is_refused_with_the_difference(tmp_path):
    sweep.run(sweep.grid(LINE, gain=[1, 2], fixed={"cells": 2}), tmp_path)
    with pytest.raises(
        ValueError, match=r"made by another plan: `points` is 2 there and 3 here; `axes.gain.values` is"
    ):
        sweep.run(sweep.grid(LINE, gain=[1, 2, 4], fixed={"cells": 2}), tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"`constants.cells` is 2 there and 3 here. Choose a new name"):
        sweep.run(sweep.grid(LINE, gain=[1, 2]), tmp_path, resume=True)
    with pytest.raises(ValueError, match="`study` is 'line' there and 'fragile' here"):
        sweep.run(sweep.grid(FRAGILE, gain=[1, 2], fixed={"cells": 2}), tmp_path, resume=True)
    with pytest.raises(FileExistsError, match="holds a sweep of this plan: give `--resume`"):
        sweep.run(sweep.grid(LINE, gain=[1, 2], fixed={"cells": 2}), tmp_path)


def test_order_of_long_axes_counts(tmp_path):
    gain = np.linspace(1, 2, 100)
    sweep.run(sweep.table(LINE, {"gain": gain}), tmp_path)
    with pytest.raises(ValueError, match=r"`axes.gain.sha256` is '\w+' there"):
        sweep.run(sweep.table(LINE, {"gain": gain[::-1]}), tmp_path, resume=True)


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("all of it")
    (tmp_path / "lock").touch()
    with pytest.raises(FileExistsError, match=r"holds files of another kind, `thesis.tex`"):
        sweep.run(PLAN, tmp_path, resume=True)
    (tmp_path / "lock").unlink()
    with pytest.raises(OSError, match=r"must be a folder, but .*thesis.tex is a file"):
        sweep.run(PLAN, tmp_path / "thesis.tex")
    with pytest.raises(ValueError, match=r"There is no sweep in .*: .*sweep.json does not exist"):
        sweep.open(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("left", [2, 1000])
def test_a_full_disk_is_said_and_what_was_written_can_be_read(left, tmp_path, monkeypatch):
    """It is full two files before the end, in the middle of the last chunk; or from the beginning."""
    out = tmp_path / "sweep"
    with monkeypatch.context() as patch:
        calls = interrupt(patch, np.inf, None)
        whole = sweep.run(SHORT, tmp_path / "whole")
    number = max(0, next(calls) - left)
    with monkeypatch.context() as patch:
        interrupt(patch, number, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(OSError, match=r"The disk is full \(No space left on device\).* give `--resume`"):
            sweep.run(SHORT, out)
    if number:
        np.testing.assert_array_equal(sweep.open(out).status, [2, 1, 0])
    same(sweep.run(SHORT, out, resume=True), whole)


def test_the_arrays_are_zarr_that_xarray_reads_by_itself(tmp_path):
    ds = sweep.run(PLAN, tmp_path)
    part = xr.open_zarr(tmp_path / "points.zarr", group="001", consolidated=False, chunks=None)
    np.testing.assert_array_equal(part["drop"], ds["drop"].sel(cells=3))
    assert part["drop"].dims == ("point", "cell")
    assert part["drop"].attrs["units"] == "V"
    np.testing.assert_array_equal(part.gain, [1, 2, 60])
