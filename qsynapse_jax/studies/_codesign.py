"""Branch resistors for given switches and wires, found by gradient, and measured beside those they should replace."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from qsynapse_jax import nn
from qsynapse_jax._fields import described, quantity
from qsynapse_jax.codesign import LadderTask, binary_weighted, design_ladder, ladder_figures, to_increment, to_series
from qsynapse_jax.datasets import Dataset, load
from qsynapse_jax.studies._config import CodesignConfig
from qsynapse_jax.studies._record import Record, TextTable, claim
from qsynapse_jax.studies._store import RunFolder
from qsynapse_jax.studies._train import Progress, train

# Draws of codes and devices that the table averages over; none of them is seen by the search.
_DRAWS = 3
_BATCH = 256
# Steps between two lines of a log.
_LINE = 50


@dataclass
class CodesignResult:
    """What a search found.

    Attributes:
        config: what was asked.
        QUANTITIES: label, unit, and the factor that brings SI to that unit, by name of the quantity.
        designs: branch resistors [ohm] by name: as begun ("R, 2R, 4R"), plain ("R as found") and in closed form at the
            first resistor found, "found", and rounded where that is asked for.
        measured: by name of the design and of the quantity, a number per draw, in the units of `QUANTITIES`.
        objective: the course of the search, shape (steps + 1,).
        levels: mean and spread of the levels of a full tile, and their rms error [LSB], by design.
    """

    QUANTITIES: ClassVar[dict[str, tuple[str, str, float]]] = {
        "cell_inl": ("INL of a cell alone", "LSB", 1),
        "cell_dnl": ("DNL of a cell alone", "LSB", 1),
        "tile_inl": ("INL of a tile, on average", "LSB", 1),
        "error": ("rms error of weights", "LSB", 1),
        "gain": ("gain behind the wires", "", 1),
        "power": ("read power of a tile", "uW", 1e6),
        "area": ("resistors of a weight", "um2", 1e12),
        "accuracy": ("test accuracy", "%", 1),
    }
    config: CodesignConfig
    designs: dict[str, np.ndarray]
    objective: np.ndarray
    measured: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    levels: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    __repr__ = described

    def advice(self) -> str:
        """The resistors to use [ohm], as found, or as they can be made, in words."""
        *_, advised = self.designs.values()
        return f"Use these resistors [ohm]: {', '.join(_shown(r) for r in advised)}"

    def record(self, wall_time_s: float) -> Record:
        """The record of this search."""
        figures = []
        for design, quantities in self.measured.items():
            for name, drawn in quantities.items():
                label, unit, _ = self.QUANTITIES[name]
                note = "over draws of codes and devices"
                figures.append(claim(f"{name}: {design}", unit, drawn, label=f"{label}, {design}", note=note))
        data = {"objective": self.objective}
        data |= {f"resistors/{name}": r for name, r in self.designs.items()}
        data |= {f"levels/{name}/{key}": x for name, level in self.levels.items() for key, x in level.items()}
        return Record(
            "codesign",
            self.config,
            (self.config.seed,),
            wall_time_s,
            figures,
            tables={"resistors": self._resistor_table(), "measured": self._measured_table()},
            data=data,
            notes=self.config.hardware(),
        )

    def _resistor_table(self) -> TextTable:
        branches = enumerate(zip(*self.designs.values(), strict=True))
        rows = [[str(k), *map(_shown, row)] for k, row in branches]
        return TextTable("Branch resistors [ohm], most significant first", ["branch", *self.designs], rows)

    def _measured_table(self) -> TextTable:
        rows = []
        for name in next(iter(self.measured.values())):
            label, unit, _ = self.QUANTITIES[name]
            digits = "{:.2f}" if name == "accuracy" else "{:,.3g}"
            means = (digits.format(np.mean(design[name])) for design in self.measured.values())
            rows.append([f"{label} [{unit}]" if unit else label, *means])
        title = f"Mean over {_DRAWS} draws of codes and devices, seed {self.config.seed}"
        return TextTable(title, ["quantity", *self.measured], rows)


def _shown(r: Any) -> str:
    """A resistance to the ohm, or to four digits below a kiloohm [ohm]."""
    return f"{float(r):,.0f}" if r >= 1e3 else f"{float(r):.4g}"


def run_codesign(
    config: CodesignConfig, progress: Progress = Progress(), *, run: RunFolder | None = None
) -> CodesignResult:
    """Searches for resistors, and measures them beside those they should replace.

    Args:
        config: what is asked.
        progress: who listens.
        run: where the checkpoints of the network go; the search itself begins anew when it is continued.
    """
    data = None if config.dataset == "none" else load(config.dataset, seed=config.seed)
    network = None if data is None else _network(config, data, progress, run)
    found = _search(config, data, network, progress)
    result = CodesignResult(config, _designs(config, np.asarray(found.values)), np.asarray(found.losses))
    _measure(result, data, network, progress)
    return result


def _network(config: CodesignConfig, data: Dataset, progress: Progress, run: RunFolder | None) -> Any:
    """A float network, trained in seconds, on ideal crossbars."""
    software = nn.mlp((data.x_train.shape[1], *config.hidden, data.n_classes), rngs=nnx.Rngs(config.seed))
    small = len(data.x_train) < 10_000
    epochs, batch_size = (25, 64) if small else (3, 512)
    train(
        software,
        data,
        progress,
        title="float network",
        name="float",
        run=run,
        seed=config.seed,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=1e-2 if small else 2e-3,
    )
    task = config.task()
    # The full scales of the layers are found on even levels, as every design shall have them.
    even = binary_weighted(task.bits, float(config.cell.r_unit), task.switch.r_on, task.switch.r_off)
    return nn.convert(software, task.tile(even))


def _search(config: CodesignConfig, data: Dataset | None, network: Any, progress: Progress) -> Any:
    def sample(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        assert data is not None
        chosen = jax.random.randint(key, (min(_BATCH, len(data.x_train)),), 0, len(data.x_train))
        return jnp.asarray(data.x_train)[chosen], jnp.asarray(data.y_train)[chosen]

    def on_step(number: int, loss: float) -> None:
        progress.step(number, loss)
        if number % _LINE == 0:
            progress.measured(f"step {number} of {config.steps}", loss)

    progress.stage(f"moving {config.cell.bits} resistors", config.steps)
    return design_ladder(
        config.task(),
        config.start(),
        key=jax.random.key(config.seed),
        priorities=config.priorities(),
        model=network,
        sample=None if data is None else sample,
        steps=config.steps,
        on_step=on_step,
    )


def _designs(config: CodesignConfig, found: np.ndarray) -> dict[str, np.ndarray]:
    cell, plain, first = config.cell, config.task().plain, float(found[0])
    designs = {
        "R, 2R, 4R": np.asarray(plain(float(cell.r_unit))),
        "R as found": np.asarray(plain(first)),
        "closed form": np.asarray(binary_weighted(cell.bits, first, float(cell.r_on), float(cell.r_off))),
        "found": found,
    }
    if config.series is not None:
        designs[config.series] = to_series(found, config.series)
    if config.increment is not None:
        designs[f"x {quantity(config.increment, 'ohm')}"] = to_increment(found, config.increment)
    return designs


def _measure(result: CodesignResult, data: Dataset | None, network: Any, progress: Progress) -> None:
    """Every quantity of every design, on draws of codes and devices that the search did not see."""
    config, task = result.config, result.config.task()
    test = None if data is None else tuple(map(jnp.asarray, data.test))
    keys = [jax.random.key(1_000_003 * (config.seed + 1) + draw) for draw in range(_DRAWS)]
    progress.stage(f"measuring {len(result.designs)} designs", _DRAWS * len(result.designs))
    for number, (name, r) in enumerate(result.designs.items()):
        resistors, measured = jnp.asarray(r, jnp.float32), {}
        for draw, key in enumerate(keys):
            found = ladder_figures(task, resistors, key=key)
            drawn = {name: getattr(found, name) for name in result.QUANTITIES if name != "accuracy"}
            if test is not None:
                drawn["accuracy"] = 100 * _written_accuracy(*nnx.split(network), task, resistors, *test, key)
            for quantity_name, value in drawn.items():
                measured.setdefault(quantity_name, []).append(result.QUANTITIES[quantity_name][2] * float(value))
            progress.step(_DRAWS * number + draw + 1)
        result.measured[name] = measured
        result.levels[name] = _levels(task, resistors, keys[0])


@partial(jax.jit, static_argnums=0)
def _written_accuracy(
    graphdef: Any, state: Any, task: LadderTask, r: jax.Array, x: jax.Array, y: jax.Array, key: jax.Array
) -> jax.Array:
    """Share of right answers of the network as it will be made, on one draw of devices."""
    network = task.network(nnx.merge(graphdef, state), r, key=key)
    return jnp.mean(jnp.argmax(network(x), axis=-1) == y)


def _levels(task: LadderTask, r: jax.Array, key: jax.Array) -> dict[str, np.ndarray]:
    """Levels of a full tile behind its wires, in steps, after the gain is taken out [LSB]."""
    found = _tile_levels(task, r, key)
    largest = 2**task.bits - 1
    mean, spread = (largest * np.asarray(x / found.gain) for x in (found.mean, found.spread))
    return {"mean": mean, "spread": spread, "error": np.asarray(found.error)}


@jax.jit
def _tile_levels(task: LadderTask, r: jax.Array, key: jax.Array) -> Any:
    return task.levels(r, key=key, tiles=(4, 2))
