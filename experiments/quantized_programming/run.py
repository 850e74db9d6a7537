"""Programming and keeping of quantized synapses against analog cells: time, energy, accuracy over ten years."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments._record import mean_and_spread, write_result
from experiments.quantized_programming import _linearity, _network, _writing
from experiments.quantized_programming._technologies import NAMES
from experiments.quantized_programming.pictures import draw
from qsynapse_jax.datasets import load
from qsynapse_jax.studies import Claim, Record, TextTable, claim

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
    # Given to two decimals.
    "inl_against_an_independent_computation_largest_difference": "<= 0.01",
    "inl_exact_against_first_order_at_ratio_1e8_2_to_6_bits": "<= 1.0",
    # At 5 and 6 bits nothing is asked for: the criterion bounds the error of one branch, and theirs add up.
    "inl_at_on_off_ratio_4_to_the_bits_2_to_4_bits": "<= 0.5",
}
PAPER = {"pulses_mean_fppv_3_bits": 137.0, "success_fppv_3_bits": 0.967}
# Of the pulse statistics; all of them are in the data.
CLAIMED = (
    *(f"pulses_mean_{name}" for name in _writing.SCHEMES),
    "pulses_p99_fppv_2_bits",
    "pulses_p99_ispp_2_bits",
    "success_fppv_3_bits",
)


@dataclass(frozen=True)
class ProgrammingConfig:
    """What is written, how long it is kept, and how often all of it is repeated."""

    bits: tuple[int, ...] = (2, 3, 4, 5, 6)
    """Bits of a bit line, for time and energy."""
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


def main(folder: Path, *, quick: bool) -> Record:
    """Runs the experiment into `folder`; `quick` proves that it runs, on digits, not what it claims."""
    config, started = QUICK if quick else ProgrammingConfig(), time.perf_counter()
    runs = [_one_seed(config, seed) for seed in config.seeds]
    data = {name: np.stack([run[name] for run in runs]) for name in runs[0]}
    speed_up, (linearity, computed) = _writing.speed_up_map(), _linearity.table()
    figures = _claims(config, data, float(speed_up["corner"]))
    data |= {f"speed_up/{name}": array for name, array in speed_up.items()}
    data |= {f"linearity/{name}": array for name, array in computed.items()}
    data |= {"retention/seconds": np.array([0.0, *config.seconds]), "retention/celsius": np.array(config.celsius)}
    three = {name: array.mean(axis=0)[config.bits.index(3)] for name, array in _costs(data).items()}
    record = Record(
        "quantized_programming",
        config,
        config.seeds,
        time.perf_counter() - started,
        figures,
        tables={
            "writing": _writing.writing_table(three, config.sizes),
            "corner": _writing.corner_table(),
            "retention": _retention_table(config, data["retention/accuracy"]),
            "variation": _variation_table(config, data["variation/accuracy"]),
            "linearity": linearity,
        },
        data=data,
        notes=_assumptions(),
    )
    write_result(folder, record)
    draw(record, folder)
    return record


def _one_seed(config: ProgrammingConfig, seed: int) -> dict[str, np.ndarray]:
    """Everything that is measured with one seed, by name."""
    print(f"seed {seed}: pulse statistics", flush=True)
    found: dict[str, Any] = {}
    for name, statistics in _writing.pulse_statistics(config.statistics_cells, seed).items():
        found |= {f"{'' if key == 'success' else 'pulses_'}{key}_{name}": x for key, x in statistics.items()}
    for bits in config.bits:
        print(f"seed {seed}: {bits} bits, {config.sizes[-1]} x {config.sizes[-1]} cells", flush=True)
        for side, (trace, seconds) in _writing.written(bits, config.sizes[-1], seed).items():
            found.setdefault(f"simulated_s/{side}", []).append(seconds)
            blocks = [_writing.blocks(trace, size) for size in config.sizes]
            for key in blocks[0]:
                found.setdefault(f"writing/{side}/{key}", []).append([block[key] for block in blocks])
    print(f"seed {seed}: {config.dataset}", flush=True)
    data = load(config.dataset, seed=seed)
    networks = _network.trained(data, config.hidden, config.network_bits, config.epochs, config.batch_size, seed)
    for name, accuracies in _network.study(networks, config, data, seed).items():
        found[f"{name}/accuracy"] = accuracies
    return {name: np.asarray(value) for name, value in found.items()}


def _costs(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Costs of writing by `SIDE/QUANTITY`, of shape (seeds, bits, sizes)."""
    return {name.removeprefix("writing/"): x for name, x in data.items() if name.startswith("writing/")}


def _claims(config: ProgrammingConfig, data: dict[str, np.ndarray], corner: float) -> list[Claim]:
    """What is claimed, over seeds; and what no seed changes."""
    values: dict[str, tuple[str, Any]] = {
        name: ("" if name.startswith("success") else "pulses", data[name]) for name in CLAIMED
    }
    for name in ("ispp_2_bits", "fppv_3_bits"):
        values[f"speed_up_on_pulse_count_alone_{name}"] = ("", data[f"pulses_mean_{name}"])
    three, costs = config.bits.index(3), _costs(data)
    simulated = data["simulated_s/analog_measured"][:, three]
    values["time_to_simulate_the_write_of_the_largest_analog_array_3_bits"] = ("s", simulated)
    for key, label in (("cell", "speed_up_{}_by_cell"), ("row", "speed_up_{}_by_row"), ("energy", "energy_ratio_{}")):
        ratio = costs[f"analog_measured/{key}"][:, three, -1] / costs[f"digital/{key}"][:, three, -1]
        values[label.format("largest_array_3_bits")] = ("", ratio)
    hot = data["retention/accuracy"][:, :, config.celsius.index(85.0)]
    lost = hot[:, :, 0] - hot[:, :, 1 + config.seconds.index(TEN_YEARS)]
    for number, name in enumerate(NAMES):
        values[f"{name}_lost_in_ten_years_at_85_C"] = ("points", lost[:, number])
    values["speed_up_at_the_corner"] = ("", corner)
    values |= _linearity.claims()
    return [
        claim(
            name,
            unit,
            found if isinstance(found, float) else [float(x) for x in found],
            reach=REACH.get(name),
            paper=PAPER.get(name),
        )
        for name, (unit, found) in values.items()
    ]


def _retention_table(config: ProgrammingConfig, accuracy: np.ndarray) -> TextTable:
    rows = [
        [
            label,
            f"{celsius:g} C",
            *(mean_and_spread(accuracy[:, i, j, k], spread=".2g") for k in range(accuracy.shape[-1])),
        ]
        for i, label in enumerate(NAMES.values())
        for j, celsius in enumerate(config.celsius)
    ]
    columns = ["technology", "kept at", *(f"{t:.3g} s" for t in (0.0, *config.seconds))]
    return TextTable("Test accuracy [%] against time since programming", columns, rows)


def _variation_table(config: ProgrammingConfig, accuracy: np.ndarray) -> TextTable:
    rows = [
        [label, *(mean_and_spread(accuracy[:, i, j], spread=".2g") for j in range(accuracy.shape[-1]))]
        for i, label in enumerate(NAMES.values())
    ]
    columns = ["spreads times", *(f"{s:g}" for s in config.spreads)]
    return TextTable(
        "Test accuracy [%] of fresh networks, all spreads and shares of faults times a factor", columns, rows
    )


def _assumptions() -> tuple[str, ...]:
    corner = _writing.CORNER
    return (
        f"10^6 assumes {corner['n_verify']:g} iterations of {corner['t_iteration']:g} s (pulse, read, settling) "
        f"against one pulse of {corner['t_switch']:g} s, all branches of a cell written at once, and no other time "
        "on either side.",
    )
