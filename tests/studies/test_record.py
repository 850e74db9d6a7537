"""A record says what was measured, and what was changed, cut or made up is not believed."""

import json
import math
import re

import numpy as np
import pytest

from qsynapse_jax.studies import Record, TextTable, claim, read_record, write_record


@pytest.fixture
def path(tmp_path):
    record = Record(
        "train",
        {"cell": {"bits": 2, "r_off": math.inf}, "hidden": (12,)},
        (0, 1, 2),
        12.345,
        [claim("accuracy", "%", [96.0, 98.0, 97.6], reach=">= 97"), claim("inl", "LSB", 0.25)],
        tables={"a": TextTable("A table", ["x", "y"], [["1", "2"]])},
        data={"loss/float": np.arange(3.0)},
        notes=["two wires"],
    )
    write_record(record, tmp_path / "result.json")
    return tmp_path / "result.json"


def test_it_is_read_as_it_was_written(path):
    record = read_record(path)
    assert record.config == {"cell": {"bits": 2, "r_off": "inf"}, "hidden": [12]}
    assert record.figures[0].ours == 97.2
    assert record.figures[1].seeds is None
    assert record.tables["a"].rows == [["1", "2"]]
    assert record.wall_time_s == 12.35
    np.testing.assert_array_equal(record.data["loss/float"], [0, 1, 2])
    assert {"jax", "flax", "equinox", "optax", "python"} <= set(record.versions)
    assert {one.name for one in path.parent.iterdir()} == {"result.json", "data.npz"}
    assert all((path.parent / name).stat().st_mode & 0o777 == 0o644 for name in ("result.json", "data.npz"))
    # Standard JSON, without Infinity, one line per claim.
    json.loads(path.read_text(), parse_constant=pytest.fail)
    assert sum('"holds"' in line for line in path.read_text().splitlines()) == 2


def test_a_claim_is_the_mean_over_seeds_and_holds_or_not():
    assert claim("f", "%", [96.0, 98.1], reach=">= 97.0").holds is True
    assert claim("f", "%", [96.0, 97.9], reach=">= 97.0").holds is False
    assert claim("f", "%", [1.4, 1.6], reach="<= 1.5").holds is True
    assert claim("lost_points", "%", [1.4]) == claim("lost_points", "%", [1.4], label="lost points")
    assert claim("f", "%", [1.4]).holds is None
    assert claim("f", "%", [1.0, 2.0, 3.0]).spread == 1.0
    assert claim("f", "", math.nan, reach=">= 1").ours is None


def test_a_number_that_no_seed_changes_is_no_three_runs():
    one = claim("inl", "LSB", 0.5, note="exact")
    assert (one.seeds, one.spread, one.note) == (None, None, "exact; does not depend on the seed")


def edited(change):
    def edit(path):
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return edit


BROKEN = {
    "missing": (lambda path: path.unlink(), "result.json does not exist"),
    "empty": (lambda path: path.write_text(""), "no JSON file that can be read"),
    "cut short": (lambda path: path.write_text(path.read_text()[:-20]), "no JSON file that can be read"),
    "binary": (lambda path: path.write_bytes(b"\xff\xfe\x00\x80"), "no JSON file that can be read"),
    "a list": (lambda path: path.write_text("[]"), "must hold an object, but holds"),
    "nested too deep": (lambda path: path.write_text("[" * 100_000), "no JSON file that can be read"),
    "unknown key": (edited(lambda c: c.update(extra=1)), "holds an unknown `extra`"),
    "no figures": (edited(lambda c: c.pop("figures")), "has no `figures`"),
    "figures of another kind": (edited(lambda c: c.update(figures=3)), "`figures` must be a list, but is 3"),
    "no claim": (edited(lambda c: c["figures"].append([])), "must hold an object with holds"),
    "config edited": (edited(lambda c: c["config"]["cell"].update(bits=3)), "was changed after it was written"),
    "data of another run": (
        lambda path: np.savez(path.with_name("data.npz"), other=np.zeros(3)),
        "data.npz does not belong to",
    ),
    "no data": (lambda path: path.with_name("data.npz").unlink(), "data.npz, which does not exist"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_believed_is_one_line_that_names_the_file(path, case):
    damage, message = BROKEN[case]
    damage(path)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_record(path)
    assert path.parent.name in str(caught.value)
    assert "\n" not in str(caught.value)
