"""How straight a whole tile is: what its cells multiply with, code by code, behind wires."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qsynapse_jax.cells import linearity
from qsynapse_jax.tile import Tile, TileState


class TileLevels(eqx.Module):
    """What the codes of a tile amount to.

    Attributes:
        mean: effective weight of the cells that hold a code, averaged over them, shape (codes,); NaN where none does.
        spread: their standard deviation, likewise: place on the tile, neighbors, device spread.
        error: root mean square over all cells of the deviation from the best straight line through zero [LSB].
        gain: slope of that line: effective weight over intended weight. A layer's scale makes up for it.
    """

    mean: Float[Array, " codes"]
    spread: Float[Array, " codes"]
    error: Float[Array, ""]
    gain: Float[Array, ""]

    @property
    def worst_inl(self) -> Float[Array, ""]:
        """Largest INL of the mean levels [LSB]."""
        return linearity(self.mean).worst_inl


@jax.jit
def tile_levels(tile: Tile, code: Int[Array, "rows cols"], state: TileState | None = None) -> TileLevels:
    """Effective weights of written cells, code by code.

    Args:
        tile: of a cell whose zero is code 0, i.e. `Differential`.
        code: what is written, e.g. random codes within the range of the cell.
        state: devices that hold `code`, with their spread; `None` stands for exact ones.

    Gradients: of `error` and the means, in every physical parameter of the tile.
    """
    low, high = tile.cell.code_range
    if state is None:
        g = tile.levels(jax.lax.stop_gradient(tile.cell.decode(code)))
    else:
        g = tile.crosspoints(state)
    w = tile.weights(tile.effective(g, throw=False))
    ideal = code.astype(w.dtype) / high
    gain = jnp.sum(w * ideal) / jnp.sum(ideal**2)
    error = jnp.sqrt(jnp.mean((w / gain - ideal) ** 2)) * high

    def by_code(x: jax.Array) -> jax.Array:
        return jax.ops.segment_sum(x.reshape(-1), code.reshape(-1) - low, num_segments=high - low + 1)

    count = by_code(jnp.ones_like(w))
    mean = by_code(w) / count
    variance = by_code((w - mean[code - low]) ** 2) / count
    return TileLevels(mean, jnp.sqrt(variance), error, gain)
