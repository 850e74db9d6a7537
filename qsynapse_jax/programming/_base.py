"""What a programming scheme is: which devices it can write, and how it takes an array to its targets."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax._fields import Model, described
from qsynapse_jax.devices import AbstractDriven, Pulse, Trace

# Relative distance at which targets count as one level: rounding of how both were computed, and no more.
SAME = 1e-5


class Progress(NamedTuple):
    """Whom to tell of a write, and after how many rounds again."""

    tell: Callable[[int, int], None]
    every: int


class Bands(NamedTuple):
    """Least and largest conductance of every device [S]; 0 and infinity are no bounds."""

    low: Float[Array, "..."]
    high: Float[Array, "..."]

    UNITS = ("S", "S")
    __repr__ = described


class Reading(NamedTuple):
    """What a scheme knows of the devices that it pulses next; all arrays have one shape.

    Attributes:
        g: last read [S].
        low, high: band that the read shall lie in [S].
        row, column: position on the array.
    """

    g: Float[Array, " n"]
    low: Float[Array, " n"]
    high: Float[Array, " n"]
    row: Int[Array, " n"]
    column: Int[Array, " n"]

    UNITS = ("S", "S", "S", "", "")
    __repr__ = described


class Decision(NamedTuple):
    """What a scheme does after a read; all arrays have one shape.

    Attributes:
        pulse: the next pulse of each device.
        memory: what to remember of it.
        pulsed: which devices have that pulse.
        goes_on: which are read again.
        success: which are where they should be.
    """

    pulse: Pulse
    memory: Any
    pulsed: Bool[Array, " n"]
    goes_on: Bool[Array, " n"]
    success: Bool[Array, " n"]

    __repr__ = described


class AbstractScheme(Model):
    """A way to write devices; `demands` is the capability that it needs of them."""

    demands: ClassVar[type[AbstractDriven]]

    @abstractmethod
    def bands(self, device: Any, target: Float[Array, "*shape"], step: Any, least: Any) -> Bands:
        """Where the conductance of every device may end.

        Args:
            device: what is written.
            target: conductance that each device shall have [S].
            step: distance of neighboring levels [S].
            least: the lowest level [S], which has no lower bound: a device below it is as good.
        """

    def check(self, device: Any, bands: Bands) -> None:
        """Raises a `ValueError` where bands that are known are such that no device can end in them."""

    @abstractmethod
    def write(
        self, device: Any, state: Any, bands: Bands, *, key: jax.Array, progress: Progress | None = None
    ) -> tuple[Any, Trace]:
        """Takes devices into their bands: the new state, and what it cost device by device."""


def is_least(target: Float[Array, "*shape"], least: Any) -> Array:
    """Which targets are the lowest level."""
    return target <= jnp.asarray(least, target.dtype) * (1 + SAME)
