"""What the cells have in common that are made of other cells."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qsynapse_jax.cells._base import AbstractCell
from qsynapse_jax.quantize import NO_LEVEL


class AbstractWrapper(AbstractCell):
    """Some copies of one cell without a sign, each with a code of its own; devices and lines of copy 0 come first."""

    cell: eqx.AbstractVar[AbstractCell]

    @property
    @abstractmethod
    def copies(self) -> int:
        """How many."""

    @abstractmethod
    def split(self, code: Int[Array, "*shape"]) -> Int[Array, "*shape copies"]:
        """Code of every copy."""

    @property
    def n_devices(self) -> int:
        return self.copies * self.cell.n_devices

    def targets(self, code: Int[Any, "*shape"]) -> Float[Array, " devices *shape"]:
        code = self.checked_code(code)
        return self._first(self.cell.targets(jnp.where((code == NO_LEVEL)[..., None], NO_LEVEL, self.split(code))))

    def assemble(
        self, g_devices: Float[Array, " devices *shape"], parts: Any = None, *, temperature: Any = 300.0
    ) -> Float[Array, " lines *shape"]:
        n, *shape = g_devices.shape
        by_copy = jnp.moveaxis(g_devices.reshape(self.copies, n // self.copies, *shape), 0, -1)
        return self._first(self.cell.assemble(by_copy, parts, temperature=temperature))

    def init(self, shape: tuple[int, ...], *, key: PRNGKeyArray) -> Any:
        return self.cell.init((*shape, self.copies), key=key)

    def reference_factor(self, parts: Any, temperature: Any = 300.0) -> Float[Array, ""]:
        return self.cell.reference_factor(parts, temperature)

    def device_grid(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        return self.cell.device_grid()

    def _check_cell(self) -> None:
        kind = type(self.cell).__name__
        if not isinstance(self.cell, AbstractCell):
            raise ValueError(f"Argument `cell` must be a cell such as `Ladder`, but is a {kind}.")
        if self.cell.signed:
            raise ValueError(
                f"Argument `cell` must hold weights without a sign, but a {kind} is already signed; give "
                f"`{type(self).__name__}` the cell within it."
            )

    def _first(self, x: Float[Array, " k *shape copies"]) -> Float[Array, " n *shape"]:
        """Copies, which lie on the last axis, one after another on the first."""
        return jnp.moveaxis(x, -1, 0).reshape(x.shape[0] * x.shape[-1], *x.shape[1:-1])
