"""What can be set in the studies, and what it means in ohm and siemens."""

import dataclasses
import difflib
import math
import types
import typing
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qsynapse_jax._fields import quantity
from qsynapse_jax.cells import Differential, Ladder, Resistor
from qsynapse_jax.codesign import SERIES, Bounded, LadderTask, Priorities
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.devices import Switch
from qsynapse_jax.tile import Tile
from qsynapse_jax.training import Follow


@dataclass(frozen=True)
class CellConfig:
    """Quantized synapse: branches R, 2R, 4R, ... switched by two-level memory cells, two ladders per weight."""

    bits: int = 3
    """Branches of a ladder; a signed weight has 2^(bits+1) - 1 levels."""
    r_unit: float = 80e3
    """Smallest branch resistor R [ohm]."""
    r_on: float = 5e3
    """Switch that is on [ohm]."""
    r_off: float = 1e6
    """Switch that is off [ohm]."""

    def build(self) -> Differential:
        """The signed cell."""
        return Differential(Ladder(self.bits, self.r_unit, self.r_on, self.r_off))


@dataclass(frozen=True)
class NetworkConfig:
    """Train one network four ways: float, quantized with ideal wires, deployed on wires, through the circuit."""

    dataset: str = "digits"
    """digits (offline), mnist, fashion_mnist, or an .npz file of one's own: arrays x_train, y_train, x_test and y_test,
    inputs from -1 to 1 or bytes of pixels, classes from 0."""
    hidden: tuple[int, ...] | None = None
    """Hidden layer sizes; 64 for digits and one's own data and 256 for the larger sets where not given."""
    model: str | None = None
    """A network of one's own in place of dense layers, module:function or file.py:function. The function is called as
    function(shape, classes, rngs=rngs), with the shape of a sample, (8, 8, 1) for digits, and returns a flax.nnx model
    from inputs (batch, *shape) to logits (batch, classes)."""
    cell: CellConfig = field(default_factory=CellConfig)
    tile_shape: tuple[int, ...] = (64, 64)
    """Word lines and bit lines of a tile; one number is a square tile."""
    r_wire: float = 1.0
    """Resistance of a word-line and of a bit-line segment [ohm]."""
    r_word: float | None = None
    """Word-line segment, where it differs from r_wire [ohm]."""
    r_bit: float | None = None
    """Bit-line segment, where it differs from r_wire [ohm]."""
    epochs: int | None = None
    """Passes over the training set, for each network that is trained; 4 for mnist and fashion_mnist and 25 for
    others where not given. 0 trains nothing: a model that brings its weights goes on crossbars as it is."""
    batch_size: int | None = None
    """Samples per step; 1024 for mnist and fashion_mnist and 64 for others where not given."""
    learning_rate: float = 1e-2
    """Adam's learning rate at the start, on master weights in [-1, 1]; the float network has the same."""
    refresh: str = "follow"
    """Training through the circuit: follow (compiled when its measured error asks for it) or always (every step)."""
    tolerance: float = 0.01
    """Of follow: error of a current, as a share of the largest, that asks for it."""
    seed: int = 0
    """Seed of initial weights and sample order."""

    @classmethod
    def demo(cls, seed: int = 0) -> "NetworkConfig":
        """A network small enough for a minute, behind wires harsh enough to matter.

        Wires: 7-10 nm node with a transistor per cell, 7.06 ohm per cell along the word line and 21.2 ohm along the bit
        line, from the width, aspect ratio and resistivity in NeuroSim V1.3
        (github.com/neurosim/DNN_NeuroSim_V1.3, Param.cpp) and a cell of 4 x 12 wire widths.
        """
        cell = CellConfig(bits=3, r_unit=8e3, r_on=400.0, r_off=400e3)
        return cls(cell=cell, r_word=7.06, r_bit=21.2, seed=seed)

    def __post_init__(self):
        positive = {"batch_size": self.samples_per_step, "learning_rate": self.learning_rate}
        for name, value in positive.items():
            if not 0 < value < math.inf:
                raise ValueError(f"Argument `{name}` must be positive and finite, but is {value}.")
        check_sizes(self.hidden_sizes)
        check_model(self.model, self.hidden, self.passes)
        if len(self.tile_shape) not in (1, 2) or min(self.tile_shape) < 1:
            raise ValueError(f"Argument `tile_shape` must be one or two positive integers, but is {self.tile_shape}.")
        object.__setattr__(self, "tile_shape", (self.tile_shape[0], self.tile_shape[-1]))
        for name in ("r_wire", "r_word", "r_bit"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"Argument `{name}` must be non-negative and finite [ohm], but is {value}.")
        if self.refresh not in ("follow", "always"):
            raise ValueError(f"Argument `refresh` must be follow or always, but is {self.refresh!r}.")
        # Built once here, so that what is wrong with them is said before any training.
        self.follow()
        self.tile()

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """Hidden layer sizes, those that suit the data set where none were given."""
        return self._given(self.hidden, digits=(64,), larger=(256,))

    @property
    def passes(self) -> int:
        """Epochs, likewise."""
        return self._given(self.epochs, digits=25, larger=4)

    @property
    def samples_per_step(self) -> int:
        """Batch size, likewise."""
        return self._given(self.batch_size, digits=64, larger=1024)

    def _given(self, value: Any, *, digits: Any, larger: Any) -> Any:
        if value is not None:
            return value
        return larger if is_large(self.dataset) else digits

    def follow(self) -> Follow | str:
        """How circuits are trained through."""
        follow = Follow(tolerance=self.tolerance)
        return follow if self.refresh == "follow" else "always"

    def wires(self) -> Wires:
        """Wires of every tile."""
        r_word = self.r_wire if self.r_word is None else self.r_word
        r_bit = self.r_wire if self.r_bit is None else self.r_bit
        return Wires(r_word=float(r_word), r_bit=float(r_bit))

    def tile(self, *, ideal_wires: bool = False) -> Tile:
        """The tiles of every layer."""
        wires, (wl, bl) = None if ideal_wires else self.wires(), self.tile_shape
        tile = Tile(self.cell.build(), wires=wires, shape=(wl, bl))
        # Python's numbers are weakly typed until a network is trained: it would be compiled once more for that.
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype), tile)

    def hardware(self) -> list[str]:
        """The physical setting in words: wires, cell range, tiles."""
        cell, tile = self.cell, self.tile()
        ladder = Ladder(cell.bits, cell.r_unit, cell.r_on, cell.r_off)
        low, high = (float(g) for g in ladder.conductance(np.asarray(ladder.code_range))[0])
        largest = quantity(1 / low, "ohm") if low > 0 else "open"
        branches = ", ".join(quantity(2**k * cell.r_unit, "ohm") for k in range(cell.bits))
        r_word, r_bit = (float(getattr(self.wires(), name)) for name in ("r_word", "r_bit"))
        return [
            f"wires: {r_word:g} ohm per word-line segment, {r_bit:g} ohm per bit-line segment",
            f"cell:  two {cell.bits}-bit ladders per weight, branches {branches},",
            f"       switch {quantity(cell.r_on, 'ohm')} on, {quantity(cell.r_off, 'ohm')} off",
            f"       {1e6 * low:.3g} to {1e6 * high:.3g} uS ({quantity(1 / high, 'ohm', 3)} to {largest}) per ladder, "
            f"{2 ** (cell.bits + 1) - 1} signed levels",
            f"tile:  {tile.shape[0]} word lines x {tile.shape[1]} bit lines",
        ]


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
        self._ladder_warning()
        self.start()
        self.priorities()

    def task(self) -> LadderTask:
        """What is given."""
        cell = self.cell
        return LadderTask(
            cell.bits,
            Switch(float(cell.r_on), float(cell.r_off), sigma_on_device=self.sigma_on, sigma_off_device=self.sigma_off),
            Resistor(sigma_unit=self.sigma_r),
            Wires(r_word=float(self.r_word), r_bit=float(self.r_bit)),
            (self.tile_shape[0], self.tile_shape[-1]),
        )

    def start(self) -> Bounded:
        """Where the search begins, and its bounds."""
        plain = self.task().plain(float(self.cell.r_unit))
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

    def _ladder_warning(self) -> str | None:
        """What a plain ladder of these switches has to be warned of, if anything."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.cell.build()
        return str(caught[0].message) if caught else None

    def hardware(self) -> list[str]:
        """What is given, in words."""
        cell, start, warning = self.cell, self.start(), self._ladder_warning()
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


def is_large(dataset: str) -> bool:
    """Whether a set has tens of thousands of samples, for which other sizes suit."""
    return dataset.replace("-", "_") in ("mnist", "fashion_mnist", "fashion")


def check_sizes(hidden: tuple[int, ...]) -> None:
    """Layers hold at least one unit each."""
    if min(hidden, default=1) < 1:
        raise ValueError(f"Argument `hidden` must hold positive layer sizes, but is {hidden}.")


def check_model(model: str | None, hidden: tuple[int, ...] | None, epochs: int) -> None:
    """A model of one's own has its own layers, and may bring its weights."""
    if model is not None and hidden is not None:
        raise ValueError(
            f"Argument `hidden` must be left out where `model` is given, which has layers of its own, but is {hidden}."
        )
    if epochs < 0 or (epochs == 0 and model is None):
        may = ", or 0 with a `model` that brings its weights" if epochs == 0 else ""
        raise ValueError(f"Argument `epochs` must be positive{may}, but is {epochs}.")


def read_config(kind: type, content: Any, path: Path) -> Any:
    """A configuration from the JSON values of a record at `path`, or a `ValueError` that names the setting."""
    return _read(kind, content, path, {})


def read_settings(kind: type, content: Any, path: Path) -> Any:
    """A configuration from some of its settings, as in a file that a person wrote; the others are the defaults.

    Raises:
        ValueError: a setting that is not there, with the nearest that is, or one that cannot be.
    """
    return _read(kind, content, path, {one.name: one for one in dataclasses.fields(kind)})


def _read(kind: type, content: Any, path: Path, defaults: Mapping[str, Any]) -> Any:
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no configuration: {content!r:.60} is no object.")
    hints = typing.get_type_hints(kind)
    odd = sorted(content.keys() - hints.keys()) or sorted(hints.keys() - content.keys() - defaults.keys())
    if odd:
        close = difflib.get_close_matches(odd[0], hints, n=1) if odd[0] in content else []
        hint = f" Did you mean `{close[0]}`?" if close else ""
        raise ValueError(f"{path} holds no configuration of this study: `{odd[0]}` is unknown or missing.{hint}")
    some = bool(defaults)
    values = {name: _read_value(hints[name], content[name], name, path, some=some) for name in content}
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} holds a configuration that cannot be: {error}") from None


def _read_value(hint: Any, value: Any, name: str, path: Path, *, some: bool) -> Any:
    if dataclasses.is_dataclass(hint):
        return (read_settings if some else read_config)(typing.cast(type, hint), value, path)
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_read_value(typing.get_args(hint)[0], part, name, path, some=some) for part in value)
    if hint is float and value in ("inf", "-inf", "nan"):
        return float(value)
    wanted = (int, float) if hint is float else hint
    if not isinstance(wanted, type | tuple) or not isinstance(value, wanted) or isinstance(value, bool):
        raise ValueError(f"{path} holds a configuration that cannot be: `{name}` is {value!r:.60}.")
    # A whole number is one, too: "2" of a person, "2.0" of a record.
    return float(value) if hint is float else value
