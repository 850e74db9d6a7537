"""The benchmarks run: one of them here, at a tiny size; all in their quick form among the slow tests."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.bench import effective
from experiments.bench._problems import MILD, make, worst
from experiments.bench._reach import REACH
from experiments.bench._tables import FOLDER, bench_tables
from experiments.bench._timing import Contender, Timing, race, ratio
from qsynapse_jax.studies import read_record
from tests.crossbar.nodal import nodal_solve

SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if not path.name.startswith("_"))


def test_a_tiny_run_prints_times_and_errors_and_writes_them(tmp_path, capsys):
    config = effective.Config(
        out=tmp_path / "effective.json", sizes=(6,), tiles=(), precisions=("float32",), budget=0.01, rounds=2
    )
    path = effective.main(config)
    record = read_record(path)
    assert record.name == "bench/effective"
    assert record.config["sizes"] == [6]
    errors = {name: record.data[f"measurements/0/errors/{name}"] for name in ("SciPy LU", "ours, float32")}
    assert errors["SciPy LU"] < 1e-12
    assert 0 < errors["ours, float32"] < 1e-5
    assert all(np.all(record.data[f"measurements/0/times/{name}/rounds_s"] > 0) for name in errors)
    (table,) = (one for title, one in record.tables.items() if title not in ("machine", "peers"))
    assert table.columns[0] == ""
    assert {row[0] for row in table.rows} >= errors.keys()
    assert "error" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_benchmark_runs_in_its_quick_form(script, tmp_path):
    out = tmp_path / "result.json"
    command = [sys.executable, "-m", f"experiments.bench.{script}", "--quick", "--out", str(out)]
    run = subprocess.run(command, check=False, cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert len(read_record(out).tables) > 2


def test_the_equations_of_the_peers_are_those_of_the_yardstick():
    problem = make(7, MILD, r=20.0, inputs=2)
    for v, found in zip(problem.v_in, problem.reference(), strict=True):
        assert worst(found, nodal_solve(problem.g, v, r_word=20.0, r_bit=20.0).i_out) < 1e-12


def test_a_ratio_is_that_of_medians_with_quartiles_over_shared_rounds():
    slow = Timing(1.0, rounds={0: 4.0, 2: 8.0}, calls=[4.0, 8.0])
    fast = Timing(1.0, rounds={0: 1.0, 1: 50.0, 2: 4.0}, calls=[1.0, 2.0, 4.0])
    assert ratio(slow, fast) == (3.0, 2.5, 3.5)


def test_every_contender_is_timed_and_its_inputs_vary():
    seen: dict[str, list[int]] = {"a": [], "b": []}
    timings = race([Contender(name, seen[name].append, variations=2) for name in seen], budget_s=0.01, rounds=2)
    assert timings.keys() == seen.keys()
    assert all({0, 1} <= set(calls) for calls in seen.values())


def test_claims_name_a_script():
    assert {one.script for one in REACH.values()} <= set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_committed_results_are_records_and_small(script):
    record = read_record(FOLDER / f"{script}.json")
    assert {one.name: one.reach for one in record.figures} == {
        key: asked.reach for key, asked in REACH.items() if asked.script == script
    }
    assert (FOLDER / f"{script}.json").stat().st_size < 20_000


def test_an_unknown_benchmark_has_no_tables():
    with pytest.raises(ValueError, match="no benchmark 'nothing'"):
        bench_tables("nothing")
