"""A weight matrix on crossbar tiles: weights -> codes -> conductances -> effective conductances -> weights again."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_floating
from qsynapse_jax.cells import AbstractCell
from qsynapse_jax.crossbar import Wires, effective_conductance
from qsynapse_jax.tile._split import checked_tile_shape, join, split


class TiledArray(eqx.Module):
    """How a matrix of weights in [-1, 1] sits on crossbar tiles.

    Rows are inputs on word lines; every column is an output on as many neighbouring bit lines as the cell has
    (plus, minus, plus, minus, ... for `Differential`). Tiles in one row of tiles share their inputs; currents of tiles
    above one another are added after the sense amplifiers.

    Args:
        cell: how one weight becomes conductances.
        wires: resistances of every tile [ohm]; `None` is ideal wires, for which no circuit is solved.
        tile: word lines and bit lines of a tile. Static.

    Raises:
        ValueError: `tile` is not two positive integers, or narrower than one weight.
    """

    cell: AbstractCell
    wires: Wires | None
    tile: tuple[int, int] = eqx.field(static=True, converter=checked_tile_shape, default=(64, 64))

    def __check_init__(self):
        if self.tile[1] % self.lines:
            raise ValueError(
                f"Argument `tile` must have a multiple of {self.lines} bit lines, the bit lines of one weight of a "
                f"{type(self.cell).__name__}, but is {self.tile}."
            )

    @property
    def lines(self) -> int:
        """Bit lines of one weight."""
        return len(self.cell.signs)

    def conductance(self, w: Float[Array, "rows cols"]) -> Float[Array, "rows lines"]:
        """Conductances of the cells that hold the levels nearest to `w` [S], one column a bit line.

        Gradients: straight through the rounding in `w`, exact in the cell's physical parameters.
        """
        return self.lay_out(self.cell.realise(as_floating(w, "w")))

    def lay_out(self, g: Float[Array, "*lines rows cols"]) -> Float[Array, "rows lines"]:
        """Conductances as cells give them, bit lines of a weight first, as they lie on the tiles, side by side."""
        if self.lines == 1:
            return g
        return jnp.moveaxis(g, 0, -1).reshape(g.shape[1], -1)

    @eqx.filter_jit
    def effective_conductance(self, g: Float[Array, "rows lines"], *, throw: bool = True) -> Float[Array, "rows lines"]:
        """What those cells amount to behind the wires of their tiles [S]; summed bit-line currents are `v @ g_eff`.

        Gradients: in `g` and the wires, through Kirchhoff's equations of every tile.
        """
        g = as_floating(g, "g")
        wires = self.wires
        if wires is None:
            return g
        tiles = split(g, self.tile)
        g_eff = effective_conductance(tiles, wires, throw=throw)
        return join(g_eff, (g.shape[0], g.shape[1]))

    def weight(self, g: Float[Array, "rows lines"]) -> Float[Array, "rows cols"]:
        """Weights that (effective) conductances [S] stand for.

        The signed sum over the bit lines of each weight, less what stands for weight 0 (code 0, which a differential
        cell cancels, or the reference), over the span of the cell.
        """
        signs = jnp.asarray(self.cell.signs, g.dtype)
        total = jnp.sum(g.reshape(g.shape[0], -1, self.lines) * signs[None, None, :], axis=-1)
        if sum(self.cell.signs):
            total = total - self.cell.offset().astype(g.dtype)
        return total / self.cell.span().astype(g.dtype)

    def effective_weight(self, w: Float[Array, "rows cols"], *, throw: bool = True) -> Float[Array, "rows cols"]:
        """The weights in [-1, 1] that the tiles actually multiply with when `w` is written into them."""
        return self.weight(self.effective_conductance(self.conductance(w), throw=throw))
