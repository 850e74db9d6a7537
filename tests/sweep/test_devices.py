"""A sweep on several devices: each has its share of every batch, and the results are those of one device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qsynapse_jax import sweep
from tests.sweep.zoo import FRAGILE, LINE

ROOT = Path(__file__).parents[2]
DEVICES = 4


def plans():
    """Chunks that four devices divide evenly and others, and points that fail; random arrays behind wires."""
    from qsynapse_jax.studies import RANDOM_ARRAY

    yield sweep.grid(LINE, cells=[2, 3], gain=[1, 60], seed=range(5), chunk=6)
    yield sweep.grid(FRAGILE, gain=[1, 7, 3], chunk=2)
    yield sweep.grid(RANDOM_ARRAY, r_wire=[1, 10], seed=range(3), fixed={"lines": 20, "inputs": 2})


def main(out: Path) -> None:
    import jax

    from qsynapse_jax.sweep import _program

    spread = set()
    call = _program.Program._call

    def seen(self, batch, count, lanes):
        program, constants = self._program(lanes), self._constants()
        padded = {name: np.resize(values, lanes) for name, values in batch.items()}
        spread.update(len(leaf.sharding.device_set) for leaf in jax.tree.leaves(program(padded, constants)))
        return call(self, batch, count, lanes)

    for number, plan in enumerate(plans()):
        _program.Program._call = seen if number == 0 else call
        sweep.run(plan, out / str(number))
    print(json.dumps({"devices": len(jax.devices()), "spread": sorted(spread)}))


@pytest.mark.slow
def test_points_are_spread_over_the_devices(tmp_path):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}"
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.sweep.test_devices", str(tmp_path / "many")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"devices": DEVICES, "spread": [DEVICES]}
    for number, plan in enumerate(plans()):
        many, one = sweep.open(tmp_path / "many" / str(number)), sweep.run(plan, tmp_path / "one" / str(number))
        assert many.attrs["failed"] == one.attrs["failed"]
        for name, values in one.drop_vars(["wall_time", "error", "residual"], errors="ignore").items():
            # Sums are taken in another order: a few roundings of float32.
            np.testing.assert_allclose(many[name], values, rtol=1e-5, atol=1e-6, err_msg=str(name))
        assert many.error.equals(one.error)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
