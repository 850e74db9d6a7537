"""One network on the four systems: written or learnt in place, and what that costs."""

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments._in_place import Sigmoids, begin, on_arrays, run
from experiments._record import kept, mean_and_spread, write_result
from experiments.four_systems._hardware import Found, downloaded, tile
from experiments.four_systems.pictures import draw
from qsynapse_jax import training
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.datasets import Dataset, load
from qsynapse_jax.devices import ConstantStep, SoftBounds
from qsynapse_jax.studies import Record, TextTable, claim
from qsynapse_jax.tile import analog
from qsynapse_jax.training import rules

WRITTEN = ("quantized synapse", "2,048-level memristor", "CMO/HfOx ReRAM")
LEARNT = ("CMO/HfOx ReRAM", "hybrid synapse")
# Systems of which a drift has been published; those of the others do not drift here.
DRIFTS = ("quantized synapse", "CMO/HfOx ReRAM")
TEN_YEARS = 10 * 365.25 * 86400


@dataclass(frozen=True)
class SystemsConfig:
    """The network, how it learns, and how it is read.

    Attributes:
        dataset: name of the images.
        images: how many of them are learnt in place.
        hidden: sizes of the hidden layers.
        epochs: of training in software, and as many more on the levels of a cell, or in software again.
        batch: samples per step there.
        rate: learning rate there, of Adam.
        r_wire: wires of written arrays [ohm per segment].
        lines: word lines and bit lines of a tile.
        v_read: voltage of an input of 1 [V].
        t_read: duration of a read [s].
        read_images: whose energy is measured.
        celsius: temperature of the ten years [C].
        hybrid: learning rate of every epoch of the hybrid synapse, the first of the coarse array.
        agad: of AGAD.
        seeds: of weights, devices and sample order.
    """

    dataset: str = "mnist"
    images: int = 60_000
    hidden: tuple[int, ...] = (64,)
    epochs: int = 6
    batch: int = 256
    rate: float = 3e-3
    r_wire: float = 1.0
    lines: int = 64
    v_read: float = 0.2
    t_read: float = 1e-7
    read_images: int = 64
    celsius: float = 85.0
    hybrid: tuple[float, ...] = (0.1, *(0.1 * 0.6**k for k in range(4)))
    agad: tuple[float, ...] = tuple(0.03 * 0.6**k for k in range(4))
    seeds: tuple[int, ...] = (0, 1, 2)


FULL = SystemsConfig()
QUICK = SystemsConfig("digits", 200, (8,), 1, 64, read_images=2, lines=16, hybrid=(0.1, 0.1), agad=(0.1,), seeds=(0,))


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, on digits, not what it claims."""
    config, started = QUICK if quick else FULL, time.perf_counter()
    data = load(config.dataset)

    def each(what: Any, *options: Any) -> np.ndarray:
        """Of every seed; read where an interrupted run had it."""

        def one(seed: int) -> np.ndarray:
            return kept(folder, config, f"{what.__name__} {options} {seed}", lambda: what(config, data, *options, seed))

        return np.array([one(seed) for seed in config.seeds])

    found = {"software": each(_software)}
    found |= {f"written/{name}": each(_written, name) for name in WRITTEN}
    found |= {f"learnt/{name}": each(_learnt, name) for name in LEARNT}
    record = Record(
        "four_systems",
        config,
        config.seeds,
        time.perf_counter() - started,
        _claims(found),
        tables={"systems": _table(found)},
        data=found,
        notes=[
            f"Written arrays: tiles of {config.lines} x {config.lines} lines behind {config.r_wire:g} ohm per segment, "
            f"not compensated. Reads of {config.v_read:g} V and {1e9 * config.t_read:g} ns, energy of cells and wires.",
            "Arrays that learn have ideal wires. Width and voltage of the hybrid synapse's pulses are not published.",
        ],
    )
    draw(record, folder)
    return write_result(folder, record)


def _network(config: SystemsConfig, data: Dataset, seed: int) -> Any:
    return Sigmoids((data.x_train.shape[1], *config.hidden, data.n_classes), seed)


def _trained(config: SystemsConfig, data: Dataset, seed: int, times: int = 1) -> Any:
    network = _network(config, data, seed)
    options: dict[str, Any] = {"epochs": config.epochs, "batch_size": config.batch, "learning_rate": config.rate}
    for _ in range(times):
        training.fit(network, data.train, data.test, key=jax.random.key(seed), **options)
    return network


def _software(config: SystemsConfig, data: Dataset, seed: int) -> np.ndarray:
    """Accuracy [%] after as many epochs as a network that is written has."""
    return np.array([100 * float(training.accuracy(_trained(config, data, seed, times=2), *data.test))])


def _written(config: SystemsConfig, data: Dataset, name: str, seed: int) -> np.ndarray:
    """The numbers of `Found`."""
    hardware = tile(name, Wires(config.r_wire, config.r_wire), (config.lines, config.lines))
    kept_for = {"seconds": TEN_YEARS, "celsius": config.celsius}
    found = downloaded(_trained(config, data, seed), hardware, data, config, **kept_for, seed=seed)
    print(f"{name}, seed {seed}: {found}", flush=True)
    return np.array(found)


def _learnt(config: SystemsConfig, data: Dataset, name: str, seed: int) -> np.ndarray:
    """Accuracy [%] and mean pulses of a device, of the array that presentations go to."""
    if name == "hybrid synapse":
        device, gains, rates = ConstantStep(dw_min=2 / 50), (0.6, 0.15), config.hybrid
        rule: Any = rules.CoarseToFine(0.1, switch=config.images)
    else:
        spread = dict.fromkeys(("dw_min_dtod", "w_max_dtod", "w_min_dtod"), 0.18)
        device, gains, rates = SoftBounds(dw_min=2 / 27, dw_min_std=0.3, **spread), (0.0, 0.6), config.agad
        rule = rules.AGAD(0.1, every=1, granularity=20.0)
    state = begin(on_arrays(_network(config, data, seed), analog(device), gains, seed), rule, seed)
    state, history = run(state, data, rates, images=config.images, told=f"{name}, seed {seed}")
    memory, _ = state.rule_state
    tallies = [getattr(one, "tally", one).pulses for one in memory.values()]
    pulses = sum(int(low) + 2**32 * int(high) for low, high in tallies)
    devices = sum(n * m for n, m in pairwise((data.x_train.shape[1], *config.hidden, data.n_classes)))
    return np.array([history[-1, 1], pulses / devices])


def _claims(found: dict[str, np.ndarray]) -> list[Any]:
    software = found["software"][:, 0]
    figures = [claim("software", "%", software.tolist())]
    for name in WRITTEN:
        fresh, aged = (found[f"written/{name}"][:, Found._fields.index(what)] for what in ("fresh", "kept"))
        figures.append(claim(f"lost_by_{_slug(name)}_written", "points", (software - fresh).tolist()))
        if name in DRIFTS:
            figures.append(claim(f"lost_by_{_slug(name)}_in_ten_years", "points", (fresh - aged).tolist()))
    for name in LEARNT:
        lost = software - found[f"learnt/{name}"][:, 0]
        figures.append(claim(f"lost_by_{_slug(name)}_learnt_in_place", "points", lost.tolist()))
    return figures


def _slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "_").replace("/", "_").replace("-", "_")


_COLUMNS = [
    "system",
    "accuracy [%]",
    "after ten years at 85 C [%]",
    "pulses per device",
    "time to write [ms]",
    "energy to write [uJ]",
    "energy of a read [nJ]",
]


def _table(found: dict[str, np.ndarray]) -> TextTable:
    rows = [["software", mean_and_spread(found["software"][:, 0]), *[""] * 5]]
    for name in WRITTEN:
        one = dict(zip(Found._fields, found[f"written/{name}"].T, strict=True))
        rows.append(
            [
                f"{name}, written",
                mean_and_spread(one["fresh"]),
                mean_and_spread(one["kept"]) if name in DRIFTS else "not published",
                f"{one['pulses'].mean():.3g}",
                f"{1e3 * one['time'].mean():.3g}",
                f"{1e6 * one['energy'].mean():.3g}",
                f"{1e9 * one['read'].mean():.3g}",
            ]
        )
    for name in LEARNT:
        accuracy, pulses = found[f"learnt/{name}"].T
        rows.append([f"{name}, learnt in place", mean_and_spread(accuracy), "", f"{pulses.mean():.3g}", "", "", ""])
    return TextTable("One network on four systems", _COLUMNS, rows)
