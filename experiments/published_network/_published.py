"""What was published, and what the published networks give on the exact circuit.

Crossbar_Models_Comparison (2025): MNIST, 784-128-10, ReLU, cells of 1 kohm to 40 kohm, 2 ohm for every segment of both
lines (one before the first cell, one after the last), one cell per weight, Adam at a constant rate of 0.002 from Xavier
uniform weights. Its networks were trained through an iterated solution of the circuit or through closed forms; the
weights are public, so that they could be read through the exact circuit.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """Published accuracy [%], that of the published weights on the exact circuit [%], and the training time [s]."""

    accuracy: float
    exact: float
    seconds: float | None = None


# By the lines of a tile; the times are of their machine, of 20, 10, 20 and up to 100 epochs.
LOOP = {
    32: Published(96.91, 96.91, 21_616.0),
    64: Published(93.29, 93.30, 6_771.0),
    128: Published(90.54, 90.56, 13_052.0),
    784: Published(82.88, 82.85, 12_717.0),
}
CLOSED_FORMS: dict[str, dict[int, Published]] = {
    "DMR": {
        16: Published(97.65, 97.69),
        32: Published(96.36, 95.34),
        64: Published(95.08, 74.80),
        128: Published(93.20, 49.76),
        784: Published(91.10, 9.74),
    },
    "alpha-beta": {
        16: Published(97.49, 97.41),
        32: Published(97.01, 96.90),
        64: Published(95.49, 92.74),
        128: Published(91.79, 58.48),
        784: Published(90.06, 11.65),
    },
    "Jeong": {784: Published(92.23, 12.63)},
    "fused DMR-Jeong": {128: Published(96.92, 85.22), 256: Published(96.73, 49.98), 784: Published(93.03, 11.94)},
}
# Trained without wires, and the same weights on one array of 784 lines.
IDEAL = Published(97.72, 8.39)
