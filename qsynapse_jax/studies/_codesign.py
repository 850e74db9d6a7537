"""Branch resistors for given switches and wires, found by gradient, and measured beside those they should replace."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from qsynapse_jax import nn
from qsynapse_jax._fields import quantity
from qsynapse_jax.codesign import (
    LadderTask,
    binary_weighted,
    design_ladder,
    ladder_figures,
    to_increment,
    to_series,
)
from qsynapse_jax.datasets import Dataset, load
from qsynapse_jax.studies._codesign_config import CodesignConfig
from qsynapse_jax.studies._progress import Progress, Silent
from qsynapse_jax.studies._record import Record, TextTable, claim
from qsynapse_jax.studies._store import CHECKPOINT_SECONDS, RunFolder
from qsynapse_jax.training import fit

# Draws of codes and devices that the table averages over; none of them is seen by the search.
_DRAWS = 3
_BATCH = 256
# Steps between two lines of a log.
_LINE = 50
PLAIN, AT_FOUND, CLOSED, FOUND = "R, 2R, 4R", "R as found", "closed form", "found"
# Label, unit, and the factor that brings SI to that unit.
QUANTITIES = {
    "cell_inl": ("INL of a cell alone", "LSB", 1),
    "cell_dnl": ("DNL of a cell alone", "LSB", 1),
    "tile_inl": ("INL of a tile, on average", "LSB", 1),
    "error": ("rms error of weights", "LSB", 1),
    "gain": ("gain behind the wires", "", 1),
    "power": ("read power of a tile", "uW", 1e6),
    "area": ("resistors of a weight", "um2", 1e12),
    "accuracy": ("test accuracy", "%", 1),
}


@dataclass
class CodesignResult:
    """What a search found.

    Attributes:
        config: what was asked.
        designs: branch resistors [ohm] by name: as begun ("R, 2R, 4R"), plain ("R as found") and in closed form at the
            first resistor found, "found", and rounded where that is asked for.
        measured: by name of the design and of the quantity, a number per draw, in the units of `QUANTITIES`.
        objective: the course of the search, shape (steps + 1,).
        levels: mean and spread of the levels of a full tile, and their rms error [LSB], by design.
    """

    config: CodesignConfig
    designs: dict[str, np.ndarray]
    objective: np.ndarray
    measured: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    levels: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    @property
    def advised(self) -> np.ndarray:
        """The resistors to use [ohm]: as found, or as they can be made."""
        return list(self.designs.values())[-1]

    def record(self, wall_time_s: float) -> Record:
        """The record of this search."""
        figures = [
            claim(
                f"{name}: {design}",
                QUANTITIES[name][1],
                drawn,
                label=f"{QUANTITIES[name][0]}, {design}",
                note="over draws of codes and devices",
            )
            for design, quantities in self.measured.items()
            for name, drawn in quantities.items()
        ]
        data = {"objective": self.objective}
        data |= {f"resistors/{name}": r for name, r in self.designs.items()}
        data |= {f"levels/{name}/{key}": x for name, level in self.levels.items() for key, x in level.items()}
        return Record(
            "codesign",
            self.config,
            (self.config.seed,),
            wall_time_s,
            figures,
            tables={"resistors": self.resistor_table(), "measured": self.measured_table()},
            data=data,
            notes=self.config.hardware(),
        )

    def resistor_table(self) -> TextTable:
        """The resistors of every design."""
        branches = enumerate(zip(*self.designs.values(), strict=True))
        rows = [[str(k), *(shown_resistor(float(r)) for r in row)] for k, row in branches]
        return TextTable("Branch resistors [ohm], most significant first", ["branch", *self.designs], rows)

    def measured_table(self) -> TextTable:
        """What every design is worth."""
        rows = []
        for name in next(iter(self.measured.values())):
            label, unit, _ = QUANTITIES[name]
            digits = "{:.2f}" if name == "accuracy" else "{:,.3g}"
            means = (digits.format(np.mean(design[name])) for design in self.measured.values())
            rows.append([f"{label} [{unit}]" if unit else label, *means])
        title = f"Mean over {_DRAWS} draws of codes and devices, seed {self.config.seed}"
        return TextTable(title, ["quantity", *self.measured], rows)


def shown_resistor(r: float) -> str:
    """A resistance to the ohm, or to four digits below a kiloohm [ohm]."""
    return f"{r:,.0f}" if r >= 1e3 else f"{r:.4g}"


def run_codesign(
    config: CodesignConfig, progress: Progress | None = None, *, run: RunFolder | None = None
) -> CodesignResult:
    """Searches for resistors, and measures them beside those they should replace.

    Args:
        config: what is asked.
        progress: who listens.
        run: where the checkpoints of the network go; the search itself begins anew when it is continued.
    """
    progress = progress or Silent()
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
    progress.stage("float network", epochs * max(1, len(data.x_train) // batch_size))
    fit(
        software,
        data.train,
        data.test,
        key=jax.random.key(config.seed),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=1e-2 if small else 2e-3,
        on_step=progress.step,
        on_epoch=lambda e: progress.measured(f"epoch {e.number}", e.loss, f"test {100 * e.accuracy:.2f} %"),
        checkpoint=None if run is None else run.checkpoints / "float",
        checkpoint_seconds=CHECKPOINT_SECONDS,
        resume=run is not None,
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
    """Resistors by name: as begun, plain and in closed form at the first resistor found, found, as they can be made."""
    cell, first = config.cell, float(found[0])
    designs = {
        PLAIN: np.asarray(config.plain()),
        AT_FOUND: np.asarray(config.task().plain(first)),
        CLOSED: np.asarray(binary_weighted(cell.bits, first, float(cell.r_on), float(cell.r_off))),
        FOUND: found,
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
    progress.stage(f"measuring {len(result.designs)} designs", _DRAWS * len(result.designs))
    for number, (name, r) in enumerate(result.designs.items()):
        resistors, quantities = jnp.asarray(r, jnp.float32), {}
        for draw in range(_DRAWS):
            key = jax.random.key(1_000_003 * (config.seed + 1) + draw)
            found = ladder_figures(task, resistors, key=key)
            drawn = {name: getattr(found, name) for name in QUANTITIES if name != "accuracy"}
            if test is not None:
                drawn["accuracy"] = 100 * _written_accuracy(*nnx.split(network), task, resistors, *test, key)
            for quantity_name, value in drawn.items():
                quantities.setdefault(quantity_name, []).append(QUANTITIES[quantity_name][2] * float(value))
            progress.step(_DRAWS * number + draw + 1)
        result.measured[name] = quantities
        result.levels[name] = _levels(task, resistors, jax.random.key(1_000_003 * (config.seed + 1)))


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
