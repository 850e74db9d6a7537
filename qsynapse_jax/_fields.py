"""Numbers of a model, declared once: name, unit and rule in one line, from which conversion, check and message come.

class Switch(Model):
    r_on: Scalar = real("ohm", positive)
    stuck: Scalar = real("", probability, default=0.0)
    bits: int = whole(1, 16)
"""

import dataclasses
import functools
import math
import operator
import re
from collections.abc import Callable
from decimal import Decimal
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from qsynapse_jax._checks import as_floating, as_real, is_concrete

# No memory is used below it, and every temperature in degrees Celsius at which one is used lies below it.
_COLDEST = 200.0
# Arrays of more numbers than this are printed by their shape and their range.
_PRINTED = 8
# Containers whose entries need more letters than this are printed by the names or the number of these.
_LONG = 200
# Where an object lies in memory is nobody's matter.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

if TYPE_CHECKING:

    class Scalar:
        """A declared number, or array of numbers: given as a Python number or an array, read as an array."""

        @overload
        def __get__(self, instance: None, owner: Any) -> "Scalar": ...
        @overload
        def __get__(self, instance: object, owner: Any) -> Array: ...
        def __get__(self, instance: object | None, owner: Any) -> "Scalar | Array": ...
        def __set__(self, instance: object, value: ArrayLike) -> None: ...

    class OptionalScalar:
        """A `Scalar` that may be `None`."""

        @overload
        def __get__(self, instance: None, owner: Any) -> "OptionalScalar": ...
        @overload
        def __get__(self, instance: object, owner: Any) -> Array | None: ...
        def __get__(self, instance: object | None, owner: Any) -> "OptionalScalar | Array | None": ...
        def __set__(self, instance: object, value: ArrayLike | None) -> None: ...

    Numbers = Scalar
    OptionalNumbers = OptionalScalar
else:
    Scalar = Float[Array, ""]
    Numbers = Float[Array, "..."]
    OptionalScalar = Float[Array, ""] | None
    OptionalNumbers = Float[Array, "..."] | None


class Rule(NamedTuple):
    """What a number must be, in words that follow "must be", and as a test of NumPy or JAX values."""

    words: str
    test: Callable[[Any], Any]
    hint: Callable[[float], str] = lambda value: ""


finite = Rule("finite", lambda x: abs(x) < math.inf)
positive = Rule("positive and finite", lambda x: (x > 0) & (x < math.inf))
non_negative = Rule("non-negative and finite", lambda x: (x >= 0) & (x < math.inf))
positive_or_infinite = Rule("positive (infinity is allowed)", lambda x: x > 0)
non_negative_or_infinite = Rule("non-negative (infinity is allowed)", lambda x: x >= 0)
probability = Rule("a probability from 0 to 1", lambda x: (x >= 0) & (x <= 1))
kelvin = Rule(
    f"in kelvin and at least {_COLDEST:g} K",
    lambda x: (x >= _COLDEST) & (x < math.inf),
    lambda x: f"; that looks like degrees Celsius: {x:g} C is {x + 273.15:g} K",
)


def check(value: Any, name: str, unit: str, rule: Rule) -> None:
    """Raises a `ValueError` where a `value` that is known breaks its rule; a traced one passes."""
    if not is_concrete(value):
        return
    values = np.asarray(value)
    good = np.asarray(rule.test(values))
    if good.all():
        return
    where = tuple(int(i) for i in np.argwhere(~good)[0])
    number = float(values[where])
    place = f"{name}[{', '.join(map(str, where))}] = {number:g}" if where else f"is {number:g}"
    hint = "; replace what is no number" if where and math.isnan(number) else rule.hint(number)
    raise ValueError(f"Argument `{name}` must be {rule.words}, but {place} {unit}".rstrip() + f"{hint}.")


def checked(value: Any, name: str, unit: str, rule: Rule) -> Array:
    """`value` as a floating-point scalar that keeps its rule; under `jit` one that breaks it raises at run time."""
    array = as_real(value, name)
    # The number as it was given: inside a trace an array made of a known number is a tracer.
    if is_concrete(value):
        check(value, name, unit, rule)
        return array
    return eqx.error_if(array, ~rule.test(array), f"Argument `{name}` must be {rule.words} [{unit}].")


class _Converter:
    """Converts what is given for a field and checks it; `Model` tells it the name of the field."""

    def __init__(
        self, convert: Callable[[Any, str], Any], unit: str = "", rule: Rule | None = None, optional: bool = False
    ):
        self.name, self.unit, self.convert, self.rule, self.optional = "value", unit, convert, rule, optional

    def __call__(self, value: Any) -> Any:
        if value is None and self.optional:
            return None
        converted = self.convert(value, self.name)
        if self.rule is not None:
            # As it was given, see `checked`.
            check(value, self.name, self.unit, self.rule)
        return converted


def real(unit: str, rule: Rule = finite, *, optional: bool = False, **options: Any) -> Any:
    """A field that holds one number [unit]; `optional` allows `None`, `default=` is that of a dataclass."""
    return eqx.field(converter=_Converter(as_real, unit, rule, optional), **options)


def reals(unit: str, rule: Rule = finite, *, optional: bool = False, **options: Any) -> Any:
    """A field that holds a number or an array of numbers [unit]."""
    return eqx.field(converter=_Converter(_number_or_array, unit, rule, optional), **options)


def whole(low: int, high: int | None = None, *, what: str = "", **options: Any) -> Any:
    """A static field that holds an integer from `low` to `high`; `what` says in the message what it counts."""
    convert = functools.partial(as_whole, low=low, high=high, what=what)
    return eqx.field(converter=_Converter(convert), static=True, **options)


def natural(low: int = 0, *, what: str = "", **options: Any) -> Any:
    """A field that holds an integer from `low` to 2^31 - 1 and that, unlike `whole`, may be traced: seeds, counts."""
    words = f"an integer from {low} to 2147483647{what and ', ' + what}"
    rule = Rule(words, lambda x: (x >= low) & (x <= 2**31 - 1) & (x == np.floor(x)))
    return eqx.field(converter=_Converter(_as_integer, "", rule), **options)


def _as_integer(value: Any, name: str) -> Array:
    if not is_concrete(value):
        return value
    number = as_whole(value, name, -(2**31), 2**31 - 1) if np.ndim(value) == 0 else value
    return jnp.asarray(number, jnp.int32)


def as_whole(value: Any, name: str, low: int, high: int | None = None, *, what: str = "") -> int:
    """`value` as a Python integer from `low` to `high`, NumPy integers too, or a `ValueError`."""
    bounds = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        raise ValueError(f"Argument `{name}` must be {bounds}{what and ', ' + what}, but is {value!r}.")
    return number


def _number_or_array(value: Any, name: str) -> Array:
    return as_real(value, name) if isinstance(value, bool | int | float | np.integer) else as_floating(value, name)


class Model(eqx.Module):
    """Base of what a user builds from numbers: tells the fields their names, and prints values with their units."""

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        for name, field in vars(cls).items():
            converter = field.metadata.get("converter") if isinstance(field, dataclasses.Field) else None
            if isinstance(converter, _Converter):
                converter.name = name

    def __repr__(self) -> str:
        return described(self)


def described(self: Any) -> str:
    """A data class or a named tuple in words: its name, and its values with their units.

    A field that is not declared by `real` has its unit in its metadata: `eqx.field(metadata={"unit": "S"})`.
    Fields with `repr=False` and those that are `None` are left out. A class that is no `Model` prints like one by
    `__repr__ = described`; the units of a named tuple, whose fields hold none, are its `UNITS`, one per field.
    """
    if dataclasses.is_dataclass(self):
        units = {field.name: _unit(field) for field in dataclasses.fields(self) if field.repr}
    else:
        units = dict(zip(self._fields, getattr(self, "UNITS", ("",) * len(self)), strict=True))
    values = {name: getattr(self, name, None) for name in units}
    parts = [f"{name}={shown(value, units[name])}" for name, value in values.items() if value is not None]
    return f"{type(self).__name__}({', '.join(parts)})"


def _unit(field: dataclasses.Field) -> str:
    converter = field.metadata.get("converter")
    return converter.unit if isinstance(converter, _Converter) else field.metadata.get("unit", "")


def shown(value: Any, unit: str = "") -> str:
    """A value in words: a number with its unit, a long array by shape and range, anything else as it prints."""
    if isinstance(value, jax.Array) and not is_concrete(value):
        return f"traced {jax.typeof(value).str_short()}"
    if isinstance(value, jax.Array | np.ndarray | np.number | np.bool_):
        return _array_shown(value, unit)
    if unit and isinstance(value, float | int) and not isinstance(value, bool):
        return quantity(value, unit)
    if isinstance(value, dict | list | tuple) and not hasattr(value, "_fields"):
        return _container_shown(value, unit)
    if isinstance(value, type | FunctionType):
        return value.__name__
    if isinstance(value, np.dtype):
        return value.name
    arrays = [leaf for leaf in jax.tree.leaves(value) if isinstance(leaf, jax.Array | np.ndarray)]
    # What is made of arrays and prints all of them: variables of a network, the state of an optimizer.
    if arrays and not isinstance(value, eqx.Module) and not type(value).__module__.startswith("qsynapse_jax."):
        count = f"{len(arrays)} arrays" if len(arrays) > 1 else "1 array"
        return f"{count} of {sum(leaf.size for leaf in arrays):,} numbers"
    return _ADDRESS.sub("", repr(value))


def _array_shown(value: Any, unit: str) -> str:
    if value.size > _PRINTED and value.dtype == bool:
        return f"{value.shape}, {int(np.sum(np.asarray(value))):,} of {value.size:,} true"
    if not (jnp.issubdtype(value.dtype, jnp.number) or value.dtype == bool):
        return f"{value.dtype}{list(value.shape)}"
    values = np.asarray(value)
    if values.ndim == 0:
        return str(bool(values)) if values.dtype == bool else quantity(float(values), unit)
    if 0 < values.size <= _PRINTED:
        return "[" + ", ".join(_array_shown(one, unit) for one in map(np.asarray, values.ravel())) + "]"
    numbers = values[~np.isnan(values)]
    if not numbers.size:
        return f"{values.shape}"
    low, high = quantity(float(numbers.min()), unit), quantity(float(numbers.max()), unit)
    text = f"{values.shape}, all {low}" if low == high else f"{values.shape} from {low} to {high}"
    missing = values.size - numbers.size
    return f"{text}, {missing:,} NaN" if missing else text


def _container_shown(value: Any, unit: str) -> str:
    """Its entries, up to so many; the names alone where that would be long."""
    left = "" if len(value) <= _PRINTED else f", {len(value) - _PRINTED:,} more"
    if isinstance(value, dict):
        pairs = [(str(name), shown(one, unit)) for name, one in list(value.items())[:_PRINTED]]
        text = ", ".join(f"{name}: {one}" for name, one in pairs) + left
        return "{" + (text if len(text) <= _LONG else ", ".join(name for name, _ in pairs) + left) + "}"
    text = ", ".join(shown(one, unit) for one in value[:_PRINTED]) + left
    if len(text) > _LONG:
        text = f"{len(value):,} {type(value[0]).__name__}"
    return f"[{text}]" if isinstance(value, list) else f"({text}{',' if len(value) == 1 else ''})"


_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
_READ_UNIT = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?inf)\s*(.*)", re.IGNORECASE)
_SCALED = ("ohm", "S", "V", "A", "W", "J", "s", "m", "Hz")


def quantity(value: float, unit: str, digits: int = 4) -> str:
    """A number with its unit and an SI prefix that suits it: `quantity(8.2e4, "ohm")` is "82 kohm"."""
    if not math.isfinite(value):
        return f"{value:.{digits}g} {unit}".rstrip()
    # Of the rounded number: 999.99 ohm prints as 1 kohm.
    rounded = float(f"{value:.{digits - 1}e}")
    scale, prefixed = scaled(rounded, unit)
    return f"{rounded / scale:.{digits}g} {prefixed}".rstrip()


def scaled(value: float, unit: str) -> tuple[float, str]:
    """What to divide numbers as large as `value` [unit] by, and the unit afterwards: (1e3, "kohm") for 8.2e4 ohm."""
    if unit not in _SCALED or value == 0 or not math.isfinite(value):
        return 1.0, unit
    exponent = 3 * math.floor(math.log10(abs(value)) / 3)
    exponent = min(max(exponent, min(_PREFIXES)), max(_PREFIXES))
    return 10.0**exponent, f"{_PREFIXES[exponent]}{unit}"


def as_quantity(value: Any, name: str, unit: str) -> float:
    """A number in SI units, or a text with one that fits: `as_quantity("7.06 kohm", "r_word", "ohm")` is 7060.0."""
    if not isinstance(value, str):
        if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
            raise ValueError(f"Argument `{name}` must be a number{unit and f' [{unit}]'}, but is {value!r}.")
        return float(value)
    found = _READ_UNIT.fullmatch(value.strip())
    if found is None:
        example = "0.5" if not unit else f'"2.5 {"k" if unit in _SCALED else ""}{unit}"'
        with_unit = unit and f" with a unit, e.g. {example}"
        raise ValueError(f"Argument `{name}` must be a number{with_unit}, but is {value!r}.")
    number, given = float(found[1]), found[2].replace("Ω", "ohm").replace("Ω", "ohm").replace("µ", "u")
    scales = {unit: 0}
    if unit in _SCALED:
        scales |= {prefix + unit: exponent for exponent, prefix in _PREFIXES.items()}
    if given == "%" and not unit:
        return number / 100
    if given not in ("", *scales):
        fits = f"in {unit}, e.g. {', '.join(list(scales)[4:8])}" if unit in _SCALED else unit and f"in {unit}"
        raise ValueError(f"Argument `{name}` must be {fits or 'a number without a unit'}, but {value!r} is in {given}.")
    # In decimals: 0.35 kohm is 350 ohm and not 350.00000000000006.
    return float(Decimal(found[1]).scaleb(scales.get(given, 0)))
