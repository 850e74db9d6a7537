"""docs/sweeps.md does what it says."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from qsynapse_jax import sweep
from qsynapse_jax.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_in_its_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    first, own = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (plan,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    Path("plan.toml").write_text(plan)
    main(["sweep", "plan.toml", "--out", "runs/mine"])
    assert "24 points computed" in capsys.readouterr().out
    names: dict = {}
    exec(first, names)
    assert names["plan"].settings() == sweep.read_plan("plan.toml", {"random_array": names["RANDOM_ARRAY"]}).settings()
    xr.testing.assert_equal(names["ds"].drop_vars("wall_time"), sweep.open("runs/mine").drop_vars("wall_time"))
    assert np.all(np.diff(names["ds"].loss.mean("seed"), axis=1) > 0)
    assert "group=" in PAGE
    xr.open_zarr("runs/mine/points.zarr", group="000", consolidated=False, chunks=None)
    exec(own, names)
    share = names["ds"].share.values
    np.testing.assert_allclose(share[:, 0], 1, rtol=1e-6)
    assert np.all(np.diff(share, axis=1) < 0)
    assert names["ds"].i_out.dims == ("lines", "r_wire", "bl")
