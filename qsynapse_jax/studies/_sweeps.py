"""Studies that can be swept, and plans that are ready."""

from collections.abc import Callable

from qsynapse_jax.studies._random_array import RANDOM_ARRAY
from qsynapse_jax.sweep import Plan, Span, Study, grid, random

SWEPT: dict[str, Study] = {study.name: study for study in (RANDOM_ARRAY,)}


def _wires() -> Plan:
    """Array size and wires: what a matrix product keeps of 16 to 128 lines, 0.35 to 10 ohm per segment."""
    wires = Span("0.35 ohm", "10 ohm", 7, log=True)
    return grid(RANDOM_ARRAY, lines=[16, 32, 64, 128], r_wire=wires, on_off=[10, 100], seed=range(3))


def _levels() -> Plan:
    """Levels, on/off ratio and spread of cells of a 64 x 64 array behind wires of 1 ohm."""
    ratios, spreads = [3, 10, 30, 100], [0.0, 0.02, 0.05, 0.1]
    return grid(RANDOM_ARRAY, levels=[2, 4, 8, 16, 32], on_off=ratios, sigma=spreads, seed=range(3))


def _cells() -> Plan:
    """1,000 random cells and wires of a 64 x 64 array, from 1 to 100 kohm and 0.1 to 10 ohm."""
    return random(
        RANDOM_ARRAY,
        1000,
        r_on=Span("1 kohm", "100 kohm", log=True),
        r_wire=Span("0.1 ohm", "10 ohm", log=True),
        on_off=Span(3, 1000, log=True),
        seed=Span(0, 2**31 - 1),
    )


PLANS: dict[str, Callable[[], Plan]] = {"wires": _wires, "levels": _levels, "cells": _cells}
