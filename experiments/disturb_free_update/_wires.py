"""What wires leave of a parallel update: voltages of the solved network, and the steps that they make of a pulse."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from qsynapse_jax.crossbar import Wires
from qsynapse_jax.devices import CmoFilament, Pulse
from qsynapse_jax.programming import GateBias, HalfBias, drive

# Device-level pulses of the compact model's authors (github.com/IBM/Analog_ReRAM_Training_Simulator).
SET, RESET, WIDTH = 1.35, -1.30, 1e-6
BIASES = {"V/2": HalfBias, "gate": GateBias}


class Update(NamedTuple):
    """One kind of pulse on an array; all of shape (word lines, bit lines), NaN where a cell was never met.

    Attributes:
        v: mean voltage across a selected cell [V].
        step: mean change of a selected cell over that of a cell at the nominal voltage.
        half: largest voltage across a cell of which one line alone is selected [V].
    """

    v: np.ndarray
    step: np.ndarray
    half: np.ndarray


def update(r: float, bias: str, v: float, rows: np.ndarray, columns: np.ndarray) -> Update:
    """Steps of an array behind wires, over patterns of selected rows and columns.

    Args:
        r: of every segment [ohm].
        bias: of the unselected lines, "V/2" or "gate".
        v: amplitude of the pulse [V].
        rows: which word lines are pulsed in each pattern, shape (patterns, word lines).
        columns: which bit lines, shape (patterns, bit lines).
    """
    device, key = CmoFilament(), jax.random.key(0)
    # At the symmetry point, in the middle of the range.
    state = device.init((rows.shape[1], columns.shape[1]), key=key)
    v_cell, change, nominal = map(
        np.array, _moved(device, state, BIASES[bias](v, WIDTH), rows, columns, Wires(r, r), key)
    )
    met = np.array(rows)[:, :, None] & np.array(columns)[:, None]
    half = np.array(rows)[:, :, None] ^ np.array(columns)[:, None]

    def mean(values: np.ndarray, where: np.ndarray) -> np.ndarray:
        count = where.sum(0)
        return np.where(count > 0, (values * where).sum(0) / np.maximum(count, 1), np.nan)

    return Update(mean(v_cell, met), mean(change / nominal, met), np.abs(v_cell * half).max(0))


@eqx.filter_jit
def _moved(device: CmoFilament, state: Any, bias: Any, rows: Any, columns: Any, wires: Wires, key: jax.Array) -> Any:
    """Voltages and changes of conductance, pattern by pattern, and the change without wires."""
    before = device.conductance(state)

    def one(pattern: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        after, driven = drive(device, state, bias, *pattern, wires, key=key)
        return driven.v_cell, device.conductance(after) - before

    full, _ = device.apply(state, Pulse(bias.v, bias.width), key=key)
    return *jax.lax.map(one, (rows, columns)), device.conductance(full) - before
