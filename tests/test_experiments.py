"""Every experiment runs in its quick form, and what is committed of its full run is honest."""

import sys
from importlib import import_module

import numpy as np
import pytest

from experiments import __main__ as command
from experiments._record import FOLDER, claims_table, kept, paper_table, read_result, write_result
from qsynapse_jax.studies import Record, claim, read_record

NAMES = sorted(path.parent.name for path in FOLDER.glob("*/run.py"))
# Experiments of an hour and more for each seed, whose page says so.
ONE_SEED = {"residual_learning"}


@pytest.mark.slow  # up to half a minute each, most of it compilation; their parts have tests of their own
@pytest.mark.parametrize("name", NAMES)
def test_a_quick_run_writes_the_figures_of_the_full_one(name, tmp_path):
    quick = import_module(f"experiments.{name}.run").main(tmp_path, quick=True)
    written, full = read_record(tmp_path / "result.json"), read_result(name)
    assert written.figures == list(quick.figures)
    assert written.data.keys() == quick.data.keys()
    assert [one.name for one in full.figures] == [one.name for one in quick.figures]
    assert full.tables.keys() == quick.tables.keys()


@pytest.mark.parametrize("name", NAMES)
def test_claims_hold_over_at_least_three_seeds_or_depend_on_none(name):
    record, least = read_result(name), 1 if name in ONE_SEED else 3
    assert len(record.seeds) >= least
    for one in record.figures:
        assert one.seeds is None or one.seeds >= least
        assert (one.seeds is None) == ("does not depend on the seed" in one.note)
        assert one.holds is not False, one
    assert (FOLDER / name / "result.json").stat().st_size < 20_000
    assert all(len(table.rows) <= 15 for table in record.tables.values())


def test_the_table_of_the_claims():
    figures = [
        claim("lost_by_deployment", "points", [-0.4, -0.6], reach="<= 1"),
        claim("inl", "LSB", 0.25, reach="<= 0.1", paper=0.2),
    ]
    record = Record("x", {}, (0, 1), 125.0, figures, device="CPU: any, 2 cores")
    assert claims_table(record).splitlines() == [
        "| quantity | measured | target | met | published |",
        "| --- | --- | --- | --- | --- |",
        "| lost by deployment | -0.5 ± 0.14 points (gained) | <= 1 | yes |  |",
        "| inl | 0.25 LSB | <= 0.1 | no | 0.2 |",
        "",
        "Mean ± standard deviation over 2 seeds; a number without ± does not depend on the seed. 2 minutes in all; "
        "CPU: any, 2 cores.",
    ]


def test_tables_of_targets_and_of_published_numbers():
    figures = [
        claim("accuracy", "%", [96.0, 97.0], paper=97.5),
        claim("time", "s", [3.0, 5.0], reach="<= 10"),
        claim("spread", "%", 0.1),
    ]
    record = Record("x", {}, (0, 1), 61.0, figures, device="CPU: any, 1 cores")
    assert claims_table(record, targets=True).splitlines() == [
        "| quantity | measured | target | met |",
        "| --- | --- | --- | --- |",
        "| time | 4 ± 1.4 s | <= 10 | yes |",
        "",
        "Mean ± standard deviation over 2 seeds. 1 minute in all; CPU: any, 1 core.",
    ]
    assert paper_table(record).splitlines() == [
        "| quantity | published | here |",
        "| --- | --- | --- |",
        "| accuracy | 97.5 % | 96.5 ± 0.71 % |",
    ]


def refusal(monkeypatch, *arguments):
    """What the command line of the experiments says before it ends."""
    monkeypatch.setattr(sys, "argv", ["experiments", *arguments])
    with pytest.raises(SystemExit) as stop:
        command.main()
    return str(stop.value.code)


def test_an_unknown_experiment_names_the_known_ones(monkeypatch):
    assert "digits_demo" in refusal(monkeypatch, "nothing")


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for name in ("digits_demo", "all"):
        message = refusal(monkeypatch, name, "--quick", "--out", str(tmp_path / "file"))
        assert "`out` must be a folder that can be written" in message
    assert "seed" not in capsys.readouterr().out


def test_parts_of_an_interrupted_run_are_not_computed_again(tmp_path):
    """But those of another configuration are, and none stays when the result is written."""
    done = []

    def work():
        done.append(1)
        return np.arange(3.0)

    for config in (1, 1, 2):
        np.testing.assert_array_equal(kept(tmp_path, config, "a part", work), np.arange(3.0))
    assert len(done) == 2
    write_result(tmp_path, Record("x", {}, (0,), 0.0, []))
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
