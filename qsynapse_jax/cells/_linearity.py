"""How far the levels of a cell, or any staircase, are from evenly spaced: INL and DNL."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_floating
from qsynapse_jax._fields import Model
from qsynapse_jax.cells._base import AbstractCell


class Linearity(Model):
    """Deviations from the straight line through the first and the last level, in steps of that line (LSB).

    Attributes:
        inl: integral nonlinearity of every code [LSB]; 0 at both ends by definition.
        dnl: differential nonlinearity of every step [LSB]: its height less one; -1 is a missing level, less than -1
            a step that goes the wrong way.
    """

    inl: Float[Array, "*batch codes"] = eqx.field(metadata={"unit": "LSB"})
    dnl: Float[Array, "*batch steps"] = eqx.field(metadata={"unit": "LSB"})

    @property
    def worst_inl(self) -> Float[Array, "*batch"]:
        """Largest absolute INL [LSB]."""
        return jnp.max(jnp.abs(self.inl), axis=-1)

    @property
    def worst_dnl(self) -> Float[Array, "*batch"]:
        """Largest absolute DNL [LSB]."""
        return jnp.max(jnp.abs(self.dnl), axis=-1)


def linearity(levels: AbstractCell | Float[Array, "*batch codes"]) -> Linearity:
    """INL and DNL of a cell, from its exact conductances, or of measured levels.

    Args:
        levels: a cell, whose levels are taken in the order of their codes (of a signed one the negative first); or
            levels in any unit, two at least, on the last axis.

    Returns:
        Deviations by the end-point definition, independent of gain and offset.

    Raises:
        ValueError: fewer than two levels.

    Gradients: in the cell's physical parameters; of `worst_inl` those of the worst code alone.

    Reference: IEEE Std 1658-2011, "Terminology and Test Methods of Digital-to-Analog Converter Devices", end-point
        fit.
    """
    if not isinstance(levels, AbstractCell):
        levels = as_floating(levels, "levels")
        if levels.ndim == 0 or levels.shape[-1] < 2:
            raise ValueError(f"Argument `levels` must hold at least two levels, but has shape {levels.shape}.")
    return _linearity(levels)


@jax.jit
def _linearity(levels: AbstractCell | jax.Array) -> Linearity:
    if isinstance(levels, AbstractCell):
        low, high = levels.code_range
        levels = levels.decode(jnp.arange(low, high + 1))
    first, last = levels[..., :1], levels[..., -1:]
    step = (last - first) / (levels.shape[-1] - 1)
    # Measured in steps before the line is taken off: what is subtracted are numbers of the size of the codes.
    height = (levels - first) / step
    line = jnp.broadcast_to(jnp.arange(levels.shape[-1]).astype(levels.dtype), levels.shape)
    return Linearity(inl=height - line, dnl=jnp.diff(levels, axis=-1) / step - 1)
