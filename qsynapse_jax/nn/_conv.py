"""A convolution on crossbars: every window of the input is one vector on the word lines."""

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar, Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Num

from qsynapse_jax._fields import as_whole
from qsynapse_jax.nn._layers import CrossbarLayer, Options, check_features

_PADDINGS = ("SAME", "SAME_LOWER", "VALID", "CIRCULAR", "REFLECT", "CAUSAL")


class CrossbarConv(CrossbarLayer):
    """A convolution on crossbars in any number of dimensions, channels last, in place of `nnx.Conv`.

    A window of the input, its channels in order and within a channel its positions, the last axis fastest, is one
    vector on the word lines: the matrix has in_features * prod(kernel_size) rows and out_features columns, and is
    written once, however many windows there are. Groups lie on tiles of their own, each with
    in_features / feature_group_count channels.

    Args:
        in_features: channels of the input.
        out_features: channels of the output.
        kernel_size: of the window, one size per axis; an integer for one axis.
        strides: between windows, per axis.
        padding: "SAME", "SAME_LOWER", "VALID", "CIRCULAR", "REFLECT", "CAUSAL" (one axis only), or how many zeros
            (before, after) per axis.
        input_dilation: distance of the input's elements, zeros between.
        kernel_dilation: distance of the window's elements.
        feature_group_count: groups of channels that do not see one another.
        options: as for `CrossbarLayer`.

    Raises:
        ValueError: as for `CrossbarLayer`; channels that groups do not divide; another padding.
    """

    digital: ClassVar[Any] = nnx.Conv
    geometry: ClassVar[tuple[str, ...]] = (
        *("in_features", "out_features", "kernel_size", "strides", "padding"),
        *("input_dilation", "kernel_dilation", "feature_group_count"),
    )

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] | None = 1,
        *,
        padding: Any = "SAME",
        input_dilation: int | Sequence[int] | None = 1,
        kernel_dilation: int | Sequence[int] | None = 1,
        feature_group_count: int = 1,
        **options: Unpack[Options],
    ):
        groups = self.feature_group_count = as_whole(feature_group_count, "feature_group_count", 1)
        for name, features in (("in_features", in_features), ("out_features", out_features)):
            if as_whole(features, name, 1) % groups:
                raise ValueError(f"Argument `{name}` must be a multiple of the {groups} groups, but is {features}.")
        self.in_features, self.out_features = in_features, out_features
        sizes = (kernel_size,) if isinstance(kernel_size, int) else tuple(kernel_size)
        self.kernel_size = tuple(as_whole(size, "kernel_size", 1) for size in sizes)
        self.strides = _per_axis(strides, "strides", len(sizes))
        self.input_dilation = _per_axis(input_dilation, "input_dilation", len(sizes))
        self.kernel_dilation = _per_axis(kernel_dilation, "kernel_dilation", len(sizes))
        self.padding = _checked_padding(padding, len(sizes))
        rows, cols = in_features // groups * prod(sizes), out_features // groups
        shape = (rows, cols) if groups == 1 else (groups, rows, cols)
        self.set_up(shape, (out_features,), **options)

    def __call__(self, x: Num[Any, "..."], out_sharding: Any = None) -> Num[Array, "..."]:
        check_features(self, x, (self.in_features,))
        n = len(self.kernel_size)
        if x.ndim <= n:
            raise ValueError(
                f"Argument `x` must have {n} axes before its channels, those of a window of shape {self.kernel_size}, "
                f"but has shape {x.shape}."
            )
        batch, inputs = x.shape[: x.ndim - n - 1], self.inputs(x, out_sharding)
        rows = self._windows(inputs.reshape(-1, *x.shape[-n - 1 :]))
        if self.feature_group_count > 1:
            rows = rows.reshape(*rows.shape[:-1], self.feature_group_count, -1)
        y = self.kernel.multiply(rows)
        return self.outputs(y.reshape(*batch, *rows.shape[1 : n + 1], self.out_features), x)

    def _windows(self, x: Num[Array, "batch *places channels"]) -> Num[Array, "batch *positions rows"]:
        """Every window of the input, flattened to a vector in the order of the matrix's rows."""
        n = len(self.kernel_size)
        spans = [(size - 1) * far + 1 for size, far in zip(self.kernel_size, self.kernel_dilation, strict=True)]
        padding: Any = self.padding
        # Those that a convolution does not know itself are put on before, as `nnx.Conv` does.
        if padding in ("CIRCULAR", "REFLECT", "CAUSAL"):
            pads = [(span - 1, 0) if padding == "CAUSAL" else ((span - 1) // 2, span // 2) for span in spans]
            mode = {"CIRCULAR": "wrap", "REFLECT": "reflect", "CAUSAL": "constant"}[padding]
            x, padding = jnp.pad(x, [(0, 0), *pads, (0, 0)], mode=mode), "VALID"
        last = (0, n + 1, *range(1, n + 1))
        return jax.lax.conv_general_dilated_patches(
            x,
            self.kernel_size,
            self.strides,
            padding,
            lhs_dilation=self.input_dilation,
            rhs_dilation=self.kernel_dilation,
            dimension_numbers=jax.lax.ConvDimensionNumbers(last, (n + 1, n, *range(n)), last),
            precision=jax.lax.Precision.HIGHEST,
        )

    @staticmethod
    def weight_shape(layer: Any) -> tuple[int, ...]:
        return (*layer.kernel_size, layer.in_features // layer.feature_group_count, layer.out_features)

    @staticmethod
    def to_matrix(layer: Any, weight: Array) -> Array:
        groups = layer.feature_group_count
        matrix = jnp.moveaxis(weight, -2, 0).reshape(-1, layer.out_features)
        return matrix if groups == 1 else jnp.moveaxis(matrix.reshape(len(matrix), groups, -1), 1, 0)

    @staticmethod
    def from_matrix(layer: Any, matrix: Array) -> Array:
        matrix = matrix if matrix.ndim == 2 else jnp.moveaxis(matrix, 0, 1)
        channels = layer.in_features // layer.feature_group_count
        return jnp.moveaxis(matrix.reshape(channels, *layer.kernel_size, layer.out_features), 0, -2)

    @staticmethod
    def refusal(layer: Any) -> str:
        if layer.mask is not None:
            return "has a `mask`, which cells of a crossbar do not follow"
        padding = layer.padding
        return f"has the padding {padding!r}" if isinstance(padding, str) and padding not in _PADDINGS else ""


def _per_axis(value: Any, name: str, n: int) -> tuple[int, ...]:
    """One positive integer per axis of a window."""
    values = (1 if value is None else value,) * n if value is None or isinstance(value, int) else tuple(value)
    if len(values) != n:
        raise ValueError(f"Argument `{name}` must be an integer, or {n} integers, one per axis, but is {value!r}.")
    return tuple(as_whole(v, name, 1) for v in values)


def _checked_padding(padding: Any, n: int) -> Any:
    """A padding of `n` axes: one of the names, or (before, after) per axis."""
    if isinstance(padding, int):
        return ((padding, padding),) * n
    if padding in _PADDINGS and not (padding == "CAUSAL" and n > 1):
        return padding
    if isinstance(padding, Sequence) and not isinstance(padding, str) and len(padding) == n:
        pairs = tuple((p, p) if isinstance(p, int) else tuple(p) for p in padding)
        if all(len(pair) == 2 and all(isinstance(size, int) for size in pair) for pair in pairs):
            return pairs
    raise ValueError(
        f"Argument `padding` must be one of {', '.join(_PADDINGS)} ('CAUSAL' for one axis only), or pairs (before, "
        f"after), one per axis, here {n}, but is {padding!r}."
    )
