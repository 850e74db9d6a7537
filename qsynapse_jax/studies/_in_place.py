"""What a network that learns in place can be made of: devices and rules by name, a line each."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from qsynapse_jax import devices
from qsynapse_jax.devices import presets
from qsynapse_jax.training import rules


class InPlaceRule(NamedTuple):
    """A rule that a network can learn by.

    Attributes:
        rule: its class; the first argument is the learning rate. Options it has no argument for are refused.
        gains: of the arrays of a matrix, unless others are given.
        arrays: what the arrays are called, where they have names.
        is_open: whether there may be more arrays than that.
        unused: arguments of the class that are left at their defaults.
    """

    rule: Callable[..., Any]
    gains: tuple[float, ...]
    arrays: tuple[str, ...] = ()
    is_open: bool = False
    unused: tuple[str, ...] = ()

    def has(self, option: str) -> bool:
        """Whether the rule has an argument of that name."""
        kind: Any = self.rule
        return any(one.name == option for one in dataclasses.fields(kind)) and option not in self.unused


_TWO = ("fast array", "slow array")
RULES = {
    "sgd": InPlaceRule(rules.AnalogSGD, (1.0,)),
    "coarse-to-fine": InPlaceRule(rules.CoarseToFine, (1.0, 0.04), is_open=True),
    "tiki-taka": InPlaceRule(rules.TikiTaka, (0.0, 1.0), _TWO),
    "agad": InPlaceRule(rules.AGAD, (0.0, 1.0), _TWO),
    "residual": InPlaceRule(rules.ResidualLearning, (0.1, 1.0), is_open=True, unused=("switch",)),
    "rider": InPlaceRule(rules.RIDER, (0.1, 1.0, 0.1), ("fast array", "slow array", "reference array")),
    "mixed-precision": InPlaceRule(rules.MixedPrecision, (1.0,)),
}
# Devices that are a law and nothing else; their numbers are the user's.
LAWS: dict[str, Callable[..., Any]] = {
    "soft-bounds": devices.SoftBounds,
    "linear": devices.LinearStep,
    "constant": devices.ConstantStep,
    "exponential": devices.ExpStep,
    "power": devices.PowStep,
}


def _is_pulsed(make: Callable[..., Any]) -> bool:
    made = inspect.signature(make).return_annotation
    return make.__module__ == presets.__name__ and isinstance(made, type) and issubclass(made, devices.AbstractPulsed)


# Devices with the numbers of a technology: every function of `devices.presets` that makes one that is pulsed.
PRESETS: dict[str, Callable[..., Any]] = {
    name.replace("_", "-"): make for name, make in inspect.getmembers(presets, inspect.isfunction) if _is_pulsed(make)
}
# What the numbers of a device are called, and what those of a law are where nothing is said.
_NUMBERS = {
    "spread": ("dw_min_dtod", "w_min_dtod", "w_max_dtod"),
    "asymmetry": ("up_down_dtod",),
    "noise": ("dw_min_std",),
}
_USUAL = {"states": 50.0, "spread": 0.2, "asymmetry": 0.1, "noise": 0.0}


def known(name: str, among: Mapping[str, Any], argument: str, more: str = "") -> str:
    """The name as it stands in a table, or a `ValueError` with the one that was meant."""
    plain = name.lower().replace("_", "-")
    if plain in among:
        return plain
    close = get_close_matches(plain, among, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"Argument `{argument}` must be one of {', '.join(among)}{more}, but is {name!r}.{hint}")


def build_device(name: str, given: Mapping[str, float | None]) -> Any:
    """A device by name, or one that follows a file of measured curves (.csv).

    Args:
        name: a law, a preset or a path.
        given: numbers in place of its own: states or dw_min, spread, asymmetry, noise; `None` for its own.

    Raises:
        ValueError: an unknown name; numbers out of range; both states and dw_min, or either of measured curves.
    """
    numbers = {key: value for key, value in given.items() if value is not None}
    if {"states", "dw_min"} <= numbers.keys():
        raise ValueError("Arguments `states` and `dw_min` say the same; give one of them.")
    if name.lower().endswith(".csv"):
        if odd := sorted({"states", "dw_min"} & numbers.keys()):
            raise ValueError(f"Argument `{odd[0]}` cannot be set for {name}, whose curves say how large a step is.")
        if not Path(name).is_file():
            raise ValueError(f"Argument `device` must be a file of measured curves, but {name} does not exist.")
        table = devices.read_pulses(Path(name))
        return devices.MeasuredStep(table, **_changes(numbers))
    name = known(name, {**LAWS, **PRESETS}, "device", ", or a .csv file of conductance against pulse number")
    if name in LAWS:
        usual = {key: value for key, value in _USUAL.items() if key != "states" or "dw_min" not in numbers}
        numbers = usual | numbers
    make = LAWS.get(name) or PRESETS[name]
    changes = _changes(numbers)
    if "states" in numbers:
        if not numbers["states"] >= 2:
            raise ValueError(f"Argument `states` must be at least 2, but is {numbers['states']:g}.")
        own = make()
        changes["dw_min"] = float(own.w_max - own.w_min) / numbers["states"]
    return make(**changes)


def _changes(numbers: Mapping[str, float]) -> dict[str, Any]:
    changes: dict[str, Any] = {key: numbers["dw_min"] for key in ("dw_min",) if key in numbers}
    for key, names in _NUMBERS.items():
        if key in numbers:
            if not 0 <= numbers[key] < float("inf"):
                raise ValueError(f"Argument `{key}` must be non-negative and finite, but is {numbers[key]:g}.")
            changes |= dict.fromkeys(names, numbers[key])
    return changes
