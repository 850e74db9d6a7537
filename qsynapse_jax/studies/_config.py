"""What can be set in the four-way comparison, and what it means in ohm and siemens."""

import dataclasses
import math
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qsynapse_jax._fields import quantity
from qsynapse_jax.cells import Differential, Ladder
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.studies._record import RecordError
from qsynapse_jax.tile import Tile


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
    """digits (offline), mnist or fashion_mnist."""
    hidden: tuple[int, ...] | None = None
    """Hidden layer sizes; 64 for digits and 256 for the larger sets where not given."""
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
    """Passes over the training set, for each network that is trained; 25 for digits and 4 for the larger sets where
    not given."""
    batch_size: int | None = None
    """Samples per step; 64 for digits and 1024 for the larger sets where not given."""
    learning_rate: float = 1e-2
    """Adam's learning rate at the start, on master weights in [-1, 1]; the float network has the same."""
    seed: int = 0
    """Seed of initial weights and sample order."""

    def __post_init__(self):
        positive = {
            "epochs": self.passes,
            "batch_size": self.samples_per_step,
            "learning_rate": self.learning_rate,
        }
        for name, value in positive.items():
            if not 0 < value < math.inf:
                raise ValueError(f"Argument `{name}` must be positive and finite, but is {value}.")
        check_sizes(self.hidden_sizes)
        if len(self.tile_shape) not in (1, 2) or min(self.tile_shape) < 1:
            raise ValueError(f"Argument `tile_shape` must be one or two positive integers, but is {self.tile_shape}.")
        object.__setattr__(self, "tile_shape", (self.tile_shape[0], self.tile_shape[-1]))
        for name in ("r_wire", "r_word", "r_bit"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"Argument `{name}` must be non-negative and finite [ohm], but is {value}.")
        # Built once here, so that what is wrong with the cell or the tile is said before any training.
        self.tile()

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """Hidden layer sizes, the data set's own where none were given."""
        if self.hidden is not None:
            return self.hidden
        return (64,) if self.dataset == "digits" else (256,)

    @property
    def passes(self) -> int:
        """Epochs, the data set's own where none were given."""
        if self.epochs is not None:
            return self.epochs
        return 25 if self.dataset == "digits" else 4

    @property
    def samples_per_step(self) -> int:
        """Batch size, the data set's own where none was given."""
        if self.batch_size is not None:
            return self.batch_size
        return 64 if self.dataset == "digits" else 1024

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


DEMO: dict[str, Any] = {
    "dataset": "digits",
    "cell": CellConfig(bits=3, r_unit=8e3, r_on=400.0, r_off=400e3),
    "tile_shape": (64, 64),
    "r_word": 7.06,
    "r_bit": 21.2,
}
"""A network small enough for a minute, behind wires harsh enough to matter.

Wires: 7-10 nm node with a transistor per cell, 7.06 ohm per cell along the word line and 21.2 ohm along the bit line,
from the width, aspect ratio and resistivity in NeuroSim V1.3 (github.com/neurosim/DNN_NeuroSim_V1.3, Param.cpp)
and a cell of 4 x 12 wire widths.
"""


def check_sizes(hidden: tuple[int, ...]) -> None:
    """Layers hold at least one unit each."""
    if min(hidden, default=1) < 1:
        raise ValueError(f"Argument `hidden` must hold positive layer sizes, but is {hidden}.")


def read_config(kind: type, content: Any, path: Path) -> Any:
    """A configuration from the JSON values of a record at `path`, or a `RecordError` that names the setting."""
    if not isinstance(content, dict):
        raise RecordError(f"{path} holds no configuration: {content!r:.60} is no object.")
    hints = typing.get_type_hints(kind)
    names = [one.name for one in dataclasses.fields(kind)]
    odd = sorted(set(content) ^ set(names))
    if odd:
        raise RecordError(f"{path} holds no configuration of this study: `{odd[0]}` is unknown or missing.")
    values = {name: _read_value(hints[name], content[name], name, path) for name in names}
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise RecordError(f"{path} holds a configuration that cannot be: {error}") from None


def _read_value(hint: Any, value: Any, name: str, path: Path) -> Any:
    if dataclasses.is_dataclass(hint):
        return read_config(typing.cast(type, hint), value, path)
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_read_value(typing.get_args(hint)[0], part, name, path) for part in value)
    if hint is float and value in ("inf", "-inf", "nan"):
        return float(value)
    wanted = (int, float) if hint is float else hint
    if not isinstance(wanted, type | tuple) or not isinstance(value, wanted) or isinstance(value, bool):
        raise RecordError(f"{path} holds a configuration that cannot be: `{name}` is {value!r:.60}.")
    return value
