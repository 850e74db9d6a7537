"""One plan on a Dask cluster: a real scheduler and two worker processes on loopback, one of them killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr

from qsynapse_jax import sweep
from tests.conftest import READS_ONLY
from tests.sweep.zoo import LINE, SLOW

ROOT = Path(__file__).parents[2]
SECONDS = 60


@contextlib.contextmanager
def cluster(tmp_path, workers):
    """A scheduler and workers without nannies, so that what is killed stays dead; its address and the processes."""
    file = tmp_path / "scheduler.json"
    environment = {**os.environ, **READS_ONLY, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    environment["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] = "3"
    common = ["--scheduler-file", str(file)]
    commands = [["dask_scheduler", *common, "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]]
    options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(tmp_path)]
    commands += [["dask_worker", *common, *options]] * workers
    children = []
    try:
        for number, (name, *rest) in enumerate(commands):
            command = [sys.executable, "-m", f"distributed.cli.{name}", *rest]
            with (tmp_path / f"log{number}.txt").open("w") as log:
                children.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
        from distributed import Client

        limit = time.monotonic() + SECONDS
        while not file.exists():
            assert time.monotonic() < limit, (tmp_path / "log0.txt").read_text()
            time.sleep(0.05)
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=SECONDS)
            yield json.loads(file.read_text())["address"], children
    finally:
        for child in children:
            child.kill()
            child.wait()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_worker_killed_in_the_middle_costs_only_its_chunk(tmp_path):
    """Forty chunks of 20 ms and more on two workers, one of which dies after the fifth; a point of them fails."""
    plan = sweep.grid(SLOW, cells=[2, 3], seed=range(58), gain=[1, 60], chunk=6)
    expected = sweep.run(plan, tmp_path / "here")
    seen = []
    with cluster(tmp_path, 2) as (address, (_, *workers)):

        def kill_one(progress):
            seen.append(progress)
            if progress.computed > 30 and workers[0].poll() is None:
                os.kill(workers[0].pid, signal.SIGKILL)

        found = sweep.run(plan, tmp_path / "there", scheduler=address, on_progress=kill_one)
        assert workers[0].poll() == -signal.SIGKILL
        assert workers[1].poll() is None
    assert found.attrs["failed"] == 116
    assert seen[-1].computed == plan.size
    xr.testing.assert_identical(
        found.drop_vars("wall_time").drop_attrs(deep=False), expected.drop_vars("wall_time").drop_attrs(deep=False)
    )


@pytest.mark.slow
def test_what_a_worker_cannot_do_is_recorded_after_retries(tmp_path):
    """A study that ends its worker, every time: its points fail, the others are there."""
    with cluster(tmp_path, 5) as (address, _):
        plan = sweep.grid(SLOW, kind=["plain", "deadly"], gain=[1, 2], chunk=2)
        found = sweep.run(plan, tmp_path / "sweep", scheduler=address)
    assert found.status.values.tolist() == [[1, 1], [2, 2]]
    assert "KilledWorker" in found.error.sel(kind="deadly", gain=1).item()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_is_lost_costs_no_point(tmp_path):
    import dask.config

    plan, out = sweep.grid(SLOW, seed=range(40), chunk=4), tmp_path / "sweep"

    def kill(progress):
        if progress.computed == 12:
            children[0].kill()

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
        cluster(tmp_path, 1) as (address, children),
        pytest.raises(ConnectionError, match=r"The Dask scheduler at tcp://.* was lost"),
    ):
        sweep.run(plan, out, scheduler=address, on_progress=kill)
    part = sweep.open(out)
    assert part.attrs["failed"] == 0
    assert 12 <= part.attrs["finished"] < 40
    assert sweep.run(plan, out, resume=True).attrs["finished"] == 40


def test_no_scheduler_is_said(tmp_path):
    import dask.config

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}),
        pytest.raises(OSError, match=r"No Dask scheduler answers at tcp://127.0.0.1:9 .* `dask scheduler`"),
    ):
        sweep.run(sweep.grid(LINE, gain=[1]), tmp_path / "sweep", scheduler="tcp://127.0.0.1:9")
