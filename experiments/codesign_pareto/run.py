"""Error of the weights against read power and area, resistors and wire widths found together by gradient."""

import time
from pathlib import Path

import numpy as np

from experiments._record import kept, write_result
from experiments.codesign_pareto._front import FrontConfig, front
from experiments.codesign_pareto.pictures import draw
from qsynapse_jax.studies import Claim, Record, TextTable, claim

FULL = FrontConfig()
QUICK = FrontConfig(tile=8, steps=2, weights=((1.0, 0.0, 0.0), (1.0, 1.0, 1.0)), seeds=(0,))
# What a design is, and what it is worth.
QUANTITIES = ("r_branch", "word_width", "bit_width", "error_lsb", "power_w", "area_m2")


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, not what it claims."""
    config, started = QUICK if quick else FULL, time.perf_counter()

    def one(seed: int) -> np.ndarray:
        found = front(config, seed)
        return np.concatenate([found[name].reshape(len(config.weights) + 1, -1) for name in QUANTITIES], axis=1)

    # Shape (seeds, designs, numbers): the resistors, and one number of each of the others.
    runs = np.stack([kept(folder, config, f"front {seed}", lambda s=seed: one(s)) for seed in config.seeds])
    parts = np.split(runs, [config.bits + k for k in range(len(QUANTITIES) - 1)], axis=2)
    data = {
        name: np.squeeze(part, 2) if k else part for k, (name, part) in enumerate(zip(QUANTITIES, parts, strict=True))
    }
    record = Record(
        "codesign_pareto",
        config,
        config.seeds,
        time.perf_counter() - started,
        _claims(data),
        tables={"designs": _table(config, data)},
        data=data,
        notes=["Every design is measured on codes and devices that its search has not seen; the first is the start."],
    )
    draw(record, folder)
    return write_result(folder, record)


def _claims(data: dict[str, np.ndarray]) -> list[Claim]:
    """What can be had over the start, the best design of each seed."""
    error, power, area = (data[name] / data[name][:, :1] for name in ("error_lsb", "power_w", "area_m2"))
    is_straight = error <= 1 + 1e-6
    return [
        claim("least_error_over_start", "", error.min(1).tolist()),
        claim("power_of_that_over_start", "", power[np.arange(len(error)), error.argmin(1)].tolist()),
        claim("least_power_over_start_at_no_more_error", "", np.where(is_straight, power, np.inf).min(1).tolist()),
        claim("least_area_over_start_at_no_more_error", "", np.where(is_straight, area, np.inf).min(1).tolist()),
    ]


def _table(config: FrontConfig, data: dict[str, np.ndarray]) -> TextTable:
    """Means over the seeds."""
    rows = []
    for k in range(len(config.weights) + 1):
        name = "start" if k == 0 else ", ".join(f"{one:g}" for one in config.weights[k - 1])
        mean = {key: values[:, k].mean(0) for key, values in data.items()}
        rows.append(
            [
                name,
                ", ".join(f"{1e-3 * r:.3g}" for r in mean["r_branch"]),
                f"{1e9 * mean['word_width']:.0f} / {1e9 * mean['bit_width']:.0f}",
                f"{mean['error_lsb']:.3g}",
                f"{1e6 * mean['power_w']:.4g}",
                f"{1e12 * mean['area_m2']:.4g}",
            ]
        )
    columns = [
        "weights of error, power, area",
        "resistors [kohm]",
        "word / bit line [nm]",
        "rms error [LSB]",
        "read power of a tile [uW]",
        "area of a weight [um2]",
    ]
    return TextTable(f"Designs on {config.tile} x {config.tile} cells", columns, rows)
