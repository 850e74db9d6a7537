"""The quantized synapse: real resistors R, 2R, 4R, ... switched by two-level memory cells."""

import math
import warnings
from functools import partial
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax._checks import as_floating, as_real, bad_value_message, is_concrete
from qsynapse_jax.cells._base import AbstractUnipolarCell

# A table of all levels is kept; beyond this many bits it is no longer a cell but a mistake.
_MOST_BITS = 16


def _optional_resistances(value: Any) -> Any:
    return None if value is None else as_floating(value, "r_branch")


class Ladder(AbstractUnipolarCell):
    """Parallel branches R, 2R, 4R, ..., each a resistor in series with a two-level cell, between the same two lines.

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

    Raises:
        ValueError: `bits` out of range; a resistor that is not positive and finite; `r_off` not above `r_on`.

    Warns:
        UserWarning: `r_unit` with more bits than the on/off ratio supports: at r_off/r_on <= 4^bits even the best
            `r_unit`, sqrt(r_on r_off), leaves an error of half a step or more. Not with `r_branch`, whose values can
            allow for the switches.

    Reference: B. Q. Le, "Synaptic array for field-training-capable in-memory computing using non-volatile memory
        technologies", US 12,334,150 B2, 2025, claim 1 and abstract. The patent gives no values.
    """

    bits: int = eqx.field(static=True)
    r_unit: Float[Array, ""] | None = eqx.field(converter=lambda r: None if r is None else as_real(r, "r_unit"))
    r_on: Float[Array, ""] = eqx.field(converter=partial(as_real, name="r_on"))
    r_off: Float[Array, ""] = eqx.field(converter=partial(as_real, name="r_off"))
    r_branch: Float[Array, " bits"] | None = eqx.field(converter=_optional_resistances, default=None)
    r_access: Float[Array, ""] = eqx.field(converter=partial(as_real, name="r_access"), default=0.0)

    def __check_init__(self):
        if not isinstance(self.bits, int) or isinstance(self.bits, bool) or not 1 <= self.bits <= _MOST_BITS:
            raise ValueError(
                f"Argument `bits` must be an integer from 1 to {_MOST_BITS}, but is {self.bits!r}: one a branch."
            )
        if (self.r_unit is None) == (self.r_branch is None):
            raise ValueError("Give either `r_unit` or `r_branch` [ohm], and `None` for the other.")
        if self.r_branch is not None and self.r_branch.shape != (self.bits,):
            raise ValueError(
                f"Argument `r_branch` must have shape ({self.bits},), one resistor a bit, but has shape "
                f"{self.r_branch.shape}."
            )
        rules = {"r_unit": "positive", "r_branch": "positive", "r_on": "non-negative", "r_access": "non-negative"}
        for name, minimum in rules.items():
            value = getattr(self, name)
            if value is None or not is_concrete(value):
                continue
            message = bad_value_message(value, name, unit="ohm", minimum=minimum)
            if message is not None:
                raise ValueError(message)
        if is_concrete(self.r_on, self.r_off) and not float(self.r_off) > float(self.r_on):
            raise ValueError(
                f"Argument `r_off` must be above `r_on` = {float(self.r_on):g} ohm, but is "
                f"{float(self.r_off):g} ohm; a switch that is off conducts less."
            )
        if self.r_unit is not None and is_concrete(self.r_on, self.r_off):
            self._warn_of_unusable_levels()

    def _warn_of_unusable_levels(self) -> None:
        ratio = float(self.r_off) / float(self.r_on) if float(self.r_on) else math.inf
        if ratio > 4.0**self.bits:
            return
        usable = 1
        while ratio > 4.0 ** (usable + 1):
            usable += 1
        levels = 2**usable if ratio > 4 else 1
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

    def resistors(self) -> Float[Array, " bits"]:
        """Resistors of the branches, most significant first [ohm]."""
        if self.r_branch is not None:
            return self.r_branch
        r_unit = jnp.asarray(self.r_unit)
        return r_unit * jnp.asarray([2.0**k for k in range(self.bits)], r_unit.dtype)

    def bits_of(self, code: Int[Array, "*shape"]) -> Bool[Array, " bits *shape"]:
        """Which switches are on in each valid code, branch by branch; branch 0 is the most significant bit."""
        place = jnp.asarray(range(self.bits - 1, -1, -1), code.dtype).reshape(self.bits, *(1 for _ in code.shape))
        return (code[None] >> place) & 1 == 1

    def branch_conductance(
        self, resistors: Float[Array, " bits *shape"], switches: Float[Array, " bits *shape"]
    ) -> Float[Array, "*shape"]:
        """The physical law: conductance of cells whose every resistor and switch is known [S].

            G = sum over k of 1 / (R_k + r_access + R_switch,k)

        Args:
            resistors: R_k of every cell [ohm], spread included; the nominal ones are `resistors()`.
            switches: resistance of every switch now [ohm].
        """
        return jnp.sum(1 / (resistors + self.r_access.astype(resistors.dtype) + switches), axis=0)

    def code_conductance(self, code: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
        on = self.bits_of(code)
        switches = jnp.where(on, self.r_on, self.r_off)
        resistors = self.resistors().reshape(self.bits, *(1 for _ in code.shape))
        return self.branch_conductance(jnp.broadcast_to(resistors, on.shape), switches)
