"""The jobs of `in_place` in aihwkit, run by a Python that has it; reads a job per line and writes what it took [s].

Stands alone: the environment of the peer has nothing of ours, and ours nothing of the peer's.
"""

# pyright: reportMissingImports=false
import json
import sys
import time
from itertools import pairwise

import numpy as np
import torch
from aihwkit.nn import AnalogLinear
from aihwkit.optim import AnalogSGD
from aihwkit.simulator import configs, parameters
from aihwkit.simulator.tiles import AnalogTile

PERFECT = parameters.io.IOParameters(is_perfect=True)


def device(name, dw_min):
    """A device with spread and noise, as the job asks."""
    made = {"soft": configs.devices.SoftBoundsDevice, "constant": configs.devices.ConstantStepDevice}[name]
    return made(dw_min=dw_min, w_max=1.0, w_min=-1.0)


def config(rule, unit, length):
    """The circuit of a rule: its devices, trains, perfect converters."""
    update = parameters.training.UpdateParameters(desired_bl=length)
    unit = {
        "sgd": lambda: unit,
        "agad": lambda: configs.DynamicTransferCompound(
            unit_cell_devices=[unit, unit], transfer_forward=PERFECT, auto_scale=True, auto_granularity=1000
        ),
    }[rule]()
    kind = configs.SingleRPUConfig if rule == "sgd" else configs.UnitCellRPUConfig
    return kind(device=unit, update=update, forward=PERFECT, backward=PERFECT)


def step(job):
    """Steps of training of a network."""
    sizes, x, y = job["sizes"], torch.tensor(np.load(job["x"])), torch.tensor(np.load(job["y"]))
    circuit = config(job["rule"], device("soft", 0.04), job["length"])
    layers = []
    for n, m in pairwise(sizes):
        layers += [AnalogLinear(n, m, rpu_config=circuit), torch.nn.Sigmoid()]
    network = torch.nn.Sequential(*layers[:-1])
    optimizer = AnalogSGD(network.parameters(), lr=0.1)
    optimizer.regroup_param_groups(network)
    loss, batch = torch.nn.CrossEntropyLoss(), job["batch"]

    def run():
        started = time.perf_counter()
        for k in range(0, len(x), batch):
            optimizer.zero_grad()
            loss(network(x[k : k + batch]), y[k : k + batch]).backward()
            optimizer.step()
        return time.perf_counter() - started

    return run


def update(job):
    """One update of one array, several times."""
    tile = AnalogTile(job["n"], job["n"], config("sgd", device(job["device"], job["dw_min"]), job["length"]))
    tile.set_learning_rate(job["rate"])
    x, d = (torch.tensor(np.load(job[name]))[None] for name in "xd")

    def run():
        started = time.perf_counter()
        for _ in range(job["repeats"]):
            tile.tile.update(x, d, False)
        return time.perf_counter() - started

    return run


jobs = {}
for line in sys.stdin:
    if line not in jobs:
        wanted = json.loads(line)
        jobs[line] = {"step": step, "update": update}[wanted["kind"]](wanted)
    print(json.dumps(jobs[line]()), flush=True)
