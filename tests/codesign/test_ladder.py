"""Resistors for a task: figures by their definitions, derivatives through devices, a search that pays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from qsynapse_jax.cells import linearity
from qsynapse_jax.codesign import (
    Bounded,
    LadderTask,
    Priorities,
    binary_weighted,
    design_ladder,
    ladder_figures,
)

R_ON, R_OFF = 400.0, 4e5


def task(*, spread=0.0, wires=None, bits=3, tile=(16, 16), **options):
    switch = qs.devices.Switch(R_ON, R_OFF, sigma_on_device=spread, sigma_off_device=spread)
    return LadderTask(bits, switch, qs.devices.Resistor(sigma_unit=spread / 10), wires, tile, **options)


def test_figures_by_their_definitions():
    given = task(r_access=100.0, sheet_resistance=2e3, resistor_width=5e-7)
    r = given.plain(8e3)
    found = ladder_figures(given, r, key=jax.random.key(0))
    alone = linearity(given.cell(r))
    assert float(found.cell_inl) == pytest.approx(float(alone.worst_inl), abs=1e-6)
    assert float(found.cell_dnl) == pytest.approx(float(alone.worst_dnl), abs=1e-6)
    # Without wires and spread a full tile is no worse than a cell.
    assert float(found.tile_inl) == pytest.approx(float(found.cell_inl), abs=1e-4)
    assert float(found.gain) == pytest.approx(1, abs=0.02)
    # Two ladders of 56 kohm in squares of 0.25 um2.
    assert float(found.area) == pytest.approx(2 * 56e3 / 2e3 * 0.25e-12, rel=1e-5)


@pytest.mark.slow
def test_power_is_that_of_cells_without_wires():
    """Of 8 word lines at independent uniform voltages: sum of g times the mean square of the voltage, a third."""
    given = task(tile=(8, 8), v_read=0.3)
    r, keys = given.plain(8e3), jax.random.split(jax.random.key(0), 200)
    power = jax.jit(jax.vmap(lambda key: given.power(r, key=key)))(keys)
    _, g = jax.jit(jax.vmap(lambda key: given.written(r, (8, 4), key=jax.random.split(key)[0])))(keys)
    expected = 0.3**2 / 3 * float(jnp.mean(jnp.sum(g, (1, 2))))
    # 800 vectors of 8 lines: the mean square is known to 1 %.
    assert float(jnp.mean(power)) == pytest.approx(expected, rel=0.05)


@pytest.mark.usefixtures("x64")
def test_derivative_of_the_error_through_devices_and_wires():
    given = task(spread=0.1, wires=qs.crossbar.Wires(5.0, 15.0), tile=(8, 8))

    def error(r):
        return given.levels(r, key=jax.random.key(3)).error

    r = jnp.asarray([9e3, 17e3, 36e3])
    slope = np.asarray(jax.jit(jax.grad(error))(r))
    step = 1e-4 * np.asarray(r)
    evaluate = jax.jit(error)
    both = [[float(evaluate(r + sign * s)) for s in jnp.asarray(np.diag(step))] for sign in (1, -1)]
    np.testing.assert_allclose(slope, (np.array(both[0]) - both[1]) / (2 * step), rtol=1e-4)


@pytest.mark.slow
def test_a_search_behind_wires_pays():
    given = task(spread=0.1, wires=qs.crossbar.Wires(7.0, 21.0))
    plain = given.plain(8e3)
    found = design_ladder(given, Bounded(plain, plain / 4, plain * 64), key=jax.random.key(0), steps=80)
    before, after = (ladder_figures(given, r, key=jax.random.key(9)) for r in (plain, found.values))
    assert float(after.error) < 0.6 * float(before.error)
    assert float(after.power) < 0.5 * float(before.power)
    # Power may be asked to count: then it falls further.
    frugal = design_ladder(
        given, Bounded(plain, plain / 4, plain * 64), key=jax.random.key(0), priorities=Priorities(power=30.0), steps=80
    )
    assert float(ladder_figures(given, frugal.values, key=jax.random.key(9)).power) < 0.9 * float(after.power)


def test_where_inl_alone_counts_it_is_the_closed_form():
    given = task(spread=0.1)
    start = given.plain(8e3)
    bounds = Bounded(start, jnp.asarray([7.999e3, 4e3, 8e3]), jnp.asarray([8.001e3, 64e3, 128e3]))  # R is given
    found = design_ladder(given, bounds, key=jax.random.key(0), priorities=Priorities(error=0.0, inl=1.0), steps=200)
    np.testing.assert_allclose(found.values, binary_weighted(3, 8e3, R_ON, R_OFF), rtol=1e-3)


def network(cell):
    software = qs.nn.software_mlp((9, 6, 3), rngs=nnx.Rngs(0))
    return qs.nn.to_crossbar(software, cell=cell, wires=None, tile=(16, 16))


@pytest.mark.slow
def test_a_deployment_on_perfect_hardware_is_the_network_itself():
    given = task()
    r = binary_weighted(3, 8e3, R_ON, R_OFF)
    trained = network(given.cell(r))
    x = jax.random.uniform(jax.random.key(1), (5, 9))
    logits = qs.nn.Deployment(trained, given.tile).logits(given.hardware(r), None, x, key=jax.random.key(2))
    np.testing.assert_allclose(logits, trained(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_behind_wires_it_is_the_network_there_but_for_the_gain_of_each_layer():
    given = task(wires=qs.crossbar.Wires(7.0, 21.0))
    r = binary_weighted(3, 8e3, R_ON, R_OFF)
    trained = network(given.cell(r))
    behind = qs.nn.with_wires(trained, given.wires)
    gains = []
    for layer in behind.layers:
        w, intended = layer.effective_weight(), layer.intended_weight()
        gains.append(jnp.sum(w * intended) / jnp.sum(w**2))
        layer.scale.set_value(layer.scale.get_value() * gains[-1])
    assert all(gain > 1.01 for gain in gains)
    x = jax.random.uniform(jax.random.key(1), (5, 9))
    logits = qs.nn.Deployment(trained, given.tile).logits(given.hardware(r), given.wires, x, key=jax.random.key(2))
    np.testing.assert_allclose(logits, behind(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": Bounded(jnp.ones(2), 0.1, 10.0)}, "must have shape \\(3,\\)"),
        ({"priorities": Priorities(network=1.0)}, "`deployment` and `sample` must be given"),
    ],
)
def test_wrong_use(change, message):
    arguments = {"start": Bounded(8e3 * jnp.ones(3), 1e3, 1e5), "key": jax.random.key(0)} | change
    with pytest.raises(ValueError, match=message):
        design_ladder(task(), arguments.pop("start"), **arguments)


def test_priorities_that_make_no_sense():
    with pytest.raises(ValueError, match="`power` must be non-negative"):
        Priorities(power=-1.0)
    with pytest.raises(ValueError, match="nothing would count"):
        Priorities(error=0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 0}, "`bits` must be a positive integer"),
        ({"tile": (16, 15)}, "the second even"),
        ({"v_read": 0.0}, "`v_read` must be positive"),
        ({"resistor_width": -1e-6}, "`resistor_width` must be positive"),
        ({"r_access": -1.0}, "`r_access` must be non-negative"),
    ],
)
def test_tasks_that_make_no_sense(change, message):
    with pytest.raises(ValueError, match=message):
        task(**change)
