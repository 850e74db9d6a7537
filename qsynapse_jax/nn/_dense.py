"""A dense layer whose multiplications are done by crossbar tiles."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from qsynapse_jax.cells import AbstractCell
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.quantize import straight_through
from qsynapse_jax.tile import TiledArray

# Initial master weights fill +-1 up to this many standard deviations: the rest is clipped. Fewer waste large weights,
# more waste levels; 2.5 is within 10 % of the least squared error for normal weights from 2 to 5 bits.
_STANDARD_DEVIATIONS = 2.5


class Physical(nnx.Variable):
    """A physical parameter of a layer: its cell or its wires.

    Training leaves it alone unless it is asked for: `nnx.grad(loss, argnums=nnx.DiffState(0, nnx.Any(nnx.Param,
    Physical)))`.
    """


class CrossbarDense(nnx.Module):
    """`y = scale * (x @ w_eff) + bias`, where `w_eff` is what tiles of cells behind resistive wires multiply with.

    Float master weights in [-1, 1] are written as the nearest codes of the cell, whose conductances and wires give
    the effective conductance of every tile; word lines are driven with x, in units of the read voltage, and the
    bit-line currents, in units of read voltage times conductance span, are the outputs. Scale (the gain of the sense
    amplifiers) and bias are applied in software.

    Gradients: exact through Kirchhoff's equations, straight through the rounding of master weights; in `Physical`
        variables too where they are asked for.

    Args:
        in_features, out_features: size of the layer.
        cell: a signed cell, e.g. `Differential(Ladder(3, 80e3, 5e3, 1e6))`.
        wires: resistances of every tile [ohm]; `None` for ideal wires.
        tile: word lines and bit lines of a tile.
        v_read: word-line voltage of an input of 1 [V]. Cells are linear: it sets currents, not outputs.
        use_bias: add a bias in software.
        throw: raise when a circuit cannot be solved; otherwise its outputs are NaN, and no host callback is compiled.
        rngs: source of the initial weights.

    Raises:
        ValueError: sizes that are not positive integers; a cell that has no sign; a bad tile.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        cell: AbstractCell,
        wires: Wires | None,
        tile: tuple[int, int] = (64, 64),
        v_read: float = 0.2,
        use_bias: bool = True,
        throw: bool = True,
        rngs: nnx.Rngs,
    ):
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(size, int) or size < 1:
                raise ValueError(f"Argument `{name}` must be a positive integer, but is {size!r}.")
        if not cell.signed:
            raise ValueError(
                f"Argument `cell` must hold signed weights, but {type(cell).__name__} does not; wrap it: "
                f"`Differential({type(cell).__name__}(...))`."
            )
        array = TiledArray(cell, wires, tile)
        self.tile = array.tile
        self.throw = throw
        self.v_read = v_read
        self.cell = Physical(cell)
        self.wires = Physical(wires)
        deviation = (2 / in_features) ** 0.5
        initial = jax.random.normal(rngs.params(), (in_features, out_features)) / _STANDARD_DEVIATIONS
        self.kernel = nnx.Param(jnp.clip(initial, -1, 1))
        self.scale = nnx.Param(jnp.asarray(_STANDARD_DEVIATIONS * deviation))
        self.bias = nnx.Param(jnp.zeros(out_features)) if use_bias else None

    @property
    def array(self) -> TiledArray:
        """The tiles of this layer."""
        return TiledArray(self.cell.get_value(), self.wires.get_value(), self.tile)

    def master_weight(self) -> Float[Array, "in_features out_features"]:
        """Float weights in [-1, 1] from which codes are taken; beyond the ends the gradient still passes."""
        kernel = self.kernel.get_value()
        return straight_through(jnp.clip(jax.lax.stop_gradient(kernel), -1, 1), kernel)

    def code(self) -> Any:
        """Codes written into the cells, shape (in_features, out_features)."""
        return self.cell.get_value().encode(self.master_weight())

    def intended_weight(self) -> Float[Array, "in_features out_features"]:
        """Weights of the written codes with ideal wires, in [-1, 1]."""
        return self.cell.get_value().decode(self.code())

    def effective_weight(self) -> Float[Array, "in_features out_features"]:
        """Weights that the tiles multiply with, wires included."""
        return self.array.effective_weight(self.master_weight(), throw=self.throw)

    def current(self, x: Float[Array, "*batch in_features"]) -> Float[Array, "*batch lines"]:
        """Bit-line currents [A] for inputs `x`, added over the tiles of a column; plus and minus lines alternate."""
        array = self.array
        g_eff = array.effective_conductance(array.conductance(self.master_weight()), throw=self.throw)
        return self.v_read * jnp.matmul(x, g_eff, precision=jax.lax.Precision.HIGHEST)

    def __call__(self, x: Float[Array, "*batch in_features"]) -> Float[Array, "*batch out_features"]:
        return self.multiply(x, self.effective_weight())

    def multiply(
        self, x: Float[Array, "*batch in_features"], weight: Float[Array, "in_features out_features"]
    ) -> Float[Array, "*batch out_features"]:
        """What the layer gives for weights in [-1, 1] found elsewhere, e.g. read from written and aged devices."""
        y = jnp.matmul(x, weight, precision=jax.lax.Precision.HIGHEST) * self.scale.get_value()
        if self.bias is None:
            return y
        return y + jnp.broadcast_to(self.bias.get_value(), y.shape)
