"""Wires of a technology node: width, thickness and resistivity of its metal, and the pitch of a cell."""

import math

from qsynapse_jax.crossbar._wires import Wires

# Width of the metal [m], its thickness over its width, and its resistivity [ohm m]: NeuroSim V1.3, Param.cpp
# (github.com/neurosim/DNN_NeuroSim_V1.3).
_METAL = {
    "130nm": (175e-9, 1.6, 2.20e-8),
    "90nm": (110e-9, 1.6, 2.52e-8),
    "65nm": (105e-9, 1.7, 2.68e-8),
    "45nm": (80e-9, 1.7, 3.31e-8),
    "32nm": (56e-9, 1.8, 3.70e-8),
    "22nm": (40e-9, 1.9, 4.03e-8),
    "14nm": (25e-9, 2.0, 5.08e-8),
    "7nm": (18e-9, 2.0, 6.35e-8),
}
# Widths of the metal from cell to cell, along a word line and along a bit line.
_PITCH = {"1T1R": (4, 12), "crossbar": (2, 2)}
NODES = tuple(_METAL)
CELLS = tuple(_PITCH)


def wires_at_node(node: str, cell: str = "1T1R") -> Wires:
    """Resistances of the wires of a technology node, e.g. 2.12 and 6.36 ohm per cell at 22 nm with a transistor each.

    Args:
        node: "130nm", "90nm", "65nm", "45nm", "32nm", "22nm", "14nm" or "7nm" (7 to 10 nm).
        cell: "1T1R", a transistor in every cell: 4 widths of the metal along a word line, 12 along a bit line; or
            "crossbar", without: 2 along both.

    Returns:
        Wires with `r_word` and `r_bit` [ohm] at 300 K and ideal ends; the metal's resistance rises by 0.45 % per K.

    Raises:
        ValueError: an unknown node or cell.

    Reference: NeuroSim V1.3, Param.cpp, github.com/neurosim/DNN_NeuroSim_V1.3: width, aspect ratio and resistivity;
        pitches of the cells likewise.
    """
    for name, value, known in (("node", node, NODES), ("cell", cell, CELLS)):
        if value not in known:
            raise ValueError(f"Argument `{name}` must be one of {', '.join(known)}, but is {value!r}.")
    width, aspect, resistivity = _METAL[node]
    per_width = resistivity / (width * aspect)
    word, bit = (_rounded(per_width * pitch) for pitch in _PITCH[cell])
    return Wires(word, bit)


def _rounded(r: float) -> float:
    """To the three digits that the numbers have."""
    return round(r, 2 - math.floor(math.log10(r)))
