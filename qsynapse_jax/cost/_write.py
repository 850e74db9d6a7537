"""Time and energy of writing an array, from the pulses of its devices."""

from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_floating, bad_value_message, is_concrete

Mode = Literal["cell", "row", "array"]


def write_time(
    busy: Float[Array, "devices rows lines"], mode: Mode, *, branches_together: bool = False
) -> Float[Array, ""]:
    """Time to write an array [s].

    Whoever is written together waits for the slowest: a row of analog cells for the one that needs most pulses. Drivers
    are not counted: "row" takes one for every bit line, "array" one for every device.

    Args:
        busy: time of pulses and verifying reads of every device [s], as in `WriteReport.busy` of a `tile` array:
            devices of a cell first, then rows and bit lines.
        mode: what is written together. "cell": one cell after another; "row": all cells of a word line; "array": all.
        branches_together: the devices of a cell are written together too, rather than one after another.

    Raises:
        ValueError: another mode; an array that is not (devices, rows, lines).
    """
    busy = as_floating(busy, "busy")
    if busy.ndim != 3:
        raise ValueError(f"Argument `busy` must have the shape (devices, rows, lines), but has shape {busy.shape}.")
    waits = {
        "cell": lambda time: jnp.sum(time),
        "row": lambda time: jnp.sum(jnp.max(time, axis=-1)),
        "array": lambda time: jnp.sum(jnp.max(time, axis=(-2, -1))),
    }
    if mode not in waits:
        raise ValueError(f'Argument `mode` must be "cell", "row" or "array", but is {mode!r}.')
    if branches_together:
        busy = jnp.max(busy, axis=0, keepdims=True)
    return waits[mode](busy)


def write_energy(energy: Float[Array, "devices rows lines"]) -> Float[Array, ""]:
    """Energy spent in the cells of an array while it was written [J]; that of drivers and lines is not in it."""
    return jnp.sum(as_floating(energy, "energy"))


def speed_up(n_verify: Any, t_iteration: Any, t_switch: Any, branches: Any = 1.0) -> Float[Array, "..."]:
    """How much faster a cell of switches is written than an analog one is tuned.

        (n_verify t_iteration) / (branches t_switch)

    Args:
        n_verify: program-and-verify iterations of an analog cell.
        t_iteration: time of one: pulse, read and settling [s].
        t_switch: time of a switch pulse [s].
        branches: switches written one after another; 1 where they are written together.

    Returns:
        The ratio, broadcast over the arguments.

    Raises:
        ValueError: an argument that is not positive.
    """
    values = {"n_verify": n_verify, "t_iteration": t_iteration, "t_switch": t_switch, "branches": branches}
    arrays = {name: as_floating(jnp.asarray(value, float), name) for name, value in values.items()}
    for name, array in arrays.items():
        unit = "s" if name.startswith("t_") else ""
        message = bad_value_message(array, name, unit=unit, minimum="positive") if is_concrete(array) else None
        if message is not None:
            raise ValueError(message)
    n, t, t_sw, k = jnp.broadcast_arrays(*arrays.values())
    return n * t / (k * t_sw)
