"""Cells written one after another, whose neighbours suffer half of every pulse."""

from typing import Any

import jax
import numpy as np

from qsynapse_jax.programming import Denoise, HalfBias, program
from qsynapse_jax.studies import ProgramConfig

# The largest voltages of pulses that take a cell through the window, up and down [V].
_V = 1.4


def under_half_selects(config: ProgramConfig, reads: int) -> dict[str, Any]:
    """Two writes under V/2, pass by pass: what raw reads say after each, and what is left of the fluctuation.

    Returns:
        `within`: shares of raw reads within tolerance after both writes; `pulses`: per cell, of both; `noise`:
        fluctuation of the median cell in the end [S].
    """
    device, target = config.device(), config.targets()
    making, *keys = jax.random.split(jax.random.key(config.seed), 5)
    halves = tuple(HalfBias(sign * _V, float(device.t_pulse)) for sign in (1, -1))
    state = device.init(target.shape, key=making)
    within, pulses, read = [], [], np.zeros(0)
    for writing, reading in zip(keys[:2], keys[2:], strict=True):
        options: dict[str, Any] = {"step": config.step, "least": 0.0, "key": writing, "half_selects": halves}
        state, trace = program(device, state, target, Denoise(), **options)
        read = np.stack([np.asarray(device.read(state, key=key), float) for key in jax.random.split(reading, reads)])
        within.append(float(np.mean(np.abs(read - np.asarray(target, float)) <= config.tolerance * config.step)))
        pulses.append(float(np.mean(np.asarray(trace.pulses))))
    return {"within": within, "pulses": pulses, "noise": float(np.median(np.std(read, axis=0)))}
