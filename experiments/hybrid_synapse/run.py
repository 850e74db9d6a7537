"""The hybrid synapse on MNIST: a coarse and a fine array per matrix, with a carry or in turn, beside single devices."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments._in_place import Sigmoids, begin, on_arrays, run
from experiments._record import mean_and_spread, write_result
from experiments.hybrid_synapse.pictures import draw
from qsynapse_jax.datasets import Dataset, load
from qsynapse_jax.devices import ConstantStep
from qsynapse_jax.studies import Record, TextTable, claim
from qsynapse_jax.tile import analog
from qsynapse_jax.training import rules

HYBRID, IN_TURN, SINGLE = "hybrid", "in_turn", "single"
WAYS = (HYBRID, IN_TURN, SINGLE)
STATES = 50


@dataclass(frozen=True)
class HybridConfig:
    """Networks, devices and rates.

    Attributes:
        dataset: name of the images.
        images: how many of them are learnt.
        hidden: sizes of the hidden layers.
        states: steps of a device from bound to bound, in the short runs.
        gain: of the coarse array, which is the largest weight.
        overlap: with a carry, range of the fine array over a step of the coarse one, at the states of the long runs;
            where states are more, its gain stays as it is.
        carried: learning rate of every epoch, with a carry.
        cycle: images in which all rows of the fine array are read once, with a carry.
        ratio: in turn, gain of the coarse array over that of the fine one.
        coarse: in turn, learning rate of every epoch in which the coarse array learns.
        fine: of those in which the fine one does.
        single: of those of a single array, and of software, which are done sooner.
        seeds: of initial weights, devices and sample order.
        short_images, short_fine, short_seeds: images, fine epochs and seeds of the runs over numbers of states, of
            which a single array has all epochs.
    """

    dataset: str = "mnist"
    images: int = 60_000
    hidden: tuple[int, ...] = (256, 128)
    states: tuple[int, ...] = (10, 20, 50, 100, 200)
    gain: float = 0.6
    overlap: float = 1.5
    carried: tuple[float, ...] = tuple(0.06 * 0.75**k for k in range(8))
    cycle: int = 784
    ratio: float = 4.0
    coarse: tuple[float, ...] = (0.1,)
    fine: tuple[float, ...] = tuple(0.1 * 0.7**k for k in range(6))
    single: tuple[float, ...] = tuple(0.1 * 0.7**k for k in range(4))
    seeds: tuple[int, ...] = (0, 1, 2)
    short_images: int = 10_000
    short_fine: int = 3
    short_seeds: tuple[int, ...] = (0,)


FULL = HybridConfig()
QUICK = HybridConfig(
    "digits",
    200,
    (8,),
    (20, 50),
    carried=(0.06, 0.02),
    cycle=64,
    fine=(0.05, 0.02),
    single=(0.1, 0.02),
    seeds=(0,),
    short_images=100,
    short_fine=1,
)


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, on digits, not what it claims."""
    config, started = QUICK if quick else FULL, time.perf_counter()
    data = load(config.dataset)
    found: dict[str, list[np.ndarray]] = {}
    for way in ("software", *WAYS):
        found[way] = [_trained(config, data, way, STATES, seed) for seed in config.seeds]
    # As long as each other, on fewer images: what counts is how they compare.
    short = replace(config, images=config.short_images, fine=config.fine[: config.short_fine])
    epochs = short.coarse + short.fine
    short = replace(short, single=epochs, carried=config.carried[: len(epochs)])
    for states in config.states:
        for way in WAYS:
            found[f"{way}/{states}"] = [_trained(short, data, way, states, seed) for seed in config.short_seeds]
    record = Record(
        "hybrid_synapse",
        config,
        config.seeds,
        time.perf_counter() - started,
        _claims(found),
        tables={"states": _table(config, found)},
        data={f"{name}/{what}": np.array(runs)[..., k] for name, runs in found.items() for k, what in enumerate(_WHAT)},
        notes=[
            "Devices have constant steps. Coarse, then fine is a reconstruction of the paper's rule: its abstract says "
            "that one array is selected, not when. The carry is this project's.",
        ],
    )
    draw(record, folder)
    return write_result(folder, record)


_WHAT = ("loss", "accuracy")


def _trained(config: HybridConfig, data: Dataset, way: str, states: int, seed: int) -> np.ndarray:
    """Loss and accuracy of every epoch."""
    network: Any = Sigmoids((data.x_train.shape[1], *config.hidden, data.n_classes), seed)
    images, rates, rule, in_place = min(config.images, len(data.x_train)), config.single, None, None
    if way != "software":
        device, gains, rule = ConstantStep(dw_min=2 / states), (config.gain,), rules.AnalogSGD(0.1)
        if way == IN_TURN:
            gains, rates = (config.gain, config.gain / config.ratio), config.coarse + config.fine
            rule = rules.CoarseToFine(0.1, switch=len(config.coarse) * images)
        elif way == HYBRID:
            finer = config.overlap * 2 / min(states, STATES)
            gains, rates = (finer * config.gain, config.gain), config.carried
            # A fine array is handed on to the nearest step of the coarse one: the two hold a number as two digits do.
            rule = rules.ResidualLearning(0.1, transfer=finer, cycle=config.cycle, nearest=True, carry=True)
            # The rule's learning rate is in units of the fine array, that of the biases in units of the matrix.
            in_place = [rate / gains[0] for rate in rates]
        network = on_arrays(network, analog(device), gains, seed)
    told = f"{way}, {states} states, {images} images, seed {seed}"
    return run(begin(network, rule, seed), data, rates, images=images, in_place=in_place, told=told)[1]


def _last(runs: list[np.ndarray]) -> list[float]:
    return [float(history[-1, 1]) for history in runs]


def _claims(found: dict[str, list[np.ndarray]]) -> list[Any]:
    software = _last(found["software"])
    return [
        claim("software", "%", software, paper=97.92),
        claim("software_from_the_paper", "points", [abs(one - 97.92) for one in software], reach="<= 0.3"),
        claim(f"hybrid_{STATES}_states", "%", _last(found[HYBRID]), paper=97.0, reach=">= 97.3"),
        claim(f"coarse_then_fine_{STATES}_states", "%", _last(found[IN_TURN])),
        claim(f"single_device_{STATES}_states", "%", _last(found[SINGLE])),
    ]


def _table(config: HybridConfig, found: dict[str, list[np.ndarray]]) -> TextTable:
    rows = []
    for states in config.states:
        rows.append([str(states), *(mean_and_spread(_last(found[f"{way}/{states}"])) for way in WAYS)])
    columns = ["states of a device", "coarse and fine, with a carry [%]", "coarse, then fine [%]", "single [%]"]
    return TextTable(f"Accuracy against states, {config.short_images:,} images", columns, rows)
