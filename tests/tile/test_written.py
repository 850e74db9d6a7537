"""Hardware that holds written weights: what comes out of it is what its parts say."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs

pytestmark = pytest.mark.usefixtures("x32")
Differential, Ladder, Multilevel, Sliced = (
    qs.cells.Differential,
    qs.cells.Ladder,
    qs.cells.Multilevel,
    qs.cells.Sliced,
)
Tile = qs.tile.Tile
SHAPE, TILE = (12, 10), (8, 8)


def perfect_switch(**changed):
    return qs.devices.Switch(5e3, 1e6, **changed)


def switched(cell=None, device=None, resistor=None, **options):
    ladder = Ladder(3, 80e3, 5e3, 1e6, r_access=500.0, resistor=resistor)
    return Tile(
        Differential(ladder) if cell is None else cell, device=device or perfect_switch(), shape=TILE, **options
    )


def analog():
    device = qs.devices.analog_rram(stuck=0.0, sigma_hrs=0.3, sigma_read=0.0)
    return Tile(Differential(Multilevel(4, 1 / 80e3, 1 / 5e3)), device=device, shape=TILE)


def sliced():
    return Tile(Differential(Sliced(Ladder(2, 20e3, 5e3, 1e6), 2)), shape=TILE)


def exact():
    return Tile(Differential(Ladder(3, 80e3, 5e3, 1e6)), shape=TILE)


def codes(tile, seed=0):
    low, high = tile.cell.code_range
    return jnp.asarray(np.random.default_rng(seed).integers(low, high + 1, SHAPE), jnp.int32)


@eqx.filter_jit
def written_codes(tile, code, seed=0):
    """Compiled as one, here and below: operation by operation takes longer to compile than to test."""
    return tile.program(tile.init(code.shape, key=jax.random.key(seed)), code, key=jax.random.key(seed + 1))


def written(tile, code=None):
    return written_codes(tile, codes(tile) if code is None else code)


@eqx.filter_jit
def crosspoints(tile, state):
    return tile.crosspoints(state)


@eqx.filter_jit
def matrix(tile, state):
    return tile.matrix(state)


@eqx.filter_jit
def aged(tile, state, seconds, temperature):
    return tile.age(state, seconds, temperature)


slow = pytest.mark.slow
by_tile = pytest.mark.parametrize(
    "tile",
    [switched, pytest.param(analog, marks=slow), pytest.param(sliced, marks=slow), exact],
    ids=lambda build: build.__name__,
)


@by_tile
def test_what_was_written_is_read_as_the_weight(tile):
    """Within the tolerance of the analog device, exactly for switches and for devices that are their targets."""
    tile = tile()
    state, trace = written(tile)
    w, intended = np.asarray(matrix(tile, state)), np.asarray(eqx.filter_jit(tile.cell.decode)(codes(tile)))
    assert w.shape == SHAPE
    for leaf in jax.tree.leaves(trace):
        assert leaf.shape == (tile.cell.n_devices, *SHAPE)
    done = np.asarray(trace.success.all(axis=0))
    assert done.mean() > 0.85
    if isinstance(tile.device, qs.devices.AbstractGated):
        # Two lines of a quarter step of a third each, and no device below the least of its levels.
        assert np.abs(w - intended)[done].max() < 2 * 0.25 / 3 + 0.02
    else:
        np.testing.assert_allclose(w, intended, atol=1e-6)
        x = np.random.default_rng(1).uniform(-1, 1, (4, SHAPE[0])).astype("float32")
        np.testing.assert_allclose(eqx.filter_jit(tile.read)(state, jnp.asarray(x)), x @ intended, atol=1e-6 * SHAPE[0])
        assert (trace.pulses.sum() == 0) == (tile.device is None)


def test_the_trace_of_every_device_lies_where_its_weight_is():
    """Bits of the plus ladder, then of the minus ladder; a switch is pulsed where its bit is set."""
    tile = switched()
    code = codes(tile)
    _, trace = written(tile, code)
    place = np.array([4, 2, 1])[:, None, None]
    expected = [np.maximum(sign * np.asarray(code), 0) & place > 0 for sign in (1, -1)]
    np.testing.assert_array_equal(trace.sets, np.concatenate(expected))


def test_only_changed_switches_are_pulsed_again():
    tile = switched()
    state, first = written(tile)
    _, again = eqx.filter_jit(tile.program)(state, codes(tile), key=jax.random.key(5))
    assert first.pulses.sum() == first.sets.sum() > 0
    assert again.pulses.sum() == 0


@pytest.mark.parametrize("tile", [switched, pytest.param(analog, marks=slow)], ids=lambda build: build.__name__)
def test_ageing_composes_and_changes_something(tile):
    tile = tile()
    if isinstance(tile.device, qs.devices.Switch):
        drift = qs.devices.Retention(spread=0.02, activation_energy=1.0)
        tile = switched(device=perfect_switch(on_retention=drift, off_retention=drift))
    state, _ = written(tile)
    at_once = crosspoints(tile, aged(tile, state, 3e6, 358.15))
    in_steps = crosspoints(tile, aged(tile, aged(tile, state, 1e6, 358.15), 2e6, 358.15))
    np.testing.assert_allclose(in_steps, at_once, rtol=1e-5)
    assert np.abs(np.asarray(at_once / crosspoints(tile, state)) - 1).max() > 1e-3


def test_devices_that_are_their_targets_do_not_age():
    tile = exact()
    state, _ = written(tile)
    np.testing.assert_array_equal(matrix(tile, aged(tile, state, 1e9, 400.0)), matrix(tile, state))


@pytest.mark.slow
def test_real_resistors_move_conductances_and_the_reference_alike():
    """Process and temperature factors divide out against `reference_factor`."""
    tile = switched(resistor=qs.cells.Resistor(sigma_unit=0.05, sigma_process=0.2, tcr=1e-3))
    all_on = jnp.full(SHAPE, 7)
    state, _ = written(tile, all_on)
    plain, _ = written(switched(), all_on)
    ratio = np.asarray(crosspoints(tile, state))[:, 0::2] / np.asarray(crosspoints(switched(), plain))[:, 0::2]
    assert np.unique(np.round(ratio, 6)).size > 100
    die = float(tile.cell.reference_factor(state.parts))
    assert abs(die - 1) > 0.01
    # Mean of 120 cells of a spread of about 4 %: 0.4 %; and switches, 6 % of the resistance at most, do not scale.
    assert np.mean(ratio) * die == pytest.approx(1, abs=0.02 + 0.06 * abs(die - 1))
    # Read by a converter on the same die, weights are those of the nominal resistors but for the mismatch.
    measured = Tile(tile.cell, device=tile.device, shape=TILE, adc=qs.periphery.ADC(16, 0.2, 40e3))
    np.testing.assert_allclose(matrix(measured, state), die * matrix(tile, state), rtol=1e-5)


@pytest.mark.slow
def test_the_circuit_sees_the_written_hardware():
    """Wires and real devices together: a circuit solved on the real conductances, for a tile that holds them all."""
    wires = qs.crossbar.Wires(r_word=5.0, r_bit=5.0)
    device = perfect_switch(sigma_on_device=0.2)
    tile = Tile(switched().cell, wires, device)
    state, _ = written(tile)
    v = jnp.asarray(np.random.default_rng(0).uniform(0, 0.2, SHAPE[0]), jnp.float32)
    i_out = jax.jit(qs.crossbar.solve)(crosspoints(tile, state), v, wires).i_out.reshape(-1, 2)
    expected = (i_out[:, 0] - i_out[:, 1]) / tile.cell.span()
    np.testing.assert_allclose(
        eqx.filter_jit(tile.read)(state, v), expected, rtol=0, atol=1e-5 * float(jnp.abs(expected).max())
    )


def test_a_key_is_one_noisy_read():
    tile = analog()
    tile = Tile(tile.cell, device=qs.devices.analog_rram(sigma_read=0.05), shape=TILE)
    state = eqx.filter_jit(tile.init)(SHAPE, key=jax.random.key(0))
    once, read = eqx.filter_jit(tile.crosspoints), eqx.filter_jit(tile.read)
    ratio = np.asarray(once(state, key=jax.random.key(1)) / once(state)) - 1
    # 240 devices: five standard errors of a spread, false alarm 6e-7.
    assert abs(ratio.std() / 0.05 - 1) < 5 / (2 * ratio.size) ** 0.5
    x = jnp.ones((2, SHAPE[0]))
    noisy = [np.asarray(read(state, x, key=jax.random.key(k))) for k in (1, 2)]
    np.testing.assert_array_equal(noisy[0][0], noisy[0][1])
    assert (noisy[0] != noisy[1]).all()


def test_a_stack_of_matrices_has_hardware_of_its_own():
    tile = exact()
    code = jnp.stack([codes(tile, 1), codes(tile, 2)])
    state, _ = written(tile, code)
    np.testing.assert_allclose(matrix(tile, state), eqx.filter_jit(tile.cell.decode)(code), atol=1e-6)


def test_traced_codes_out_of_range_are_no_weights():
    tile = exact()
    state = tile.init(SHAPE, key=jax.random.key(0))
    code = codes(tile).at[2, 3].set(9)
    w = jax.jit(lambda code: tile.matrix(tile.program(state, code, key=jax.random.key(1))[0]))(code)
    np.testing.assert_array_equal(np.isnan(w), np.asarray(code) == 9)


@slow  # the default run has a derivative through written devices among the tests of `codesign`
def test_gradients_of_written_hardware_reach_the_physics_of_cells():
    """At fixed codes, against finite differences in the relative change of a resistor."""
    with jax.enable_x64(True):
        code = codes(exact())

        def loss(log_r):
            ladder = Ladder(3, 20e3 * jnp.exp(log_r), 5e3, 1e6, resistor=qs.cells.poly_resistor())
            tile = Tile(Differential(ladder), device=perfect_switch())
            state, _ = tile.program(tile.init(SHAPE, key=jax.random.key(0)), code, key=jax.random.key(1))
            return jnp.sum(tile.matrix(state) ** 2)

        both, h = jax.jit(jax.value_and_grad(loss)), 1e-4
        difference = (both(jnp.asarray(h))[0] - both(jnp.asarray(-h))[0]) / (2 * h)
        slope = both(jnp.asarray(0.0))[1]
        np.testing.assert_allclose(slope, difference, rtol=1e-5)
        assert abs(slope) > 1e-3
