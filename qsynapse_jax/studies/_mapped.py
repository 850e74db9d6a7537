"""A network on a measured array: what the levels, the errors of the map and the wires each cost."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from qsynapse_jax import nn
from qsynapse_jax._fields import described, quantity
from qsynapse_jax.cells import Differential, MeasuredLevels, Multilevel
from qsynapse_jax.crossbar import Wires, read_map
from qsynapse_jax.studies._config import check_model, check_sizes, is_large
from qsynapse_jax.studies._model import build_network, load_samples
from qsynapse_jax.studies._record import Record, TextTable, claim
from qsynapse_jax.studies._store import RunFolder
from qsynapse_jax.studies._train import Progress, train
from qsynapse_jax.tile import Tile, TileState
from qsynapse_jax.training import Epoch, accuracy


@dataclass(frozen=True)
class MappedConfig:
    """Put a measured map or measured levels under a network: what is lost to levels, to errors, to wires."""

    map: str | None = None
    """Measured conductances of one array, a row per word line (.csv, .txt, .npy, .npz, .mat). Every tile of the network
    has the errors of this array: measured over target, cell by cell."""
    target: str | None = None
    """What the cells of the map should have been, a file of the same shape; where not given all were to be alike, at
    the median of the map."""
    levels: str | None = None
    """Measured levels of one cell: a file with a conductance per level, in any order. Where not given 16 even ones."""
    unit: str = "uS"
    """Of the numbers in all three files: S, mS, uS, nS, ohm, kohm or Mohm."""
    g_min: float = 1e-6
    """Least of the even levels [S]."""
    g_max: float = 1e-4
    """Largest of the even levels [S]."""
    n_levels: int = 16
    """How many even levels."""
    r_word: float = 0.0
    """Word-line segment [ohm]; 2.12 at 22 nm with a transistor per cell."""
    r_bit: float = 0.0
    """Bit-line segment [ohm]; 6.36 there."""
    tile_shape: tuple[int, ...] | None = None
    """Word lines and bit lines of a tile; the shape of the map, or 64 64, where not given."""
    dataset: str = "digits"
    """digits (offline), mnist, fashion_mnist, or an .npz file of one's own."""
    hidden: tuple[int, ...] | None = None
    """Hidden layer sizes; 256 for mnist and fashion_mnist and 64 for others where not given."""
    model: str | None = None
    """A network of one's own in place of dense layers, as for `qsynapse train`: module:function or file.py:function."""
    epochs: int | None = None
    """Passes over the training set, in software; 4 for mnist and fashion_mnist and 25 for others where not given. 0
    trains nothing: a model that brings its weights goes on the array as it is."""
    batch_size: int | None = None
    """Samples per step; 1024 for mnist and fashion_mnist and 64 for others where not given."""
    learning_rate: float = 1e-2
    """Adam's learning rate at the start."""
    seed: int = 0
    """Seed of initial weights and sample order."""

    def __post_init__(self):
        check_sizes(self.hidden_sizes)
        check_model(self.model, self.hidden, self.passes)
        if self.map is None and self.levels is None:
            raise ValueError("Give a measured map with `--map`, measured levels with `--levels`, or both.")
        if self.target is not None and self.map is None:
            raise ValueError("Argument `target` belongs to a map; give `--map` too.")
        for name in ("r_word", "r_bit"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"Argument `{name}` must be non-negative and finite [ohm].")
        # Read once here, so that what is wrong with them is said before any training.
        errors = self.errors()
        if errors is not None and self.tile_shape not in (None, errors.shape):
            raise ValueError(
                f"Argument `tile_shape` must be the shape of the map, {errors.shape}, or be left out, but is "
                f"{self.tile_shape}."
            )
        self.tile(ideal_wires=True)

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """Hidden layer sizes, those that suit the data set where none were given."""
        return self.hidden if self.hidden is not None else ((256,) if is_large(self.dataset) else (64,))

    @property
    def passes(self) -> int:
        """Epochs, likewise."""
        return self.epochs if self.epochs is not None else (4 if is_large(self.dataset) else 25)

    def errors(self) -> np.ndarray | None:
        """Measured over target of every cell of the map; `None` without a map."""
        if self.map is None:
            return None
        found = read_map(Path(self.map), self.unit)
        if self.target is None:
            middle = float(np.median(found))
            if not middle > 0:
                raise ValueError(
                    f"More than half of the cells of {self.map} are open; give what they should be, `--target`."
                )
            return found / middle
        target = read_map(Path(self.target), self.unit)
        if target.shape != found.shape:
            raise ValueError(f"{self.target} must have the shape of {self.map}, {found.shape}, but has {target.shape}.")
        if not (target > 0).all():
            row, column = np.argwhere(~(target > 0))[0]
            raise ValueError(f"{self.target} must hold conductances above 0, but row {row}, column {column} is open.")
        return found / target

    def cell(self) -> Differential:
        """Two devices per weight, each with the levels that were measured, or even ones."""
        if self.levels is None:
            return Differential(Multilevel(self.n_levels, float(self.g_min), float(self.g_max)))
        g = np.unique(read_map(Path(self.levels), self.unit))
        return Differential(MeasuredLevels(jnp.asarray(g, jnp.float32)))

    def tile(self, *, ideal_wires: bool) -> Tile:
        """The tiles of every layer."""
        errors = self.errors()
        shape = errors.shape if errors is not None else self.tile_shape or (64, 64)
        wires = None if ideal_wires else Wires(float(self.r_word), float(self.r_bit))
        tile = Tile(self.cell(), wires=wires, shape=(shape[0], shape[-1]))
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype), tile)

    def hardware(self) -> list[str]:
        """The physical setting in words."""
        cell, tile, errors = self.cell(), self.tile(ideal_wires=True), self.errors()
        low, high = (float(g) for g in cell.cell.conductance(jnp.asarray(cell.cell.code_range))[0])
        lines = [
            f"cell:  two devices per weight, {cell.cell.code_range[1] + 1} levels each, {quantity(low, 'S')} to "
            f"{quantity(high, 'S')}{'' if self.levels is None else f', from {self.levels}'}",
            f"tile:  {tile.shape[0]} word lines x {tile.shape[1]} bit lines",
            f"wires: {self.r_word:g} ohm per word-line segment, {self.r_bit:g} ohm per bit-line segment",
        ]
        if errors is not None:
            dead = int(np.sum(errors < _DEAD))
            target = "the median of the map" if self.target is None else self.target
            lines.append(
                f"map:   {self.map}, errors of {100 * float(np.std(errors[errors >= _DEAD])):.3g} % against {target}; "
                f"{dead} of {errors.size} cells are below a tenth of their target"
            )
        return lines


# Cells that hold less than this part of their target count as dead where the map is told in words.
_DEAD = 0.1


@dataclass
class MappedResult:
    """What the study found.

    Attributes:
        ROWS: the networks of the table in words, by name.
        config: what was asked.
        test_samples: how many samples the accuracies are shares of.
        accuracies: test accuracy [%] by row, each with what the rows before had.
        history: what training told after every epoch.
        weights: intended and effective weights of the first layer, in all that is known.
    """

    ROWS: ClassVar[dict[str, str]] = {
        "float": "float software",
        "levels": "on the levels of the cells",
        "map": "with the errors of the map",
        "wires": "behind the wires",
    }
    config: MappedConfig
    test_samples: int
    accuracies: dict[str, float] = field(default_factory=dict)
    history: list[Epoch] = field(default_factory=list)
    weights: tuple[np.ndarray, np.ndarray] | None = None

    __repr__ = described

    def record(self, wall_time_s: float) -> Record:
        """The record of this run."""
        found, before, rows = self.accuracies, None, []
        for name, value in found.items():
            rows.append([self.ROWS[name], f"{value:.2f} %", "" if before is None else f"{value - before:+.2f} points"])
            before = value
        columns = ["network", f"test accuracy ({self.test_samples:,} samples)", "against the row above"]
        title = f"{self.config.dataset} on a measured array, seed {self.config.seed}"
        data = {} if self.weights is None else {"intended": self.weights[0], "effective": self.weights[1]}
        return Record(
            "mapped",
            self.config,
            (self.config.seed,),
            wall_time_s,
            [claim(f"test_accuracy_{name}", "%", [x], label=self.ROWS[name]) for name, x in found.items()],
            tables={"accuracy": TextTable(title, columns, rows)},
            data=data,
            notes=tuple(self.config.hardware()),
        )


def run_mapped(config: MappedConfig, progress: Progress = Progress(), *, run: RunFolder | None = None) -> MappedResult:
    """Trains a network in software and puts it on the array that was measured, one cause of errors after another.

    Args:
        config: what is asked.
        progress: who listens.
        run: where checkpoints go; nowhere if it is not given.
    """
    data = load_samples(config)
    result, large = MappedResult(config, len(data.y_test)), is_large(config.dataset)
    software = build_network(config, data, config.tile(ideal_wires=True))
    result.history = train(
        software,
        data,
        progress,
        title=MappedResult.ROWS["float"],
        name="float",
        run=run,
        seed=config.seed,
        epochs=config.passes,
        batch_size=config.batch_size or (1024 if large else 64),
        learning_rate=config.learning_rate,
    )
    networks = {"float": software, "levels": _written(software, config.tile(ideal_wires=True))}
    errors = config.errors()
    if errors is not None:
        networks["map"] = with_errors(networks["levels"], errors)
    if config.r_word or config.r_bit:
        behind = _written(software, config.tile(ideal_wires=False))
        networks["wires"] = behind if errors is None else with_errors(behind, errors)
    result.accuracies = {name: 100 * float(accuracy(network, *data.test)) for name, network in networks.items()}
    kernel: Any = next(iter(nn.crossbar_layers(list(networks.values())[-1]).values())).kernel
    result.weights = np.asarray(kernel.intended()), np.asarray(kernel.matrix())
    return result


def _written(software: Any, tile: Tile) -> Any:
    """The network with its weights on the nearest levels, written exactly."""
    return nn.program(nn.convert(software, tile), key=jax.random.key(0))


def with_errors(network: Any, errors: np.ndarray) -> Any:
    """The same network where every tile has the errors of the map, in the same places."""
    copy = nnx.clone(network)
    wl, bl = errors.shape
    for layer in nn.crossbar_layers(copy).values():
        kernel: Any = layer.kernel
        state = kernel.state.get_value()
        rows, lines = state.devices.shape[-2:]
        # Word lines are split from the last, at the sense amplifiers; bit lines from the first, at the drivers.
        word, bit = wl - 1 - np.arange(rows)[::-1] % wl, np.arange(lines) % bl
        factor = jnp.asarray(errors[np.ix_(word, bit)], state.devices.dtype)
        stacked = factor.reshape((1,) * (state.devices.ndim - 2) + factor.shape)
        kernel.state.set_value(TileState(state.devices * stacked, state.parts))
    return copy
