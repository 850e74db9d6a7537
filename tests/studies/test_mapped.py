"""A network on a measured array: the errors of the map are where they were measured, and each cause is told apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from qsynapse_jax.studies import MappedConfig, run_mapped
from qsynapse_jax.studies._mapped import with_errors

RNG = np.random.default_rng(0)
MAP = RNG.uniform(20, 60, (16, 12))


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savetxt("map.csv", MAP, delimiter=",")
    np.savetxt("levels.csv", [5.0, 1.0, 20.0, 60.0, 5.0])
    np.savetxt("target.csv", np.full(MAP.shape, 40.0), delimiter=",")


@pytest.mark.slow
def test_what_every_cause_costs(files):
    """A table of four rows, and errors of the map in the same cell of every tile."""
    config = MappedConfig(map="map.csv", target="target.csv", levels="levels.csv", r_word=5.0, hidden=(6,), epochs=2)
    result = run_mapped(config)
    assert list(result.accuracies) == ["float", "levels", "map", "wires"]
    (table,) = result.record(0.0).tables.values()
    assert [row[0] for row in table.rows] == list(result.ROWS.values())
    assert config.cell().code_range == (-3, 3)
    assert result.weights is not None
    intended, effective = result.weights
    assert np.std(effective - intended) > 0.01


def test_errors_lie_where_they_were_measured(files):
    """One by one: a matrix of ones, twice as large as a tile along both, against the map put tile by tile."""
    config = MappedConfig(map="map.csv", hidden=(6,))
    tile = config.tile(ideal_wires=True)
    model = qs.nn.convert(nnx.Linear(20, 10, use_bias=False, rngs=nnx.Rngs(0)), tile)
    written = qs.nn.program(model, key=jax.random.key(0))
    before, after = (
        np.asarray(m.kernel.state.get_value().devices)[0] for m in (written, with_errors(written, MAP / np.median(MAP)))
    )
    factor = after / before
    errors = MAP / np.median(MAP)
    for row in range(20):
        for line in range(20):
            # The last row lies at the sense amplifiers, the first line at the drivers.
            np.testing.assert_allclose(factor[row, line], errors[15 - (19 - row) % 16, line % 12], rtol=1e-5)


WRONG = {
    "nothing": ({}, "Give a measured map with `--map`, measured levels"),
    "a target alone": ({"target": "target.csv", "levels": "levels.csv"}, "`target` belongs to a map"),
    "no such file": ({"map": "none.csv"}, "none.csv does not exist"),
    "a target of another shape": ({"map": "map.csv", "target": "levels.csv"}, "must have the shape of map.csv"),
    "a tile of another shape": ({"map": "map.csv", "tile_shape": (8, 8)}, "must be the shape of the map"),
    "wires": ({"map": "map.csv", "r_word": -1.0}, "`r_word` must be non-negative"),
    "a unit": ({"map": "map.csv", "unit": "us"}, "`unit` must be one of S, mS"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_said_before_any_training(files, case):
    options, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        MappedConfig(**options)


def test_levels_that_are_no_list_are_refused():
    with pytest.raises(ValueError, match="`g` must ascend, but level 2 is 1 uS after 3 uS"):
        qs.cells.MeasuredLevels(jnp.asarray([0.0, 3e-6, 1e-6]))
    with pytest.raises(ValueError, match="must be a list of 2 to 32768 levels"):
        qs.cells.MeasuredLevels(jnp.asarray([1e-6]))
