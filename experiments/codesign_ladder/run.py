"""Branch resistors found by gradient: against closed forms, against R, 2R, 4R behind wires, and against their cost."""

import dataclasses
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from experiments._record import figure, record, write_result
from experiments.codesign_ladder._closed_forms import closed_forms
from experiments.codesign_ladder._front import FrontConfig, front
from experiments.codesign_ladder.pictures import draw
from qsynapse_jax.cli import CodesignConfig, CodesignStudy, run_codesign

PLAIN, AT_FOUND, CLOSED, FOUND = "R, 2R, 4R", "R as found", "closed form", "found"
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
    """The search behind wires, its seeds, and the front."""

    search: CodesignConfig = field(default_factory=lambda: CodesignConfig(dataset="mnist", hidden=(256,), series="E96"))
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the trained network, of codes, of devices and of the starts in the closed-form checks."""
    closed_form_steps: int = 400
    front: FrontConfig = field(default_factory=FrontConfig)


def main(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Runs the experiment into `folder`; `quick` proves that it runs, not what it claims."""
    config = ExperimentConfig()
    if quick:
        search = CodesignConfig(hidden=(4,), tile=(16,), steps=2, network=0.0, series="E96")
        config = ExperimentConfig(search, (0,), 2, FrontConfig(tile=8, steps=2))
    started, console = time.perf_counter(), Console()
    known = closed_forms(config.seeds, config.closed_form_steps)
    studies = []
    for seed in config.seeds:
        console.print(f"seed {seed}")
        studies.append(run_codesign(dataclasses.replace(config.search, seed=seed), console))
    traded = front(config.front, console)
    values = {**known, **_found(studies)}
    figures = [figure(name, unit, found, reach=REACH.get(name)) for name, (unit, found) in values.items()]
    extra = {
        "resistors_ohm": [
            {name: [round(float(r), 1) for r in design] for name, design in study.designs.items()} for study in studies
        ],
        "measured": [study.figures for study in studies],
        "front": traded,
    }
    content = record(config, figures, started=started, extra=extra)
    path = write_result(folder, content)
    picture = draw(folder)
    console.print(f"Written: {path} and {picture}", highlight=False, soft_wrap=True)
    return content


def _found(studies: list[CodesignStudy]) -> dict[str, tuple[str, list[float]]]:
    """Figures of all designs, a value a seed, each the mean over draws of devices."""
    made = list(studies[0].designs)[-1]
    names = {
        PLAIN: "plain",
        AT_FOUND: "plain_at_the_r_found",
        CLOSED: "closed_form_at_the_r_found",
        FOUND: "found",
        made: f"found_and_rounded_to_{made}",
    }
    lines = {
        "tile_inl": ("LSB", 1.0),
        "error": ("LSB", 1.0),
        "accuracy": ("%", 1.0),
        "power": ("uW", 1e6),
        "area": ("um2", 1e12),
    }

    def mean(line: str, design: str) -> list[float]:
        return [lines[line][1] * float(np.mean(study.figures[design][line])) for study in studies]

    values = {
        f"{line}_{name}": (unit, mean(line, design))
        for line, (unit, _) in lines.items()
        for design, name in names.items()
    }
    for line, sign in (("tile_inl", -1), ("accuracy", 1)):
        for design, name in ((PLAIN, "plain"), (AT_FOUND, "plain_at_the_same_r")):
            before, after = mean(line, design), mean(line, FOUND)
            gained = [sign * (b - a) for a, b in zip(before, after, strict=True)]
            # Of the two designs' values over seeds, the larger: what a margin has to stand out from.
            spread = max(np.std(before, ddof=1), np.std(after, ddof=1)) if len(studies) > 1 else np.nan
            share = [g / float(spread) if spread > 0 else 0.0 for g in gained]
            values[f"{line}_gained_over_{name}"] = (lines[line][0], gained)
            values[f"{line}_gained_over_{name}_in_seed_spreads"] = ("", share)
    return values
