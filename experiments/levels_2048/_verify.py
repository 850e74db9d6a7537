"""Cells written with noisy reads: one at a time, averaged, by Hadamard's patterns, and by comparisons."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qsynapse_jax.devices import TelegraphFilament
from qsynapse_jax.programming import Denoise, verify_reads, write_columns, write_verify

# Patterns, repeats, and the most rounds.
WAYS: dict[str, tuple[Any, int, int]] = {
    "one cell at a time": ("one-hot", 1, 20),
    "one at a time, mean of 64": ("one-hot", 64, 20),
    "Hadamard": ("hadamard", 1, 20),
    "comparisons": ("comparisons", 1, 20),
    "comparisons, 40 rounds": ("comparisons", 1, 40),
}
# Where all begin, in distances of levels: a write with good reads ends there.
_NEAR = 5.0
# Energy of a conversion, of a cell in one read, and of a comparison, one of eleven that a conversion of 11 bits takes
# [J]: 1.75 pJ and, at 10 kohm, 0.05 V and 10 ns, 2.5 fJ are those of a system on a chip (C. Song et al., Science 383,
# 903, 2024) [S2].
CONVERSION, CELL_READ = 1.75e-12, 2.5e-15
COMPARISON = CONVERSION / 11


def variances(g: Any, noise: float, seed: int) -> dict[str, float]:
    """Variance of one verification of all cells over that of a read, by patterns."""
    # Not of one noise: the transform keeps the sum of its squares, whatever they are.
    keys, g = jax.random.split(jax.random.key(seed)), jnp.asarray(g)
    found = {}
    for patterns, key in zip(("one-hot", "hadamard"), keys, strict=True):
        read = verify_reads(g, noise, patterns, key=key).g
        found[patterns] = float(np.var((np.asarray(read, float) - np.asarray(g, float)) / noise))
    return found


def written(target: Any, step: float, noise: float, seed: int) -> dict[str, dict[str, Any]]:
    """What every way left and cost, from the same cells near their targets; cells have no channels.

    Args:
        target: conductances [S], shape (wl, bl).
        step: distance of levels [S].
        noise: standard deviation of a read of a bit line [S].
        seed: of cells and reads.
    """
    device, target = TelegraphFilament(density=0.0), jnp.asarray(target)
    making, coarse, fine = jax.random.split(jax.random.key(seed), 3)
    state = device.init(target.shape, key=making)
    near = Denoise(denoising=0.0, reads=2)
    state, _ = write_verify(device, state, target - _NEAR * step, target + _NEAR * step, near, key=coarse)
    found = {}
    for name, (patterns, repeats, rounds) in WAYS.items():
        options = {"step": step, "noise": noise, "repeats": repeats, "max_rounds": rounds}
        _, write = write_columns(device, state, target, patterns, **options, key=fine)
        reads, cells = float(np.mean(np.asarray(write.reads))), len(target)
        driven = 1 if patterns == "one-hot" else cells
        each = COMPARISON if patterns == "comparisons" else CONVERSION
        found[name] = {
            "error": np.asarray(write.error, float) / step,
            "reads": reads,
            "pulses": float(np.mean(np.asarray(write.trace.pulses))),
            "time": float(write.time),
            "energy": float(np.mean(np.sum(np.asarray(write.trace.energy, float), axis=0))),
            "small": reads * (each + driven * CELL_READ),
        }
    return found
