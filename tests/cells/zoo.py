"""Every cell there is, as data: how to build it, what it obeys, which of its numbers are physical.

A new cell is one entry of `CELLS`. The law of each is written here once more, in exact rational arithmetic and
branch by branch, so that the tests do not compare the package with itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from math import isinf
from typing import Any

import jax.numpy as jnp
import pytest

import qsynapse_jax as qs

Differential, Ladder, Multilevel = qs.cells.Differential, qs.cells.Ladder, qs.cells.Multilevel
INFINITE = float("inf")


def conductance_of(*resistors: float) -> Fraction:
    """Conductance of resistors in series [S]."""
    if any(isinf(r) for r in resistors):
        return Fraction(0)
    return 1 / sum(map(Fraction, resistors))


def ladder_law(code: int, resistors: list[float], r_on: float, r_off: float) -> Fraction:
    """Conductance of branches in parallel, the first of which is switched by the most significant bit [S]."""
    word = format(code, f"0{len(resistors)}b")
    return sum(
        (conductance_of(r, r_on if bit == "1" else r_off) for r, bit in zip(resistors, word, strict=True)),
        Fraction(0),
    )


def multilevel_law(code: int, levels: int, g_min: float, g_max: float) -> Fraction:
    """Conductance of one of evenly spaced levels [S]."""
    low, high = Fraction(g_min), Fraction(g_max)
    return low + (high - low) * Fraction(code, levels - 1)


def doubled(r_unit: float, bits: int) -> list[float]:
    """R, 2R, 4R, ... [ohm]"""
    return [r_unit * 2**k for k in range(bits)]


@dataclass(frozen=True, eq=False)
class Case:
    """One cell: `parameters` are the names of its physical numbers; `build` takes replacements for them."""

    name: str
    kind: type
    sizes: dict[str, Any]
    parameters: dict[str, Any]
    law: Callable[[int], Fraction] = field(repr=False)
    levels: int
    signed: bool = False
    monotone: bool = True

    def build(self, **changed: Any) -> qs.cells.AbstractCell:
        parameters = self.parameters | changed
        cell = self.kind(**self.sizes, **{k: v if v is None else jnp.asarray(v) for k, v in parameters.items()})
        return Differential(cell) if self.signed else cell

    @property
    def physical(self) -> list[str]:
        """Names of the numbers that can change by a factor."""
        return [name for name, value in self.parameters.items() if value not in (None, INFINITE)]

    @property
    def codes(self) -> range:
        return range(1 - self.levels if self.signed else 0, self.levels)

    def exact(self, code: int) -> tuple[Fraction, ...]:
        """Conductances of the bit lines [S]."""
        if self.signed:
            return self.law(max(code, 0)), self.law(max(-code, 0))
        return (self.law(code),)

    def weight(self, code: int) -> Fraction:
        """What the code means: signed conductance less that of code 0, in units of the span."""
        zero, full = self.law(0), self.law(self.levels - 1)
        difference = self.law(code) - zero if not self.signed else self.law(max(code, 0)) - self.law(max(-code, 0))
        return difference / (full - zero)


def ladder(bits: int, r_unit: float, r_on: float, r_off: float, **options: Any) -> Case:
    def law(code: int) -> Fraction:
        return ladder_law(code, doubled(r_unit, bits), r_on, r_off)

    name = f"ladder{bits}" + ("_signed" if options.get("signed") else "") + ("" if r_on else "_ideal")
    parameters = {"r_unit": float(r_unit), "r_on": float(r_on), "r_off": float(r_off)}
    return Case(options.pop("name", name), Ladder, {"bits": bits}, parameters, law, 2**bits, **options)


def branches(r_branch: list[float], r_on: float, r_off: float, **options: Any) -> Case:
    def law(code: int) -> Fraction:
        return ladder_law(code, r_branch, r_on, r_off)

    parameters = {"r_unit": None, "r_on": r_on, "r_off": r_off, "r_branch": r_branch}
    return Case(options.pop("name"), Ladder, {"bits": len(r_branch)}, parameters, law, 2 ** len(r_branch), **options)


def multilevel(levels: int, g_min: float, g_max: float, **options: Any) -> Case:
    def law(code: int) -> Fraction:
        return multilevel_law(code, levels, g_min, g_max)

    name = f"multilevel{levels}" + ("_signed" if options.get("signed") else "")
    return Case(name, Multilevel, {"levels": levels}, {"g_min": g_min, "g_max": g_max}, law, levels, **options)


CELLS = [
    ladder(3, 80e3, 5e3, 1e6),
    ladder(1, 10e3, 5e3, 1e6),
    ladder(3, 80e3, 0.0, INFINITE),
    ladder(3, 80e3, 5e3, 1e6, signed=True),
    ladder(4, 80e3, 5e3, INFINITE, signed=True, name="ladder4_signed_open_switch"),
    # Switches so bad that two codes change places: level 16 lies below level 15.
    ladder(5, 5e3, 5e3, 80e3, monotone=False, name="ladder5_crossing"),
    branches([10e3, 21e3, 39e3, 85e3], 1e3, 2e6, name="branches4"),
    # The larger resistor first: still the most significant bit of the code, no longer of the weight.
    branches([40e3, 10e3], 1e3, 2e6, monotone=False, name="branches2_reversed"),
    multilevel(50, 2e-6, 9e-5),
    multilevel(7, 1e-6, 1e-4, signed=True),
]
by_cell = pytest.mark.parametrize("case", CELLS, ids=lambda case: case.name)

# One of each: a law, signed or not, and a choice of its parameters. For what is slow and hardly depends on numbers.
_KINDS = {(case.kind, case.signed, *case.parameters): case for case in reversed(CELLS)}
by_kind_of_cell = pytest.mark.parametrize("case", list(_KINDS.values())[::-1], ids=lambda case: case.name)
