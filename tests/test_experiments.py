"""Every experiment runs in its quick form, and what is committed of its full run is honest."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from experiments._record import FOLDER, figure

NAMES = sorted(path.parent.name for path in FOLDER.glob("*/run.py"))


@pytest.mark.slow  # up to half a minute each, most of it compilation; their parts have tests of their own
@pytest.mark.parametrize("name", NAMES)
def test_a_quick_run_writes_the_figures_of_the_full_one(name, tmp_path):
    quick = import_module(f"experiments.{name}.run").main(tmp_path, quick=True)
    assert json.loads((tmp_path / "result.json").read_text()) == json.loads(json.dumps(quick, default=str))
    full = json.loads((FOLDER / name / "result.json").read_text())
    assert [one["name"] for one in full["figures"]] == [one["name"] for one in quick["figures"]]


@pytest.mark.parametrize("name", NAMES)
def test_claims_hold_over_at_least_three_seeds(name):
    for one in json.loads((FOLDER / name / "result.json").read_text())["figures"]:
        assert one["seeds"] >= 3
        assert one["holds"] is not False, one


def test_holds_is_computed_from_the_mean():
    assert figure("f", "%", [96.0, 98.1], reach=">= 97.0")["holds"] is True
    assert figure("f", "%", [96.0, 97.9], reach=">= 97.0")["holds"] is False
    assert figure("f", "%", [1.4, 1.6], reach="<= 1.5")["holds"] is True
    assert figure("f", "%", [1.4])["holds"] is None


def test_an_unknown_experiment_names_the_known_ones():
    command = [sys.executable, "-m", "experiments", "nothing"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False)
    assert run.returncode != 0
    assert "digits_demo" in run.stderr
