"""A user's script in the strict mode of pyright: no name of ours is unknown to it, and none is wrong."""

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import qsynapse_jax as qs

FOLDER = Path(__file__).parent
SCRIPT = FOLDER / "user_script.py"
ROOT = FOLDER.parents[1]
# Optax has no `py.typed`: not ours to mend, nor the user's.
FOREIGN = {"reportMissingTypeStubs": "none"}


def test_the_package_says_that_it_is_typed():
    assert qs.__file__ is not None
    assert (Path(qs.__file__).parent / "py.typed").is_file()


def test_the_packages_that_a_checker_sees_are_those_that_there_are():
    """The lazy `__getattr__` and the imports under `TYPE_CHECKING` name the same."""
    source = (ROOT / "qsynapse_jax" / "__init__.py").read_text(encoding="utf-8")
    seen = {line.split()[3] for line in source.splitlines() if line.startswith("    from qsynapse_jax import ")}
    packages = {path.parent.name for path in (ROOT / "qsynapse_jax").glob("*/__init__.py")}
    assert seen == packages - {"cli"} | {"quantize"}
    for name in seen:
        assert getattr(qs, name).__name__ == f"qsynapse_jax.{name}"


@pytest.mark.slow
def test_the_script_runs():
    runpy.run_path(str(SCRIPT))


def pyright(folder: Path) -> list[dict]:
    """Errors in a folder that has a configuration."""
    command = [
        sys.executable,
        "-m",
        "pyright",
        "--outputjson",
        "--project",
        str(folder),
        "--pythonpath",
        sys.executable,
    ]
    found = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
    report = json.loads(found.stdout)
    assert report["summary"]["filesAnalyzed"] == 1, found.stdout + found.stderr
    return report["generalDiagnostics"]


@pytest.mark.slow
def test_strict_pyright_has_nothing_to_say(tmp_path):
    shutil.copy(SCRIPT, tmp_path)
    settings = {"include": ["user_script.py"], "typeCheckingMode": "strict", "extraPaths": [str(ROOT)], **FOREIGN}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    assert not [f"{one['range']['start']['line'] + 1}: {one['message']}" for one in pyright(tmp_path)]


@pytest.mark.slow
def test_strict_pyright_sees_a_misspelled_name_and_a_wrong_argument(tmp_path):
    (tmp_path / "wrong.py").write_text(
        "import qsynapse_jax as qs\nqs.crosbar\nqs.crossbar.Wires(r_wrd=1.0)\nqs.cells.Ladder('3')\n"
    )
    settings = {"include": ["wrong.py"], "typeCheckingMode": "strict", "extraPaths": [str(ROOT)], **FOREIGN}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    lines = {one["range"]["start"]["line"] for one in pyright(tmp_path) if one["severity"] == "error"}
    assert lines >= {1, 2, 3}
