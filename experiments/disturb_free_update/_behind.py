"""AGAD on arrays behind wires: reads through the circuit, steps as large as the voltages of an update leave them."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments._in_place import Sigmoids
from experiments.disturb_free_update._wires import RESET, SET, update
from qsynapse_jax.datasets import Dataset
from qsynapse_jax.nn import crossbar_layers
from qsynapse_jax.training import rules

FAST, SLOW = 0, 1


class Lines(NamedTuple):
    """Lines of one array that are pulsed at once.

    Attributes:
        rows: shape (patterns, word lines).
        columns: shape (patterns, bit lines).
    """

    rows: np.ndarray
    columns: np.ndarray


class Steps(NamedTuple):
    """What wires leave of the steps of an array, as parts of nominal ones; shape (word lines, bit lines)."""

    up: np.ndarray
    down: np.ndarray


def sent(
    network: Sigmoids, data: Dataset, trains: rules.PulseTrains, patterns: int, lines: int, seed: int
) -> list[Lines]:
    """Lines that the trains of a network pulse at once, layer by layer, in its first presentations.

    Slots and sign phases in which no row or no column has a pulse are left out: there is no update in them. Every
    matrix sits in a corner of a square array of so many lines, next to drivers and sense amplifiers; lines that it has
    no use for are as unselected as others.
    """
    key = jax.random.key(seed)
    inputs = [jnp.asarray(data.x_train[:patterns])]
    for layer in network.layers[:-1]:
        inputs.append(jax.nn.sigmoid(layer(inputs[-1])))
    delta = jax.nn.softmax(network.layers[-1](inputs[-1])) - jax.nn.one_hot(data.y_train[:patterns], data.n_classes)
    found = []
    for number in reversed(range(len(inputs))):
        keys = jax.random.split(jax.random.fold_in(key, number), patterns)
        rows, columns = _pulsed(trains, inputs[number], -delta, keys, patterns)
        # Inputs come in at the first bit line and currents leave below the last word line.
        rows = np.pad(rows, ((0, 0), (lines - rows.shape[1], 0)))
        columns = np.pad(columns, ((0, 0), (0, lines - columns.shape[1])))
        found.insert(0, Lines(rows, columns))
        delta = (delta @ network.layers[number].kernel.get_value().T) * inputs[number] * (1 - inputs[number])
    return found


def _pulsed(trains: rules.PulseTrains, x: Any, d: Any, keys: Any, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of updates, so many at most, chosen at random."""
    # The largest factors ask for as many pulses as there are slots, as the rule has it in the mean.
    rate = trains.length / (jnp.max(jnp.abs(x), 1) * jnp.max(jnp.abs(d), 1))
    one = jax.vmap(trains.send)(x, d, rate, keys)
    slots = np.arange(trains.length)
    rows, columns = ((np.asarray(bits)[:, 0, None] >> slots[:, None]) & 1 > 0 for bits in (one.rows, one.cols))
    up, down = (columns & (sign * np.asarray(one.col_sign)[:, None] > 0) for sign in (1, -1))
    rows, columns = (
        part.reshape(-1, part.shape[-1]) for part in (np.tile(rows, (2, 1, 1)), np.concatenate([up, down]))
    )
    is_update = rows.any(1) & columns.any(1)
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(is_update))[:most]
    return rows[chosen], columns[chosen]


def row_by_row(lines: Lines) -> Lines:
    """What a transfer pulses: one row after another, and columns that have a step to make, here those of updates."""
    patterns, n = lines.rows.shape
    return Lines(np.arange(n) == np.linspace(0, n - 1, patterns).astype(int)[:, None], lines.columns)


def steps(r: float, bias: str, lines: Lines) -> Steps:
    """What wires leave of steps up and down, the mean over patterns; of a cell that was in none, what the others have.

    Such a cell is hardly ever pulsed.
    """
    found = []
    for v in (SET, RESET):
        step = update(r, bias, v, *lines).step
        found.append(np.where(np.isnan(step), np.nanmean(step), step))
    return Steps(*found)


def behind(network: Any, factors: list[list[Steps]]) -> Any:
    """A network on pulsed arrays whose steps are those parts of nominal ones, for each layer and array."""
    for layer, arrays in zip(crossbar_layers(network).values(), factors, strict=True):
        kernel: Any = layer.kernel
        state = kernel.devices()
        rows, columns = state.up.shape[1:]
        up, down = (
            jnp.asarray(np.stack([getattr(one, way)[-rows:, :columns] for one in arrays]), jnp.float32)
            for way in Steps._fields
        )
        kernel.set_devices(replace(state, up=state.up * up, down=state.down * down))
    return network
