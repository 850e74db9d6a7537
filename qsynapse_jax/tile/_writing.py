"""What devices are written to so that a tile multiplies with given weights, wires taken into account."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax._fields import Rule, check
from qsynapse_jax.cells import AbstractCell
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.programming import compensate
from qsynapse_jax.tile._circuit import counted, join, tiles

# What a division by the largest weight ends at is no other weight.
_ROUNDING = 1e-5


def in_range(cell: AbstractCell, w: Any) -> Float[Array, "*stack rows cols"]:
    """Weights that a cell can hold, or an error."""
    w = as_floating(w, "w")
    low = -1 if cell.signed else 0
    hint = "" if cell.signed else f"; wrap it, `Differential({type(cell).__name__}(...))`, for weights with a sign"
    words = f"from {low} to 1, the weights of a {type(cell).__name__}{hint}"
    rule = Rule(words, lambda x: (x >= low - _ROUNDING) & (x <= 1 + _ROUNDING))
    if is_concrete(w):
        check(w, "w", "", rule)
        return w
    return eqx.error_if(w, ~rule.test(w), f"Argument `w` must be {words}.")


@eqx.filter_jit
def compensated(
    cell: AbstractCell,
    g: Float[Array, "*stack rows lines"],
    wires: Wires | None,
    shape: tuple[int, int],
    max_steps: int,
) -> Float[Array, "*stack rows lines"]:
    """Levels of devices whose effective conductances come nearest to `g` [S], behind the wires of tiles."""
    if cell.n_devices != cell.lines:
        raise ValueError(
            f"A cell whose devices are its crosspoints, such as `Multilevel`, can be compensated for wires, but a "
            f"{type(cell).__name__} has {cell.n_devices} devices on {cell.lines} bit lines; use `write`."
        )
    if wires is None:
        return g
    least = cell.device_grid()[0].astype(g.dtype)
    largest = jnp.max(cell.targets(jnp.asarray(cell.code_range))).astype(g.dtype)
    wires = counted(wires, shape)
    found = compensate(tiles(g, wires, shape), wires, (least, largest), max_steps=max_steps).g
    # The nearest of all targets, which need not be evenly spaced.
    low, high = cell.code_range
    level = jnp.sort(cell.targets(jnp.arange(low, high + 1)).ravel().astype(g.dtype))
    return level[jnp.searchsorted((level[1:] + level[:-1]) / 2, join(found, (g.shape[-2], g.shape[-1])))]
