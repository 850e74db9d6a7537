"""Writes `aihwkit_pulses.json`: what aihwkit's pulsed devices do, for the tests of ours.

Runs apart from this project, on Python 3.11 with `pip install aihwkit==1.1.0 torch==2.10.0`:

    python tests/devices/make_aihwkit_pulses.py
"""
# pyright: reportMissingImports=false

import json
from pathlib import Path

import numpy as np
import torch
from aihwkit.simulator.configs import SingleRPUConfig, devices
from aihwkit.simulator.parameters import UpdateParameters
from aihwkit.simulator.presets import devices as presets
from aihwkit.simulator.tiles import AnalogTile

QUIET = {"dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0, "dw_min_std": 0.0}
BOUNDS = {"dw_min": 0.03, "w_max": 0.8, "w_min": -0.5}
LAWS = {
    "constant": ("ConstantStep", {"up_down": 0.2}),
    "linear": ("LinearStep", {"up_down": -0.1, "gamma_up": 0.3, "gamma_down": 0.6}),
    "soft_bounds": ("SoftBounds", {"up_down": 0.1}),
    "soft_bounds_reference": ("SoftBoundsReference", {"reference_mean": 0.1, "up_down": -0.3}),
    "symmetry_point": ("SoftBoundsReference", {"subtract_symmetry_point": True, "up_down": -0.3}),
    "exponential": ("ExpStep", {"up_down": 0.259359}),
    "exponential_growing": (
        "ExpStep",
        {"a": -0.5, "b": -0.5, "gamma_up": 5.0, "gamma_down": 5.0, "A_up": -1.18445, "A_down": -0.081404},
    ),
    "power": ("PowStep", {"pow_gamma": 1.7, "pow_up_down": 0.2, "up_down": 0.1}),
}
NO_SPREAD = {
    "LinearStep": {"gamma_up_dtod": 0.0, "gamma_down_dtod": 0.0},
    "PowStep": {"pow_gamma_dtod": 0.0, "pow_up_down_dtod": 0.0},
}
PRESETS = {
    "reram_es": "ReRamES",
    "reram_sb": "ReRamSB",
    "reram_array_om": "ReRamArrayOM",
    "reram_array_hfo2": "ReRamArrayHfO2",
    "capacitor": "Capacitor",
    "ecram": "EcRam",
    "gokmen_vlasov": "GokmenVlasov",
    "idealized": "Idealized",
}
HIDDEN = {
    "max_bound": ("high", 1),
    "min_bound": ("low", 1),
    "dwmin_up": ("up", 1),
    "dwmin_down": ("down", 1),
    "reference": ("reference", 1),
    "slope_up": ("bend_up", 1),
    "slope_down": ("bend_down", -1),
}
SIDE, RUNS = 150, 10
# To a bound of most devices, across the range, and back by few pulses.
COUNTS = {"idealized": [1, -3, 800, -2000, 40], "gokmen_vlasov": [1, -3, 200, -500, 20]}
COUNTS |= {"reram_array_om": [1, -3, 12, -30, 5], "reram_array_hfo2": [1, -3, 5, -12, 2]}
OTHERS = [1, -3, 100, -250, 10]


def tile_of(device, side):
    update = UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False, fixed_bl=True)
    tile = AnalogTile(side, side, SingleRPUConfig(device=device, update=update))
    # With one bit, inputs of 1 and a learning rate that asks for more every cross-point has one coincidence.
    tile.set_learning_rate(100 * device.dw_min)
    return tile


def pulse(tile, side, sign):
    tile.tile.update(torch.ones(1, side), -sign * torch.ones(1, side), False)


def course(device, name):
    """Mean and standard deviation over devices: of what belongs to a device, and of weights after pulses."""
    tile = tile_of(device, SIDE)
    tile.set_weights(torch.zeros(SIDE, SIDE))
    hidden = {k: v.numpy() for k, v in tile.get_hidden_parameters().items()}
    hidden = {ours: sign * hidden[k] for k, (ours, sign) in HIDDEN.items() if k in hidden}
    weights = {}
    for count in COUNTS.get(name, OTHERS):
        for _ in range(abs(count)):
            pulse(tile, SIDE, np.sign(count))
        weights[count] = tile.get_weights()[0].numpy()
    return tuple({k: (float(v.mean()), float(v.std())) for k, v in these.items()} for these in (hidden, weights))


def spread(moments):
    """Means over the runs, and their standard errors: numbers of neighbors in one run are not independent there."""
    mean, error = np.mean(moments, axis=0), np.std(moments, axis=0, ddof=1) / RUNS**0.5
    return {"mean": mean[0], "std": mean[1], "mean_error": error[0], "std_error": error[1]}


def main():
    rng = np.random.default_rng(0)
    signs = np.where(rng.random(60) < np.repeat([0.95, 0.05, 0.5, 0.7], 15), 1, -1)
    laws, spreads = {}, {}
    for name, (kind, options) in LAWS.items():
        numbers = BOUNDS | options
        device = getattr(devices, f"{kind}Device")(**QUIET, **numbers, **NO_SPREAD.get(kind, {}))
        tile = tile_of(device, 1)
        tile.set_weights(torch.zeros(1, 1))
        weights = []
        for sign in signs:
            pulse(tile, 1, sign)
            weights.append(round(tile.get_weights()[0].item(), 8))
        laws[name] = {"class": kind, "numbers": numbers, "weights": weights}
    for name, kind in PRESETS.items():
        runs = [course(getattr(presets, f"{kind}PresetDevice")(construction_seed=7 + run), name) for run in range(RUNS)]
        hidden, courses = ({k: spread([run[i][k] for run in runs]) for k in runs[0][i]} for i in (0, 1))
        spreads[name] = {"hidden": hidden, "courses": courses}
        print(name, spreads[name], flush=True)
    source = "aihwkit 1.1.0, torch 2.10.0, tests/devices/make_aihwkit_pulses.py"
    golden = {"source": source, "signs": signs.tolist(), "laws": laws, "presets": spreads}
    Path(__file__).with_name("aihwkit_pulses.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")


main()
