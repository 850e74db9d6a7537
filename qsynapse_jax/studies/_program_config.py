"""What can be set of an array that is written to precise levels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from qsynapse_jax._fields import as_quantity, as_whole, quantity
from qsynapse_jax.crossbar import read_map
from qsynapse_jax.devices import TelegraphFilament
from qsynapse_jax.programming import Denoise

# Between two averages of a conductance that is followed [s]: a thousand of them take as long as the slowest traps.
_INTERVAL = 1e-3
_UNITS = {"low": "S", "high": "S", "trap_amplitude": "S", "t_read": "s"}


@dataclass(frozen=True)
class ProgramConfig:
    """Write an array of cells that fluctuate to precise levels, denoise them, and read what became of it."""

    levels: int = 2048
    """Levels from low to high, equally far apart; every cell gets one of them at random."""
    array: tuple[int, ...] = (256, 256)
    """Word lines and bit lines; one number is a square array."""
    low: float | str = "50uS"
    """The lowest level [S]."""
    high: float | str = "4144uS"
    """The highest level [S]."""
    target: Path | None = None
    """File with the conductance that every cell shall have, in place of random levels: .csv, .txt, .npy, .npz or .mat,
    a row per word line. Its shape is that of the array."""
    unit: str = "S"
    """Of the numbers of that file: S, mS, uS, nS, ohm, kohm or Mohm."""
    tolerance: float = 0.5
    """Half width of the band around a target, in distances between levels, at most 0.5."""
    separation: float = 6.0
    """Standard deviations of its reads that the band of a cell must hold."""
    denoising: int = 50
    """The most pulses per cell that only calm it; 0 leaves cells as they fluctuate."""
    max_pulses: int = 300
    """The most pulses per cell of each of the two stages."""
    reads: int = 32
    """Reads that measure the fluctuation of a cell, and as many of every cell in the end."""
    trap_amplitude: float | str = "0.8uS"
    """What the median incomplete channel conducts [S]."""
    trap_density: float = 0.75
    """Probability that each of the four incomplete channels of a cell is there."""
    window: tuple[float | str, float | str] = ("50uS", "4144uS")
    """The lowest and the highest conductance that the device can be written to [S]."""
    t_read: float | str = "10us"
    """Duration of a read, over which it averages [s]."""
    seed: int = 0
    """Seed of the devices, their targets and their noise."""

    def __post_init__(self):
        for name, unit in _UNITS.items():
            object.__setattr__(self, name, as_quantity(getattr(self, name), name, unit))
        object.__setattr__(self, "window", tuple(as_quantity(end, "window", "S") for end in self.window))
        as_whole(self.levels, "levels", 2)
        as_whole(self.reads, "reads", 2)
        if self.target is None:
            if len(self.array) not in (1, 2) or min(self.array) < 1:
                raise ValueError(f"Argument `array` must be one or two positive integers, but is {self.array}.")
            object.__setattr__(self, "array", (self.array[0], self.array[-1]))
        low, high = self.range
        bottom, top = (quantity(float(end), "S") for end in self.window)
        for name, level in (("low", low), ("high", high)):
            if not float(self.window[0]) <= level <= float(self.window[1]):
                raise ValueError(
                    f"Argument `{name}` must lie in the window of the device, {bottom} to {top}, but is "
                    f"{quantity(level, 'S')}; set `window` to what your device can be."
                )
        if not low < high:
            raise ValueError(
                f"Argument `low` must be below `high` = {quantity(high, 'S')}, but is {quantity(low, 'S')}."
            )
        target = self.given() if self.target is not None else jnp.asarray([low, high])
        if self.target is not None:
            object.__setattr__(self, "array", target.shape)
        # What the device or the scheme cannot do is said before any work.
        try:
            self.scheme().bands(self.device(), target, self.step, 0.0)
        except ValueError as error:
            if "`step`" not in str(error):
                raise
            raise ValueError(f"{self.levels:,} levels are {quantity(self.step, 'S')} apart. {error}") from None

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest level [S]."""
        return float(self.low), float(self.high)

    @property
    def step(self) -> float:
        """Distance of neighboring levels [S]."""
        return (self.range[1] - self.range[0]) / (self.levels - 1)

    @property
    def interval(self) -> float:
        """Between two averages of a conductance that is followed [s]."""
        return max(_INTERVAL, float(self.t_read))

    def device(self) -> TelegraphFilament:
        """What is written."""
        numbers: dict[str, Any] = {"amplitude": self.trap_amplitude, "density": self.trap_density}
        numbers |= {"g_min": self.window[0], "g_max": self.window[1], "t_read": self.t_read}
        return TelegraphFilament(**numbers)

    def scheme(self, *, denoising: int | None = None) -> Denoise:
        """How it is written; `denoising` in place of what is asked."""
        most = self.denoising if denoising is None else denoising
        return Denoise(
            tolerance=self.tolerance,
            separation=self.separation,
            reads=self.reads,
            denoising=float(most),
            max_pulses=self.max_pulses,
        )

    def targets(self) -> jax.Array:
        """What every cell shall conduct [S]."""
        if self.target is not None:
            return self.given()
        codes = jax.random.randint(jax.random.fold_in(jax.random.key(self.seed), 1), self.array, 0, self.levels)
        return self.range[0] + self.step * codes.astype(float)

    def given(self) -> jax.Array:
        """The targets of the file."""
        return jnp.asarray(read_map(Path(str(self.target)), self.unit))

    def hardware(self) -> list[str]:
        """The setting in words."""
        low, high, step, amplitude, t_read = (
            quantity(x, unit)
            for x, unit in (
                (self.range[0], "S"),
                (self.range[1], "S"),
                (self.step, "S"),
                (float(self.trap_amplitude), "S"),
                (float(self.t_read), "s"),
            )
        )
        return [
            f"array:  {self.array[0]} x {self.array[1]} cells, "
            + (f"targets of {self.target}" if self.target is not None else "each at a random level"),
            f"levels: {self.levels:,} from {low} to {high}, {step} apart; tolerance {self.tolerance:g} of that",
            f"cells:  up to four incomplete channels, density {self.trap_density:g}, median amplitude {amplitude}",
            f"reads:  {t_read}, {self.reads} per measurement; {self.separation:g} standard deviations in a band",
        ]
