"""Begins sweeps that end at once, by SIGKILL, some time after they have begun; a process of its own.

Imports everything, then makes a copy of itself for every sweep, which takes no time to begin. JAX starts in the copies.
"""

import os
import signal
import sys
import time
import warnings
from pathlib import Path

from qsynapse_jax import sweep
from tests.sweep.zoo import LINE


def plan(kills: int) -> sweep.Plan:
    """Of two shapes, with more chunks of 10 ms than are written while so many processes are killed."""
    return sweep.grid(LINE, cells=[2, 3], seed=range(2 * kills + 4), chunk=2 if kills < 10 else 1)


def compute(out: Path, kills: int) -> None:
    sweep.run(plan(kills), out, resume=True, on_progress=lambda progress: time.sleep(0.01))


def main(out: Path, delays: list[float]) -> None:
    """Kills as many sweeps as there are delays [s], counted from when one is about to write; says how far each came."""
    warnings.simplefilter("ignore")
    import xarray  # noqa: F401
    import zarr  # noqa: F401

    for delay in delays:
        child = os.fork()
        if child == 0:
            compute(out, len(delays))
            os._exit(0)
        # Its first mark may need a compilation.
        marks, before = out / "done", len(list((out / "done").glob("*.json")))
        while len(list(marks.glob("*.json"))) == before:
            if os.waitpid(child, os.WNOHANG)[0]:
                print("ended", flush=True)
                return
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print(len(list(marks.glob("*.json"))), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [float(delay) for delay in sys.argv[2:]])
