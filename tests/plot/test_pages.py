"""Every study has its pictures, by the names of its files, and each shows what was found."""

import re

import numpy as np
import pytest

from qsynapse_jax import plot
from qsynapse_jax.devices import Trace
from qsynapse_jax.plot._levels import error_histogram, levels_and_resistors, noise_traces, pulse_counts
from qsynapse_jax.studies import (
    CodesignConfig,
    CodesignResult,
    InsituConfig,
    InsituResult,
    MappedConfig,
    MappedResult,
    NetworkConfig,
    NetworkResult,
    ProgramConfig,
    ProgramResult,
)
from qsynapse_jax.studies._program import Stage
from qsynapse_jax.training import Epoch

EPOCHS = [Epoch(1, 1.0, 0.5), Epoch(2, 0.5, 0.9)]
WEIGHTS = np.linspace(-1, 1, 12).reshape(3, 4)


def drawn(pictures, *names):
    """Draws them, so that what is wrong with labels and sizes is an error here, and returns their axes."""
    assert tuple(pictures) == names
    for figure in pictures.values():
        figure.canvas.draw()
    return [figure.axes for figure in pictures.values()]


def test_the_pictures_of_a_network():
    v_cell = np.full((4, 6), 0.2)
    v_cell[0, 5] = 0.05
    result = NetworkResult(
        NetworkConfig.demo(0),
        "64-10",
        100,
        accuracies={"deployed": 79.0, "circuit": 97.0},
        histories={"float": EPOCHS, "circuit": EPOCHS},
        views={
            "tile/v_cell": v_cell,
            "tile/v_read": np.asarray(0.2),
            **{f"weights/{name}/intended": WEIGHTS for name in ("deployed", "circuit")},
            **{f"weights/{name}/effective": 0.5 * WEIGHTS for name in ("deployed", "circuit")},
        },
    )
    (course,), (drop, bar), (left, right) = drawn(plot.pictures(result), "accuracy", "ir_drop", "weights")
    np.testing.assert_allclose(course.lines[0].get_ydata(), [50, 90])
    assert course.lines[-1].get_ydata()[0] == 79
    assert "take 75 % of it from the worst cell" in drop.get_title()
    np.testing.assert_allclose(drop.collections[-1].get_array(), 1e3 * v_cell.ravel())
    assert (drop.collections[-1].get_clim(), bar.get_ylabel()) == ((0, 200), "cell voltage [mV]")
    assert left.get_title() == "same weights, resistive wires:\n79.0 % of the test samples are right"
    np.testing.assert_allclose(right.lines[0].get_ydata(), 0.5 * WEIGHTS.ravel())
    assert right.get_ylabel() == ""


def test_the_pictures_of_arrays_that_learn():
    weights = {f"layers/{n}/{when}": np.full((2, 3, 4), 0.5 * n) for n in (0, 1) for when in ("first", "last")}
    result = InsituResult(
        InsituConfig(rule="agad"),
        (3, 4),
        (10, 10),
        histories={"insitu": EPOCHS},
        weights=weights,
        bounds=(-1.5, 1.0),
        response={"pulses": np.arange(3), "g": 1e-6 * np.ones((3, 2))},
    )
    (course,), panels, (response,) = drawn(plot.pictures(result), "accuracy", "weights", "pulses")
    assert len(course.lines) == 1
    assert len(panels) == 4
    assert {panel.get_xlim() for panel in panels} == {panels[0].get_xlim()}
    assert panels[0].lines[0].get_xdata()[0] == -1.5
    assert panels[1].get_title() == f"matrix 2 of 2, 3 x 4\n{result.config.array_names[0]}"
    assert [panel.get_ylabel() for panel in panels] == ["devices", "", "devices", ""]
    assert "2 as fabricated" in response.get_title()


def test_the_pictures_of_an_array_at_its_levels():
    config = ProgramConfig(array=(4,))
    target = config.step * np.arange(30, 46).reshape(4, 4)
    success = np.ones((4, 4), bool)
    success[2, 1] = False
    stage = Stage(
        success=success,
        sigma=np.zeros((4, 4)),
        levels=16,
        read=np.stack([target, target]),
        traces=np.stack([target[0, :2], 1.1 * target[0, :2]]),
        trace=Trace.zeros((4, 4)),
        seconds=1.0,
    )
    result = ProgramResult(config, target, {"coarse": stage}, np.array([[0, 0], [0, 1]]))
    names = "conductance", "staircase", "errors", "traces", "pulses"
    g, (whole, part), *_ = drawn(plot.pictures(result), *names)
    np.testing.assert_allclose(g[0].collections[-1].get_array(), 1e6 * target.ravel())
    assert (g[0].lines[0].get_xdata()[0], g[0].lines[0].get_ydata()[0]) == (1, 2)
    assert len(whole.lines[0].get_xdata()) == 16
    np.testing.assert_allclose(part.lines[-1].get_ydata(), 1e6 * target.ravel()[2:15])


def test_the_pictures_of_a_measured_map(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savetxt("map.csv", np.linspace(30.0, 50.0, 12).reshape(3, 4), delimiter=",")
    config = MappedConfig(map="map.csv", unit="uS", hidden=(6,))
    result = MappedResult(config, 100, {"wires": 90.0}, weights=(WEIGHTS, 0.5 * WEIGHTS))
    (weights,), (errors, _) = drawn(plot.pictures(result), "weights", "map")
    assert weights.get_title() == "First layer, behind the wires:\n90.0 % of the test samples are right"
    assert errors.get_title() == "Errors of map.csv"


def test_the_picture_of_a_ladder():
    level = {"mean": np.array([-1.1, 0.0, 1.0]), "spread": np.ones(3), "error": np.asarray(0.1)}
    designs = {name: np.array([8e3, 16e3]) for name in ("R, 2R, 4R", "R as found", "closed form", "found")}
    result = CodesignResult(CodesignConfig(dataset="none"), designs, np.ones(2), levels=dict.fromkeys(designs, level))
    ((left, right),) = drawn(plot.pictures(result), "codesign")
    assert (len(left.lines), len(right.lines)) == (3, 4)


def test_what_is_no_result_of_a_study_is_refused():
    with pytest.raises(ValueError, match=re.escape("`result` must be one of NetworkResult, ")):
        plot.pictures({"accuracy": 1.0})


def axes_of(figure):
    """Draws it."""
    figure.canvas.draw()
    return figure.axes


def test_levels_are_deviations_and_resistors_ratios():
    levels = {"found": {"mean": np.array([-2.9, -2, -1, 0, 1, 2, 3.1]), "spread": np.ones(7), "error": 0.25}}
    left, right = axes_of(levels_and_resistors(levels, {"found": [8e3, 17e3]}))
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0.1, 0, 0, 0, 0, 0, 0.1], atol=1e-12)
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1, 17 / 16])
    assert "0.25 LSB" in left.get_legend().get_texts()[0].get_text()


def test_errors_are_shares_and_the_ends_hold_what_is_beyond():
    (axes,) = axes_of(error_histogram({"raw": np.array([0.0, 0.1, 9.0, -9.0])}, tolerance=0.5))
    corners = axes.patches[0].get_xy()
    assert (corners[:, 0].min(), corners[:, 0].max()) == (-2.5, 2.5)
    assert corners[:, 1].max() == pytest.approx(0.25)
    assert "raw: 50 % within" in axes.get_legend().get_texts()[0].get_text()
    assert [line.get_xdata()[0] for line in axes.lines] == [-0.5, 0.5]


def test_traces_of_a_cell_share_a_scale_around_their_means():
    before = 1e-6 * np.array([[100.0, 50.0], [104.0, 50.0]])
    panels = axes_of(noise_traces({"a": before, "b": 0.5 * before}, interval=1e-3, band=2e-6, cells=["0, 0", "1, 1"]))
    np.testing.assert_allclose(panels[0].lines[0].get_ydata(), [-2, 2])
    np.testing.assert_allclose(panels[1].lines[0].get_ydata(), [-1, 1])
    assert panels[0].get_ylim() == panels[1].get_ylim()
    assert panels[2].get_ylim() == pytest.approx((-1.5, 1.5))
    assert "0, 0, 102.0 uS" in panels[0].texts[0].get_text()


def test_pulses_are_counted_one_by_one():
    (axes,) = axes_of(pulse_counts({"written": np.array([[0, 1], [1, 3]])}))
    corners = axes.patches[0].get_xy()
    assert (corners[:, 0].min(), corners[:, 0].max(), corners[:, 1].max()) == (-0.5, 3.5, 2)
    assert "written: 1.2 on the mean, at most 3" in axes.get_legend().get_texts()[0].get_text()
