"""A dense layer on crossbars, and one over any axes."""

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar, Unpack

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Num

from qsynapse_jax._fields import as_whole
from qsynapse_jax.nn._layers import CrossbarLayer, Options, check_features


class CrossbarDense(CrossbarLayer):
    """A dense layer on crossbars: `y = scale * (x @ matrix) + bias`, in place of `nnx.Linear`.

    Args:
        in_features: rows of the matrix.
        out_features: columns of the matrix.
        options: `tile`, `rngs` and more, as for `CrossbarLayer`; so are gradients and errors.
    """

    digital: ClassVar[Any] = nnx.Linear
    geometry: ClassVar[tuple[str, ...]] = ("in_features", "out_features")

    def __init__(self, in_features: int, out_features: int, **options: Unpack[Options]):
        self.in_features = as_whole(in_features, "in_features", 1)
        self.out_features = as_whole(out_features, "out_features", 1)
        shape = (self.in_features, self.out_features)
        self.set_up(shape, shape[1:], **options)

    def __call__(self, x: Num[Any, "*batch in_features"], out_sharding: Any = None) -> Num[Array, "*batch features"]:
        check_features(self, x, (self.in_features,))
        return self.outputs(self.kernel.multiply(self.inputs(x, out_sharding)), x)


class CrossbarGeneral(CrossbarLayer):
    """A dense layer over any axes on crossbars, in place of `nnx.LinearGeneral`; that of attention, for one.

    The axes contracted are rows of the matrix, in ascending order of the axes, the last one fastest; its columns are
    the output features, the last axis fastest.

    Args:
        in_features: sizes of the axes that are contracted.
        out_features: sizes of the new axes at the end.
        axis: which axes are contracted.
        options: as for `CrossbarLayer`.

    Raises:
        ValueError: as for `CrossbarLayer`; as many axes as input features are wanted.
    """

    digital: ClassVar[Any] = nnx.LinearGeneral
    geometry: ClassVar[tuple[str, ...]] = ("in_features", "out_features", "axis")

    def __init__(
        self,
        in_features: int | Sequence[int],
        out_features: int | Sequence[int],
        *,
        axis: int | Sequence[int] = -1,
        **options: Unpack[Options],
    ):
        self.in_features, self.out_features = (
            tuple(as_whole(n, name, 1) for n in ((sizes,) if isinstance(sizes, int) else sizes))
            for name, sizes in (("in_features", in_features), ("out_features", out_features))
        )
        self.axis = (axis,) if isinstance(axis, int) else tuple(axis)
        if len(self.axis) != len(self.in_features):
            raise ValueError(
                f"Argument `axis` must name {len(self.in_features)} axes, one per size of `in_features`, but is {axis}."
            )
        shape = (prod(self.in_features), prod(self.out_features))
        self.set_up(shape, self.out_features, **options)

    def __call__(self, x: Num[Any, "..."], out_sharding: Any = None) -> Num[Array, "..."]:
        axes = tuple(sorted(axis + x.ndim if -x.ndim <= axis < 0 else axis for axis in self.axis))
        check_features(self, x, self.in_features, axes)
        rows = jnp.moveaxis(self.inputs(x, out_sharding), axes, range(-len(axes), 0))
        y = self.kernel.multiply(rows.reshape(*rows.shape[: -len(axes)], -1))
        return self.outputs(y.reshape(*y.shape[:-1], *self.out_features), x)

    @staticmethod
    def weight_shape(layer: Any) -> tuple[int, ...]:
        return (*layer.in_features, *layer.out_features)

    @staticmethod
    def to_matrix(layer: Any, weight: Array) -> Array:
        return weight.reshape(prod(layer.in_features), -1)

    @staticmethod
    def refusal(layer: Any) -> str:
        return "has a `batch_axis`, and thus many matrices" if layer.batch_axis else ""
