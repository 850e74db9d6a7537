"""Cells that are made of other cells: a signed weight of two or of one and a reference, a weight of several digits."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qsynapse_jax._checks import as_floating
from qsynapse_jax._fields import OptionalScalar, non_negative, real, whole
from qsynapse_jax.cells._base import AbstractCell
from qsynapse_jax.quantize import NO_LEVEL

# A table of all levels is kept; with more of them it is no longer a cell but a mistake.
_MOST_LEVELS = 2**16


class AbstractWrapper(AbstractCell):
    """Some copies of one cell without a sign, each with a code of its own; devices and lines of copy 0 come first."""

    cell: eqx.AbstractVar[AbstractCell]

    @abstractmethod
    def split(self, code: Int[Array, "*shape"]) -> Int[Array, "*shape copies"]:
        """Code of every copy."""

    def __check_init__(self):
        kind = type(self.cell).__name__
        if not isinstance(self.cell, AbstractCell):
            raise ValueError(f"Argument `cell` must be a cell such as `Ladder`, but is a {kind}.")
        if self.cell.signed:
            raise ValueError(
                f"Argument `cell` must hold weights without a sign, but a {kind} is already signed; give "
                f"`{type(self).__name__}` the cell within it."
            )

    @property
    def copies(self) -> int:
        """How many."""
        return self.lines // self.cell.lines

    @property
    def n_devices(self) -> int:
        return self.copies * self.cell.n_devices

    def targets(self, code: Int[Any, "*shape"]) -> Float[Array, " devices *shape"]:
        code = self.checked_code(code)
        return _first(self.cell.targets(jnp.where((code == NO_LEVEL)[..., None], NO_LEVEL, self.split(code))))

    def assemble(
        self, g_devices: Float[Array, " devices *shape"], parts: Any = None, *, temperature: Any = 300.0
    ) -> Float[Array, " lines *shape"]:
        n, *shape = g_devices.shape
        by_copy = jnp.moveaxis(g_devices.reshape(self.copies, n // self.copies, *shape), 0, -1)
        return _first(self.cell.assemble(by_copy, parts, temperature=temperature))

    def init(self, shape: tuple[int, ...], *, key: PRNGKeyArray) -> Any:
        return self.cell.init((*shape, self.copies), key=key)

    def reference_factor(self, parts: Any, temperature: Any = 300.0) -> Float[Array, ""]:
        return self.cell.reference_factor(parts, temperature)

    def device_grid(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        return self.cell.device_grid()


class Differential(AbstractWrapper):
    """Two cells of one kind, read on bit lines whose currents are subtracted.

    Code c in -(n-1) .. n-1 writes max(c, 0) into the plus cell and max(-c, 0) into the minus cell: 2n - 1 signed
    levels, symmetric, and the conductance of code 0 cancels. The lines of the plus cell come first.

    Args:
        cell: the cell to double; any whose weights have no sign, e.g. `Ladder`.

    Raises:
        ValueError: `cell` is not a cell, or is signed already.
    """

    cell: AbstractCell

    @property
    def code_range(self) -> tuple[int, int]:
        largest = self.cell.code_range[1]
        return -largest, largest

    @property
    def significance(self) -> tuple[float, ...]:
        return (*self.cell.significance, *(-s for s in self.cell.significance))

    @property
    def signed(self) -> bool:
        return True

    def split(self, code: Int[Array, "*shape"]) -> Int[Array, "*shape 2"]:
        return jnp.stack([jnp.maximum(code, 0), jnp.maximum(-code, 0)], axis=-1)

    def total(self, g_lines: Float[Array, " lines *shape"]) -> Float[Array, "*shape"]:
        # Each cell by itself first: equal cells cancel to the last bit.
        plus, minus = g_lines[: self.cell.lines], g_lines[self.cell.lines :]
        return self.cell.total(plus) - self.cell.total(minus)

    def span(self) -> Float[Array, ""]:
        return self.cell.span()

    def offset(self) -> Float[Array, ""]:
        return jnp.zeros(())

    def encode(self, w: Float[Any, "*shape"]) -> Int[Array, "*shape"]:
        # Not the nearest of all levels: halfway between two of them the one nearer to 0 is taken, on both sides.
        w = as_floating(w, "w")
        return jnp.where(w >= 0, 1, -1) * self.cell.encode(jnp.abs(w))

    def realise(self, w: Float[Any, "*shape"]) -> Float[Array, " lines *shape"]:
        w = as_floating(w, "w")
        return _first(self.cell.realise(jnp.stack([jnp.maximum(w, 0), jnp.maximum(-w, 0)], axis=-1)))


class Referenced(AbstractWrapper):
    """One cell, less a reference conductance: half the devices of `Differential`, half its levels.

        w(code) = (G(code) - g_ref) / (half the span of the cell)

    The reference current, `g_ref` times the sum of the word-line voltages, is taken off behind the sense amplifier; the
    column that makes it is an ideal one. Unlike in `Differential` an error of the reference moves every weight.

    Args:
        cell: any whose weights have no sign, e.g. `Ladder`.
        g_ref: reference [S]; default the middle between the first and the last level, for weights from -1 to 1.

    Raises:
        ValueError: `cell` is not such a cell; `g_ref` is negative or not finite.
    """

    cell: AbstractCell
    g_ref: OptionalScalar = real("S", non_negative, optional=True, default=None)

    @property
    def code_range(self) -> tuple[int, int]:
        return self.cell.code_range

    @property
    def significance(self) -> tuple[float, ...]:
        return self.cell.significance

    @property
    def signed(self) -> bool:
        return True

    def split(self, code: Int[Array, "*shape"]) -> Int[Array, "*shape 1"]:
        return code[..., None]

    def span(self) -> Float[Array, ""]:
        return self.cell.span() / 2

    def offset(self) -> Float[Array, ""]:
        if self.g_ref is not None:
            return jnp.asarray(self.g_ref)
        return jnp.mean(self.total(self.conductance(jnp.asarray(self.code_range))))


class Sliced(AbstractWrapper):
    """Bit slicing: a weight of several digits, one cell per digit on bit lines of its own.

        code = sum over k of d_k b^(slices-1-k),    w = sum over k of b^-k w(d_k) / sum over k of b^-k

    where b is the number of levels of the cell. The most significant digit comes first; what the lines of digit k
    carry is divided by b^k where it is added, so cells of few levels make a weight of many.

    Args:
        cell: of one digit; any whose weights have no sign, e.g. `Multilevel`. `Differential(Sliced(...))` is signed.
        slices: digits. Static.

    Raises:
        ValueError: `cell` is not a cell, or is signed; fewer than one slice, or more than 65,536 levels in all.
    """

    cell: AbstractCell
    slices: int = whole(1, what="one per digit")

    def __check_init__(self):
        # Before its levels are counted; Equinox checks the base classes afterwards.
        super().__check_init__()
        if self.base**self.slices > _MOST_LEVELS:
            raise ValueError(
                f"Argument `slices` must leave no more than {_MOST_LEVELS} levels, but {self.slices} digits of "
                f"{self.base} levels are {self.base**self.slices}."
            )

    @property
    def base(self) -> int:
        """Levels of one digit."""
        return self.cell.code_range[1] + 1

    @property
    def code_range(self) -> tuple[int, int]:
        return 0, self.base**self.slices - 1

    @property
    def significance(self) -> tuple[float, ...]:
        return tuple(float(self.base) ** -k * s for k in range(self.slices) for s in self.cell.significance)

    def split(self, code: Int[Array, "*shape"]) -> Int[Array, "*shape slices"]:
        return jnp.stack([code // self.base**k % self.base for k in reversed(range(self.slices))], axis=-1)


def _first(x: Float[Array, " k *shape copies"]) -> Float[Array, " n *shape"]:
    """Copies, which lie on the last axis, one after another on the first."""
    return jnp.moveaxis(x, -1, 0).reshape(x.shape[0] * x.shape[-1], *x.shape[1:-1])
