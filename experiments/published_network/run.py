"""The published network trained through its wires: accuracy by tile size, beside what was published."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from experiments._progress import Lines
from experiments._record import mean_and_spread, write_result
from experiments.published_network._network import Differential, Offset
from experiments.published_network._published import CLOSED_FORMS, IDEAL, LOOP
from experiments.published_network._training import Case, Trained, train
from experiments.published_network.pictures import draw
from qsynapse_jax import datasets
from qsynapse_jax.studies import Claim, Record, TextTable, claim

REACH = {
    "accuracy_offset_tile_64": ">= 93.5",
    "accuracy_offset_tile_128": ">= 91",
    "accuracy_offset_tile_784": ">= 83",
    "accuracy_differential_tile_64": ">= 97.0",
    "time_to_train_offset_tile_128": "<= 120",
}
# The lines of one array lose nearly everything: a start that spares them more, and no step without the exact gradient.
# That costs the same for any batch.
ONE_ARRAY = Case(784, skew=200.0, scale=8.0, rate=2.5e-3, batch=512, epochs=4, every=0)
CASES = {
    "offset_tile_32": Case(32, skew=5.0, scale=0.5, epochs=4),
    "offset_tile_64": Case(64),
    "offset_tile_128": Case(128, skew=40.0),
    "offset_tile_784": ONE_ARRAY,
    "differential_tile_64": Case(64, Differential(), skew=None, rate=4e-3),
    "offset_tile_64_published_start": Case(64, skew=None, rate=2e-3),
}
# There were no differential pairs.
PUBLISHED = {name: LOOP[case.tile] for name, case in CASES.items() if isinstance(case.coding, Offset)}


@dataclass(frozen=True)
class ExperimentConfig:
    """What is trained, on which images, and the seeds."""

    cases: dict[str, Case] = field(default_factory=lambda: CASES)
    dataset: str = "mnist"
    hidden: int = 128
    seeds: tuple[int, ...] = (0, 1, 2)


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, not what it claims."""
    config = ExperimentConfig()
    if quick:
        cases = {name: replace(case, tile=16, epochs=1, every=min(case.every, 2)) for name, case in CASES.items()}
        config = ExperimentConfig(cases, "digits", 16, (0,))
    started = time.perf_counter()
    data = datasets.load(config.dataset)
    runs = {
        name: [train(case, data, config.hidden, seed, Lines()) for seed in config.seeds]
        for name, case in config.cases.items()
    }
    record = recorded(config, runs, time.perf_counter() - started)
    write_result(folder, record)
    draw(record, folder)
    return record


def recorded(config: ExperimentConfig, runs: dict[str, list[Trained]], seconds: float) -> Record:
    """The record of what was trained, a network per seed, by case, in `seconds` [s]."""
    return Record(
        "published_network",
        config,
        config.seeds,
        seconds,
        _claims(config, runs),
        tables={"networks": _networks_table(config, runs), "closed_forms": _closed_forms_table()},
        data={
            f"{what}/{name}": np.array([getattr(run, what) for run in found])
            for name, found in runs.items()
            for what in ("accuracy", "loss")
        },
        notes=(
            "cells of 1 kohm to 40 kohm, wires of 2 ohm per segment",
            "times are of training: compilation of the program included, the test after each epoch left out",
        ),
    )


def _claims(config: ExperimentConfig, runs: dict[str, list[Trained]]) -> list[Claim]:
    """Accuracy and time of every case, beside what was published."""
    accuracies, times = [], []
    for name, found in runs.items():
        published = PUBLISHED.get(name)
        for claims, what, unit, values, paper in (
            (
                accuracies,
                f"accuracy_{name}",
                "%",
                [run.accuracy[-1] for run in found],
                published and published.accuracy,
            ),
            (times, f"time_to_train_{name}", "s", [run.seconds for run in found], published and published.seconds),
        ):
            claims.append(claim(what, unit, values, reach=REACH.get(what), paper=paper))
    return accuracies + times


def _networks_table(config: ExperimentConfig, runs: dict[str, list[Trained]]) -> TextTable:
    """How every network was trained and what became of it."""
    rows = []
    for name, found in runs.items():
        case = config.cases[name]
        solved = f"every {case.every} steps" if case.every > 1 else "every step"
        start = "published" if case.skew is None else f"power {case.skew:g}"
        conductance = 1e6 * float(np.mean([run.conductance for run in found]))
        rows.append(
            [
                f"{case.coding.label}, {case.tile}",
                start,
                f"{case.epochs} x {case.batch}",
                solved,
                f"{conductance:.3g}",
                mean_and_spread([run.accuracy[-1] for run in found], spread=".2g"),
                *([f"{PUBLISHED[name].accuracy:g}", f"{PUBLISHED[name].exact:g}"] if name in PUBLISHED else ["", ""]),
            ]
        )
    columns = ["coding, tile", "start", "epochs x batch", "circuit solved", "mean cell [uS]", "accuracy [%]"]
    return TextTable(
        "Networks on the exact circuit",
        [*columns, "published [%]", "the published network on the exact circuit [%]"],
        rows,
    )


def _closed_forms_table() -> TextTable:
    """The networks that were trained through closed forms: published, and on the exact circuit."""
    tiles = sorted({tile for found in CLOSED_FORMS.values() for tile in found})
    rows = [
        [name, *(f"{found[t].accuracy:.2f} / {found[t].exact:.2f}" if t in found else "" for t in tiles)]
        for name, found in (CLOSED_FORMS | {"no wires": {784: IDEAL}}).items()
    ]
    return TextTable("Published / on the exact circuit [%]", ["trained through", *(f"tile {t}" for t in tiles)], rows)
