"""What can be set in the search for branch resistors, and what it means as a task."""

import warnings
from dataclasses import dataclass, field

import jax
import numpy as np

from qsynapse_jax._fields import quantity
from qsynapse_jax.cells import Resistor
from qsynapse_jax.codesign import SERIES, Bounded, LadderTask, Priorities
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.devices import Switch
from qsynapse_jax.studies._config import CellConfig, check_sizes


@dataclass(frozen=True)
class CodesignConfig:
    """Find branch resistors for given switches, spread and wires, by gradient through all of them."""

    cell: CellConfig = field(default_factory=lambda: CellConfig(bits=4, r_unit=8e3, r_on=400.0, r_off=400e3))
    tile_shape: tuple[int, ...] = (64, 64)
    """Word lines and bit lines of a tile; one number is a square tile."""
    r_word: float = 2.12
    """Word-line segment [ohm]; default 22 nm with a transistor per cell (NeuroSim V1.3 geometry)."""
    r_bit: float = 6.36
    """Bit-line segment [ohm], likewise."""
    sigma_on: float = 0.1
    """Spread of ln r_on from device to device."""
    sigma_off: float = 0.4
    """Spread of ln r_off from device to device."""
    sigma_r: float = 0.01
    """Relative mismatch of the smallest resistor; 2^k of it in series match 2^(k/2) times better."""
    r_min: float | None = None
    """Least resistor allowed [ohm]; a quarter of r_unit where not given."""
    r_max: float | None = None
    """Largest resistor allowed [ohm]; 64 times 2^(bits-1) r_unit where not given."""
    error: float = 1.0
    """How much the error of the weights counts: factor of its logarithm."""
    inl: float = 0.0
    """How much INL counts: factor of the mean squared INL of a cell alone [LSB^2]."""
    network: float = 1.0
    """How much the loss of the network counts: factor of its cross-entropy."""
    power: float = 0.0
    """How much read power counts, in units of what r_unit takes."""
    area: float = 0.0
    """How much resistor area counts, likewise."""
    dataset: str = "digits"
    """Data set of the network: digits (offline), mnist, fashion_mnist, or none."""
    hidden: tuple[int, ...] = (64,)
    """Hidden layer sizes of the network."""
    steps: int = 150
    """Steps of the search, each with new codes, devices and samples."""
    series: str | None = None
    """Round what was found to preferred numbers: E6, E12, E24, E48, E96 or E192."""
    increment: float | None = None
    """Round what was found to multiples of this [ohm]."""
    seed: int = 0
    """Seed of everything random."""

    def __post_init__(self):
        if self.series is not None and self.increment is not None:
            raise ValueError("Give either `series` or `increment`, not both.")
        if self.series is not None and self.series not in SERIES:
            raise ValueError(f"Argument `series` must be one of {', '.join(SERIES)}, but is {self.series!r}.")
        if self.increment is not None and not (np.isfinite(self.increment) and self.increment > 0):
            raise ValueError(f"Argument `increment` must be positive and finite [ohm], but is {self.increment}.")
        shape = self.tile_shape
        if len(shape) not in (1, 2) or min(shape) < 2 or shape[-1] % 2:
            raise ValueError(
                f"Argument `tile_shape` must be one or two integers of at least 2, bit lines even, but is {shape}."
            )
        object.__setattr__(self, "tile_shape", (shape[0], shape[-1]))
        check_sizes(self.hidden)
        if self.steps < 1:
            raise ValueError(f"Argument `steps` must be positive, but is {self.steps}.")
        # Built once here, so that what is wrong is said before any work.
        self.ladder_warning()
        self.start()
        self.priorities()

    def task(self) -> LadderTask:
        """What is given."""
        cell = self.cell
        return LadderTask(
            cell.bits,
            Switch(
                float(cell.r_on),
                float(cell.r_off),
                sigma_on_device=self.sigma_on,
                sigma_off_device=self.sigma_off,
            ),
            Resistor(sigma_unit=self.sigma_r),
            Wires(r_word=float(self.r_word), r_bit=float(self.r_bit)),
            (self.tile_shape[0], self.tile_shape[-1]),
        )

    def plain(self) -> jax.Array:
        """R, 2R, 4R, ... [ohm]."""
        return self.task().plain(float(self.cell.r_unit))

    def start(self) -> Bounded:
        """Where the search begins, and its bounds."""
        plain = self.plain()
        least, most = float(plain[0]), float(plain[-1])
        low = least / 4 if self.r_min is None else self.r_min
        high = 64 * most if self.r_max is None else self.r_max
        if not (0 < low <= least and most <= high < np.inf):
            ends = f"{quantity(least, 'ohm')} to {quantity(most, 'ohm')}"
            raise ValueError(
                f"Arguments `r_min` and `r_max` must enclose the plain ladder that the search begins with, {ends}, but "
                f"are {low:g} and {high:g} ohm: begin elsewhere with `--r-unit`."
            )
        return Bounded(plain, float(low), float(high))

    def priorities(self) -> Priorities:
        """What counts."""
        network = self.network if self.dataset != "none" else 0.0
        return Priorities(error=self.error, inl=self.inl, network=network, power=self.power, area=self.area)

    def ladder_warning(self) -> str | None:
        """What a plain ladder of these switches has to be warned of, if anything."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.cell.build()
        return str(caught[0].message) if caught else None

    def hardware(self) -> list[str]:
        """What is given, in words."""
        cell, start, warning = self.cell, self.start(), self.ladder_warning()
        on, off, least, most = (quantity(float(r), "ohm") for r in (cell.r_on, cell.r_off, start.low, start.high))
        shares = (f"{100 * s:.3g} %" for s in (self.sigma_on, self.sigma_off, self.sigma_r))
        return [
            f"switch: {on} on, {off} off (on/off {cell.r_off / cell.r_on:.4g})",
            "spread: {} on, {} off, {} R".format(*shares),
            f"wires:  {self.r_word:g} ohm per word-line segment, {self.r_bit:g} ohm per bit-line segment",
            f"tile:   {self.tile_shape[0]} word lines x {self.tile_shape[-1]} bit lines, "
            f"two {cell.bits}-bit ladders per weight",
            f"bounds: {least} to {most} for every resistor",
            *([f"note:   {warning}"] if warning else []),
        ]
