"""Kernels: where the matrix comes from that a layer multiplies with.

A kernel holds a matrix (rows, cols) of weights in [-1, 1] on the tiles of one `Tile`: rows are inputs on word lines,
columns outputs. A leading axis (groups, rows, cols) is one matrix per group of a grouped convolution, each on tiles of
its own. What the rows and columns mean is the layer's business.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qsynapse_jax._fields import shown
from qsynapse_jax.quantize import straight_through
from qsynapse_jax.tile import Tile, TileState


class Physical(nnx.Variable):
    """The tile that kernels sit on: cell, device, wires and converters, each number a leaf.

    One variable may serve many layers; a gradient in it is then the sum over them. Filters of `nnx.Param` leave it
    alone. Its numbers have bounds (no resistance is negative), which plain descent does not know: train physical
    numbers by `codesign.optimize` and `codesign.Bounded`.

    Args:
        tile: it is copied, so that no two variables share a buffer and a model can be donated.
    """

    def __init__(self, tile: Any, **metadata: Any):
        super().__init__(copied(tile), **metadata)


class Written(nnx.Variable):
    """The devices of a written matrix, a `TileState`."""


class Compiled(nnx.Variable):
    """Effective conductances of a matrix [S]: its circuit, solved."""


class Reference(nnx.Variable):
    """A model of a kernel's circuits, `crossbar.Followed`, and whether its derivative is exact (`Tile.effective`)."""


class Gain(nnx.Variable):
    """What a kernel's outputs are multiplied with, to make up for what all its weights lose alike; 1 at first."""


class Presented(nnx.Variable):
    """Inputs of a kernel and room for the derivatives in its outputs, one pair per call; see `outer_gradients`."""


def copied(tree: Any) -> Any:
    """The same tree on buffers of its own."""
    return jax.tree.map(lambda leaf: jnp.copy(leaf) if isinstance(leaf, jax.Array) else leaf, tree)


def wide(x: Array) -> Array:
    """`x` in a dtype that a circuit is solved in: float32, or float64 where it is that already."""
    return x if x.dtype in (jnp.float32, jnp.float64) else x.astype(jnp.float32)


def printed(module: nnx.Module) -> str:
    """A layer or a kernel in words: its attributes, of variables their values."""
    parts = []
    for name, one in vars(module).items():
        value = one.get_value() if isinstance(one, nnx.Variable) else one
        if value is not None and not name.startswith("_"):
            parts.append(f"{name}={shown(value)}")
    return f"{type(module).__name__}({', '.join(parts)})"


class AbstractKernel(nnx.Module):
    """A matrix on tiles: `multiply(x)` is `x @ matrix()`, but for the tile's converters.

    Attributes:
        tile: a `Physical` variable, maybe shared with other kernels.
        gain: a `Gain` variable.
        throw: raise when a circuit cannot be solved; otherwise the matrix is NaN, and no host callback is compiled.
    """

    def __init__(self, tile: Physical, gain: Any, throw: bool):
        self.tile = tile
        self.gain = Gain(gain)
        self.throw = throw
        self.presented: Presented | None = nnx.data(None)

    def __repr__(self) -> str:
        return printed(self)

    def effective(self) -> Float[Array, "*groups rows lines"]:
        """Conductances [S] that the tiles amount to, wires included, bit lines of a weight side by side."""
        raise NotImplementedError

    def code(self) -> Int[Array, "*groups rows cols"]:
        """Codes that the cells hold, or shall hold."""
        raise NotImplementedError

    def intended(self) -> Float[Array, "*groups rows cols"]:
        """Weights of the codes with exact devices and ideal wires, in [-1, 1]."""
        return self.tile.get_value().cell.decode(self.code())

    def weights(self) -> Float[Array, "*groups rows cols"]:
        """Weights that the tiles multiply with, before `gain`."""
        return self.tile.get_value().weights(self.effective())

    def matrix(self) -> Float[Array, "*groups rows cols"]:
        """Weights that the kernel multiplies with: `gain * weights()`."""
        weights = self.weights()
        return weights * self.gain.get_value().astype(weights.dtype)

    def multiply(self, x: Float[Array, "*batch rows"]) -> Float[Array, "*batch cols"]:
        """Outputs for inputs `x`: (*batch, rows) to (*batch, cols), (*batch, groups, rows) to (*batch, groups, cols).

        Before a DAC every input vector is divided by its largest magnitude, so that it fills the DAC's range, and
        its outputs are multiplied with it again (Gokmen, Onen and Haensch, "Training deep convolutional neural
        networks with resistive cross-point devices", Frontiers in Neuroscience 11, 538, 2017: noise management).
        """
        g_eff = self.read()
        y = self.product(x, g_eff)
        y = y * self.gain.get_value().astype(y.dtype)
        return y if self.presented is None else self._present(self.presented, x, y, g_eff.ndim - 1)

    def read(self) -> Float[Array, "*groups rows lines"]:
        """Conductances [S] of one call: those of `effective`, with the noise of a read where a kernel has it."""
        return self.effective()

    def product(
        self, x: Float[Array, "*batch rows"], g_eff: Float[Array, "*groups rows lines"]
    ) -> Float[Array, "*batch cols"]:
        """Outputs of the tiles for these conductances [S], before `gain`."""
        tile = self.tile.get_value()
        return driven(tile, tile.multiply, x, g_eff)

    def _present(self, presented: Presented, x: Array, y: Array, axes: int) -> Array:
        """Notes the inputs of this call, (n, *groups, rows), and adds zeros whose derivative is that of the outputs."""
        calls = list(presented.get_value())
        number = next((k for k, (inputs, _) in enumerate(calls) if inputs is None), len(calls))
        if number == len(calls):
            calls.append((None, jnp.zeros_like(y).reshape(-1, *y.shape[y.ndim - axes :])))
        zeros = calls[number][1]
        calls[number] = (x.reshape(-1, *x.shape[x.ndim - axes :]), zeros)
        presented.set_value(tuple(calls))
        return y + zeros.reshape(y.shape)


def driven(tile: Tile, multiply: Any, x: Array, g_eff: Array) -> Array:
    """Inputs through `tile.multiply` or its transposed, matrix by matrix, so that they fill the range of a DAC."""
    multiply = multiply if g_eff.ndim == 2 else jax.vmap(multiply, in_axes=(-2, 0), out_axes=-2)
    if tile.dac is None:
        return multiply(x, g_eff)
    peak = jnp.max(jnp.abs(jax.lax.stop_gradient(x)), axis=-1, keepdims=True)
    peak = jnp.where(peak > 0, peak, 1)
    return multiply(x / peak, g_eff) * peak


class MasterKernel(AbstractKernel):
    """Float master weights, rounded to the levels of the cell whenever they are used: what training moves.

    Gradients: exact through the circuit, straight through the rounding.

    Args:
        weight: master weights, an array or the `nnx.Param` itself; beyond [-1, 1] they count as the ends.
        tile: what they sit on; a `Physical` is shared.
        throw: see `AbstractKernel`.

    Attributes:
        reference: a `Reference`, which training puts there for a step; `None` where circuits are solved.

    Raises:
        ValueError: `tile` is no tile, or its cell holds no signed weights.
    """

    def __init__(self, weight: Any, tile: Tile | Physical, *, throw: bool = True):
        super().__init__(checked_tile(tile), jnp.ones((), jnp.float32), throw)
        self.weight = weight if isinstance(weight, nnx.Variable) else nnx.Param(weight)
        self.reference: Reference | None = nnx.data(None)

    def master(self) -> Float[Array, "*groups rows cols"]:
        """Master weights clipped to [-1, 1]; beyond the ends the gradient still passes."""
        weight = wide(self.weight.get_value())
        return straight_through(jnp.clip(jax.lax.stop_gradient(weight), -1, 1), weight)

    def crosspoints(self) -> Float[Array, "*groups rows lines"]:
        """Conductances [S] of the levels nearest to the master weights."""
        return self.tile.get_value().levels(self.master())

    def effective(self) -> Float[Array, "*groups rows lines"]:
        tile, g = self.tile.get_value(), self.crosspoints()
        if self.reference is None:
            return tile.effective(g, throw=self.throw)
        followed, exact = self.reference.get_value()
        return tile.effective(g, followed=followed, exact=exact)

    def code(self) -> Int[Array, "*groups rows cols"]:
        return self.tile.get_value().cell.encode(jax.lax.stop_gradient(self.master()))


class WrittenKernel(AbstractKernel):
    """Devices that hold codes, as they were written and as they aged.

    Attributes:
        state: the devices, `Written`.
        codes: the codes that were asked for, shape (*groups, rows, cols).
        trace: what the last writing cost, a `devices.Trace` of shape (devices, *groups, rows, cols).
    """

    def __init__(self, state: TileState, codes: Array, trace: Any, tile: Physical, *, throw: bool = True):
        super().__init__(tile, jnp.ones((), jnp.float32), throw)
        self.state = Written(state)
        self.codes = nnx.Variable(codes)
        self.trace = nnx.Variable(trace)

    def effective(
        self, *, temperature: Any = 300.0, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*groups rows lines"]:
        """Conductances [S] behind the wires, read at `temperature` [K]; with a `key` one read with its noise."""
        tile, state = self.tile.get_value(), self.state.get_value()
        return tile.compiled(state, temperature=temperature, key=key, throw=self.throw)

    def code(self) -> Int[Array, "*groups rows cols"]:
        return self.codes.get_value()


class CompiledKernel(AbstractKernel):
    """Effective conductances, solved once: what a network is evaluated with.

    Args:
        g_eff: effective conductances [S], shape (*groups, rows, lines).
        tile: whose converters and span are used.
        gain: of the kernel that was compiled.
    """

    def __init__(self, g_eff: Float[Array, "*groups rows lines"], tile: Physical, gain: Any):
        super().__init__(tile, gain, throw=False)
        self.g_eff = Compiled(g_eff)

    def effective(self) -> Float[Array, "*groups rows lines"]:
        return self.g_eff.get_value()

    def code(self) -> Int[Array, "*groups rows cols"]:
        raise ValueError("A frozen kernel holds no codes; ask the model that was given to `freeze`.")


def checked_tile(tile: Any) -> Physical:
    """`tile` as the variable that kernels share, or a `ValueError`."""
    value = tile.get_value() if isinstance(tile, Physical) else tile
    if not isinstance(value, Tile):
        raise ValueError(
            f"Argument `tile` must be a `Tile` or a `Physical` of one, e.g. `Tile(Differential(Ladder(...)))`, but is "
            f"a {type(value).__name__}."
        )
    if not value.cell.signed:
        name = type(value.cell).__name__
        raise ValueError(
            f"Argument `tile` must have a cell of signed weights, but {name} has none; wrap it: "
            f"`Differential({name}(...))`."
        )
    return tile if isinstance(tile, Physical) else Physical(tile)
