"""Every picture shows what it is given, in axes that it is given, and Matplotlib is imported when one is drawn."""

import re
import subprocess
import sys

import numpy as np
import pytest

from qsynapse_jax import plot

G = np.linspace(1e-6, 9e-5, 12).reshape(3, 4)
WEIGHTS = np.linspace(-1, 1, 12).reshape(3, 4)
UP, DOWN = np.linspace(1e-6, 9e-6, 5), np.linspace(9e-6, 1e-6, 7)
# Each with numbers of its own, and a message where they do not belong together.
PICTURES = {
    "crossbar": (lambda **o: plot.crossbar(G, **o), lambda: plot.crossbar(G[0]), "`values` must have shape (wl, bl)"),
    "currents": (
        lambda **o: plot.currents([1e-6, 2e-6], **o),
        lambda: plot.currents([1e-6, 2e-6], [1e-6]),
        "`i_ideal` must have the shape (2,) of `i_out`, but has shape (1,)",
    ),
    "effective_weights": (
        lambda **o: plot.effective_weights(WEIGHTS, 0.5 * WEIGHTS, **o),
        lambda: plot.effective_weights(WEIGHTS, WEIGHTS[0]),
        "`effective` must have the shape (3, 4) of `intended`",
    ),
    "pulse_response": (
        lambda **o: plot.pulse_response([0, 10, 20], G, **o),
        lambda: plot.pulse_response([0, 10, 20], G[:, 0]),
        "of one device pass `g[:, None]`",
    ),
    "pulse_fit": (
        lambda **o: plot.pulse_fit((UP, DOWN), (UP, DOWN), **o),
        lambda: plot.pulse_fit((UP, DOWN), (UP, UP)),
        "`fitted` must have the shape (7,) of `measured`",
    ),
    "staircase": (
        lambda **o: plot.staircase(G, np.stack([G, G]), **o),
        lambda: plot.staircase(G, G),
        "of one read pass `read[None]`",
    ),
    "weight_histogram": (
        lambda **o: plot.weight_histogram(WEIGHTS, WEIGHTS, bounds=(-1.0, 1.0), **o),
        lambda: plot.weight_histogram(WEIGHTS, WEIGHTS[0], bounds=(-1.0, 1.0)),
        "`after` must have the shape (3, 4) of `before`",
    ),
    "accuracy": (lambda **o: plot.accuracy({"float": [50.0, 90.0]}, **o), None, ""),
    "front": (
        lambda **o: plot.front({"power": [1e-3, 2e-3], "error": [0.9, 0.8]}, **o),
        lambda: plot.front({"power": [1e-3, 2e-3]}),
        "`objectives` must hold two or three, but holds 1",
    ),
    "heat_map": (
        lambda **o: plot.heat_map(G, x=[1, 2, 3, 4], y=[1, 2, 3], label_x="x", label_y="y", **o),
        lambda: plot.heat_map(G, x=[1, 2, 3], y=[1, 2, 3, 4], label_x="x", label_y="y"),
        "`values` must have shape (y, x), here (4, 3), but has shape (3, 4)",
    ),
}


def drawn(figure):
    """Draws it, so that what is wrong with labels and sizes is an error here."""
    figure.canvas.draw()
    return figure.axes


def test_every_picture_is_in_the_list():
    assert {name for name, one in vars(plot).items() if callable(one)} == {*PICTURES, "pictures", "new_figure"}


@pytest.mark.parametrize("name", PICTURES)
def test_it_draws_into_the_axes_that_it_is_given_or_into_new_ones(name):
    draw, _, _ = PICTURES[name]
    figure, (left, right) = plot.new_figure(8.0, 3.0, 1, 2)
    assert draw(ax=right, title="A title") is right
    drawn(figure)
    assert right.get_title() == "A title"
    assert right.get_xlabel() or right.child_axes[0].get_xlabel()
    assert right.get_ylabel()
    assert not left.has_data()
    alone = draw()
    drawn(alone.figure)
    assert alone.figure is not figure


@pytest.mark.parametrize("name", [name for name, (_, wrong, _) in PICTURES.items() if wrong])
def test_numbers_that_do_not_belong_together_are_refused(name):
    _, wrong, message = PICTURES[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        wrong()


def test_accuracy_has_a_line_per_network_and_a_dashed_one():
    history = {"float": [50.0, 90.0, 97.0], "circuit": [40.0, 80.0, 96.0]}
    axes = plot.accuracy(history, reference={"deployed": 79.0}, colors={"float": "0.45"})
    np.testing.assert_allclose(axes.lines[1].get_ydata(), history["circuit"])
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["float", "circuit", "deployed"]
    assert axes.lines[2].get_linestyle() == "--"


@pytest.mark.parametrize("shape", [(3, 4), (50, 60)])
def test_a_crossbar_has_a_color_per_cell_and_a_prefix(shape):
    """Few lines are drawn, of many the cells alone; either way the color bar says what the numbers are."""
    g = np.random.default_rng(0).uniform(1e-6, 9e-5, shape)
    axes = plot.crossbar(g, limits=(0.0, 1e-4))
    drawn(axes.figure)
    shown = (axes.images or axes.collections)[-1]
    np.testing.assert_allclose(np.ravel(shown.get_array()), 1e6 * g.ravel())
    assert shown.get_clim() == pytest.approx((0, 100))
    assert axes.figure.axes[1].get_ylabel() == "conductance [uS]"


@pytest.mark.parametrize(
    ("largest", "unit", "label"),
    [(4e-3, "S", "x [uS]"), (2e-8, "S", "x [nS]"), (0.2, "V", "x [mV]"), (8e4, "ohm", "x [kohm]"), (3.0, "", "x")],
)
def test_the_prefix_suits_the_largest_number(largest, unit, label):
    axes = plot.crossbar([[0.0, np.nan], [0.1 * largest, largest]], label="x", unit=unit)
    assert axes.figure.axes[1].get_ylabel() == label


def test_currents_stand_beside_those_of_ideal_wires():
    axes = plot.currents([1e-6, 2e-6], [2e-6, 2e-6])
    drawn(axes.figure)
    np.testing.assert_allclose([bar.get_height() for bar in axes.patches], [1, 2])
    assert axes.get_ylabel() == "current [uA]"
    assert axes.get_title() == "The wires cost 25 % of the currents"


def test_weights_are_points_against_the_line_of_ideal_wires():
    axes = plot.effective_weights(WEIGHTS, 0.5 * WEIGHTS, color="tab:red")
    np.testing.assert_allclose(axes.lines[0].get_xdata(), WEIGHTS.ravel())
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 0.5 * WEIGHTS.ravel())
    np.testing.assert_allclose(axes.lines[1].get_xdata(), axes.lines[1].get_ydata())


def test_a_front_has_axes_with_prefixes_a_color_and_what_is_marked():
    axes = plot.front(
        {"power": [1e-3, 2e-3], "error": [0.9, 0.8], "area": [1e-12, 2e-12]},
        units={"power": "W", "error": "LSB", "area": "m2"},
        efficient=[True, False],
        marked={"begun": (3e-3, 2.0)},
    )
    points = axes.collections[0]
    np.testing.assert_allclose(points.get_offsets(), [[1, 0.9], [2, 0.8]])
    np.testing.assert_allclose(points.get_array(), [1, 2])
    np.testing.assert_allclose(points.get_alpha(), [1, 0.3])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("power [mW]", "error [LSB]")
    assert axes.figure.axes[1].get_ylabel() == "area [um2]"
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[3, 2]])


def test_a_line_joins_the_efficient_designs_of_two_objectives():
    axes = plot.front({"a": [3.0, 1.0, 2.0], "b": [0.1, 0.3, 0.9]}, efficient=[True, True, False])
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[1, 0.3], [3, 0.1]])
    assert axes.get_xlabel() == "a"


def test_a_fit_of_pulses_shows_both_directions_and_the_difference():
    axes = plot.pulse_fit((UP, DOWN), (UP, DOWN + 1e-7), sweeps=(np.stack([UP, UP]), DOWN), label="SoftBounds")
    drawn(axes.figure)
    (below,) = axes.child_axes
    np.testing.assert_allclose(axes.lines[2].get_ydata(), 1e6 * UP)
    np.testing.assert_allclose(axes.lines[5].get_xydata(), np.stack([5 + np.arange(7), 1e6 * DOWN], 1))
    np.testing.assert_allclose(below.lines[0].get_ydata(), 0, atol=1e-12)
    np.testing.assert_allclose(below.lines[1].get_ydata(), 0.1)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["measured", "SoftBounds"]
    assert (axes.get_ylabel(), below.get_ylabel()) == ("conductance [uS]", "error [uS]")


def test_weights_before_and_after_have_bins_around_zero_and_the_bounds():
    axes = plot.weight_histogram(np.zeros((3, 4)), np.full((3, 4), 0.5), bounds=(-1.0, 0.8))
    heights = np.array([bar.get_height() for bar in axes.patches[:-1]])
    assert (heights.argmax(), heights.max(), heights.sum()) == (20, 12, 12)
    assert [line.get_xdata()[0] for line in axes.lines] == [-1.0, 0.8]
    wide = plot.weight_histogram(np.zeros(2), np.zeros(2), bounds=(-1.0, 1.0), end=2.0)
    assert wide.patches[0].get_x() == pytest.approx(-2.04)


def test_the_response_has_a_line_per_device_and_their_mean():
    g = np.array([[1.0, 3.0], [2.0, 4.0], [1.0, 3.5]]) * 1e-6
    axes = plot.pulse_response([0, 10, 20], g)
    np.testing.assert_allclose(axes.lines[2].get_ydata(), [2, 3, 2.25])
    assert axes.lines[3].get_xdata()[0] == 10
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one device", "their mean"]


def test_the_staircase_sorts_cells_and_has_every_read():
    levels = 50 + 2.0 * np.random.default_rng(0).permutation(40).reshape(5, 8)
    axes = plot.staircase(1e-6 * levels, 1e-6 * np.stack([levels - 0.3, levels + 0.3]))
    *reads, steps = axes.lines
    np.testing.assert_allclose(steps.get_ydata(), np.sort(levels.ravel()))
    np.testing.assert_allclose([line.get_ydata() - steps.get_ydata() for line in reads], [[-0.3] * 40, [0.3] * 40])
    assert axes.get_legend().get_texts()[0].get_text() == "2 reads of each of 40 cells"
    assert axes.get_ylabel() == "read [uS]"


def test_of_a_crowded_staircase_every_so_many_cells_are_drawn():
    levels = np.linspace(1e-6, 2e-6, 7000)
    reads, steps = plot.staircase(levels, np.stack([levels, levels])).lines
    np.testing.assert_allclose(reads.get_xdata(), 2 * np.arange(3500))
    np.testing.assert_allclose(steps.get_ydata(), 1e6 * levels[::2])
    assert reads.get_label() == "1 read of each of 3,500 of 7,000 cells"


def test_a_heat_map_writes_its_numbers_and_leaves_out_what_is_none():
    values = np.array([[1.0, 2.5, np.nan], [1.25, 1.5, 3.0]])
    axes = plot.heat_map(values, x=[8, 16, 32], y=[1e-3, 1e3], label_x="lines", label_y="segment [ohm]", label="time")
    drawn(axes.figure)
    assert sorted(text.get_text() for text in axes.texts) == ["1", "1.25", "1.5", "2.5", "3"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0.001", "1000"]
    assert axes.images[0].get_clim() == (1, 3)
    assert axes.figure.axes[1].get_ylabel() == "time"


def test_matplotlib_and_the_studies_are_imported_when_a_picture_is_drawn():
    program = "import sys, qsynapse_jax.plot; sys.exit(bool({'matplotlib', 'flax'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
