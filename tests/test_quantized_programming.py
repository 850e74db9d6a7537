"""Pictures of the experiment `quantized_programming`."""

import numpy as np

from experiments.quantized_programming.pictures import retention, speed_up


def drawn(figure):
    """Draws it, so that what is wrong with labels and sizes is an error here."""
    figure.canvas.draw()
    return figure.axes


def test_the_speed_up_has_a_panel_per_switch_time_and_a_star():
    n, t = np.logspace(0, 4, 5), np.logspace(-8, -1, 6)
    level = np.log10(n[:, None, None] * t[None, :, None] / np.array([1e-8, 1e-7]))
    figure = speed_up(n, t, np.array([1e-8, 1e-7]), level, corner=(1e3, 1e-4, 1e-7), published=[8.0, 2001.0])
    first, second, _ = drawn(figure)
    assert [line.get_marker() for line in second.lines] == ["None", "*"]
    assert len(first.lines) == 1


def test_retention_leaves_the_fresh_network_out_of_a_logarithmic_axis():
    accuracy = {"switches": np.array([[[97.0, 96.0, 95.0]], [[98.0, 97.0, 96.0]]])}
    (axes,) = drawn(retention(accuracy, [0.0, 1.0, 3600.0], [85.0]))
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [96.5, 95.5])
    assert axes.get_title() == "Kept and read at 85 C"
