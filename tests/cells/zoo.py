"""Every cell there is, as data: how to build it, what it obeys, which of its numbers are physical.

A new cell is one entry of `CELLS`. The law of each is written here once more, in exact rational arithmetic and
branch by branch, so that the tests do not compare the package with itself.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import isinf
from typing import Any

import jax.numpy as jnp
import pytest

import qsynapse_jax as qs

Differential, Ladder, Multilevel = qs.cells.Differential, qs.cells.Ladder, qs.cells.Multilevel
Referenced, Sliced = qs.cells.Referenced, qs.cells.Sliced
INFINITE = float("inf")


def conductance_of(*resistors: float) -> Fraction:
    """Conductance of resistors in series [S]."""
    if any(isinf(r) for r in resistors):
        return Fraction(0)
    return 1 / sum(map(Fraction, resistors), Fraction(0))


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
    """One cell: `parameters` are its physical numbers, `build` takes replacements for them; `wrap` is what it is in."""

    name: str
    kind: type
    sizes: dict[str, Any]
    parameters: dict[str, Any]
    codes: range
    exact: Callable[[int], tuple[Fraction, ...]] = field(repr=False)  # of a code: conductances of the bit lines [S]
    zero: Fraction = field(repr=False)  # the weighted sum of weight 0, and of weight 1 above it [S]
    span: Fraction = field(repr=False)
    significance: tuple[Fraction, ...] = (Fraction(1),)
    devices: int = 1
    wrap: Callable[[Any], Any] = lambda cell: cell
    signed: bool = False
    monotone: bool = True
    even: bool = True  # whether the targets of a device are evenly spaced

    def build(self, **changed: Any) -> qs.cells.AbstractCell:
        parameters = self.parameters | changed
        numbers = {k: v if v is None else jnp.asarray(v) for k, v in parameters.items()}
        return self.wrap(self.kind(**self.sizes, **numbers))

    @property
    def physical(self) -> list[str]:
        """Names of the numbers that can change by a factor."""
        return [name for name, value in self.parameters.items() if value not in (None, INFINITE)]

    def total(self, code: int) -> Fraction:
        """The weighted sum over the bit lines [S]."""
        return sum((s * g for s, g in zip(self.significance, self.exact(code), strict=True)), Fraction(0))

    def weight(self, code: int) -> Fraction:
        """What the code means."""
        return (self.total(code) - self.zero) / self.span


def one_line(kind: type, name: str, sizes: Any, parameters: Any, law: Any, levels: int, **options: Any) -> Case:
    zero, span = law(0), law(levels - 1) - law(0)
    return Case(name, kind, sizes, parameters, range(levels), lambda code: (law(code),), zero, span, **options)


def ladder(bits: int, r_unit: float, r_on: float, r_off: float, **options: Any) -> Case:
    def law(code: int) -> Fraction:
        return ladder_law(code, doubled(r_unit, bits), r_on, r_off)

    name = options.pop("name", f"ladder{bits}" + ("" if r_on else "_ideal"))
    parameters = {"r_unit": float(r_unit), "r_on": float(r_on), "r_off": float(r_off)}
    return one_line(Ladder, name, {"bits": bits}, parameters, law, 2**bits, devices=bits, **options)


def branches(r_branch: list[float], r_on: float, r_off: float, **options: Any) -> Case:
    def law(code: int) -> Fraction:
        return ladder_law(code, r_branch, r_on, r_off)

    bits, name = len(r_branch), options.pop("name")
    parameters = {"r_unit": None, "r_on": r_on, "r_off": r_off, "r_branch": r_branch}
    return one_line(Ladder, name, {"bits": bits}, parameters, law, 2**bits, devices=bits, **options)


def multilevel(levels: int, g_min: float, g_max: float, **options: Any) -> Case:
    def law(code: int) -> Fraction:
        return multilevel_law(code, levels, g_min, g_max)

    parameters = {"g_min": g_min, "g_max": g_max}
    return one_line(Multilevel, f"multilevel{levels}", {"levels": levels}, parameters, law, levels, **options)


def measured(g: list[float], **options: Any) -> Case:
    def law(code: int) -> Fraction:
        return Fraction(g[code])

    return one_line(qs.cells.MeasuredLevels, f"measured{len(g)}", {}, {"g": g}, law, len(g), even=False, **options)


def wrapped(case: Case, name: str, wrap: Callable[[Any], Any], **changed: Any) -> Case:
    inner = case.wrap
    return replace(case, name=f"{case.name}_{name}", wrap=lambda cell: wrap(inner(cell)), **changed)


def differential(case: Case) -> Case:
    def exact(code: int) -> tuple[Fraction, ...]:
        return case.exact(max(code, 0)) + case.exact(max(-code, 0))

    return wrapped(
        case,
        "differential",
        Differential,
        codes=range(-case.codes[-1], case.codes[-1] + 1),
        exact=exact,
        zero=Fraction(0),
        significance=case.significance + tuple(-s for s in case.significance),
        devices=2 * case.devices,
        signed=True,
    )


def referenced(case: Case) -> Case:
    middle = (case.total(case.codes[0]) + case.total(case.codes[-1])) / 2
    return wrapped(case, "referenced", Referenced, zero=middle, span=case.span / 2, signed=True)


def sliced(case: Case, slices: int) -> Case:
    base = len(case.codes)

    def exact(code: int) -> tuple[Fraction, ...]:
        digits = [code // base**k % base for k in reversed(range(slices))]
        return sum((case.exact(digit) for digit in digits), ())

    counts = [Fraction(1, base**k) for k in range(slices)]
    return wrapped(
        case,
        "sliced",
        lambda cell: Sliced(cell, slices),
        codes=range(base**slices),
        exact=exact,
        zero=sum(counts) * case.zero,
        span=sum(counts) * case.span,
        significance=tuple(count * s for count in counts for s in case.significance),
        devices=slices * case.devices,
    )


CELLS = [
    ladder(3, 80e3, 5e3, 1e6),
    ladder(1, 10e3, 5e3, 1e6),
    ladder(3, 80e3, 0.0, INFINITE),
    differential(ladder(3, 80e3, 5e3, 1e6)),
    ladder(4, 80e3, 5e3, INFINITE, name="ladder4_open_switch"),
    # Switches so bad that two codes change places: level 16 lies below level 15.
    ladder(5, 5e3, 5e3, 80e3, monotone=False, name="ladder5_crossing"),
    branches([10e3, 21e3, 39e3, 85e3], 1e3, 2e6, name="branches4"),
    # The larger resistor first: still the most significant bit of the code, no longer of the weight.
    branches([40e3, 10e3], 1e3, 2e6, monotone=False, name="branches2_reversed"),
    multilevel(50, 2e-6, 9e-5),
    measured([1e-6, 3e-6, 4e-6, 2e-5, 7e-5]),
    differential(multilevel(7, 1e-6, 1e-4)),
    referenced(ladder(3, 80e3, 5e3, 1e6)),
    sliced(multilevel(4, 1e-6, 2e-5), 3),
    differential(sliced(ladder(2, 10e3, 500.0, 1e6), 2)),
    referenced(sliced(multilevel(3, 0.0, 2e-5), 2)),
]
# In the default run every law, every wrapper once, and the two ladders whose codes are out of order.
_OFTEN = (
    "ladder3",
    "ladder3_ideal",
    "ladder3_differential",
    "ladder5_crossing",
    "branches2_reversed",
    "multilevel50",
    "measured5",
    "ladder3_referenced",
    "multilevel4_sliced",
)


def cases(names: Iterable[str], often: Iterable[str]) -> pytest.MarkDecorator:
    """Parametrizes a test by cells; those that are not among the frequent ones are slow."""
    chosen = [case for case in CELLS if case.name in names]
    marked = [pytest.param(c, id=c.name, marks=[] if c.name in often else pytest.mark.slow) for c in chosen]
    return pytest.mark.parametrize("case", marked)


by_cell = cases([case.name for case in CELLS], _OFTEN)

# Every law, and every wrapper once: for what is slow and hardly depends on numbers.
_FEW = ("branches4", "multilevel50", "ladder3_differential", "ladder3_referenced", "ladder2_sliced_differential")
by_kind_of_cell = cases(_FEW, ["ladder3_differential", "ladder3_referenced"])
# The same for what takes long to compile.
by_kind_of_cell_seldom = cases(_FEW, ["ladder3_differential"])
