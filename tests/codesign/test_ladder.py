"""Resistors for a task: figures by their definitions, derivatives through devices, a search that pays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from qsynapse_jax.cells import Differential, Ladder, linearity
from qsynapse_jax.codesign import (
    Bounded,
    LadderTask,
    Priorities,
    binary_weighted,
    design_ladder,
    ladder_figures,
    tile_levels,
)
from qsynapse_jax.tile import Tile

R_ON, R_OFF = 400.0, 4e5


def task(*, spread=0.0, wires=None, bits=3, tile_shape=(8, 8), **options):
    switch = qs.devices.Switch(R_ON, R_OFF, sigma_on_device=spread, sigma_off_device=spread)
    return LadderTask(bits, switch, qs.cells.Resistor(sigma_unit=spread / 10), wires, tile_shape, **options)


@pytest.mark.slow
def test_figures_by_their_definitions():
    given = task(tile_shape=(16, 16), r_access=100.0, sheet_resistance=2e3, resistor_width=5e-7)
    r = given.plain(8e3)
    found = ladder_figures(given, r, key=jax.random.key(0))
    alone = linearity(given.tile(r).cell)
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
    given = task(v_read=0.3)
    r, keys = given.plain(8e3), jax.random.split(jax.random.key(0), 200)
    power = jax.jit(jax.vmap(lambda key: given.power(r, key=key)))(keys)

    def crosspoints(key):
        return given.tile(r).crosspoints(given.written(r, (8, 4), key=jax.random.split(key)[0])[1])

    g = jax.jit(jax.vmap(crosspoints))(keys)
    expected = 0.3**2 / 3 * float(jnp.mean(jnp.sum(g, (1, 2))))
    # 800 vectors of 8 lines: the mean square is known to 1 %.
    assert float(jnp.mean(power)) == pytest.approx(expected, rel=0.05)


@pytest.mark.usefixtures("x64")
def test_derivative_of_the_error_through_devices():
    """Through wires as well: `test_tile.py`."""
    given = task(spread=0.1)

    r = jnp.asarray([9e3, 17e3, 36e3])
    code, state = jax.jit(lambda r: given.written(r, (8, 4), key=jax.random.key(3)))(r)

    def error(r):
        return tile_levels(given.tile(r), code, state).error

    evaluate = jax.jit(jax.value_and_grad(error))
    slope, step = np.asarray(evaluate(r)[1]), 1e-4 * np.asarray(r)
    both = [[float(evaluate(r + sign * s)[0]) for s in jnp.asarray(np.diag(step))] for sign in (1, -1)]
    np.testing.assert_allclose(slope, (np.array(both[0]) - both[1]) / (2 * step), rtol=1e-4)


@pytest.mark.slow
def test_a_search_behind_wires_pays():
    given = task(spread=0.1, wires=qs.crossbar.Wires(7.0, 21.0), tile_shape=(16, 16))
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


@pytest.mark.slow  # `optimize` reaches it in the default run
def test_where_inl_alone_counts_it_is_the_closed_form():
    given = task(spread=0.1)
    start = given.plain(8e3)
    bounds = Bounded(start, jnp.asarray([7.999e3, 4e3, 8e3]), jnp.asarray([8.001e3, 64e3, 128e3]))  # R is given
    found = design_ladder(given, bounds, key=jax.random.key(0), priorities=Priorities(error=0.0, inl=1.0), steps=200)
    np.testing.assert_allclose(found.values, binary_weighted(3, 8e3, R_ON, R_OFF), rtol=1e-3)


def reference_problem():
    """A task, plain resistors, a model on exact tiles and samples for it."""
    switch = qs.devices.Switch(R_ON, R_OFF, sigma_on_device=0.1, sigma_off_device=0.2)
    given = LadderTask(3, switch, qs.cells.Resistor(sigma_unit=0.01), qs.crossbar.Wires(7.0, 21.0), (8, 8))
    exact = Tile(Differential(Ladder(3, None, R_ON, R_OFF, binary_weighted(3, 8e3, R_ON, R_OFF))), shape=(8, 8))
    x = jax.random.uniform(jax.random.key(1), (40, 9))
    y = jax.random.randint(jax.random.key(2), (40,), 0, 3)
    return given, given.plain(8e3), small_model(exact), x, y


@pytest.mark.slow
def test_logits_of_a_network_on_written_hardware():
    """Measured before tiles were one object, with the same keys."""
    given, r, model, x, _ = reference_problem()
    expected = [[-0.37093803, -0.44114608, 0.87051475], [0.08859096, 0.13801616, 0.50516945]]
    np.testing.assert_allclose(given.network(model, r, key=jax.random.key(5))(x[:2]), expected, rtol=0, atol=2e-6)


@pytest.mark.slow
def test_the_figures_of_a_search():
    """Likewise: objective and resistors, with a network that counts."""
    given, r, model, x, y = reference_problem()

    def sample(key):
        chosen = jax.random.randint(key, (8,), 0, 40)
        return x[chosen], y[chosen]

    start, priorities = Bounded(r, r / 4, r * 64), Priorities(error=0.1, network=1.0)
    options = {"priorities": priorities, "model": model, "sample": sample, "steps": 6}
    found = design_ladder(given, start, key=jax.random.key(0), **options)
    expected = [1.2061219, 0.9732557, 1.0231085, 1.3148088, 1.0213165, 1.0267019, 1.145295]
    np.testing.assert_allclose(found.losses, expected, rtol=2e-5)
    np.testing.assert_allclose(found.values, [9161.271, 17744.174, 33533.08], rtol=2e-5)


def small_model(tile):
    return qs.nn.convert(qs.nn.mlp((9, 6, 3), rngs=nnx.Rngs(0)), tile)


@pytest.mark.slow
def test_on_perfect_hardware_a_network_is_itself():
    given = task(tile_shape=(16, 16))
    r = binary_weighted(3, 8e3, R_ON, R_OFF)
    trained = small_model(given.tile(r))
    x = jax.random.uniform(jax.random.key(1), (5, 9))
    made = given.network(trained, r, key=jax.random.key(2))
    np.testing.assert_allclose(made(x), trained(x), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_behind_wires_it_is_the_network_there_but_for_the_gain_of_each_layer():
    given = task(tile_shape=(16, 16), wires=qs.crossbar.Wires(7.0, 21.0))
    r = binary_weighted(3, 8e3, R_ON, R_OFF)
    behind = small_model(given.tile(r))
    made = given.network(behind, r, key=jax.random.key(2))
    for layer in qs.nn.crossbar_layers(behind).values():
        w, intended = layer.kernel.matrix(), layer.kernel.intended()
        gain = jnp.sum(w * intended) / jnp.sum(w**2)
        assert gain > 1.01
        layer.scale.set_value(layer.scale.get_value() * gain)
    x = jax.random.uniform(jax.random.key(1), (5, 9))
    np.testing.assert_allclose(made(x), behind(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": Bounded(jnp.ones(2), 0.1, 10.0)}, "must have shape \\(3,\\)"),
        ({"priorities": Priorities(network=1.0)}, "`model` and `sample` must be given"),
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
        ({"bits": 0}, "`bits` must be an integer from 1 to 16, one per branch, but is 0"),
        ({"tile_shape": (16, 15)}, "a multiple of 2 bit lines"),
        ({"tile_shape": (16, 0)}, "must be two positive integers"),
        ({"v_read": 0.0}, "`v_read` must be positive"),
        ({"resistor_width": -1e-6}, "`resistor_width` must be positive"),
        ({"r_access": -1.0}, "`r_access` must be non-negative"),
    ],
)
def test_tasks_that_make_no_sense(change, message):
    with pytest.raises(ValueError, match=message):
        task(**change)
