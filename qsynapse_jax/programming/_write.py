"""Writing devices to targets or into bands, with any scheme that suits them; and the bands of a publication."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax._fields import as_whole, check, non_negative_or_infinite
from qsynapse_jax.devices import AbstractBipolar, AbstractDriven, AbstractGated, AbstractTwoLevel, Trace, demand
from qsynapse_jax.programming._array import check_polarities
from qsynapse_jax.programming._base import AbstractScheme, Bands, Progress
from qsynapse_jax.programming._bias import AbstractBias
from qsynapse_jax.programming._schemes import BipolarISPP, RangeAdapting, SinglePulse
from qsynapse_jax.programming._verify import AbstractVerifying

# Lower and upper ends of the bands [ohm]; the lowest band has no lower end, the highest no upper one. [S] data files of
# github.com/akashlevy/RRAM-RADAR-Tuning.
_RADAR = {
    2: ((5.77e3, 8.51e3, 80e3), (5.0e3, 6.01e3, 9.31e3)),
    3: (
        (4.536e3, 5.040e3, 5.670e3, 6.506e3, 7.710e3, 10.022e3, 80e3),
        (4.2e3, 4.574e3, 5.086e3, 5.729e3, 6.589e3, 7.869e3, 10.332e3),
    ),
}


def default_scheme(device: Any) -> AbstractScheme:
    """A scheme that can write `device`: one pulse for a switch, write-verify for others.

    Behind a gate it is range-adapting, without one in steps of the amplitude, up and down.

    Raises:
        ValueError: a device that none of these can write.
    """
    if isinstance(device, AbstractTwoLevel):
        return SinglePulse()
    if isinstance(device, AbstractBipolar):
        return BipolarISPP()
    demand(device, AbstractGated, "`RangeAdapting`, which writes what is no switch")
    return RangeAdapting()


def program(
    device: AbstractDriven,
    state: Any,
    target: Float[Array, "*shape"],
    scheme: AbstractScheme,
    *,
    step: Any,
    least: Any,
    key: jax.Array,
    progress: Callable[[int, int], None] | None = None,
    half_selects: tuple[AbstractBias, AbstractBias] | None = None,
) -> tuple[Any, Trace]:
    """Writes devices to conductances.

    Args:
        device: what is written.
        state: state of the devices, any shape.
        target: conductance of each device [S], of the shape of the devices.
        scheme: how they are written. It owns the tolerance, in steps, and the most pulses.
        step: distance of neighboring levels [S], one number or one per device.
        least: the lowest level [S], likewise. A device below it is as good; of a switch it means off.
        key: random key of the device's noise.
        progress: called with the number of rounds, and of devices that are not in their bands (or never will be).
            Static.
        half_selects: biases of pulses up and down where the devices are an array (wl, bl) whose cells are written one
            after another: every pulse of a cell is one of `half` the voltage for the others of its word line and of its
            bit line, which suffer it during the write. Only of schemes that verify. Wires are ideal.

    Returns:
        The new state, and pulses, time, energy and success device by device. With `half_selects` a cell that was a
        success by its last read has suffered what came after it: `program` again, until nothing is pulsed.

    Raises:
        ValueError: a device that cannot do what the scheme asks; a target of another shape, one that is negative or
            no number, or one that the device cannot reach; half-selects of no array, or of other polarities.
    """
    demand(device, scheme.demands, f"`{type(scheme).__name__}`")
    check(target, "target", "S", non_negative_or_infinite)
    target = as_floating(target, "target")
    shape = _shape(state)
    if target.shape != shape:
        raise ValueError(f"Argument `target` must have the shape {shape} of the devices, but has shape {target.shape}.")
    bands = scheme.bands(device, target, step, least)
    told = progress and Progress(progress, 10)
    if half_selects is None:
        return scheme.write(device, state, bands, key=key, progress=told)
    if not isinstance(scheme, AbstractVerifying) or len(shape) != 2:
        raise ValueError(
            "Argument `half_selects` is for schemes that verify, on devices in an array (wl, bl), but the scheme is "
            f"`{type(scheme).__name__}` and the devices have shape {shape}; `drive` writes an array in one pulse."
        )
    check_polarities(*half_selects)
    return scheme.write(device, state, bands, key=key, progress=told, half_selects=half_selects)


def write_verify(
    device: AbstractDriven,
    state: Any,
    low: Float[Array, "..."],
    high: Float[Array, "..."],
    scheme: AbstractScheme,
    *,
    key: jax.Array,
    progress: Callable[[int, int], None] | None = None,
    progress_every: int = 10,
) -> tuple[Any, Trace]:
    """Pulses every device until a read lies in its band; as `program` otherwise.

    Work follows the devices that are left, in one compilation per number of devices. Success is what the last verifying
    read said.

    Args:
        device: what is written.
        state: state of the devices, any shape.
        low: least conductance of each device [S], of the shape of the devices or broadcast to it; 0 is no bound.
        high: largest conductance of each device [S], likewise; infinity is no bound.
        scheme: chooses the pulses, and owns the most of them.
        key: random key of the device's noise.
        progress: called with the number of rounds, and of devices that are not in their bands. Static.
        progress_every: rounds from one call to the next. Static.

    Raises:
        ValueError: a device that cannot do what the scheme asks; bands that are empty, of another shape, or such that
            the device can never be in them by its noise or its window.
    """
    demand(device, scheme.demands, f"`{type(scheme).__name__}`")
    shape, bounds = _shape(state), []
    for name, bound in (("low", as_floating(low, "low")), ("high", as_floating(high, "high"))):
        try:
            bounds.append(jnp.broadcast_to(bound, shape))
        except ValueError:
            raise ValueError(
                f"Argument `{name}` must have the shape {shape} of the devices, but has shape {bound.shape}."
            ) from None
    # By NumPy: inside a trace, JAX makes tracers of numbers that are known.
    if is_concrete(low, high) and not np.all(np.asarray(low) < np.asarray(high)):
        raise ValueError("Argument `low` must be below `high` for every device, but some band is empty.")
    every = as_whole(progress_every, "progress_every", 1)
    scheme.check(device, Bands(*bounds))
    return scheme.write(device, state, Bands(*bounds), key=key, progress=progress and Progress(progress, every))


def radar_bands(bits: int) -> Bands:
    """The published bands of 2 and 3 bits per cell [S]: lowest and highest conductance of each level, ascending.

    The first level has no lower bound (0), the last no upper one (infinity).

    Raises:
        ValueError: `bits` is neither 2 nor 3.
    """
    if bits not in _RADAR:
        raise ValueError(f"Argument `bits` must be 2 or 3, but is {bits!r}; `program` makes bands around any levels.")
    lower, upper = (1 / np.asarray(ends[::-1]) for ends in _RADAR[bits])
    return Bands(jnp.asarray([0.0, *upper]), jnp.asarray([*lower, np.inf]))


def _shape(state: Any) -> tuple[int, ...]:
    return jax.tree.leaves(state)[0].shape
