"""One array on several devices, and a batch of arrays: the same numbers, and nobody gathers the whole array."""

import json
import os
import socket
import subprocess
import sys
from math import prod
from pathlib import Path

import numpy as np
import pytest

import qsynapse_jax as qs
from tests.crossbar.spread import ARRAYS, INPUTS, OHMS, SHAPE, G, V

# Two float32 results that are both within 1e-7 in the residual, and whose sums were taken in another order: a few
# roundings of 6e-8, relative to the largest entry.
SAME = 1e-6

ROOT = Path(__file__).parents[2]
SECONDS = 150


def run(directory, *commands, devices=1):
    """Runs `spread.py` once for each command, at the same time; stops all that are left, whatever happens."""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "PYTHONPATH": str(ROOT),
    }
    children, logs = [], []
    try:
        for number, command in enumerate(commands):
            what, *rest = map(str, command)
            log = directory / f"log{number}.txt"
            logs.append(log)
            with log.open("w") as sink:
                children.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "tests.crossbar.spread", what, str(directory), *rest],
                        cwd=ROOT,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=sink,
                        stderr=subprocess.STDOUT,
                    )
                )
        codes = [child.wait(timeout=SECONDS) for child in children]
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
            child.wait()
    assert not any(codes), "\n".join(log.read_text()[-3000:] for log in logs)


def largest(collectives):
    """Elements of the largest array that devices exchange."""
    return max(prod(shape) for _, shape in collectives)


# One number a line and block of lines is exchanged, for four blocks; the array has four times as many.
FEW = 4 * max(SHAPE)


@pytest.mark.slow  # a process of its own, which compiles for four devices
def test_four_devices(tmp_path):
    """One array by blocks, with its gradients in g, v_in and the wires; a batch of arrays; many inputs of one."""
    n_word, n_bit = SHAPE
    run(tmp_path, ("four",), devices=4)
    report = json.loads((tmp_path / "four.json").read_text())

    blocks = report["blocks"]
    assert max(blocks["errors"]) < SAME
    block = [n_word // 2, n_bit // 2]
    assert blocks["shards"][:4] == [block[1:], block, block, block[:1]]
    assert largest(blocks["collectives"]) <= FEW < prod(SHAPE)

    batch = report["batch"]
    assert max(batch["errors"]) < SAME
    assert batch["shards"] == [[ARRAYS // 4, n_bit], [ARRAYS // 4, n_word, n_bit]]
    assert largest(batch["collectives"]) == 1  # whether all are done

    inputs = report["inputs"]
    assert max(inputs["errors"]) < SAME
    assert inputs["shards"] == [[INPUTS // 4, n_bit], [INPUTS // 4, n_word, n_bit]]
    assert largest(inputs["collectives"]) == 1

    # So a gathered array would have been seen.
    assert report["gathered"]["collectives"] == [["all-gather", list(SHAPE)]]


@pytest.mark.slow
def test_four_devices_with_nonlinear_cells_and_uneven_wires(tmp_path):
    run(tmp_path, ("uneven",), devices=4)
    report = json.loads((tmp_path / "uneven.json").read_text())
    assert max(report["errors"]) < SAME
    assert report["shards"] == [[SHAPE[1] // 2], [n // 2 for n in SHAPE]]
    assert largest(report["collectives"]) <= FEW < prod(SHAPE)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="JAX has no collectives between processes on Windows")
def test_two_processes(tmp_path, x32):
    """Each holds half of the rows of one array, then half of a batch, and knows nothing of the other half."""
    with socket.socket() as probe, socket.socket() as client:
        probe.bind(("127.0.0.1", 0))
        probe.listen()
        port = probe.getsockname()[1]
        try:
            client.connect(("127.0.0.1", port))
        except OSError as error:
            pytest.skip(f"the loopback interface cannot be reached, it is down: {error}")
    run(tmp_path, ("process", 0, port), ("process", 1, port))
    wires = qs.crossbar.Wires(**OHMS)
    alone = [qs.crossbar.solve(g, v_in, wires) for g, v_in in zip(G, V, strict=True)]
    batch = np.stack([sol.i_out for sol in alone])
    for number, (rows, arrays) in enumerate(
        zip(np.split(np.asarray(alone[0].i_cell), 2), np.split(batch, 2), strict=True)
    ):
        assert largest(json.loads((tmp_path / f"process{number}.json").read_text())) <= FEW
        with np.load(tmp_path / f"process{number}.npz") as found:
            for name, expected in (("i_out", alone[0].i_out), ("i_cell", rows), ("batch", arrays)):
                np.testing.assert_allclose(found[name], expected, rtol=0, atol=SAME * np.abs(expected).max())
