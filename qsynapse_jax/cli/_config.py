"""What can be set from the command line, and what it means in ohm and siemens."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from qsynapse_jax.cells import Differential, Ladder
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.tile import TiledArray


@dataclass(frozen=True)
class CellConfig:
    """Quantized synapse: branches R, 2R, 4R, ... switched by two-level memory cells, two ladders a weight."""

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
class StudyConfig:
    """Train one network four ways: float, quantized with ideal wires, deployed on wires, through the circuit."""

    dataset: str = "digits"
    """digits (offline), mnist or fashion_mnist."""
    hidden: tuple[int, ...] | None = None
    """Hidden layer sizes; 64 for digits and 256 for the larger sets where not given."""
    cell: Annotated[CellConfig, tyro.conf.arg(name="")] = field(default_factory=CellConfig)
    tile: tuple[int, ...] = (64, 64)
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
    """Samples a step; 64 for digits and 1024 for the larger sets where not given."""
    learning_rate: float = 1e-2
    """Adam's learning rate at the start, on master weights in [-1, 1]; the float network has the same."""
    seed: int = 0
    """Seed of initial weights and sample order."""
    out: Path = Path("runs/train")
    """Folder for result.json, the weights and the pictures."""

    def __post_init__(self):
        positive = {"epochs": self.passes, "batch_size": self.samples_a_step, "learning_rate": self.learning_rate}
        for name, value in positive.items():
            if not value > 0:
                raise ValueError(f"Argument `{name}` must be positive, but is {value}.")
        if min(self.hidden_sizes, default=1) < 1:
            raise ValueError(f"Argument `hidden` must hold positive layer sizes, but is {self.hidden}.")
        if len(self.tile) not in (1, 2) or min(self.tile) < 1:
            raise ValueError(f"Argument `tile` must be one or two positive integers, but is {self.tile}.")
        for name in ("r_wire", "r_word", "r_bit"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"Argument `{name}` must be non-negative and finite [ohm], but is {value}.")
        # Built once here, so that what is wrong with the cell or the tile is said before any training.
        TiledArray(self.cell.build(), self.wires(), self.tile_shape())

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
    def samples_a_step(self) -> int:
        """Batch size, the data set's own where none was given."""
        if self.batch_size is not None:
            return self.batch_size
        return 64 if self.dataset == "digits" else 1024

    def wires(self) -> Wires:
        """Wires of every tile."""
        r_word = self.r_wire if self.r_word is None else self.r_word
        r_bit = self.r_wire if self.r_bit is None else self.r_bit
        return Wires(r_word=float(r_word), r_bit=float(r_bit))

    def tile_shape(self) -> tuple[int, int]:
        """Word lines and bit lines of a tile."""
        return (self.tile[0], self.tile[-1])


DEMO: dict[str, Any] = {
    "dataset": "digits",
    "cell": CellConfig(bits=3, r_unit=8e3, r_on=400.0, r_off=400e3),
    "tile": (64, 64),
    "r_word": 7.06,
    "r_bit": 21.2,
}
"""A network small enough for a minute, behind wires harsh enough to matter.

Wires: 7-10 nm node with a transistor a cell, 7.06 ohm a cell along the word line and 21.2 ohm along the bit line,
from the width, aspect ratio and resistivity in NeuroSim V1.3 (github.com/neurosim/DNN_NeuroSim_V1.3, Param.cpp)
and a cell of 4 x 12 wire widths.
"""
