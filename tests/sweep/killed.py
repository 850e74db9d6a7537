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


# 48 chunks of 10 ms and more: a kill finds it anywhere.
def plan() -> sweep.Plan:
    return sweep.grid(LINE, cells=[2, 3], r_segment=[1, 10], seed=range(24), chunk=2)


def compute(out: Path) -> None:
    sweep.run(plan(), out, resume=True, on_progress=lambda progress: time.sleep(0.01))


def main(out: Path, delays: list[float]) -> None:
    """Kills as many sweeps as there are delays [s], counted from when one is about to write; says how far each came."""
    warnings.simplefilter("ignore")
    import xarray  # noqa: F401
    import zarr  # noqa: F401

    for delay in delays:
        child = os.fork()
        if child == 0:
            compute(out)
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
