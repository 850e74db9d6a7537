"""`qsynapse program` as a person meets it: progress, files, pictures, and what is refused."""

import numpy as np
import pytest

from qsynapse_jax.cli import main
from qsynapse_jax.studies import find_run
from tests.refusal import refused

SMALL = ["program", "--array", "16", "--levels", "2048", "--low", "50uS", "--high", "4144uS", "--seed", "3"]
WRONG = {
    "unit": (["--low", "50us"], "`low` must be in S"),
    "window": (["--high", "5mS"], "`high` must lie in the window of the device"),
    "noise": (["--levels", "100000"], "100,000 levels are 40.94 nS apart"),
    "budget": (["--max-pulses", "0"], "`max_pulses` must be an integer of at least 1"),
    "file": (["--target", "none.npy"], "none.npy does not exist"),
}


@pytest.mark.slow
def test_a_run_with_its_files_and_what_is_said_of_it(tmp_path, capsys):
    out = tmp_path / "run"
    main([*SMALL, "--out", str(out)])
    printed = " ".join(capsys.readouterr().out.split())
    for expected in (
        "levels: 2,048 from 50 uS to 4.144 mS, 2 uS apart",
        "in tolerance, denoised: 256 of 256 cells",
        "256 of 256 cells are within 1 uS of their targets",
        "levels that 99 of 100 cells keep apart",
    ):
        assert expected in printed
    pictures = {f"{name}.png" for name in ("conductance", "staircase", "errors", "traces", "pulses")}
    assert {path.name for path in out.iterdir()} == {"result.json", "data.npz", *pictures}
    assert all(path.stat().st_size > 1000 for path in out.iterdir())
    record = find_run(out)
    assert record.data["success"].all()
    assert (np.abs(record.data["read_mean"] - record.data["target"]) < 1.5e-6).all()
    assert "is used already" in refused(capsys, *SMALL, "--out", str(out))
    assert "`levels` is 2048 there and 1024 here" in refused(
        capsys, *SMALL, "--levels", "1024", "--resume", "--out", str(out)
    )
    main([*SMALL, "--low", "0.05mS", "--resume", "--out", str(out)])
    assert "is complete already. Its table is in" in capsys.readouterr().out


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_one_message_and_leaves_nothing(case, tmp_path, capsys):
    arguments, message = WRONG[case]
    assert message in refused(capsys, "program", *arguments, "--out", str(tmp_path / "out"))
    assert not list(tmp_path.iterdir())
