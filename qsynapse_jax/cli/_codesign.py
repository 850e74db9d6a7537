"""`qsynapse codesign`: branch resistors for given switches and wires, found by gradient."""

import dataclasses
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from qsynapse_jax.cli._codesign_picture import draw_codesign
from qsynapse_jax.cli._config import CellConfig
from qsynapse_jax.cli._report import environment, ohm, print_files
from qsynapse_jax.cli._store import prepare_folder, write_json
from qsynapse_jax.codesign import (
    SERIES,
    Bounded,
    LadderFigures,
    LadderTask,
    Priorities,
    binary_weighted,
    design_ladder,
    ladder_figures,
    to_increment,
    to_series,
)
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.datasets import Dataset, load
from qsynapse_jax.devices import Resistor, Switch
from qsynapse_jax.nn import Deployment, software_mlp, to_crossbar
from qsynapse_jax.training import fit

# Draws of codes and devices that the table averages over; none of them is seen by the search.
_DRAWS = 3
_BATCH = 256
_LINES = ("cell_inl", "cell_dnl", "tile_inl", "error", "gain", "power", "area")
LABELS = {
    "cell_inl": ("INL of a cell alone", "LSB", 1),
    "cell_dnl": ("DNL of a cell alone", "LSB", 1),
    "tile_inl": ("INL of a tile, on average", "LSB", 1),
    "error": ("rms error of weights", "LSB", 1),
    "gain": ("gain behind the wires", "", 1),
    "power": ("read power of a tile", "uW", 1e6),
    "area": ("resistors of a weight", "um2", 1e12),
    "accuracy": ("test accuracy", "%", 1),
}


@dataclass(frozen=True)
class CodesignConfig:
    """Find branch resistors for given switches, spread and wires, by gradient through all of them."""

    cell: Annotated[CellConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: CellConfig(bits=4, r_unit=8e3, r_on=400.0, r_off=400e3)
    )
    tile: tuple[int, ...] = (64, 64)
    """Word lines and bit lines of a tile; one number is a square tile."""
    r_word: float = 2.12
    """Word-line segment [ohm]; default 22 nm with a transistor a cell (NeuroSim V1.3 geometry)."""
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
    out: Path = Path("runs/codesign")
    """Folder for result.json and the picture."""

    def __post_init__(self):
        if self.series is not None and self.increment is not None:
            raise ValueError("Give either `series` or `increment`, not both.")
        if self.series is not None and self.series not in SERIES:
            raise ValueError(f"Argument `series` must be one of {', '.join(SERIES)}, but is {self.series!r}.")
        if self.increment is not None and not (np.isfinite(self.increment) and self.increment > 0):
            raise ValueError(f"Argument `increment` must be positive and finite [ohm], but is {self.increment}.")
        if len(self.tile) not in (1, 2) or min(self.tile) < 2 or self.tile[-1] % 2:
            raise ValueError(
                f"Argument `tile` must be one or two integers of at least 2, bit lines even, but is {self.tile}."
            )
        if self.steps < 1:
            raise ValueError(f"Argument `steps` must be positive, but is {self.steps}.")
        # Built once here, so that what is wrong is said before any work.
        plain_ladder_warning(self.cell)
        self.start()
        self.priorities()

    def task(self) -> LadderTask:
        """What is given."""
        switch = Switch(
            float(self.cell.r_on),
            float(self.cell.r_off),
            sigma_on_device=self.sigma_on,
            sigma_off_device=self.sigma_off,
        )
        wires = Wires(r_word=float(self.r_word), r_bit=float(self.r_bit))
        return LadderTask(
            self.cell.bits, switch, Resistor(sigma_unit=self.sigma_r), wires, (self.tile[0], self.tile[-1])
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
            raise ValueError(
                f"Arguments `r_min` and `r_max` must enclose the plain ladder that the search begins with, "
                f"{ohm(least)} to {ohm(most)}, but are {low:g} and {high:g} ohm: begin elsewhere with `--r-unit`."
            )
        return Bounded(plain, float(low), float(high))

    def priorities(self) -> Priorities:
        """What counts."""
        network = self.network if self.dataset != "none" else 0.0
        return Priorities(error=self.error, inl=self.inl, network=network, power=self.power, area=self.area)


def plain_ladder_warning(cell: CellConfig) -> str | None:
    """What a plain ladder of these switches has to be warned of, if anything."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cell.build()
    return str(caught[0].message) if caught else None


@dataclass(frozen=True)
class Codesign:
    """Find the resistors of a ladder for given switches and wires; ends with 'use these resistors'."""

    config: Annotated[CodesignConfig, tyro.conf.arg(name="")]

    def run(self, console: Console) -> None:
        config, started = self.config, time.perf_counter()
        prepare_folder(config.out)
        for line in _given(config):
            console.print(line, highlight=False)
        study = run_codesign(config, console)
        console.print(_resistor_table(study.designs), highlight=False)
        console.print(_figure_table(config, study.figures), highlight=False)
        last = list(study.designs)[-1]
        resistors = ", ".join(_value(float(r)) for r in study.designs[last])
        console.print(escape(f"Use these resistors [ohm]: {resistors}"), highlight=False, soft_wrap=True)
        picture = draw_codesign(config, study.designs, config.out)
        result = config.out / "result.json"
        seconds = time.perf_counter() - started
        write_json(result, _content(config, study, seconds))
        console.print(f"{seconds:.0f} s. Written:")
        print_files(console, [result, picture])


@dataclass
class CodesignStudy:
    """What a search found.

    `designs` are resistors [ohm] by name: as begun ("R, 2R, 4R"), plain ("R as found") and in closed form at the first
    resistor found, "found", and rounded where that is asked for; `figures` a value a draw by design and name;
    `objective` its course.
    """

    designs: dict[str, np.ndarray]
    figures: dict[str, dict[str, list[float]]]
    objective: list[float]


def run_codesign(config: CodesignConfig, console: Console) -> CodesignStudy:
    """Searches for resistors, and measures them beside those they should replace."""
    data = None if config.dataset == "none" else load(config.dataset, seed=config.seed)
    deployment = None if data is None else _deployment(config, data)
    found = _search(config, data, deployment, console)
    designs = _designs(config, np.asarray(found.values))
    figures = {name: _figures(config, r, data, deployment) for name, r in designs.items()}
    return CodesignStudy(designs, figures, [float(loss) for loss in found.losses])


def _given(config: CodesignConfig) -> list[str]:
    cell, start = config.cell, config.start()
    warning = plain_ladder_warning(cell)
    return [
        f"switch: {ohm(cell.r_on)} on, {ohm(cell.r_off)} off (on/off {cell.r_off / cell.r_on:.4g})",
        f"spread: {100 * config.sigma_on:.3g} % on, {100 * config.sigma_off:.3g} % off, {100 * config.sigma_r:.3g} % R",
        f"wires:  {config.r_word:g} ohm per word-line segment, {config.r_bit:g} ohm per bit-line segment",
        f"tile:   {config.tile[0]} word lines x {config.tile[-1]} bit lines, {cell.bits}-bit ladders, two a weight",
        f"bounds: {ohm(float(start.low))} to {ohm(float(start.high))} for every resistor",
        *([f"note:   {warning}"] if warning else []),
    ]


def _deployment(config: CodesignConfig, data: Dataset) -> Deployment:
    """A float network, trained in seconds, on ideal crossbars."""
    sizes = (data.x_train.shape[1], *config.hidden, data.n_classes)
    software = software_mlp(sizes, rngs=nnx.Rngs(config.seed))
    small = len(data.x_train) < 10_000
    fit(
        software,
        data.train,
        data.test,
        key=jax.random.key(config.seed),
        epochs=25 if small else 3,
        batch_size=64 if small else 512,
        learning_rate=1e-2 if small else 2e-3,
    )
    task = config.task()
    cell = task.cell(binary_weighted(task.bits, float(config.cell.r_unit), task.switch.r_on, task.switch.r_off))
    return Deployment(to_crossbar(software, cell=cell, wires=None, tile=task.tile), task.tile)


def _search(config: CodesignConfig, data: Dataset | None, deployment: Deployment | None, console: Console) -> Any:
    def sample(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        assert data is not None
        chosen = jax.random.randint(key, (min(_BATCH, len(data.x_train)),), 0, len(data.x_train))
        return jnp.asarray(data.x_train)[chosen], jnp.asarray(data.y_train)[chosen]

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(f"moving {config.cell.bits} resistors", total=config.steps, loss="compiling")

        def on_step(number: int, loss: float) -> None:
            progress.update(bar, completed=number, loss=f"objective {loss:+.3f}")
            if not console.is_terminal and number % 50 == 0:
                console.print(f"step {number} of {config.steps}, objective {loss:+.3f}", highlight=False)

        return design_ladder(
            config.task(),
            config.start(),
            key=jax.random.key(config.seed),
            priorities=config.priorities(),
            deployment=deployment,
            sample=None if data is None else sample,
            steps=config.steps,
            on_step=on_step,
        )


def _designs(config: CodesignConfig, found: np.ndarray) -> dict[str, np.ndarray]:
    """Resistors by name: as begun, plain and in closed form at the first resistor found, found, as they can be made."""
    cell, first = config.cell, float(found[0])
    closed = binary_weighted(cell.bits, first, float(cell.r_on), float(cell.r_off))
    designs = {
        "R, 2R, 4R": np.asarray(config.plain()),
        "R as found": np.asarray(config.task().plain(first)),
        "closed form": np.asarray(closed),
        "found": found,
    }
    if config.series is not None:
        designs[config.series] = to_series(found, config.series)
    if config.increment is not None:
        designs[f"x {ohm(config.increment)}"] = to_increment(found, config.increment)
    return designs


def _figures(
    config: CodesignConfig, r: np.ndarray, data: Dataset | None, deployment: Deployment | None
) -> dict[str, list[float]]:
    """Every figure on draws of codes and devices that the search did not see."""
    task, resistors = config.task(), jnp.asarray(r, jnp.float32)
    figures: dict[str, list[float]] = {}
    for draw in range(_DRAWS):
        key = jax.random.key(1_000_003 * (config.seed + 1) + draw)
        found: LadderFigures = ladder_figures(task, resistors, key=key)
        for name in _LINES:
            figures.setdefault(name, []).append(float(getattr(found, name)))
        if data is not None and deployment is not None:
            test = tuple(map(jnp.asarray, data.test))
            share = deployment.accuracy(task.hardware(resistors), task.wires, *test, key=key)
            figures.setdefault("accuracy", []).append(100 * float(share))
    return figures


def _resistor_table(designs: dict[str, np.ndarray]) -> Table:
    table = Table(title=escape("Branch resistors [ohm], most significant first"))
    table.add_column("branch", justify="right")
    for name in designs:
        table.add_column(name, justify="right")
    for k, row in enumerate(zip(*designs.values(), strict=True)):
        table.add_row(str(k), *(_value(float(r)) for r in row))
    return table


def _value(r: float) -> str:
    """A resistance to the ohm, or to four digits below a kiloohm [ohm]."""
    return f"{r:,.0f}" if r >= 1e3 else f"{r:.4g}"


def _figure_table(config: CodesignConfig, figures: dict[str, dict[str, list[float]]]) -> Table:
    table = Table(title=f"Mean over {_DRAWS} draws of codes and devices, seed {config.seed}")
    table.add_column("figure")
    for name in figures:
        table.add_column(name, justify="right")
    for line in next(iter(figures.values())):
        label, unit, factor = LABELS[line]
        means = (factor * float(np.mean(design[line])) for design in figures.values())
        digits = "{:.2f}" if line == "accuracy" else "{:,.3g}"
        table.add_row(escape(f"{label} [{unit}]") if unit else label, *map(digits.format, means))
    return table


def _content(config: CodesignConfig, study: CodesignStudy, seconds: float) -> dict[str, Any]:
    return {
        "config": {**dataclasses.asdict(config), "out": str(config.out)},
        "seed": config.seed,
        **environment(),
        "wall_time_s": round(seconds, 2),
        "resistors_ohm": {name: [float(r) for r in design] for name, design in study.designs.items()},
        "figures": [
            {
                "name": f"{line}: {design}",
                "label": LABELS[line][0],
                "unit": LABELS[line][1],
                "ours": LABELS[line][2] * float(np.mean(drawn)),
                "spread": LABELS[line][2] * float(np.std(drawn, ddof=1)),
                "draws": _DRAWS,
            }
            for design, lines in study.figures.items()
            for line, drawn in lines.items()
        ],
        "objective": study.objective,
    }
