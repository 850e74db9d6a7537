"""Every picture shows what it is given, and Matplotlib is imported when one is drawn."""

import subprocess
import sys

import numpy as np
import pytest

from qsynapse_jax import plot


def drawn(figure):
    """Draws it, so that what is wrong with labels and sizes is an error here."""
    figure.canvas.draw()
    return figure.axes


def test_accuracy_has_a_line_per_network_and_a_dashed_one():
    history = {"float": [50.0, 90.0, 97.0], "circuit": [40.0, 80.0, 96.0]}
    (axes,) = drawn(plot.accuracy(history, reference={"deployed": 79.0}, title="A title", colors={"float": "0.45"}))
    np.testing.assert_allclose(axes.lines[1].get_ydata(), history["circuit"])
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["float", "circuit", "deployed"]
    assert axes.lines[2].get_linestyle() == "--"


def test_the_ir_drop_says_what_the_worst_cell_loses():
    v_cell = np.full((4, 6), 0.2)
    v_cell[0, 5] = 0.05
    axes, *_ = drawn(plot.ir_drop(v_cell, 0.2))
    assert "take 75 % of it from the worst cell" in axes.get_title()
    np.testing.assert_allclose(axes.images[0].get_array(), 1e3 * v_cell)


@pytest.mark.parametrize("shape", [(3, 4), (50, 60)])
def test_a_crossbar_has_a_color_per_cell_and_a_prefix(shape):
    """Few lines are drawn, of many the cells alone; either way the color bar says what the numbers are."""
    g = np.random.default_rng(0).uniform(1e-6, 9e-5, shape)
    axes = plot.crossbar(g, title="A map")
    drawn(axes.figure)
    shown = (axes.images or axes.collections)[-1]
    np.testing.assert_allclose(np.ravel(shown.get_array()), 1e6 * g.ravel())
    assert axes.figure.axes[1].get_ylabel() == "conductance [uS]"
    assert plot.crossbar(g, ax=axes) is axes


def test_currents_stand_beside_those_of_ideal_wires():
    axes = plot.currents([1e-6, 2e-6], [2e-6, 2e-6])
    drawn(axes.figure)
    np.testing.assert_allclose([bar.get_height() for bar in axes.patches], [1, 2])
    assert axes.get_ylabel() == "current [uA]"
    assert axes.get_title() == "The wires cost 25 % of the currents"


def test_weights_are_points_against_the_line_of_ideal_wires():
    intended = np.linspace(-1, 1, 12).reshape(3, 4)
    left, right = drawn(plot.effective_weights({"one": (intended, 0.5 * intended), "two": (intended, intended)}))
    np.testing.assert_allclose(left.lines[0].get_ydata(), 0.5 * intended.ravel())
    assert (left.get_title(), right.get_title()) == ("one", "two")


def test_levels_are_deviations_and_resistors_ratios():
    levels = {"found": {"mean": np.array([-2.9, -2, -1, 0, 1, 2, 3.1]), "spread": np.ones(7), "error": 0.25}}
    left, right = drawn(plot.levels_and_resistors(levels, {"found": [8e3, 17e3]}))
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0.1, 0, 0, 0, 0, 0, 0.1], atol=1e-12)
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1, 17 / 16])
    assert "0.25 LSB" in left.get_legend().get_texts()[0].get_text()


def test_points_and_front_fill_axes_that_are_given():
    from matplotlib.figure import Figure

    left, right = Figure().subplots(1, 2)
    plot.points_by_design(left, {"plain": [94.0, 95.0], "found": [95.5]}, label="test accuracy [%]")
    assert len(left.lines) == 2
    plot.front(right, power=[1e-3, 2e-3], error=[0.9, 0.8], area=[1e-10, 2e-10], start=(3e-3, 2.0))
    np.testing.assert_allclose(right.collections[0].get_offsets(), [[1e3, 0.9], [2e3, 0.8]])
    drawn(right.figure)


def test_a_fit_of_pulses_shows_both_directions_and_the_difference():
    up, down = np.linspace(1e-6, 9e-6, 5), np.linspace(9e-6, 1e-6, 7)
    figure = plot.pulse_fit((up, down), (up, down + 1e-7), sweeps=(np.stack([up, up]), down), label="SoftBounds")
    left, right, below_left, below_right = drawn(figure)
    np.testing.assert_allclose(left.lines[2].get_ydata(), 1e6 * up)
    assert len(right.lines) == 3
    np.testing.assert_allclose(below_left.lines[0].get_ydata(), 0, atol=1e-12)
    np.testing.assert_allclose(below_right.lines[0].get_ydata(), 0.1)


def test_weights_before_and_after_have_bins_around_zero_and_the_bounds():
    before, after = np.zeros((3, 4)), np.full((3, 4), 0.5)
    panels = {"layer 0, fast": (before, after), "layer 0, slow": (before, before)}
    left, right = drawn(plot.weight_histograms(panels, bounds=(-1.0, 0.8)))
    heights = np.array([bar.get_height() for bar in left.patches[:-1]])
    assert (heights.argmax(), heights.max(), heights.sum()) == (20, 12, 12)
    assert [line.get_xdata()[0] for line in left.lines] == [-1.0, 0.8]
    assert (left.get_title(), right.get_title()) == tuple(panels)


def test_the_response_has_a_line_per_device_and_their_mean():
    g = np.array([[1.0, 3.0], [2.0, 4.0], [1.0, 3.5]]) * 1e-6
    (axes,) = drawn(plot.pulse_response([0, 10, 20], g, title="How they answer"))
    np.testing.assert_allclose(axes.lines[2].get_ydata(), [2, 3, 2.25])
    assert axes.lines[3].get_xdata()[0] == 10
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one device", "their mean"]


def test_a_map_shows_microsiemens_and_marks_what_failed():
    g, failed = np.full((3, 4), 1e-4), np.zeros((3, 4), bool)
    failed[2, 1] = True
    axes, _ = drawn(plot.conductance_map(g, failed=failed, title="One read"))
    np.testing.assert_allclose(axes.images[0].get_array(), 100.0)
    assert (axes.lines[0].get_xdata()[0], axes.lines[0].get_ydata()[0]) == (1, 2)
    assert not drawn(plot.conductance_map(g, failed=np.zeros((3, 4), bool)))[0].lines


def test_the_staircase_sorts_cells_and_enlarges_a_dozen_levels():
    levels = 50 + 2.0 * np.random.default_rng(0).permutation(40)
    read = np.stack([levels - 0.3, levels + 0.3])
    whole, part = drawn(plot.staircase(1e-6 * levels, 1e-6 * read, step=2e-6))
    np.testing.assert_allclose(whole.lines[0].get_ydata(), np.sort(levels) - 0.3)
    *reads, steps = part.lines
    assert [len(line.get_ydata()) for line in reads] == [13, 13]
    np.testing.assert_allclose(reads[1].get_ydata() - steps.get_ydata(), 0.3)
    np.testing.assert_allclose(np.diff(steps.get_ydata()), 2.0)


def test_errors_are_shares_and_the_ends_hold_what_is_beyond():
    (axes,) = drawn(plot.error_histogram({"raw": np.array([0.0, 0.1, 9.0, -9.0])}, tolerance=0.5))
    corners = axes.patches[0].get_xy()
    assert (corners[:, 0].min(), corners[:, 0].max()) == (-2.5, 2.5)
    assert corners[:, 1].max() == pytest.approx(0.25)
    assert "raw: 50 % within" in axes.get_legend().get_texts()[0].get_text()
    assert [line.get_xdata()[0] for line in axes.lines] == [-0.5, 0.5]


def test_traces_of_a_cell_share_a_scale_around_their_means():
    before = 1e-6 * np.array([[100.0, 50.0], [104.0, 50.0]])
    panels = drawn(
        plot.noise_traces({"a": before, "b": 0.5 * before}, interval=1e-3, band=2e-6, cells=["0, 0", "1, 1"])
    )
    np.testing.assert_allclose(panels[0].lines[0].get_ydata(), [-2, 2])
    np.testing.assert_allclose(panels[1].lines[0].get_ydata(), [-1, 1])
    assert panels[0].get_ylim() == panels[1].get_ylim()
    assert panels[2].get_ylim() == pytest.approx((-1.5, 1.5))
    assert "0, 0, 102.0 uS" in panels[0].texts[0].get_text()


def test_pulses_are_counted_one_by_one():
    (axes,) = drawn(plot.pulse_counts({"written": np.array([[0, 1], [1, 3]])}))
    corners = axes.patches[0].get_xy()
    assert (corners[:, 0].min(), corners[:, 0].max(), corners[:, 1].max()) == (-0.5, 3.5, 2)
    assert "written: 1.2 on the mean, at most 3" in axes.get_legend().get_texts()[0].get_text()


def test_the_speed_up_has_a_panel_per_switch_time_and_a_star():
    n, t = np.logspace(0, 4, 5), np.logspace(-8, -1, 6)
    level = np.log10(n[:, None, None] * t[None, :, None] / np.array([1e-8, 1e-7]))
    figure = plot.speed_up(n, t, np.array([1e-8, 1e-7]), level, corner=(1e3, 1e-4, 1e-7), published=[8.0, 2001.0])
    first, second, _ = drawn(figure)
    assert [line.get_marker() for line in second.lines] == ["None", "*"]
    assert len(first.lines) == 1


def test_retention_leaves_the_fresh_network_out_of_a_logarithmic_axis():
    accuracy = {"switches": np.array([[[97.0, 96.0, 95.0]], [[98.0, 97.0, 96.0]]])}
    (axes,) = drawn(plot.retention(accuracy, [0.0, 1.0, 3600.0], [85.0]))
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [96.5, 95.5])
    assert axes.get_title() == "Kept and read at 85 C"


def test_matplotlib_is_imported_when_a_picture_is_drawn():
    program = "import sys, qsynapse_jax.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_heat_map_writes_its_numbers_and_leaves_out_what_is_none():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    values = np.array([[1.0, 2.5, np.nan], [1.25, 1.5, 3.0]])
    plot.heat_map(
        axes, values, x=[8, 16, 32], y=[1e-3, 1e3], label_x="lines", label_y="segment [ohm]", low=1.0, high=3.0
    )
    drawn(axes.figure)
    assert sorted(text.get_text() for text in axes.texts) == ["1", "1.25", "1.5", "2.5", "3"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0.001", "1000"]
    assert axes.get_xlabel() == "lines"
