"""The hybrid synapse on MNIST: a coarse and a fine array per matrix, one after the other, beside single devices."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments._in_place import Sigmoids, begin, on_arrays, run
from experiments._record import write_result
from experiments.hybrid_synapse.pictures import draw
from qsynapse_jax.datasets import Dataset, load
from qsynapse_jax.devices import ConstantStep
from qsynapse_jax.studies import Record, TextTable, claim
from qsynapse_jax.tile import analog
from qsynapse_jax.training.rules import AnalogSGD, CoarseToFine

WAYS = ("hybrid", "single")
STATES = 50


@dataclass(frozen=True)
class HybridConfig:
    """Networks, devices and rates.

    Attributes:
        dataset: name of the images.
        images: how many of them are learnt.
        hidden: sizes of the hidden layers.
        states: steps of a device from bound to bound.
        gain: of the coarse array, which is the largest weight.
        ratio: gain of the coarse array over that of the fine one.
        coarse: learning rate of every epoch in which the coarse array learns.
        fine: of those in which the fine one does; a single array has all of them.
        short: how many of the fine epochs other numbers of states get.
        seeds: of initial weights, devices and sample order.
    """

    dataset: str = "mnist"
    images: int = 60_000
    hidden: tuple[int, ...] = (256, 128)
    states: tuple[int, ...] = (10, 20, 50, 100, 200)
    gain: float = 1.0
    ratio: float = 10.0
    coarse: tuple[float, ...] = (0.1, 0.05)
    fine: tuple[float, ...] = tuple(0.05 * 0.75**k for k in range(8))
    short: int = 3
    seeds: tuple[int, ...] = (0, 1, 2)


FULL = HybridConfig()
QUICK = HybridConfig("digits", 200, (8,), (20, 50), coarse=(0.1,), fine=(0.05, 0.02), short=1, seeds=(0,))


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, on digits, not what it claims."""
    config, started = QUICK if quick else FULL, time.perf_counter()
    data = load(config.dataset)
    found: dict[str, list[np.ndarray]] = {"software": []}
    for seed in config.seeds:
        rates = config.coarse + config.fine
        _, history = run(
            begin(_network(config, data, seed), None, seed), data, rates, images=config.images, told=f"software, {seed}"
        )
        found["software"].append(history)
    for states in sorted(config.states, key=lambda n: n != STATES):
        for way in WAYS:
            found[f"{way}/{states}"] = [_trained(config, data, way, states, seed) for seed in config.seeds]
    record = Record(
        "hybrid_synapse",
        config,
        config.seeds,
        time.perf_counter() - started,
        _claims(found),
        tables={"states": _table(config, found)},
        data={f"{name}/{what}": np.array(runs)[..., k] for name, runs in found.items() for k, what in enumerate(_WHAT)},
        notes=[
            "Devices have constant steps. The rule of selection is a reconstruction: "
            "the abstract of the paper says that one array is selected, not when.",
        ],
    )
    draw(record, folder)
    return write_result(folder, record)


_WHAT = ("loss", "accuracy")


def _network(config: HybridConfig, data: Dataset, seed: int) -> Sigmoids:
    return Sigmoids((data.x_train.shape[1], *config.hidden, data.n_classes), seed)


def _trained(config: HybridConfig, data: Dataset, way: str, states: int, seed: int) -> np.ndarray:
    """Loss and accuracy of every epoch."""
    fine = config.fine if states == STATES else config.fine[: config.short]
    images = min(config.images, len(data.x_train))
    if way == "hybrid":
        gains: tuple[float, ...] = (config.gain, config.gain / config.ratio)
        rule: Any = CoarseToFine(0.1, switch=len(config.coarse) * images)
    else:
        gains, rule = (config.gain,), AnalogSGD(0.1)
    network = on_arrays(_network(config, data, seed), analog(ConstantStep(dw_min=2 / states)), gains, seed)
    told = f"{way}, {states} states, seed {seed}"
    return run(begin(network, rule, seed), data, config.coarse + fine, images=images, told=told)[1]


def _last(runs: list[np.ndarray]) -> list[float]:
    return [float(history[-1, 1]) for history in runs]


def _claims(found: dict[str, list[np.ndarray]]) -> list[Any]:
    software = _last(found["software"])
    return [
        claim("software", "%", software, paper=97.92),
        claim("software_from_the_paper", "points", abs(float(np.mean(software)) - 97.92), reach="<= 0.3"),
        claim(f"hybrid_{STATES}_states", "%", _last(found[f"hybrid/{STATES}"]), reach=">= 97.3", paper=97),
        claim(f"single_device_{STATES}_states", "%", _last(found[f"single/{STATES}"])),
    ]


def _table(config: HybridConfig, found: dict[str, list[np.ndarray]]) -> TextTable:
    rows = []
    for states in config.states:
        shown = []
        for way in WAYS:
            last = _last(found[f"{way}/{states}"])
            spread = f" ± {np.std(last, ddof=1):.2f}" if len(last) > 1 else ""
            shown.append(f"{np.mean(last):.2f}{spread}")
        rows.append([str(states), *shown, str(len(found[f"hybrid/{states}"][0]))])
    columns = ["states of a device", "coarse and fine [%]", "single [%]", "epochs"]
    return TextTable("Accuracy against states", columns, rows)
