"""Measured curves of conductance against pulse number, and what of them is spread and what is noise."""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qsynapse_jax._fields import described

_UNITS = {"S": 1.0, "mS": 1e-3, "uS": 1e-6, "nS": 1e-9}
_UP = {"up", "+", "1", "+1", "ltp", "potentiation", "set"}
_DOWN = {"down", "-", "-1", "0", "ltd", "depression", "reset"}
# No memory element conducts more; a number above it is in other units.
_MOST = 1.0


@dataclass(frozen=True, eq=False)
class PulseTable:
    """Conductance against pulse number, up from the lowest and down from the highest.

    Curves begin with the conductance before the first pulse. What is made of a table needs mean curves, over devices
    and cycles, that do not turn back; equal neighbors, which a meter of few digits finds, are allowed.

    Args:
        g_up: conductances [S] after 0, 1, ... pulses up: (pulses,), (cycles, pulses) or (devices, cycles, pulses).
        g_down: after 0, 1, ... pulses down, likewise; the number of pulses may differ.

    Raises:
        ValueError: fewer than two pulses; numbers that are not positive and finite, the message names the first.
    """

    g_up: Any = field(metadata={"unit": "S"})
    g_down: Any = field(metadata={"unit": "S"})

    __repr__ = described

    def __post_init__(self):
        for name in ("g_up", "g_down"):
            g = np.asarray(getattr(self, name), float)
            if g.ndim not in (1, 2, 3) or g.size == 0 or g.shape[-1] < 3:
                raise ValueError(
                    f"Argument `{name}` must hold a conductance before and after each of two pulses or more, shape "
                    f"(devices, cycles, pulses), but has shape {g.shape}."
                )
            g = g.reshape((1,) * (3 - g.ndim) + g.shape)
            bad = ~(np.isfinite(g) & (g > 0))
            if bad.any():
                device, cycle, pulse = (int(i) for i in np.argwhere(bad)[0])
                raise ValueError(
                    f"Argument `{name}` must be positive and finite, but is {g[device, cycle, pulse]:g} S at pulse "
                    f"{pulse} of device {device}, cycle {cycle}; leave that cycle out, or measure it again."
                )
            object.__setattr__(self, name, g)
        if self.g_up.shape[:2] != self.g_down.shape[:2]:
            raise ValueError(
                "Arguments `g_up` and `g_down` must be of the same devices and cycles, but have shapes "
                f"{self.g_up.shape} and {self.g_down.shape}."
            )

    def check_monotone(self) -> None:
        """Raises a `ValueError` that names the pulse at which a mean curve turns back."""
        for name, sign in (("g_up", 1), ("g_down", -1)):
            mean = getattr(self, name).mean((0, 1))
            # Not what rounding of a mean leaves of a level part.
            wrong = np.flatnonzero(sign * np.diff(mean) < -1e-9 * np.ptp(mean))
            if wrong.size or mean[0] == mean[-1]:
                k = int(wrong[0]) + 1 if wrong.size else len(mean) - 1
                raise ValueError(
                    f"Argument `{name}` must {'rise' if sign > 0 else 'fall'} with the pulses, in the mean of all "
                    f"curves, but goes from {mean[k - 1]:g} S to {mean[k]:g} S at pulse {k}; use `table.isotonic()` "
                    "for the nearest curves that do, or measure more cycles."
                )

    def isotonic(self) -> "PulseTable":
        """The table with its mean curves replaced by the nearest monotone ones; deviations from the mean stay."""
        shifted = []
        for g, sign in ((self.g_up, 1), (self.g_down, -1)):
            mean = g.mean((0, 1))
            shifted.append(g + sign * _isotonic(sign * mean) - mean)
        return PulseTable(*shifted)

    @property
    def curves(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean curves up and down [S]."""
        return self.g_up.mean((0, 1)), self.g_down.mean((0, 1))

    def spreads(self) -> dict[str, float]:
        """What differs from device to device and cycle to cycle, in weights -1 to 1 over the range of the mean curves.

        - Bounds: ends of the mean curves of each device. Steps: half of its range by the pulses that it takes.
        - Noise: increments against their mean over the cycles of a device. What one increment has too much and the next
          one too little was in the reading (`write_noise_std`), the rest in the step (`dw_min_std`).

        All in the units of the arguments of that name, for a `dw_min` of the mean step (`dw_min`).
        """
        low, high = min(g.min() for g in self.curves), max(g.max() for g in self.curves)
        ups, downs = (2 * (g - low) / (high - low) - 1 for g in (self.g_up, self.g_down))
        mean = [w.mean((0, 1)) for w in (ups, downs)]
        dw_min = sum(abs(m[-1] - m[0]) for m in mean) / sum(len(m) - 1 for m in mean)
        found: dict[str, Any] = {"dw_min": dw_min}
        devices, cycles = ups.shape[:2]
        if devices > 1:
            own = [w.mean(1) for w in (ups, downs)]
            found["w_max_dtod"] = np.std(np.maximum(own[0].max(1), own[1].max(1)), ddof=1)
            found["w_min_dtod"] = np.std(np.minimum(own[0].min(1), own[1].min(1)), ddof=1)
            gains = np.asarray([[_pace(w) / _pace(m) for w in o] for m, o in zip(mean, own, strict=True)])
            found["dw_min_dtod"] = np.std(gains.mean(0), ddof=1)
            found["up_down_dtod"] = np.std((gains[0] - gains[1]) / 2, ddof=1)
        if cycles > 1:
            own = [np.diff(w - w.mean(1, keepdims=True)) for w in (ups, downs)]
            few = cycles / (cycles - 1)
            variance = few * np.mean(np.concatenate([w.ravel() ** 2 for w in own]))
            neighbors = few * np.mean(np.concatenate([(w[..., 1:] * w[..., :-1]).ravel() for w in own]))
            reading = min(max(-neighbors, 0.0), variance / 2)
            found["dw_min_std"] = np.sqrt(variance - 2 * reading) / dw_min
            found["write_noise_std"] = np.sqrt(reading) / dw_min
        return {name: float(value) for name, value in found.items()}


def _pace(w: np.ndarray) -> float:
    """Mean step of a curve on the first half of its way."""
    way = (w - w[0]) / (w[-1] - w[0])
    k = max(int(np.argmax(way >= 0.5)), 1)
    step = way[k] - way[k - 1]
    pulses = k - (way[k] - 0.5) / step if step > 0 else float(k)
    return abs(w[-1] - w[0]) / 2 / max(pulses, 0.5)


def _isotonic(values: np.ndarray) -> np.ndarray:
    """The nearest rising numbers in least squares: neighbors in the wrong order are replaced by their mean."""
    means: list[float] = []
    sizes: list[int] = []
    for value in values:
        means.append(float(value))
        sizes.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            size = sizes[-2] + sizes[-1]
            means[-2:] = [(means[-2] * sizes[-2] + means[-1] * sizes[-1]) / size]
            sizes[-2:] = [size]
    return np.repeat(means, sizes)


def read_pulses(path: str | Path, *, unit: str = "S", isotonic: bool = False) -> PulseTable:
    """Curves of conductance against pulse number from a CSV file with a header.

    Two forms. One curve up and one down, pulse by pulse, with columns `pulse, g_up, g_down` and, where there are
    several, `device` and `cycle`. Or one conductance per row, with columns `pulse, direction, conductance` and,
    likewise, `device` and `cycle`; the direction is up or down, + or -, LTP or LTD, set or reset. The first pulse of a
    curve, 0 or 1, is where it begins. Names of devices and cycles are free; rows may come in any order.

    Args:
        path: of the file.
        unit: of the conductances, "S", "mS", "uS" or "nS".
        isotonic: replaces mean curves that turn back by the nearest ones that do not.

    Returns:
        The table [S].

    Raises:
        ValueError: columns that are missing, cells that are no numbers, curves with gaps, mean curves that turn back;
            the message names the row, counted as in an editor.
    """
    if unit not in _UNITS:
        raise ValueError(f"Argument `unit` must be one of {', '.join(_UNITS)}, but is {unit!r}.")
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        names = [(name or "").strip().lower() for name in reader.fieldnames or []]
        reader.fieldnames = names
        is_wide = {"pulse", "g_up", "g_down"} <= set(names)
        if not is_wide and not {"pulse", "direction", "conductance"} <= set(names):
            raise ValueError(
                f"{path}: row 1 must name the columns pulse, g_up, g_down, or pulse, direction, conductance, and "
                f"device and cycle where there are several, but names {', '.join(names) or 'none'}."
            )
        found: dict[bool, dict[tuple[str, str], dict[int, tuple[float, int]]]] = {True: {}, False: {}}
        for row in reader:
            line = reader.line_num
            owner = (row.get("device") or "", row.get("cycle") or "")
            pulse = _number(row["pulse"], path, line, "pulse")
            if pulse != int(pulse) or pulse < 0:
                raise ValueError(
                    f"{path}: row {line}: the pulse must be whole and not negative, but is {row['pulse']!r}."
                )
            for is_up, text in _cells(row, is_wide, path, line):
                g = _number(text, path, line, "conductance") * _UNITS[unit]
                if not 0 < g < _MOST:
                    raise ValueError(
                        f"{path}: row {line}: the conductance must be above 0 and below {_MOST:g} S, but is {g:g} S; "
                        "pass `unit=` where the file has other units."
                    )
                curve = found[is_up].setdefault(owner, {})
                if int(pulse) in curve:
                    raise ValueError(
                        f"{path}: row {line}: the conductance of this pulse stands in row {curve[int(pulse)][1]} too; "
                        "number the cycles in a column `cycle`."
                    )
                curve[int(pulse)] = g, line
    up, down = (_stacked(found[is_up], path, name) for is_up, name in ((True, "up"), (False, "down")))
    table = PulseTable(up, down)
    if isotonic:
        return table.isotonic()
    for is_up, mean in zip((True, False), table.curves, strict=True):
        sign = 1 if is_up else -1
        if (wrong := np.flatnonzero(sign * np.diff(mean) < 0)).size:
            # The row to look at: of the curve that turns back most there.
            pulses = [sorted(curve.items())[wrong[0] : wrong[0] + 2] for curve in found[is_up].values()]
            _, (pulse, (_, line)) = min(pulses, key=lambda pair: sign * (pair[1][1][0] - pair[0][1][0]))
            raise ValueError(
                f"{path}: row {line}: the conductance must {'rise' if is_up else 'fall'} with pulses "
                f"{'up' if is_up else 'down'}, but goes from {mean[wrong[0]]:g} S to {mean[wrong[0] + 1]:g} S at "
                f"pulse {pulse}{', in the mean of all curves' if len(pulses) > 1 else ''}; pass `isotonic=True` for "
                "the nearest curves that do, or measure more cycles."
            )
    return table


def _cells(row: dict[str, str], is_wide: bool, path: Any, line: int) -> list[tuple[bool, str]]:
    """Direction and text of the conductances of a row; a curve that has ended leaves its cell empty."""
    if is_wide:
        both = [(True, row["g_up"]), (False, row["g_down"])]
        return [(is_up, text) for is_up, text in both if text is not None and text.strip()]
    direction = (row["direction"] or "").strip().lower()
    if direction not in _UP | _DOWN:
        raise ValueError(f"{path}: row {line}: the direction must be up or down, but is {row['direction']!r}.")
    return [(direction in _UP, row["conductance"])]


def _number(text: str | None, path: Any, line: int, what: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ValueError(f"{path}: row {line}: the {what} must be a finite number, but is {text!r}; leave it out.")
    return value


def _stacked(curves: dict[tuple[str, str], dict[int, tuple[float, int]]], path: Any, name: str) -> np.ndarray:
    """Curves of all devices and cycles as one array; none has gaps, all have the same pulses."""
    if not curves:
        raise ValueError(f"{path}: there is no curve {name}; a device needs one up and one down.")
    devices = list(dict.fromkeys(device for device, _ in curves))
    cycles: dict[str, list[str]] = {device: [c for d, c in curves if d == device] for device in devices}
    pulses = sorted(next(iter(curves.values())))
    for (device, cycle), curve in curves.items():
        where = f"{path}: the curve {name} of device {device or 'one'}, cycle {cycle or 'one'}"
        if sorted(curve) != pulses or pulses != list(range(pulses[0], pulses[0] + len(pulses))):
            raise ValueError(
                f"{where} must have pulses {pulses[0]} to {pulses[0] + len(pulses) - 1} one by one as the others, but "
                f"has {len(curve)} from {min(curve)} to {max(curve)}; cut all curves to what they share."
            )
        if len(cycles[device]) != len(cycles[devices[0]]):
            raise ValueError(f"{where}: all devices must have as many cycles; leave out what is too much.")
    return np.asarray([[[curves[d, c][p][0] for p in pulses] for c in cycles[d]] for d in devices])
