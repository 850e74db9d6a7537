"""Pulses, time and energy of writing; and what makes a factor of a million of it."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import qsynapse_jax as qs
from experiments.quantized_programming._technologies import hardware

MODES = ("cell", "row", "array")
# Published pulses a cell [S/D], science.md section 1: where on the axis of verify iterations a published figure lies.
PUBLISHED_PULSES = {
    "range adapting, 2 bits, mean": (8.3, 9.5),
    "ISPP, 2 bits, mean": (19.0, 25.0),
    "FPPV, 2 bits, mean": (14.0, 44.0),
    "FPPV, 3 bits, mean": (137.0, 137.0),
    "FPPV, 3 bits, p99": (2001.0, 2001.0),
}
# 1,000 iterations of 100 us, pulse, read and settling, against one pulse of 100 ns with all branches written at once.
CORNER = {"n_verify": 1e3, "t_iteration": 1e-4, "t_switch": 1e-7}
SWITCH_TIMES = (1e-8, 1e-7, 1e-6)


# Pulses after which a cell is given up. 1,000 is in the data files [S]; the others are inferred from where the
# published counts end [D], so a p99 at its cap confirms nothing.
CAPS = {"fppv_2_bits": 1000, "ispp_2_bits": 200, "range_adapting_2_bits": 45, "fppv_3_bits": 2000}


def pulse_statistics(cells: int, seed: int, caps: dict[str, int] = CAPS) -> dict[str, dict[str, float]]:
    """Pulses of one write of published bands: mean, median, p99, share of successes, by scheme and bits."""
    runs = {
        "fppv_2_bits": (qs.programming.FPPV(), 2, caps["fppv_2_bits"]),
        "ispp_2_bits": (qs.programming.ISPP(), 2, caps["ispp_2_bits"]),
        "range_adapting_2_bits": (qs.programming.RangeAdapting(), 2, caps["range_adapting_2_bits"]),
        "fppv_3_bits": (qs.programming.FPPV(), 3, caps["fppv_3_bits"]),
    }
    device, found = qs.devices.analog_rram(), {}
    for name, (scheme, bits, cap) in runs.items():
        low, high = qs.programming.radar_bands(bits)
        levels = jnp.arange(cells) % 2**bits
        first, second = jax.random.split(jax.random.fold_in(jax.random.key(seed), len(found)))
        _, report = qs.programming.write_verify(
            device, device.init((cells,), key=first), low[levels], high[levels], scheme, key=second, max_pulses=cap
        )
        pulses = np.asarray(report.pulses)
        found[name] = {
            "mean": float(pulses.mean()),
            "median": float(np.median(pulses)),
            "p99": float(np.percentile(pulses, 99)),
            "success": float(np.mean(report.success)),
        }
    return found


def written(bits: int, size: int, seed: int) -> dict[str, tuple[Any, float]]:
    """Report of one write of random codes into size x size cells of each side, and the seconds it took to simulate."""
    found = {}
    for name in ("digital", "analog_measured"):
        array = hardware(name, bits, signed=False)
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), bits), 3)
        code = jax.random.randint(keys[0], (size, size), 0, 2**bits)
        state = array.init((size, size), key=keys[1])
        start = time.perf_counter()
        _, report = array.write(state, code, key=keys[2])
        jax.block_until_ready(report)
        found[name] = (report, time.perf_counter() - start)
    return found


def blocks(report: Any, size: int) -> dict[str, float]:
    """Time [s] in every mode and energy [J] of the first size x size cells: cells are written independently."""
    busy, energy = report.busy[:, :size, :size], report.energy[:, :size, :size]
    done = busy * report.success[:, :size, :size].astype(busy.dtype)
    times: dict[str, float] = {mode: float(qs.cost.write_time(busy, mode)) for mode in MODES}
    # Without the cells that never reach their band, on which a row otherwise waits to the last pulse allowed.
    times["row_of_successes"] = float(qs.cost.write_time(done, "row"))
    times["energy"] = float(qs.cost.write_energy(energy))
    times["pulses"] = float(jnp.mean(jnp.sum(report.pulses[:, :size, :size], axis=0)))
    times["success"] = float(jnp.mean(jnp.all(report.success[:, :size, :size], axis=0)))
    return times


def writing_table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean over seeds of every size and number of bits, as a table of the documents."""
    ways = ("cell by cell", "row by row", "at once", "row by row, without the cells that gave up")
    columns = ["bits", "array", "side", *(f"{way} [s]" for way in ways), "energy [J]", "pulses a cell"]
    lines = []
    for bits, size, side in dict.fromkeys((row["bits"], row["size"], row["side"]) for row in rows):
        same = [row for row in rows if (row["bits"], row["size"], row["side"]) == (bits, size, side)]
        keys = (*MODES, "row_of_successes", "energy", "pulses")
        numbers = [f"{np.mean([row[key] for row in same]):.3g}" for key in keys]
        lines.append([str(bits), f"{size} x {size}", side, *numbers])
    return {"columns": columns, "rows": lines}


def speed_up_map() -> dict[str, Any]:
    """log10 of the speed-up over verify iterations, time of one, and switch time; and its two marks."""
    iterations, times = np.logspace(0, 4, 41), np.logspace(-8, -1, 36)
    with jax.enable_x64(True):
        ratio = qs.cost.speed_up(
            iterations[:, None, None], times[None, :, None], np.asarray(SWITCH_TIMES)[None, None, :]
        )
        corner = float(qs.cost.speed_up(**CORNER))
    return {
        "n_verify": iterations.tolist(),
        "t_iteration": times.tolist(),
        "t_switch": list(SWITCH_TIMES),
        "log10_speed_up": np.round(np.log10(ratio), 3).tolist(),
        "corner": {**CORNER, "speed_up": corner, "assumes": "all branches of a cell written at once, nothing else"},
        "published_pulses": PUBLISHED_PULSES,
    }


def corner_table() -> dict[str, Any]:
    """Time of an iteration at which each published pulse count makes a factor of a million."""
    columns = ["published pulses a cell", *(f"against one pulse of {t * 1e9:g} ns" for t in SWITCH_TIMES)]
    lines = []
    for name, (least, most) in PUBLISHED_PULSES.items():
        pulses = (least * most) ** 0.5
        count = f"{least:g}" if least == most else f"{least:g} to {most:g}"
        lines.append([f"{name}: {count}", *(f"{1e6 * t / pulses:.2g} s" for t in SWITCH_TIMES)])
    return {"columns": columns, "rows": lines}
