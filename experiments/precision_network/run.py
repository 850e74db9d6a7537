"""Downloaded weights on MNIST and Fashion-MNIST: levels, fluctuation, wires, and the window that is used."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments._record import mean_and_spread, write_result
from experiments.precision_network._arrays import Layer, accuracies, matrices, targets, trained, written
from experiments.precision_network.pictures import draw
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.datasets import Dataset, load
from qsynapse_jax.studies import Record, TextTable, claim

NAMES = ("mnist", "fashion")
WAYS = ("ideal", "wires", "compensated")
# Of writing; the order of the runs in `matrices`.
STATES = ("denoised", "not denoised")


@dataclass(frozen=True)
class PrecisionConfig:
    """Networks, levels and arrays.

    Attributes:
        sources: data sets behind the names.
        hidden: size of the hidden layer.
        epochs: of training in software.
        levels: within the span, of every device.
        span: from the least conductance to the one of the largest weight [S], where levels vary.
        spans: where it varies, on the second data set; the last is all of the device's window.
        span_levels: levels there.
        r_word, r_bit: wires of 22 nm [ohm per segment].
        shape: word lines and bit lines of a tile.
        steps: of the search for compensated conductances.
        full: the weight of 1 on arrays, as a part of the largest of a layer.
        cells: that the write engine is asked about.
        seeds: of initial weights, order of samples, and devices.
    """

    sources: tuple[str, str] = ("mnist", "fashion_mnist")
    hidden: int = 256
    epochs: int = 6
    levels: tuple[int, ...] = (4, 8, 16, 32, 64, 256, 2048)
    span: float = 64e-6
    spans: tuple[float, ...] = (16e-6, 64e-6, 256e-6, 1024e-6, 4094e-6)
    span_levels: int = 256
    r_word: float = 2.12
    r_bit: float = 6.36
    shape: tuple[int, int] = (64, 64)
    steps: int = 8
    full: float = 0.8
    cells: int = 4096
    seeds: tuple[int, ...] = (0, 1, 2)


FULL = PrecisionConfig()
QUICK = PrecisionConfig(
    ("digits", "digits"), 16, 6, (64,), spans=(64e-6, 4094e-6), span_levels=64, shape=(16, 16), cells=256, seeds=(0,)
)


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, on digits, not what it claims."""
    config, started = QUICK if quick else FULL, time.perf_counter()
    data = {name: np.array(values) for name, values in _measured(config).items()}
    record = Record(
        "precision_network",
        config,
        config.seeds,
        time.perf_counter() - started,
        _claims(config, data),
        tables={"levels": _levels(config, data), "spans": _spans(config, data)},
        data=data,
        notes=[
            f"Differential cells from 50 uS, tiles of {config.shape[0]} x {config.shape[1]} lines, wires of "
            f"{config.r_word:g} and {config.r_bit:g} ohm per segment of a word line and a bit line; writing errors are "
            "normal numbers with the deviation that the write engine leaves of targets within +-1 uS.",
            f"Compensated by the first {config.steps} steps of the search for conductances.",
        ],
    )
    draw(record, folder)
    return write_result(folder, record)


def _measured(config: PrecisionConfig) -> dict[str, list[Any]]:
    """By seed: deviations after writing, and accuracies by data set, way and writing, by levels or spans."""
    found: dict[str, list[Any]] = {}

    def add(name: str, value: Any) -> None:
        found.setdefault(name, []).append(np.float32(value))

    sets = [load(source) for source in config.sources]
    for seed in config.seeds:
        noises = []
        for state, denoising in zip(STATES, (True, False), strict=True):
            noise, success = written(denoising, config.cells, seed)
            noises.append(noise)
            add(f"sigma/{state}", 1e6 * float(noise.coefficients[0]))
            add(f"success/{state}", 100 * success)
        for name, data in zip(NAMES, sets, strict=True):
            layers = trained(data, config.hidden, config.epochs, seed)
            add(f"{name}/float", accuracies(layers, [layer.w[None] for layer in layers], data)[0])
            spans = [(config.span, config.levels, "levels")]
            if name == NAMES[1]:
                spans += [(span, (config.span_levels,), f"span{k}") for k, span in enumerate(config.spans)]
            # All of the window with all of the levels, as they were published.
            spans.append((config.spans[-1], config.levels, "window"))
            for span, levels, label in spans:
                for way in WAYS[: 1 if label == "window" else 3]:
                    one = _accuracy(config, layers, data, span, levels, noises, way, seed)
                    for state, values in zip(STATES, one, strict=True):
                        add(f"{name}/{label}/{way}/{state}", values)
            told = found[f"{name}/levels/compensated/denoised"][-1]
            print(f"seed {seed}, {name}: float {found[f'{name}/float'][-1]:.2f} %, compensated {told} %", flush=True)
    return found


def _accuracy(
    config: PrecisionConfig,
    layers: list[Layer],
    data: Dataset,
    span: float,
    levels: tuple[int, ...],
    noises: list[Any],
    way: str,
    seed: int,
) -> np.ndarray:
    """Accuracies by writing and by levels [%]."""
    wires = None if way == "ideal" else Wires(r_word=config.r_word, r_bit=config.r_bit)
    found = []
    for number, layer in enumerate(layers):
        scale = config.full * jnp.max(jnp.abs(layer.w))
        w = jnp.clip(layer.w / scale, -1, 1)
        g = targets(w, span, wires if way == "compensated" else None, config.shape, config.steps)
        key = 2 * seed + number
        found.append(scale * matrices(g, span, levels, noises, wires, config.shape, key))
    return accuracies(layers, found, data).reshape(len(noises), len(levels))


def _last(data: dict[str, np.ndarray], name: str, index: int = -1) -> list[float]:
    return [float(one[index]) for one in data[name]]


def _claims(config: PrecisionConfig, data: dict[str, np.ndarray]) -> list[Any]:
    figures = [
        claim(f"error_of_writing_{state.replace(' ', '_')}", "uS", [float(x) for x in data[f"sigma/{state}"]])
        for state in STATES
    ]
    for name in NAMES:
        whole = [float(x) for x in data[f"{name}/float"]]

        def lost(key: str, whole: list[float] = whole, index: int = -1) -> list[float]:
            return [a - b for a, b in zip(whole, _last(data, key, index), strict=True)]

        figures += [
            claim(f"{name}_float", "%", whole),
            claim(f"{name}_lost_by_2048_levels_of_the_window", "points", lost(f"{name}/window/ideal/denoised")),
            claim(f"{name}_lost_to_wires", "points", lost(f"{name}/levels/wires/denoised")),
            claim(
                f"{name}_lost_compensated_and_denoised",
                "points",
                lost(f"{name}/levels/compensated/denoised"),
                reach="<= 1",
            ),
            claim(f"{name}_lost_compensated_not_denoised", "points", lost(f"{name}/levels/compensated/not denoised")),
        ]
    last = f"fashion/span{len(config.spans) - 1}"
    whole = data["fashion/float"]
    for way in WAYS[1:]:
        gone = [float(a - b) for a, b in zip(whole, _last(data, f"{last}/{way}/denoised"), strict=True)]
        figures.append(claim(f"fashion_lost_in_the_whole_window_{way}", "points", gone))
    return figures


def _levels(config: PrecisionConfig, data: dict[str, np.ndarray]) -> TextTable:
    runs = [
        ("window/ideal/denoised", "50 to 4,144 uS, ideal wires"),
        ("levels/ideal/denoised", "ideal wires"),
        ("levels/wires/denoised", "wires"),
        ("levels/compensated/denoised", "compensated"),
        ("levels/compensated/not denoised", "compensated, not denoised"),
    ]
    rows = [
        [name, str(n), *(mean_and_spread(data[f"{name}/{run}"][:, k]) for run, _ in runs)]
        for name in NAMES
        for k, n in enumerate(config.levels)
    ]
    columns = ["images", "levels", *(label for _, label in runs)]
    return TextTable(f"Test accuracy [%] against levels, {config.span * 1e6:g} uS from the least", columns, rows)


def _spans(config: PrecisionConfig, data: dict[str, np.ndarray]) -> TextTable:
    rows = []
    for k, span in enumerate(config.spans):
        runs = [f"fashion/span{k}/{way}/{state}" for way in WAYS for state in STATES]
        rows.append([f"{span * 1e6:,.0f}", *(mean_and_spread(data[run][:, -1]) for run in runs)])
    columns = ["span [uS]", *(f"{way}, {state}" for way in WAYS for state in STATES)]
    return TextTable(f"Fashion-MNIST [%] with {config.span_levels} levels", columns, rows)
