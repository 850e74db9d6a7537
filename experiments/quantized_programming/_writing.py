"""Pulses, time and energy of writing; and what makes a factor of a million of it."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import qsynapse_jax as qs
from experiments.quantized_programming._technologies import hardware
from qsynapse_jax.studies import TextTable

MODES = ("cell", "row")
SIDES = ("digital", "analog_measured")
# Published pulses per cell [S/D], science.md section 1: where on the axis of verify iterations a published figure lies.
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


# Each scheme owns the pulses after which it gives a cell up. 1,000 is in the data files [S]; the others are inferred
# from where the published counts end [D], so a p99 at its cap confirms nothing.
SCHEMES = {
    "fppv_2_bits": (qs.programming.FPPV(max_pulses=1000), 2),
    "ispp_2_bits": (qs.programming.ISPP(max_pulses=200), 2),
    "range_adapting_2_bits": (qs.programming.RangeAdapting(max_pulses=45), 2),
    "fppv_3_bits": (qs.programming.FPPV(max_pulses=2000), 3),
}


def pulse_statistics(cells: int, seed: int, schemes: dict[str, Any] = SCHEMES) -> dict[str, dict[str, float]]:
    """Pulses of one write of published bands: mean, median, p99, share of successes, by scheme and bits."""
    device, found = qs.devices.analog_rram(), {}
    for name, (scheme, bits) in schemes.items():
        low, high = qs.programming.radar_bands(bits)
        levels = jnp.arange(cells) % 2**bits
        first, second = jax.random.split(jax.random.fold_in(jax.random.key(seed), len(found)))
        _, trace = qs.programming.write_verify(
            device, device.init((cells,), key=first), low[levels], high[levels], scheme, key=second
        )
        pulses = np.asarray(trace.pulses)
        found[name] = {
            "mean": float(pulses.mean()),
            "median": float(np.median(pulses)),
            "p99": float(np.percentile(pulses, 99)),
            "success": float(np.mean(trace.success)),
        }
    return found


def written(bits: int, size: int, seed: int) -> dict[str, tuple[Any, float]]:
    """Trace of one write of random codes into size x size cells of each side, and the seconds it took to simulate."""
    found = {}
    for name in SIDES:
        tile = hardware(name, bits, signed=False)
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), bits), 3)
        code = jax.random.randint(keys[0], (size, size), 0, 2**bits)
        state = tile.init((size, size), key=keys[1])
        start = time.perf_counter()
        _, trace = tile.program(state, code, key=keys[2])
        jax.block_until_ready(trace)
        found[name] = (trace, time.perf_counter() - start)
    return found


def blocks(trace: Any, size: int) -> dict[str, float]:
    """Time [s] in every mode and energy [J] of the first size x size cells: cells are written independently."""
    part = jax.tree.map(lambda leaf: leaf[:, :size, :size], trace)
    done = part.time * part.success.astype(part.time.dtype)
    costs: dict[str, float] = {mode: float(qs.cost.write_time(part, mode)) for mode in MODES}
    # Without the cells that never reach their band, on which a row otherwise waits to the last pulse allowed.
    costs["row_of_successes"] = float(qs.cost.write_time(done, "row"))
    costs["energy"] = float(qs.cost.write_energy(part))
    costs["pulses"] = float(jnp.mean(jnp.sum(part.pulses, axis=0)))
    return costs


def writing_table(costs: dict[str, np.ndarray], sizes: tuple[int, ...]) -> TextTable:
    """Costs by `SIDE/QUANTITY`, each of shape (sizes,): a row per size and side."""
    ways = ("cell by cell", "row by row", "row by row, without the cells that gave up")
    columns = ["array", "side", *(f"{way} [s]" for way in ways), "energy [J]", "pulses per cell"]
    keys = (*MODES, "row_of_successes", "energy", "pulses")
    rows = [
        [f"{size} x {size}", side.split("_")[0], *(f"{costs[f'{side}/{key}'][number]:.3g}" for key in keys)]
        for number, size in enumerate(sizes)
        for side in SIDES
    ]
    return TextTable("Writing random 3-bit codes into fresh arrays", columns, rows)


def speed_up_map() -> dict[str, np.ndarray]:
    """log10 of the speed-up over verify iterations, time of one [s], and switch time [s]; and that of the corner."""
    iterations, times, switch = np.logspace(0, 4, 41), np.logspace(-8, -1, 36), np.asarray(SWITCH_TIMES)
    with jax.enable_x64(True):
        ratio = qs.cost.speed_up(iterations[:, None, None], times[None, :, None], switch[None, None, :])
        corner = np.asarray(qs.cost.speed_up(**CORNER))
    level = np.round(np.log10(np.asarray(ratio)), 3)
    return {"n_verify": iterations, "t_iteration": times, "t_switch": switch, "log10": level, "corner": corner}


def corner_table() -> TextTable:
    """Time of an iteration at which each published pulse count makes a factor of a million."""
    columns = ["published pulses per cell", *(f"against one pulse of {t * 1e9:g} ns" for t in SWITCH_TIMES)]
    rows = []
    for name, (least, most) in PUBLISHED_PULSES.items():
        pulses = (least * most) ** 0.5
        count = f"{least:g}" if least == most else f"{least:g} to {most:g}"
        rows.append([f"{name}: {count}", *(f"{1e6 * t / pulses:.2g} s" for t in SWITCH_TIMES)])
    return TextTable("Time of one analog iteration that makes a factor of 10^6", columns, rows)
