"""What all layers on crossbars have in common: a kernel, a scale, a bias, and a Flax layer they stand for."""

from typing import Any, ClassVar, TypedDict

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from qsynapse_jax.nn._kernels import AbstractKernel, MasterKernel, Physical, printed, wide
from qsynapse_jax.tile import Tile

# Initial master weights fill +-1 up to this many standard deviations: the rest is clipped. Fewer waste large weights,
# more waste levels; 2.5 is within 10 % of the least squared error for normal weights from 2 to 5 bits.
_STANDARD_DEVIATIONS = 2.5


class Options(TypedDict, total=False):
    """What every layer takes besides its geometry; see `CrossbarLayer`."""

    tile: Tile | Physical | None
    kernel: AbstractKernel | None
    use_bias: bool
    dtype: Any
    param_dtype: Any
    throw: bool
    rngs: nnx.Rngs | None


class CrossbarLayer(nnx.Module):
    """`y = scale * (x @ matrix) + bias`, the product on crossbars, scale and bias in software.

    Float master weights in [-1, 1] are rounded to the nearest codes of the tile's cell, whose conductances and wires
    give the effective conductance of every tile; word lines are driven with x, in units of the read voltage, and the
    bit-line currents, in units of read voltage times conductance span, are the outputs.

    Gradients: exact through Kirchhoff's equations, straight through the rounding of master weights; in the `Physical`
        variable too where it is asked for: `nnx.grad(loss, argnums=nnx.DiffState(0, nnx.Any(nnx.Param, Physical)))`.

    Args:
        tile: what the weights sit on; a `Physical` is shared with the other layers it is given to.
        kernel: in place of new weights on a tile, a kernel that another layer has too (tied weights).
        use_bias: add a bias in software.
        dtype: of the outputs; None for that of inputs and parameters.
        param_dtype: of scale, bias and master weights; None for JAX's default float.
        throw: raise when a circuit cannot be solved; otherwise outputs are NaN, and no host callback is compiled.
        rngs: source of the initial weights.

    Attributes:
        kernel: where the matrix comes from, weights in [-1, 1].
        scale: `nnx.Param`, shape (): the weight that 1 in the matrix stands for, the gain of the sense amplifiers.
        bias: `nnx.Param` or None.

    Raises:
        ValueError: sizes that are not positive integers; a tile that is none, or whose cell has no sign; inputs with
            another number of features.

    A new layer is a subclass, which `convert` finds. It calls `set_up`, says how its inputs become rows of the matrix
    and columns its outputs (`__call__`, with `inputs` and `outputs` for what all have in common), and how the weights
    of the Flax layer lie in the matrix (`weight_shape`, `to_matrix`, `from_matrix`).
    """

    digital: ClassVar[Any]
    """The Flax layer that `convert` replaces, and `to_digital` gives back."""
    geometry: ClassVar[tuple[str, ...]]
    """Names of the arguments and attributes that both layers have in common, besides bias and dtypes."""

    def __repr__(self) -> str:
        return printed(self)

    def set_up(
        self,
        shape: tuple[int, ...],
        bias_shape: tuple[int, ...],
        *,
        tile: Tile | Physical | None = None,
        kernel: AbstractKernel | None = None,
        use_bias: bool = True,
        dtype: Any = None,
        param_dtype: Any = None,
        throw: bool = True,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        """Kernel, scale and bias of a new layer whose matrix has `shape`: (rows, cols) or (groups, rows, cols)."""
        self.dtype = dtype
        self.param_dtype = jnp.result_type(float) if param_dtype is None else jnp.dtype(param_dtype)
        if kernel is None:
            if rngs is None or tile is None:
                raise ValueError("Arguments `tile` and `rngs` must be given, unless a `kernel` is.")
            initial = jax.random.normal(rngs.params(), shape) / _STANDARD_DEVIATIONS
            kernel = MasterKernel(jnp.clip(initial, -1, 1).astype(self.param_dtype), tile, throw=throw)
        if isinstance(kernel, MasterKernel) and kernel.weight.shape != shape:
            raise ValueError(f"Argument `kernel` must hold a {shape} matrix, but its is {kernel.weight.shape}.")
        # One of three kinds, in turn: which one is for who put it there to know.
        self.kernel: Any = kernel
        deviation = (2 / shape[-2]) ** 0.5
        self.scale = nnx.Param(jnp.asarray(_STANDARD_DEVIATIONS * deviation, self.param_dtype))
        self.bias: Any = nnx.Param(jnp.zeros(bias_shape, self.param_dtype)) if use_bias else nnx.data(None)

    @staticmethod
    def weight_shape(layer: Any) -> tuple[int, ...]:
        """Shape of the weights of a Flax layer of this geometry, `layer.kernel`."""
        return (layer.in_features, layer.out_features)

    @staticmethod
    def to_matrix(layer: Any, weight: Array) -> Float[Array, "*groups rows cols"]:
        """Weights of a Flax layer of this geometry as they lie in the matrix."""
        return weight

    @staticmethod
    def from_matrix(layer: Any, matrix: Float[Array, "*groups rows cols"]) -> Array:
        """The inverse of `to_matrix`."""
        return matrix

    @staticmethod
    def refusal(layer: Any) -> str:
        """Why a Flax layer cannot be taken over, in words that follow "it"; empty where it can."""
        return ""

    @classmethod
    def over(cls, layer: Any, kernel: AbstractKernel, scale: nnx.Variable) -> "CrossbarLayer":
        """The crossbar layer that stands for a Flax layer; its bias stays the same variable."""
        arguments = {name: getattr(layer, name) for name in (*cls.geometry, "use_bias", "dtype", "param_dtype")}
        # Every layer takes these, but this base has no `__init__` to say so.
        build: Any = cls
        new = build(**arguments, kernel=kernel)
        new.scale = scale
        new.bias = layer.bias if layer.bias is not None else nnx.data(None)
        return new

    def to_digital(self) -> nnx.Module:
        """The Flax layer with these weights: float ones of a `MasterKernel`, else what the tiles amount to."""
        kernel = self.kernel
        matrix = wide(kernel.weight.get_value()) if isinstance(kernel, MasterKernel) else kernel.matrix()
        weight = self.from_matrix(self, matrix * self.scale.get_value().astype(matrix.dtype))
        weight = weight.astype(self.scale.get_value().dtype).reshape(self.weight_shape(self))
        new = self.digital(
            **{name: getattr(self, name) for name in self.geometry},
            use_bias=self.bias is not None,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            kernel_init=lambda key, shape, dtype: weight.reshape(shape),
            rngs=nnx.Rngs(0),
        )
        if self.bias is not None:
            new.bias = self.bias
        return new

    def inputs(self, x: Any, out_sharding: Any = None) -> Array:
        """Inputs as the layer computes with them."""
        if out_sharding is not None:
            raise ValueError(
                f"Argument `out_sharding` must be None for a {type(self).__name__}; shard its outputs instead, by "
                "`jax.lax.with_sharding_constraint`."
            )
        x = jnp.asarray(x)
        return wide(x if self.dtype is None else x.astype(self.dtype))

    def outputs(self, y: Array, x: Any) -> Array:
        """Scale, bias and dtype of what the kernel gave, features last, for inputs `x`."""
        y = y * self.scale.get_value().astype(y.dtype)
        if self.bias is not None:
            y = y + jnp.broadcast_to(self.bias.get_value().astype(y.dtype), y.shape)
        return y.astype(jnp.result_type(x, self.scale.get_value()) if self.dtype is None else self.dtype)


def check_features(layer: Any, x: Any, sizes: tuple[int, ...], axes: tuple[int, ...] = (-1,)) -> None:
    """A `ValueError` where `x` does not have `sizes` on its `axes`."""
    shape = jnp.shape(x)
    if all(-len(shape) <= axis < len(shape) for axis in axes) and tuple(shape[axis] for axis in axes) == sizes:
        return
    features, place = " x ".join(map(str, sizes)), "last axis" if axes == (-1,) else f"axes {axes}"
    arguments = ", ".join(str(getattr(layer, name)) for name in layer.geometry[:2])
    raise ValueError(
        f"Argument `x` must have {features} features on its {place}, the inputs of {type(layer).__name__}({arguments}),"
        f" but has shape {shape}."
    )
