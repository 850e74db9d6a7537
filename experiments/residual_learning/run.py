"""LeNet-5 on devices of 10 states, trained in place on MNIST: residual learning with three, four and six arrays."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from experiments._in_place import begin, on_arrays, run
from experiments._record import kept, mean_and_spread, write_result
from experiments.residual_learning.pictures import draw
from qsynapse_jax.datasets import Dataset, load
from qsynapse_jax.devices import SoftBounds
from qsynapse_jax.studies import Claim, Record, TextTable, claim
from qsynapse_jax.tile import analog
from qsynapse_jax.training import rules

SOFTWARE, TIKI_TAKA = "software", "two arrays, Tiki-Taka version 2"


def residual(arrays: int) -> str:
    """Name of a run of residual learning."""
    return f"{arrays} arrays, residual learning"


# Accuracy that J. Li et al., arXiv 2510.02516, report for 10 states [%].
PUBLISHED = {residual(3): 95.07, residual(4): 97.10, residual(6): 98.53, TIKI_TAKA: 95.43}


NOTES = [
    "The paper's network, rates, gains and epochs are not known; those here are from a search on one seed.",
    "One seed takes an hour and a half of one core.",
]


# Of the first learning rate, in every epoch.
_PARTS = (1, 0.4, 0.15)


@dataclass(frozen=True)
class ResidualConfig:
    """Network, devices, and how every rule learns.

    Attributes:
        dataset: name of the images.
        images: how many of them are learnt.
        side: of an image [pixels].
        kernels: sizes of the two convolutions [pixels].
        channels: outputs of the two convolutions.
        hidden: size of the hidden dense layer.
        states: steps of a device from bound to bound.
        arrays: of a matrix, in residual learning.
        gamma: gain of an array over that of the next coarser one, for each number of arrays.
        switch: images after which the next finer array is fed, for each number of arrays.
        transfer: part of what is read that the next array moves by.
        cycle: images in which all rows of the finest array are read once.
        slower: how much slower the clock of every next array is.
        software, residual, tiki_taka: learning rate of every epoch.
        fast_rate, granularity: of Tiki-Taka.
        slow_gain: gain of its slow array, which is the largest weight.
        seeds: of initial weights, devices and sample order.
    """

    dataset: str = "mnist"
    images: int = 60_000
    side: int = 28
    kernels: tuple[int, int] = (5, 5)
    channels: tuple[int, int] = (16, 32)
    hidden: int = 128
    states: int = 10
    arrays: tuple[int, ...] = (3, 4, 6)
    gamma: tuple[float, ...] = (0.12, 0.3, 0.4)
    switch: tuple[tuple[int, ...], ...] = ((4000,), (3000, 30_000), (2000, 4000, 60_000, 120_000))
    transfer: float = 0.13
    cycle: int = 512
    slower: int = 100
    software: tuple[float, ...] = tuple(0.05 * part for part in _PARTS)
    residual: tuple[float, ...] = tuple(0.05 * part for part in _PARTS)
    tiki_taka: tuple[float, ...] = tuple(0.02 * part for part in _PARTS)
    fast_rate: float = 0.002
    granularity: float = 10_000.0
    slow_gain: float = 0.3
    seeds: tuple[int, ...] = (0,)


FULL = ResidualConfig()
QUICK = ResidualConfig("digits", 60, 8, (3, 2), (2, 4), 8, switch=((20,), (20, 40), (10, 20, 30, 40)), cycle=16)


class LeNet(nnx.Module):
    """Two convolutions with mean pooling, two dense layers, tanh between."""

    def __init__(self, config: ResidualConfig, classes: int, seed: int):
        rngs = nnx.Rngs(seed)
        first, second = config.kernels
        side = ((config.side - first + 1) // 2 - second + 1) // 2
        few, many = config.channels
        self.side = config.side
        self.conv1 = nnx.Conv(1, few, (first, first), padding="VALID", rngs=rngs)
        self.conv2 = nnx.Conv(few, many, (second, second), padding="VALID", rngs=rngs)
        self.dense1 = nnx.Linear(side * side * many, config.hidden, rngs=rngs)
        self.dense2 = nnx.Linear(config.hidden, classes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Scores of the classes, for images as vectors."""
        x = x.reshape(-1, self.side, self.side, 1)
        for convolution in (self.conv1, self.conv2):
            x = nnx.avg_pool(nnx.tanh(convolution(x)), (2, 2), (2, 2))
        return self.dense2(nnx.tanh(self.dense1(x.reshape(len(x), -1))))


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, on digits, not what it claims."""
    config, started = QUICK if quick else FULL, time.perf_counter()
    data = load(config.dataset)
    names = [SOFTWARE, TIKI_TAKA, *map(residual, config.arrays)]
    found = {name: [_kept(folder, config, data, name, seed) for seed in config.seeds] for name in names}
    record = Record(
        "residual_learning",
        config,
        config.seeds,
        time.perf_counter() - started,
        _claims(found),
        tables={"accuracy": _table(found)},
        data={f"{name}/accuracy": np.array(runs)[..., 1] for name, runs in found.items()},
        notes=NOTES,
    )
    draw(record, folder)
    return write_result(folder, record)


def _kept(folder: Path, config: ResidualConfig, data: Dataset, name: str, seed: int) -> np.ndarray:
    """Loss and accuracy of every epoch; read where an interrupted run had them."""
    return kept(folder, config, f"{name} {seed}", lambda: _trained(config, data, name, seed))


def _trained(config: ResidualConfig, data: Dataset, name: str, seed: int) -> np.ndarray:
    network: Any = LeNet(config, data.n_classes, seed)
    rates, rule = config.software, None
    if name != SOFTWARE:
        if name == TIKI_TAKA:
            gains, rates = (0.0, config.slow_gain), config.tiki_taka
            rule = rules.TikiTaka(
                0.1, fast_rate=config.fast_rate, granularity=config.granularity, every=1, in_steps=True
            )
        else:
            which = [residual(arrays) for arrays in config.arrays].index(name)
            arrays, rates = config.arrays[which], config.residual
            gains = tuple(config.gamma[which] ** k for k in reversed(range(arrays)))
            rule = rules.ResidualLearning(
                0.1,
                transfer=config.transfer,
                arrays=arrays,
                cycle=config.cycle,
                slower=config.slower,
                switch=config.switch[which],
                nearest=True,
            )
        network = on_arrays(network, analog(SoftBounds(dw_min=2 / config.states)), gains, seed)
    state, told = begin(network, rule, seed), f"{name}, seed {seed}"
    return run(state, data, rates, images=config.images, told=told)[1]


def _last(runs: list[np.ndarray]) -> list[float]:
    return [float(history[-1, 1]) for history in runs]


def _claims(found: dict[str, list[np.ndarray]]) -> list[Claim]:
    claims = []
    for name, runs in found.items():
        slug = name.replace(", ", "_").replace(" ", "_")
        claims.append(claim(slug, "%", _last(runs), paper=PUBLISHED.get(name), label=name))
    return claims


def _table(found: dict[str, list[np.ndarray]]) -> TextTable:
    columns = ["", *(f"epoch {k + 1} [%]" for k in range(len(_PARTS)))]
    rows = [
        [name, *(mean_and_spread([float(run[k, 1]) for run in runs]) for k in range(len(_PARTS)))]
        for name, runs in found.items()
    ]
    return TextTable("Accuracy on test images", columns, rows)
