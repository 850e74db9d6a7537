"""`qsynapse sweep` as a person meets it: progress, what is there afterwards, what failed, and what is refused."""

import os
import signal

import numpy as np
import pytest

from qsynapse_jax import sweep
from qsynapse_jax.cli import main
from qsynapse_jax.studies import PLANS
from tests.test_cli_insitu import refused

PLAN = """
study = "tests.sweep.zoo:LINE"
chunk = 4
[axes]
cells = [2, 3]
gain = { from = 1, to = 64, count = 7, log = true }
"""


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "lines.toml"
    path.write_text(PLAN)
    return path


def test_points_are_computed_counted_and_kept(plan, tmp_path, capsys, monkeypatch):
    """With the points that failed in the exit code; without `--out` in a folder of the plan's name."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["sweep", str(plan)])
    assert stop.value.code == 1
    printed = capsys.readouterr().out
    for expected in (
        "line: 14 points, cells (2) x gain (7)",
        "14 of 14 points, ",
        "points/s, 0 s left, cells = 3, 2 failed",
        "14 points computed in ",
        'qsynapse_jax.sweep.open("runs/sweep-lines")',
        "failed at 2 points: The gain is beyond 50",
    ):
        assert expected in printed
    ds = sweep.open("runs/sweep-lines")
    np.testing.assert_array_equal(ds.total.sel(cells=2), [3, 6, 12, 24, 48, 96, np.nan])
    assert "give `--resume` (`resume=True`) to continue it" in refused(capsys, "sweep", str(plan))
    with pytest.raises(SystemExit) as stop:
        main(["sweep", str(plan), "--resume"])
    assert stop.value.code == 1
    assert "0 points computed in 0 s; 14 are in" in capsys.readouterr().out


def test_ctrl_c_says_what_is_there_and_how_to_go_on(plan, tmp_path, monkeypatch, capsys):
    left = []

    def leave(code):
        left.append(code)
        raise SystemExit(code)

    def interrupt(progress):
        if progress.computed == 4:
            signal.raise_signal(signal.SIGINT)

    run = sweep.run
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(sweep, "run", lambda *given, on_progress, **more: run(*given, on_progress=interrupt, **more))
    with pytest.raises(SystemExit):
        main(["sweep", str(plan), "--out", str(tmp_path / "out")])
    assert left == [128 + signal.SIGINT]
    assert f"interrupted. 4 of 14 points are in {tmp_path / 'out'}: give `--resume`" in capsys.readouterr().err


WRONG = {
    "preset": (["wirs"], "one of wires, levels, cells, but is 'wirs'. Did you mean 'wires'?"),
    "no file": (["none.toml"], "The plan none.toml does not exist"),
    "file": (["wires", "--out", "FILE"], "must be a folder, but"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_one_message_and_leaves_nothing(case, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, message = WRONG[case]
    (tmp_path / "FILE").touch()
    assert message in refused(capsys, "sweep", *arguments)
    assert os.listdir(tmp_path) == ["FILE"]


def test_a_wrong_axis_names_the_file_and_the_nearest(tmp_path, capsys):
    (tmp_path / "plan.toml").write_text('study = "random_array"\naxes.r_wires = ["1 ohm"]\n')
    said = refused(capsys, "sweep", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "out"))
    assert "plan.toml: Study 'random_array' has no axis 'r_wires'; did you mean 'r_wire'" in said


def test_plans_that_are_ready_can_be_made():
    plans = {name: make() for name, make in PLANS.items()}
    assert {name: plan.size for name, plan in plans.items()} == {"wires": 168, "levels": 240, "cells": 1000}
