"""Branch resistors found by gradient: against closed forms, and against R, 2R, 4R behind wires."""

import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from experiments._progress import Lines
from experiments._record import mean_and_spread, write_result
from experiments.codesign_ladder._closed_forms import closed_forms
from experiments.codesign_ladder.pictures import draw
from qsynapse_jax.studies import CodesignConfig, CodesignResult, Record, TextTable, claim, run_codesign

PLAIN, AT_FOUND, FOUND = "R, 2R, 4R", "R as found", "found"
REACH = {
    "resistors_found_against_closed_form_r_off_infinite": "<= 1e-3",
    "resistors_found_against_closed_form_on_off_200": "<= 1e-3",
    "inl_of_plain_over_found_5_bits_on_off_200": ">= 10",
    "tile_inl_gained_over_plain_in_seed_spreads": ">= 2",
    "tile_inl_gained_over_plain_at_the_same_r_in_seed_spreads": ">= 2",
    "accuracy_gained_over_plain_in_seed_spreads": ">= 2",
}


@dataclass(frozen=True)
class ExperimentConfig:
    """The search behind wires, and its seeds."""

    search: CodesignConfig = field(default_factory=lambda: CodesignConfig(dataset="mnist", hidden=(256,), series="E96"))
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the trained network, of codes, of devices and of the starts in the closed-form checks."""
    closed_form_steps: int = 400


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, not what it claims."""
    config = ExperimentConfig()
    if quick:
        search = CodesignConfig(hidden=(4,), tile_shape=(16,), steps=2, network=0.0, series="E96")
        config = ExperimentConfig(search, (0,), 2)
    started = time.perf_counter()
    known = closed_forms(config.seeds, config.closed_form_steps)
    results = []
    for seed in config.seeds:
        print(f"seed {seed}", flush=True)
        results.append(run_codesign(dataclasses.replace(config.search, seed=seed), Lines()))
    data = _data(results)
    claimed = {name: values for name, values in known.items() if name in REACH} | _gained(data)
    record = Record(
        "codesign_ladder",
        config,
        config.seeds,
        time.perf_counter() - started,
        [claim(name, unit, found, reach=REACH.get(name)) for name, (unit, found) in claimed.items()],
        tables={"designs": _designs_table(results[0], data)},
        data=data | {f"closed_form/{name}": np.array(values) for name, (_, values) in known.items()},
        notes=config.search.hardware(),
    )
    write_result(folder, record)
    draw(record, folder)
    return record


def _data(results: list[CodesignResult]) -> dict[str, np.ndarray]:
    """Measured quantities of shape (seeds, draws), and resistors of shape (seeds, bits), by design."""
    measured = {
        f"measured/{quantity}/{design}": np.array([result.measured[design][quantity] for result in results])
        for design, quantities in results[0].measured.items()
        for quantity in quantities
    }
    designs = {
        f"resistors/{design}": np.stack([result.designs[design] for result in results]) for design in results[0].designs
    }
    return measured | designs


def _designs_table(result: CodesignResult, data: dict[str, np.ndarray]) -> TextTable:
    """What every design is worth, mean and standard deviation over seeds."""
    rows = []
    for quantity in ("tile_inl", "error", "accuracy", "power", "area"):
        label, unit, _ = CodesignResult.QUANTITIES[quantity]
        cells = []
        for design in result.designs:
            by_seed = data[f"measured/{quantity}/{design}"].mean(axis=1)
            cells.append(mean_and_spread(by_seed, ".4g", ".2g"))
        rows.append([f"{label} [{unit}]", *cells])
    return TextTable("Designs, measured on draws that no search has seen", ["quantity", *result.designs], rows)


def _gained(data: dict[str, np.ndarray]) -> dict[str, tuple[str, list[float]]]:
    """What the resistors found are better by than plain ones, by themselves and in units of the spread over seeds."""
    values: dict[str, tuple[str, list[float]]] = {}
    for quantity, sign in (("tile_inl", -1), ("accuracy", 1)):
        for design, name in ((PLAIN, "plain"), (AT_FOUND, "plain_at_the_same_r")):
            before, after = (data[f"measured/{quantity}/{one}"].mean(axis=1) for one in (design, FOUND))
            gained = sign * (after - before)
            # Of the two designs' values over seeds, the larger: what a margin has to stand out from.
            spread = max(np.std(before, ddof=1), np.std(after, ddof=1)) if len(gained) > 1 else 0.0
            share = gained / spread if spread > 0 else np.zeros_like(gained)
            values[f"{quantity}_gained_over_{name}"] = (CodesignResult.QUANTITIES[quantity][1], gained.tolist())
            values[f"{quantity}_gained_over_{name}_in_seed_spreads"] = ("", share.tolist())
    return values
