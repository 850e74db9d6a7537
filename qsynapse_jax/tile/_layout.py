"""How the devices and bit lines of weights lie on tiles: side by side; and what stands between weights and them."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qsynapse_jax.cells import AbstractCell
from qsynapse_jax.quantize import NO_LEVEL


# Compiled by themselves, because eager calls would compile every operation; apart from the circuit, which cells share.
@eqx.filter_jit
def targets(cell: AbstractCell, code: Int[Array, "*stack rows cols"]) -> Float[Array, " k *stack rows lines"]:
    return on_lines(cell, jnp.where(code == NO_LEVEL, jnp.nan, cell.targets(code)))


@eqx.filter_jit
def levels(cell: AbstractCell, w: Float[Array, "*stack rows cols"]) -> Float[Array, "*stack rows lines"]:
    return on_lines(cell, cell.realise(w))[0]


@eqx.filter_jit
def assembled(cell: AbstractCell, g: Float[Array, " k *stack rows lines"], parts: Any, temperature: Any) -> Array:
    return on_lines(cell, cell.assemble(of_weights(cell, g), parts, temperature=temperature))[0]


@eqx.filter_jit
def weights(cell: AbstractCell, g_eff: Float[Array, "*stack rows lines"]) -> Float[Array, "*stack rows cols"]:
    return cell.weight(of_weights(cell, g_eff[None]))


def on_lines(cell: AbstractCell, x: Array) -> Array:
    """(lines k, *stack, rows, cols), line by line, as it lies on tiles: (k, *stack, rows, cols lines)."""
    apart = jnp.moveaxis(x.reshape(cell.lines, x.shape[0] // cell.lines, *x.shape[1:]), 0, -1)
    return apart.reshape(*apart.shape[:-2], -1)


def of_weights(cell: AbstractCell, x: Array) -> Array:
    """The inverse of `on_lines`."""
    apart = jnp.moveaxis(x.reshape(*x.shape[:-1], -1, cell.lines), -1, 0)
    return apart.reshape(-1, *apart.shape[2:])
