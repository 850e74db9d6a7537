"""Time and energy of writing an array, from the traces of its devices."""

from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_floating
from qsynapse_jax._fields import check, positive
from qsynapse_jax.devices import Trace

Mode = Literal["cell", "row", "array"]


def write_time(
    trace: Trace | Float[Array, "devices rows columns"], mode: Mode, *, branches_together: bool = False
) -> Float[Array, ""]:
    """Time to write an array [s].

    Devices that are written together wait for the slowest: a row of analog cells for the one that needs most pulses.
    Drivers are not counted: "row" takes one for every bit line, "array" one for every device.

    Args:
        trace: what `Tile.program` returned, or the `time` in it [s]: the devices of a weight first, then rows and
            columns.
        mode: what is written together. "cell": one cell after another; "row": all cells of a word line; "array": all.
        branches_together: whether the devices of a weight are written together too, rather than one after another.

    Raises:
        ValueError: another mode; an array that is not (devices, rows, columns).
    """
    time = as_floating(trace.time if isinstance(trace, Trace) else trace, "trace")
    if time.ndim != 3:
        raise ValueError(f"Argument `trace` must have the shape (devices, rows, columns), but has shape {time.shape}.")
    # The axes along which devices are written together, and wait for each other.
    together = {"cell": (), "row": (-1,), "array": (-2, -1)}
    if mode not in together:
        raise ValueError(f'Argument `mode` must be "cell", "row" or "array", but is {mode!r}.')
    if branches_together:
        time = jnp.max(time, axis=0)
    return jnp.sum(jnp.max(time, axis=together[mode]))


def write_energy(trace: Trace | Float[Array, "devices rows columns"]) -> Float[Array, ""]:
    """Energy spent in the cells of an array while it was written [J]; that of drivers and lines is not in it."""
    return jnp.sum(as_floating(trace.energy if isinstance(trace, Trace) else trace, "trace"))


def speed_up(n_verify: Any, t_iteration: Any, t_switch: Any, branches: Any = 1.0) -> Float[Array, "..."]:
    """How much faster a cell of switches is written than an analog one is tuned.

        (n_verify t_iteration) / (branches t_switch)

    Args:
        n_verify: program-and-verify iterations per analog cell.
        t_iteration: time of one iteration: pulse, read and settling [s].
        t_switch: time of a switch pulse [s].
        branches: switches written one after another; 1 where they are written together.

    Returns:
        The ratio, broadcast over the arguments.

    Raises:
        ValueError: an argument that is not positive.
    """
    values = {"n_verify": n_verify, "t_iteration": t_iteration, "t_switch": t_switch, "branches": branches}
    for name, value in values.items():
        check(value, name, "s" if name.startswith("t_") else "", positive)
    n, t, t_sw, k = jnp.broadcast_arrays(*(jnp.asarray(value, float) for value in values.values()))
    return n * t / (k * t_sw)
