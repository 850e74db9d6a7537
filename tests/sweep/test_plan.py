"""Which points a plan has, and what it refuses."""

import numpy as np
import pytest

from qsynapse_jax import sweep
from tests.sweep.zoo import LINE

Span = sweep.Span


def test_axes_are_whatever_a_point_is_made_of():
    axes = LINE.axes
    assert list(axes) == ["cells", "kind", "r_segment", "gain", "seed"]
    assert [name for name, axis in axes.items() if axis.static] == ["cells", "kind"]
    assert (axes["r_segment"].unit, axes["r_segment"].path) == ("ohm", ("wire", "r_segment"))
    assert (axes["cells"].default, axes["kind"].default) == (3, "plain")


def test_a_grid_has_every_combination_and_the_last_axis_varies_fastest():
    plan = sweep.grid(LINE, cells=[2, 5], r_segment=["0.35 ohm", "1.5 kohm", 2, "4e3 mΩ"], seed=range(2))
    assert plan.size == 16
    assert plan.shape == {"cells": 2, "r_segment": 4, "seed": 2}
    np.testing.assert_array_equal(plan.columns["cells"], np.repeat([2, 5], 8))
    np.testing.assert_array_equal(plan.columns["r_segment"][:8], [0.35, 0.35, 1500, 1500, 2, 2, 4, 4])
    np.testing.assert_array_equal(plan.columns["seed"], [0, 1] * 8)


def test_spans_keep_their_ends_and_integers_are_taken_once():
    plan = sweep.grid(LINE, gain=Span(0.3, 30, 3, log=True), cells=Span(1, 4, 7))
    np.testing.assert_allclose(np.unique(plan.columns["gain"]), [0.3, 3, 30], rtol=1e-15)
    assert {0.3, 30.0} < set(plan.columns["gain"].tolist())
    np.testing.assert_array_equal(np.unique(plan.columns["cells"]), [1, 2, 3, 4])


def test_random_points_fill_their_spans_evenly():
    plan = sweep.random(LINE, 2000, gain=Span("1 %", 100, log=True), cells=Span(1, 3), kind=["plain", "mirrored"])
    logs = np.log10(plan.columns["gain"])
    # A quarter of 2,000 each: 500 +- 19.4; 5 standard deviations leave one false alarm in a million.
    assert np.all(np.abs(np.histogram(logs, 4, (-2, 2))[0] - 500) < 5 * 19.4)
    counts = np.unique(plan.columns["cells"], return_counts=True)
    np.testing.assert_array_equal(counts[0], [1, 2, 3])
    assert np.all(np.abs(counts[1] - 2000 / 3) < 5 * 21.1)
    again, other = (sweep.random(LINE, 2000, draw=draw, gain=Span(0.01, 100, log=True)) for draw in (0, 1))
    np.testing.assert_array_equal(again.columns["gain"], plan.columns["gain"])
    assert not np.any(other.columns["gain"] == plan.columns["gain"])


def test_points_of_one_shape_are_together():
    plan = sweep.table(
        LINE, {"cells": [4, 2, 4, 2], "gain": [1, 2, 3, 4], "kind": ["plain", "plain", "mirrored", "plain"]}
    )
    groups = [(static, points.tolist()) for static, points in plan.groups()]
    assert groups == [
        ({"cells": 4, "kind": "plain"}, [0]),
        ({"cells": 2, "kind": "plain"}, [1, 3]),
        ({"cells": 4, "kind": "mirrored"}, [2]),
    ]


WRONG = {
    "unknown": (lambda: sweep.grid(LINE, r_segmnt=[1]), r"no axis 'r_segmnt'; did you mean 'r_segment'.* cells, kind"),
    "unknown and far": (lambda: sweep.grid(LINE, zzz=[1]), "no axis 'zzz'; its axes are cells, kind, r_segment, gain"),
    "unknown fixed": (lambda: sweep.grid(LINE, gain=[1], fixed={"cels": 2}), "did you mean 'cells'"),
    "no axes": (lambda: sweep.grid(LINE), "has none; axes of 'line': cells"),
    "no values": (lambda: sweep.grid(LINE, gain=[]), "`gain` must have values, but has none"),
    "no points": (lambda: sweep.random(LINE, 0, gain=Span(1, 2)), "`points` must be an integer of at least 1"),
    "empty table": (lambda: sweep.table(LINE, {"gain": []}), "must have points, but this one has none"),
    "unit": (lambda: sweep.grid(LINE, r_segment=["5 uS"]), r"`r_segment` must be in ohm.*'5 uS' is in uS"),
    "unit of a number": (lambda: sweep.grid(LINE, gain=["5 V"]), "`gain` must be a number without a unit, but '5 V'"),
    "no number": (lambda: sweep.grid(LINE, r_segment=["low"]), 'must be a number with a unit, e.g. "2.5 kohm", but'),
    "rule": (lambda: sweep.grid(LINE, gain=[1, -2]), r"`gain` must be positive and finite, but gain\[1\] = -2"),
    "static rule": (lambda: sweep.grid(LINE, cells=[0]), "`cells` must be an integer of at least 1"),
    "fraction": (lambda: sweep.grid(LINE, seed=[0.5]), "`seed` must be an integer"),
    "twice": (lambda: sweep.grid(LINE, gain=[1, 1.0]), "`gain` must not hold a value twice"),
    "text": (lambda: sweep.grid(LINE, gain="12"), "`gain` must be a sequence of values or a Span"),
    "falls": (lambda: sweep.grid(LINE, gain=Span(2, 1, 3)), "`gain` must rise from low to high"),
    "log of 0": (lambda: sweep.grid(LINE, r_segment=Span(0, 1, 3, log=True)), "must be positive for even steps"),
    "no count": (lambda: sweep.grid(LINE, gain=Span(1, 2)), "`gain` needs a count on a grid"),
    "span of texts": (lambda: sweep.grid(LINE, kind=Span(1, 2, 2)), "`kind` is no number"),
    "lengths": (lambda: sweep.table(LINE, {"gain": [1], "seed": [1, 2]}), "must be of one length"),
    "both": (lambda: sweep.grid(LINE, gain=[1], fixed={"gain": 2}), "`gain` is an axis and fixed as well"),
    "chunk": (lambda: sweep.grid(LINE, gain=[1], chunk=0), "`chunk` must be an integer of at least 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_plans_say_what_to_do(case):
    make, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        make()


TOML = """
study = "line"
chunk = 3
[axes]
r_segment = { from = "0.35 ohm", to = "3.5 ohm", count = 2, log = true }
cells = [1, 2]
[fixed]
gain = "50 %"
"""


def written(tmp_path, text, name="plan.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_file_says_what_python_says(tmp_path):
    plan = sweep.read_plan(written(tmp_path, TOML), {"line": LINE})
    same = sweep.grid(LINE, r_segment=Span(0.35, 3.5, 2, log=True), cells=[1, 2], fixed={"gain": 0.5}, chunk=3)
    assert plan.settings() == same.settings()
    text = 'study = "tests.sweep.zoo:LINE"\nplan = "random"\npoints = 5\ndraw = 2\naxes.gain = { from = 1, to = 2 }'
    plan = sweep.read_plan(written(tmp_path, text), {})
    assert plan.settings() == sweep.random(LINE, 5, draw=2, gain=Span(1, 2)).settings()
    written(tmp_path, "r_segment [kohm], kind,gain\n0.5,plain,1\n\n2e-3,mirrored,0.5\n", "points.csv")
    plan = sweep.read_plan(written(tmp_path, 'study = "line"\nplan = "table"\ntable = "points.csv"'), {"line": LINE})
    same = sweep.table(LINE, {"r_segment": [500, 2], "kind": ["plain", "mirrored"], "gain": [1, 0.5]})
    assert plan.settings() == same.settings()


FILES = {
    "no toml": ("study = ", "is no TOML file"),
    "study": ('study = "lines"\n', "There is no study 'lines'. Did you mean 'line'"),
    "module": ('study = "tests.sweep.zo:LINE"\n', "imported from the current folder, .* no `tests.sweep.zo`"),
    "no study": ('study = "tests.sweep.zoo:line"\n', "must be a sweep.Study, but is a function"),
    "key": ('study = "line"\nchunks = 3\n', "A plan has no `chunks`.* Did you mean `chunk`"),
    "kind": ('study = "line"\nplan = "gird"\n', "`plan` must be one of grid, random, table"),
    "points of a grid": ('study = "line"\npoints = 3\n', '`points` is for plan = "random"'),
    "no points": ('study = "line"\nplan = "random"\naxes.gain = [1]\n', "says how many points"),
    "axis": ('study = "line"\naxes.gian = [1]\n', r"plan.toml: Study 'line' has no axis 'gian'; did you mean 'gain'"),
    "span": ('study = "line"\naxes.gain = { from = 1, too = 2 }\n', "Axis `gain` has no `too`.* Did you mean `to`"),
    "half a span": ('study = "line"\naxes.gain = { from = 1 }\n', "must have both ends"),
    "unit": ('study = "line"\naxes.r_segment = ["1 S"]\n', "`r_segment` must be in ohm"),
    "table": ('study = "line"\nplan = "table"\ntable = "none.csv"\n', "none.csv cannot be read"),
    "no axes": ('study = "line"\n', "must have points, but this one has none"),
}


@pytest.mark.parametrize("case", FILES)
def test_wrong_files_say_what_to_do(case, tmp_path):
    text, message = FILES[case]
    with pytest.raises(ValueError, match=message):
        sweep.read_plan(written(tmp_path, text), {"line": LINE})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gain,gian\n1,2", "did you mean 'gain'"),
        ("gain,gain\n1,2", "must have a name of its own"),
        ("gain,seed\n1", "Line 2 of .* has 1 fields"),
        ("", "is empty"),
        ("r_segment [S]\n1", "must be in ohm"),
    ],
)
def test_wrong_tables_say_what_to_do(text, message, tmp_path):
    written(tmp_path, text, "points.csv")
    with pytest.raises(ValueError, match=message):
        sweep.read_plan(written(tmp_path, 'study = "line"\nplan = "table"\ntable = "points.csv"'), {"line": LINE})
