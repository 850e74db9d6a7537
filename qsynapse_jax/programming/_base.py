"""What a programming scheme is: which devices it can write, and how it takes an array to its targets."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qsynapse_jax._fields import Model
from qsynapse_jax.devices import AbstractDriven, Trace

# Relative distance at which a target counts as the least one: rounding of how both were computed, and no more.
_SAME = 1e-5


class Progress(NamedTuple):
    """Whom to tell of a write, and after how many rounds again."""

    tell: Callable[[int, int], None]
    every: int


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


class AbstractScheme(Model):
    """A way to write devices; `demands` is the capability that it needs of them."""

    demands: ClassVar[type[AbstractDriven]]

    @abstractmethod
    def bands(
        self, device: Any, target: Float[Array, "*shape"], step: Any, least: Any
    ) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
        """Least and largest conductance of every device [S]; 0 and infinity are no bounds.

        Args:
            device: what is written.
            target: conductance that each device shall have [S].
            step: distance of neighboring levels [S].
            least: the lowest level [S], which has no lower bound: a device below it is as good.
        """

    @abstractmethod
    def write(
        self,
        device: Any,
        state: Any,
        low: Float[Array, "*shape"],
        high: Float[Array, "*shape"],
        *,
        key: jax.Array,
        progress: Progress | None = None,
    ) -> tuple[Any, Trace]:
        """Takes devices into their bands.

        Returns:
            The new state, and what it cost device by device.
        """


def is_least(target: Float[Array, "*shape"], least: Any) -> Array:
    """Which targets are the lowest level."""
    return target <= jnp.asarray(least, target.dtype) * (1 + _SAME)
