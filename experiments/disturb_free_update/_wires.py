"""What wires leave of a parallel update: voltages of the solved network, and the steps that they make of a pulse."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qsynapse_jax.crossbar import Wires
from qsynapse_jax.devices import CmoFilament
from qsynapse_jax.programming import GateBias, HalfBias, drive

# Device-level pulses of the compact model's authors (github.com/IBM/Analog_ReRAM_Training_Simulator).
SET, RESET, WIDTH = 1.35, -1.30, 1e-6
BIASES = {"V/2": HalfBias, "gate": GateBias}


class Update(NamedTuple):
    """One kind of pulse on an array; all of shape (lines, lines), NaN where a cell was never met.

    Attributes:
        v: mean voltage across a selected cell [V].
        step: mean change of a selected cell over that of a cell at the nominal voltage.
        half: the same of a cell of which one line is selected: the k of the network.
    """

    v: np.ndarray
    step: np.ndarray
    half: np.ndarray


def update(r: float, lines: int, bias: str, v: float, share: float, patterns: int, seed: int) -> Update:
    """Steps of an array behind wires, over random patterns of selected rows and columns.

    Args:
        r: of every segment [ohm].
        lines: word lines and bit lines.
        bias: of the unselected lines, "V/2" or "gate".
        v: amplitude of the pulse [V].
        share: of the rows and columns that are pulsed at once.
        patterns: how many.
        seed: of the patterns.
    """
    device, key = CmoFilament(), jax.random.key(seed)
    # At the symmetry point, in the middle of the range.
    state = device.init((lines, lines), key=key)
    rows, columns = jax.random.bernoulli(key, share, (2, patterns, lines))
    chosen, wires = BIASES[bias](v, WIDTH), Wires(r, r)

    @jax.jit
    def moved(rows: jax.Array, columns: jax.Array) -> Any:
        after, driven = drive(device, state, chosen, rows, columns, wires, key=key)
        return driven.v_cell, device.conductance(after) - device.conductance(state)

    found = [moved(*pattern) for pattern in zip(rows, columns, strict=True)]
    v_cell, change = (np.array(values) for values in zip(*found, strict=True))
    full, _ = drive(device, state, chosen, jnp.ones(lines, bool), jnp.ones(lines, bool), Wires(0.0, 0.0), key=key)
    nominal = np.array(device.conductance(full) - device.conductance(state))
    met = np.array(rows)[:, :, None] & np.array(columns)[:, None]
    half = np.array(rows)[:, :, None] ^ np.array(columns)[:, None]

    def mean(values: np.ndarray, where: np.ndarray) -> np.ndarray:
        count = where.sum(0)
        return np.where(count > 0, (values * where).sum(0) / np.maximum(count, 1), np.nan)

    return Update(mean(v_cell, met), mean(change / nominal, met), mean(change / nominal, half))
