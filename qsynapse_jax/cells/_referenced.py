"""A signed weight as the difference of one cell and a reference that all cells share."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qsynapse_jax._checks import as_floating, as_real, bad_value_message, is_concrete
from qsynapse_jax.cells._base import AbstractCell, AbstractUnipolarCell
from qsynapse_jax.quantize import nearest_level, straight_through


class Referenced(AbstractCell):
    """One cell on one bit line, less a reference conductance: half the cells of `Differential`, half its levels.

        w(code) = (G(code) - g_ref) / (half the span of the cell)

    The reference current, `g_ref` times the sum of the word-line voltages, is taken off behind the sense amplifier; the
    column that makes it is an ideal one. Unlike in `Differential` an error of the reference moves every weight.

    Args:
        cell: the cell; any on a single bit line whose weights have no sign, e.g. `Ladder`.
        g_ref: reference [S]; default the middle between the first and the last level, for weights from -1 to 1.

    Raises:
        ValueError: `cell` is not such a cell; `g_ref` is negative or not finite.
    """

    cell: AbstractCell
    g_ref: Float[Array, ""] | None = eqx.field(
        converter=lambda g: None if g is None else as_real(g, "g_ref"), default=None
    )

    signs: ClassVar[tuple[int, ...]] = (1,)

    def __check_init__(self):
        if not isinstance(self.cell, AbstractUnipolarCell):
            raise ValueError(
                f"Argument `cell` must be a cell on a single bit line such as `Ladder`, but is a "
                f"{type(self.cell).__name__}."
            )
        if self.g_ref is not None and is_concrete(self.g_ref):
            message = bad_value_message(self.g_ref, "g_ref", unit="S", minimum="non-negative")
            if message is not None:
                raise ValueError(message)

    @property
    def code_range(self) -> tuple[int, int]:
        return self.cell.code_range

    @property
    def signed(self) -> bool:
        return True

    def span(self) -> Float[Array, ""]:
        return self.cell.span() / 2

    def offset(self) -> Float[Array, ""]:
        if self.g_ref is not None:
            return self.g_ref
        ends = self.cell.conductance(jnp.asarray(self.code_range))
        return jnp.mean(ends)

    def conductance(self, code: Int[Any, "*shape"]) -> Float[Array, "*shape"]:
        return self.cell.conductance(code)

    def encode(self, w: Float[Any, "*shape"]) -> Int[Array, "*shape"]:
        return nearest_level(self._level_weights(), as_floating(w, "w"))

    def decode(self, code: Int[Any, "*shape"]) -> Float[Array, "*shape"]:
        return self._level_weights()[self.checked_code(code)]

    def realise(self, w: Float[Any, "*shape"]) -> Float[Array, "*shape"]:
        w = as_floating(w, "w")
        written = self.cell.conductance(self.encode(w)).astype(w.dtype)
        span = jax.lax.stop_gradient(self.span()).astype(w.dtype)
        surrogate = jnp.where((w >= -1) & (w <= 1), w, jnp.clip(jax.lax.stop_gradient(w), -1, 1))
        return straight_through(written, span * surrogate)

    def _level_weights(self) -> Float[Array, " n"]:
        low, high = self.code_range
        g = self.cell.conductance(jnp.arange(low, high + 1))
        return (g - self.offset().astype(g.dtype)) / self.span()
