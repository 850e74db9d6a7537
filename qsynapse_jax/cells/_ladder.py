"""The quantized synapse: real resistors R, 2R, 4R, ... switched by two-level memory devices."""

import math
import warnings
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import (
    OptionalNumbers,
    OptionalScalar,
    Scalar,
    non_negative,
    positive,
    positive_or_infinite,
    quantity,
    real,
    reals,
    whole,
)
from qsynapse_jax.cells._base import AbstractCell
from qsynapse_jax.cells._resistor import Resistor


class Ladder(AbstractCell):
    """Parallel branches R, 2R, 4R, ..., each a resistor in series with a two-level device, between the same two lines.

        G(code) = sum over k of 1 / (R_k + r_access + (r_on if bit k of the code is set else r_off))

    Branch 0, the smallest resistor, is the most significant bit. With ideal switches (r_on = 0, r_off infinite) the
    2^bits levels are uniform with a step of 1 / (2^(bits-1) R); real switches bend them, and `conductance` is exact.

    Args:
        bits: branches, 1 to 16. Static.
        r_unit: resistor of branch 0 [ohm]; branch k has 2^k times as much.
        r_on: resistance of a switch that is on [ohm].
        r_off: resistance of a switch that is off [ohm]; infinity is an ideal one.
        r_branch: all branch resistors [ohm], shape (bits,), in place of `r_unit` (which is then `None`).
        r_access: access transistor of a branch, in series with its resistor and its switch [ohm].
        resistor: mismatch, process factor and temperature coefficient of the branch resistors of an array that is
            fabricated (`tile.Tile.init`); `None` makes them nominal. Levels are always those of nominal resistors.

    Raises:
        ValueError: `bits` out of range; a resistor that is not positive and finite; `r_off` not above `r_on`.

    Warns:
        UserWarning: `r_unit` with more bits than the on/off ratio supports: at r_off/r_on <= 4^bits even the best
            `r_unit`, sqrt(r_on r_off), leaves an error of half a step or more. Not with `r_branch`, whose values can
            allow for the switches.

    Reference: B. Q. Le, "Synaptic array for field-training-capable in-memory computing using non-volatile memory
        technologies", US 12,334,150 B2, 2025, claim 1 and abstract. The patent gives no values.
    """

    bits: int = whole(1, 16, what="one per branch")
    r_unit: OptionalScalar = real("ohm", positive, optional=True)
    r_on: Scalar = real("ohm", non_negative)
    r_off: Scalar = real("ohm", positive_or_infinite)
    r_branch: OptionalNumbers = reals("ohm", positive, optional=True, default=None)
    r_access: Scalar = real("ohm", non_negative, default=0.0)
    resistor: Resistor | None = None

    def __check_init__(self):
        if (self.r_unit is None) == (self.r_branch is None):
            raise ValueError("Give either `r_unit` or `r_branch` [ohm], and `None` for the other.")
        if self.r_branch is not None and self.r_branch.shape != (self.bits,):
            raise ValueError(
                f"Argument `r_branch` must have shape ({self.bits},), one resistor per bit, but has shape "
                f"{self.r_branch.shape}."
            )
        if not is_concrete(self.r_on, self.r_off):
            return
        if not float(self.r_off) > float(self.r_on):
            on, off = (quantity(float(r), "ohm") for r in (self.r_on, self.r_off))
            raise ValueError(
                f"Argument `r_off` must be above `r_on` = {on}, but is {off}; a switch that is off conducts less."
            )
        if self.r_unit is not None:
            self._warn_of_unusable_levels()

    def _warn_of_unusable_levels(self) -> None:
        ratio = float(self.r_off) / float(self.r_on) if float(self.r_on) else math.inf
        if ratio > 4.0**self.bits:
            return
        levels = 2 ** sum(ratio > 4.0**k for k in range(1, self.bits))
        warnings.warn(
            f"A ladder R, 2R, 4R, ... of {self.bits} bits needs an on/off ratio above 4^{self.bits} = {4**self.bits}, "
            f"but r_off/r_on is {ratio:.4g}, enough for {levels} usable level{'s' if levels > 1 else ''} of the "
            f"{2**self.bits}; use fewer bits or a better switch, or give `r_branch` values that allow for this one.",
            UserWarning,
            stacklevel=5,
        )

    @property
    def code_range(self) -> tuple[int, int]:
        return 0, 2**self.bits - 1

    @property
    def n_devices(self) -> int:
        return self.bits

    def resistors(self) -> Float[Array, " bits"]:
        """Nominal resistors of the branches, most significant first [ohm]."""
        if self.r_branch is not None:
            return self.r_branch
        r_unit = jnp.asarray(self.r_unit)
        return r_unit * jnp.asarray([2.0**k for k in range(self.bits)], r_unit.dtype)

    def targets(self, code: Int[Any, "*shape"]) -> Float[Array, " bits *shape"]:
        """Conductance of the switch of every branch [S]: 1/r_on where its bit is set, else 1/r_off."""
        code = self.checked_code(code)
        place = jnp.asarray(range(self.bits - 1, -1, -1), code.dtype).reshape(self.bits, *(1 for _ in code.shape))
        is_on = (code[None] >> place) & 1 == 1
        return jnp.where(is_on, *(g.astype(self.r_on.dtype) for g in self._switch()))

    def assemble(
        self, g_devices: Float[Array, " bits *shape"], parts: Any = None, *, temperature: Any = 300.0
    ) -> Float[Array, " 1 *shape"]:
        resistors = self.resistors().reshape(self.bits, *(1 for _ in g_devices.shape[1:]))
        if parts is not None and self.resistor is not None:
            resistors = resistors * self.resistor.factor(parts, temperature).astype(resistors.dtype)
        in_series = resistors + self.r_access.astype(resistors.dtype)
        branches = _branch(jnp.broadcast_to(in_series, g_devices.shape), g_devices)
        # Term by term: the same sum for one cell and for a thousand, to the last bit.
        return reduce(jnp.add, branches)[None]

    def init(self, shape: tuple[int, ...], *, key: PRNGKeyArray) -> Any:
        return None if self.resistor is None else self.resistor.init(self.bits, shape, key=key)

    def reference_factor(self, parts: Any, temperature: Any = 300.0) -> Float[Array, ""]:
        if parts is None or self.resistor is None:
            return jnp.ones(())
        return self.resistor.shared_factor(parts, temperature)

    def device_grid(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        on, off = self._switch()
        return off, on - off

    def _switch(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Conductance of a switch that is on, and of one that is off [S]."""
        # At 0 ohm the slope of the infinite conductance is that of minus the resistance: see `_resistance`.
        short = self.r_on == 0
        on = jnp.where(short, jnp.inf - self.r_on, 1 / jnp.where(short, 1, self.r_on))
        return on, 1 / self.r_off


def _branch(r: Float[Array, "*shape"], g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Conductance of a resistor `r` [ohm] in series with a device `g` [S], exact for g = 0 and for g = inf."""
    # Of the two forms each keeps its digits, and its derivative is finite, on its own side of g r = 1.
    weak = g * r < 1
    low, high = jnp.where(weak, g, 0), jnp.where(weak, 1, g)
    return jnp.where(weak, low / (1 + low * r), 1 / (r + _resistance(high)))


@jax.custom_jvp
def _resistance(g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """1/g [ohm]. The tangent of an infinite conductance is, by agreement with `_switch`, minus that of its resistance.

    In the conductance itself it would be infinite, and the branch's slope in it 0, although their product, the slope of
    the branch in the resistance of a switch of 0 ohm, is -1/R^2.
    """
    return 1 / g


@_resistance.defjvp
def _resistance_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (g,), (dg,) = primals, tangents
    r = _resistance(g)
    return r, -jnp.where(jnp.isinf(g), 1, r * r) * dg
