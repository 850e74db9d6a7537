"""Programming and keeping of quantized synapses against analog cells: time, energy, accuracy over ten years."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from experiments._record import figure, record, write_result
from experiments.quantized_programming import _linearity, _network, _writing
from experiments.quantized_programming._technologies import NAMES
from qsynapse_jax.datasets import load

TEN_YEARS = 10 * 365.25 * 86400
REACH = {
    "pulses_mean_fppv_2_bits": "<= 44",
    "pulses_mean_ispp_2_bits": "<= 25",
    "pulses_mean_range_adapting_2_bits": "<= 9.5",
    "pulses_p99_fppv_2_bits": "<= 849",
    "pulses_p99_ispp_2_bits": "<= 200",
    "time_to_simulate_the_write_of_the_largest_analog_array_3_bits": "<= 60",
    "speed_up_at_the_corner": ">= 1e6",
    "speed_up_on_pulse_count_alone_ispp_2_bits": ">= 10",
    "speed_up_on_pulse_count_alone_fppv_3_bits": "<= 1000",
    "digital_lost_in_ten_years_at_85_C": "<= 0.3",
    "inl_exact_against_first_order_at_ratio_1e8_2_to_6_bits": "<= 1.0",
    # 0.65 and 0.96 at 5 and 6 bits: the criterion bounds the error of one branch, and theirs add up.
    **{f"inl_at_on_off_ratio_4_to_the_bits_{bits}_bits": "<= 0.5" for bits in (2, 3, 4)},
}
PAPER = {
    "pulses_mean_fppv_3_bits": 137.0,
    "pulses_median_fppv_3_bits": 37.0,
    "pulses_p99_fppv_3_bits": 2001.0,
    "success_fppv_3_bits": 0.967,
}


@dataclass(frozen=True)
class ProgrammingConfig:
    """What is written, how long it is kept, and how often all of it is repeated."""

    bits: tuple[int, ...] = (2, 3, 4, 5, 6)
    """Of a bit line, for time and energy."""
    sizes: tuple[int, ...] = (64, 128, 256, 512, 1024)
    """Square arrays; the smaller ones are blocks of the largest, whose cells are written independently."""
    statistics_cells: int = 32_768
    """Cells of the published bands; as many as were measured."""
    dataset: str = "mnist"
    hidden: tuple[int, ...] = (256,)
    network_bits: int = 3
    epochs: int = 4
    batch_size: int = 1024
    r_wire: float = 1.0
    """Resistance of a segment of word and bit line [ohm]."""
    seconds: tuple[float, ...] = (1.0, 3600.0, 86400.0, 2.63e6, 3.156e7, TEN_YEARS)
    celsius: tuple[float, ...] = (25.0, 85.0, 125.0)
    spreads: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 3.0)
    """Factors of every spread and share of faults."""
    seeds: tuple[int, ...] = (0, 1, 2)


QUICK = ProgrammingConfig(
    bits=(3,),
    sizes=(16, 32),
    statistics_cells=1024,
    dataset="digits",
    hidden=(),
    epochs=1,
    batch_size=64,
    seconds=(TEN_YEARS,),
    celsius=(85.0,),
    spreads=(1.0,),
    seeds=(0,),
)


def main(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Runs the experiment into `folder`; `quick` proves that it runs, on digits, not what it claims."""
    config = QUICK if quick else ProgrammingConfig()
    started, console = time.perf_counter(), Console()
    values: dict[str, tuple[str, list[float]]] = {}
    rows: dict[str, list[dict[str, Any]]] = {"writing": [], "retention": [], "variation": [], "designed": []}
    for seed in config.seeds:
        console.print(f"seed {seed}: pulse statistics")
        _add(values, _statistics(config, seed))
        for bits in config.bits:
            console.print(f"seed {seed}: {bits} bits, {config.sizes[-1]} x {config.sizes[-1]} cells")
            rows["writing"] += _written(config, bits, seed, values)
        console.print(f"seed {seed}: {config.dataset}")
        data = load(config.dataset, seed=seed)
        networks = _network.trained(data, config.hidden, config.network_bits, config.epochs, config.batch_size, seed)
        for name, found in _network.study(networks, config, data, seed).items():
            rows[name] += found
    speed_up = _writing.speed_up_map()
    values["speed_up_at_the_corner"] = ("", [speed_up["corner"]["speed_up"]] * len(config.seeds))
    values.update(_accuracies(rows))
    paper = dict(PAPER)
    for name, (unit, value, given) in _linearity.figures().items():
        values[name] = (unit, [value] * len(config.seeds))
        if given is not None:
            paper[name] = given
    figures = [
        figure(name, unit, found, reach=REACH.get(name), paper=paper.get(name))
        for name, (unit, found) in values.items()
    ]
    tables = {
        "writing": _writing.writing_table(rows["writing"]),
        "corner": _writing.corner_table(),
        "retention": _retention_table(rows["retention"]),
        "variation": _variation_table(rows["variation"]),
        "linearity": _linearity.table(),
    }
    extra = {"speed_up": speed_up, "rows": rows, "tables": tables}
    content = record(config, figures, started=started, extra=extra)
    _assumptions(console)
    console.print(f"Written: {write_result(folder, content)}", highlight=False, soft_wrap=True)
    return content


def _add(values: dict[str, tuple[str, list[float]]], found: dict[str, tuple[str, float]]) -> None:
    for name, (unit, value) in found.items():
        values.setdefault(name, (unit, []))[1].append(value)


def _statistics(config: ProgrammingConfig, seed: int) -> dict[str, tuple[str, float]]:
    found = _writing.pulse_statistics(config.statistics_cells, seed)
    figures = {
        f"{'pulses_' if key != 'success' else ''}{key}_{name}": ("" if key == "success" else "pulses", statistics[key])
        for key in ("mean", "median", "p99", "success")
        for name, statistics in found.items()
    }
    for name in ("ispp_2_bits", "fppv_3_bits"):
        figures[f"speed_up_on_pulse_count_alone_{name}"] = ("", found[name]["mean"])
    return figures


def _written(
    config: ProgrammingConfig, bits: int, seed: int, values: dict[str, tuple[str, list[float]]]
) -> list[dict[str, Any]]:
    """Rows of every size of both sides; and, for three bits, what is claimed of the largest."""
    reports = _writing.written(bits, config.sizes[-1], seed)
    rows = [
        {"bits": bits, "size": size, "side": side, "seed": seed, **_writing.blocks(report, size)}
        for size in config.sizes
        for side, (report, _) in reports.items()
    ]
    if bits == 3:
        digital, analog = rows[-2:]
        name = "time_to_simulate_the_write_of_the_largest_analog_array_3_bits"
        found = {name: ("s", reports["analog_measured"][1])}
        for mode in _writing.MODES:
            found[f"speed_up_largest_array_3_bits_by_{mode}"] = ("", analog[mode] / digital[mode])
        found["energy_ratio_largest_array_3_bits"] = ("", analog["energy"] / digital["energy"])
        _add(values, found)
    return rows


def _accuracies(rows: dict[str, list[dict[str, Any]]]) -> dict[str, tuple[str, list[float]]]:
    """Fresh accuracy of every technology, and what ten years at 85 C take of it."""
    values: dict[str, tuple[str, list[float]]] = {}
    for name in NAMES:
        mine = [row for row in rows["retention"] if row["technology"] == name and row["celsius"] == 85.0]
        fresh = [row["accuracy"] for row in mine if row["seconds"] == 0]
        old = [row["accuracy"] for row in mine if row["seconds"] == TEN_YEARS]
        designed = [row["accuracy"] for row in rows["designed"] if row["technology"] == name]
        values[f"{name}_accuracy_as_designed"] = ("%", designed)
        values[f"{name}_accuracy_fresh"] = ("%", fresh)
        lost = [before - after for before, after in zip(fresh, old, strict=True)]
        values[f"{name}_lost_in_ten_years_at_85_C"] = ("points", lost)
    return values


def _mean(rows: list[dict[str, Any]]) -> str:
    found = [row["accuracy"] for row in rows]
    spread = f" ± {np.std(found, ddof=1):.2g}" if len(found) > 1 else ""
    return f"{np.mean(found):.2f}{spread}"


def _retention_table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    times = list(dict.fromkeys(row["seconds"] for row in rows))
    lines = []
    for name, celsius in dict.fromkeys((row["technology"], row["celsius"]) for row in rows):
        mine = [row for row in rows if (row["technology"], row["celsius"]) == (name, celsius)]
        found = [_mean([row for row in mine if row["seconds"] == t]) for t in times]
        lines.append([NAMES[name], f"{celsius:g} C", *found])
    return {"columns": ["", "kept at", *(f"{t:.3g} s" for t in times)], "rows": lines}


def _variation_table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    spreads = list(dict.fromkeys(row["spread"] for row in rows))
    lines = [
        [label, *(_mean([row for row in rows if row["technology"] == name and row["spread"] == s]) for s in spreads)]
        for name, label in NAMES.items()
    ]
    return {"columns": ["spreads times", *(f"{s:g}" for s in spreads)], "rows": lines}


def _assumptions(console: Console) -> None:
    corner = _writing.CORNER
    console.print(
        f"10^6 assumes {corner['n_verify']:g} iterations of {corner['t_iteration']:g} s (pulse, read, settling) "
        f"against one pulse of {corner['t_switch']:g} s, all branches of a cell written at once, and no other time "
        "on either side."
    )
