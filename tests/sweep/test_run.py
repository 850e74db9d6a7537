"""Points are computed together, and come out as they would alone."""

import json
from typing import Any

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qsynapse_jax import sweep
from qsynapse_jax.sweep import _program
from tests.sweep.zoo import FRAGILE, LINE, Line, Wire, fragile, line


def test_a_grid_comes_out_labelled_and_as_each_point_alone(tmp_path):
    plan = sweep.grid(LINE, cells=[2, 4], r_segment=["1 ohm", "0.01 kohm"], seed=range(3), fixed={"gain": 0.5}, chunk=4)
    ds = sweep.run(plan, tmp_path / "sweep")
    assert dict(ds.sizes) == {"cells": 2, "r_segment": 2, "seed": 3, "cell": 4}
    assert (ds.r_segment.attrs, ds["drop"].attrs["units"]) == ({"units": "ohm"}, "V")
    assert ds["drop"].attrs["long_name"] == "voltage along the line"
    assert (ds.attrs["points"], ds.attrs["finished"], ds.attrs["failed"]) == (12, 12, 0)
    assert ds["count"].dtype == np.int32
    assert "too_far" not in ds
    for cells, r, seed in ((2, 1.0, 2), (4, 10.0, 0), (4, 1.0, 1)):
        alone = line(Line(cells=cells, wire=Wire(r), gain=0.5, seed=seed))
        found = ds.sel(cells=cells, r_segment=r, seed=seed)
        np.testing.assert_allclose(found["drop"][:cells], alone["drop"].value, rtol=1e-6)
        assert np.all(np.isnan(found["drop"][cells:]))
        assert found["count"] == cells + seed
    assert np.all(ds.wall_time > 0)
    settings, (run,) = json.loads(ds.attrs["settings"]), json.loads(ds.attrs["runs"])
    assert settings["constants"] == {"kind": "plain", "gain": 0.5}
    assert settings["axes"]["r_segment"]["values"] == [1.0, 10.0]
    assert {"jax", "qsynapse_jax"} < run["versions"].keys()
    assert sweep.open(tmp_path / "sweep").identical(ds)


def test_every_shape_is_traced_and_compiled_once(tmp_path, caplog):
    """Of two shapes and eight chunks, the last of each shorter than the others."""
    chex.clear_trace_counter()
    counted: Any = chex.assert_max_traces(line, n=2)
    study = sweep.Study(counted, Line, "line")
    plan = sweep.table(study, {"cells": [2] * 9 + [3] * 5, "gain": np.arange(1.0, 15.0)}, chunk=2)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        ds = sweep.run(plan, tmp_path / "sweep")
    compiled = [record.getMessage() for record in caplog.records if "XLA compilation of" in record.getMessage()]
    assert [message for message in compiled if "jit(point)" in message] == compiled
    assert len(compiled) == 2
    np.testing.assert_allclose(ds.total, [3 * g for g in range(1, 10)] + [6 * g for g in range(10, 15)], rtol=1e-6)


def test_a_batch_is_as_large_as_memory_allows(tmp_path, monkeypatch):
    """Of 40 % of it, by what the program says that it takes; and half of that where it was too much all the same."""
    plan = sweep.grid(LINE, seed=range(64), chunk=64)
    expected = sweep.run(plan, tmp_path / "all")
    lanes = []
    call = "qsynapse_jax.sweep._program.Program._call"
    run = _program.Program._call

    def refused(self, batch, count, size):
        lanes.append(size)
        if size > 4:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate.")
        return run(self, batch, count, size)

    with monkeypatch.context() as patch:
        patch.setattr(call, refused)
        found = sweep.run(plan, tmp_path / "refused")
    assert lanes[:5] == [64, 32, 16, 8, 4]
    assert set(lanes[4:]) == {4}
    assert len(lanes) == 4 + 16
    assert found.drop_vars("wall_time").drop_attrs().identical(expected.drop_vars("wall_time").drop_attrs())
    with monkeypatch.context() as patch:
        lanes.clear()
        patch.setattr("qsynapse_jax.sweep._program.memory", lambda: 5_000)
        patch.setattr(call, lambda self, batch, count, size: (lanes.append(size), run(self, batch, count, size))[1])
        sweep.run(plan, tmp_path / "small")
    assert 1 < lanes[0] < 64
    assert len(lanes) == 64 // lanes[0]


def test_random_points_and_tables_are_along_one_dimension(tmp_path):
    plan = sweep.random(LINE, 5, gain=sweep.Span(1, 2), kind=["plain", "mirrored"])
    ds = sweep.run(plan, tmp_path / "sweep")
    assert ds.total.dims == ("point",)
    assert set(ds.coords) == {"gain", "kind"}
    np.testing.assert_allclose(ds.total, 6 * ds.gain * np.where(ds.kind == "plain", 1, -1), rtol=1e-6)


def test_only_shapes_vary(tmp_path):
    ds = sweep.run(sweep.grid(LINE, cells=[3, 1]), tmp_path / "sweep")
    np.testing.assert_array_equal(ds.total, [6, 1])


def test_a_point_that_fails_is_recorded_and_the_others_go_on(tmp_path):
    """One raises while it runs, a shape cannot be traced, a check says no; the rest is as it would be without them."""
    plan = sweep.grid(FRAGILE, cells=[2, 5], gain=[3, 7, 8.0], chunk=3)
    ds = sweep.run(plan, tmp_path / "sweep")
    np.testing.assert_array_equal(ds.status, [[1, 2, 1], [2, 2, 2]])
    np.testing.assert_array_equal(ds.y, [[3, np.nan, 8], [np.nan] * 3])
    assert "Seven is an odd gain." in ds.error.sel(cells=2, gain=7).item()
    assert ds.error.sel(cells=5, gain=3).item() == "ValueError: Five cells cannot be."
    assert ds.error.sel(cells=2, gain=3).item() == ""
    assert (ds.attrs["finished"], ds.attrs["failed"]) == (2, 4)
    checked = sweep.run(sweep.grid(LINE, gain=[49, 51.0, 3]), tmp_path / "checked")
    np.testing.assert_array_equal(checked.total, [6 * 49, np.nan, 18])
    assert checked.error.values.tolist() == ["", "The gain is beyond 50; give a smaller one.", ""]
    assert np.isnan(checked["count"][1])


def test_all_points_may_fail(tmp_path):
    ds = sweep.run(sweep.grid(FRAGILE, gain=[1, 2], fixed={"cells": 5}), tmp_path / "sweep")
    assert ds.attrs["failed"] == 2
    assert "y" not in ds


RESULTS = {
    "nothing": ({}, "must return results by name"),
    "no name": ({"y": jnp.zeros(3)}, "must name every dimension of `y`"),
}


@pytest.mark.parametrize("case", RESULTS)
def test_what_a_study_must_return(case, tmp_path):
    """Said at every point, since the others might be right."""
    returned, message = RESULTS[case]
    study = sweep.Study(lambda point: returned, Line, "wrong")
    ds = sweep.run(sweep.grid(study, gain=[1]), tmp_path / "sweep")
    assert message in ds.error.item()


def test_names_of_results_are_their_own(tmp_path):
    study = sweep.Study(lambda point: {"gain": point.gain}, Line, "same")
    with pytest.raises(ValueError, match="must not be called `gain`, which is an axis"):
        sweep.run(sweep.grid(study, seed=[1]), tmp_path / "sweep")


def test_a_point_is_a_module():
    with pytest.raises(ValueError, match=r"`make_point` must be a function or a class, but is Line\("):
        sweep.Study(fragile, Line())
    with pytest.raises(ValueError, match=r"A point of study 'fragile' must be an equinox.Module, but is \{\}"):
        sweep.grid(sweep.Study(fragile, dict), x=[1])


class Many(eqx.Module):
    one: Wire
    two: Wire


def test_names_that_meet_twice_are_told_in_full(tmp_path):
    study = sweep.Study(
        lambda point: {"y": point.one.r_segment - point.two.r_segment}, lambda: Many(Wire(), Wire()), "many"
    )
    assert list(study.axes) == ["one.r_segment", "two.r_segment"]
    axes: dict[str, Any] = {"two.r_segment": [3, 4]}
    plan = sweep.grid(study, **axes)
    np.testing.assert_array_equal(sweep.run(plan, tmp_path / "sweep").y, [-2, -3])
