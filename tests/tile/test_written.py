"""Arrays that hold written weights: one interface, and what comes out of it is what the parts say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs

pytestmark = pytest.mark.usefixtures("x32")
Differential, Ladder, Multilevel = qs.cells.Differential, qs.cells.Ladder, qs.cells.Multilevel
SHAPE = (12, 10)


def perfect_switch(**changed):
    return qs.devices.Switch(**({"r_on": 5e3, "r_off": 1e6} | changed))


def switched(signed=True, switch=None, **options):
    ladder = Ladder(3, 80e3, 5e3, 1e6, r_access=500.0)
    return qs.tile.SwitchedArray(Differential(ladder) if signed else ladder, switch or perfect_switch(), **options)


def analog(signed=True, device=None, **options):
    levels = Multilevel(4, 1 / 80e3, 1 / 5e3)
    cell = Differential(levels) if signed else levels
    sound = qs.devices.analog_rram(stuck=0.0, sigma_hrs=0.3, sigma_read=0.0)
    return qs.tile.AnalogArray(cell, device or sound, qs.programming.RangeAdapting(), **options)


def codes(array, seed=0):
    low, high = array.cell.code_range
    return jnp.asarray(np.random.default_rng(seed).integers(low, high + 1, SHAPE))


def written(array, code=None, seed=0):
    code = codes(array) if code is None else code
    state = array.init(SHAPE, key=jax.random.key(seed))
    return array.write(state, code, key=jax.random.key(seed + 1))


by_array = pytest.mark.parametrize(
    "array",
    [
        pytest.param(switched, id="switched"),
        pytest.param(analog, id="analog"),
        pytest.param(lambda: switched(signed=False), id="switched_unipolar", marks=pytest.mark.slow),
        pytest.param(lambda: analog(signed=False), id="analog_unipolar", marks=pytest.mark.slow),
    ],
)


@pytest.mark.parametrize("signed", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_perfect_switches_are_the_cell(signed):
    """Nominal resistors and switches without spread: `conductance` of every bit line is that of the cell's formula."""
    array = switched(signed)
    state, report = written(array)
    lines = np.asarray(array.cell.conductance(codes(array))).reshape(-1, *SHAPE)
    expected = np.moveaxis(lines, 0, -1).reshape(SHAPE[0], -1)
    np.testing.assert_allclose(array.conductance(state), expected, rtol=1e-6)
    assert report.success.all()


@by_array
def test_what_was_written_is_read_as_the_weight(array):
    """Through `TiledArray.weight`, in its layout: within the tolerance of the analog cell, exactly for the switches."""
    array = array()
    state, report = written(array)
    plan = qs.tile.TiledArray(array.cell, None, (4, 4))
    w = plan.weight(array.conductance(state))
    assert w.shape == SHAPE
    lines = report.success.all(axis=0).reshape(*SHAPE, -1).all(axis=-1)
    assert lines.mean() > 0.85
    # Two lines of a quarter step of a third each, and no cell below the least of its levels.
    limit = 1e-6 if isinstance(array, qs.tile.SwitchedArray) else 2 * 0.25 / 3 + 0.02
    error = np.abs(np.asarray(w) - np.asarray(array.cell.decode(codes(array))))
    assert error[np.asarray(lines)].max() < limit


@by_array
def test_the_report_is_one_entry_a_device(array):
    array = array()
    _, report = written(array)
    devices = 3 if isinstance(array, qs.tile.SwitchedArray) else 1
    for leaf in jax.tree.leaves(report):
        assert leaf.shape == (devices, SHAPE[0], SHAPE[1] * array.lines)
    assert float(qs.cost.write_energy(report.energy)) >= 0


@by_array
def test_ageing_composes_and_changes_something(array):
    array = array()
    drift = qs.devices.Retention(spread=0.02, activation_energy=1.0)
    if isinstance(array, qs.tile.SwitchedArray):
        array = qs.tile.SwitchedArray(array.cell, perfect_switch(on_retention=drift, off_retention=drift))
    state, _ = written(array)
    at_once = array.conductance(array.age(state, 3e6, 358.15))
    in_steps = array.conductance(array.age(array.age(state, 1e6, 358.15), 2e6, 358.15))
    np.testing.assert_allclose(in_steps, at_once, rtol=1e-5)
    assert np.abs(np.asarray(at_once / array.conductance(state)) - 1).max() > 1e-3


def test_only_changed_branches_are_pulsed_again():
    array = switched()
    code = codes(array)
    state, first = written(array, code)
    _, again = array.write(state, code, key=jax.random.key(5))
    assert first.pulses.sum() == first.sets.sum() > 0
    assert again.pulses.sum() == 0


def test_resistors_spread_and_share():
    """Every branch of every cell has its own factor, and the die's comes out of `reference_factor`."""
    array = switched(resistor=qs.devices.Resistor(sigma_unit=0.05, sigma_process=0.2, tcr=1e-3))
    all_on = jnp.full(SHAPE, 7)
    state, _ = written(array, all_on)
    plain, _ = written(switched(), all_on)
    ratio = np.asarray(array.conductance(state))[:, 0::2] / np.asarray(switched().conductance(plain))[:, 0::2]
    assert np.unique(np.round(ratio, 6)).size > 100
    die = float(array.reference_factor(state))
    assert abs(die - 1) > 0.01
    # Mean of 120 cells of a spread of about 4 %: 0.4 %; and switches, 6 % of the resistance at most, do not scale.
    assert np.mean(ratio) * die == pytest.approx(1, abs=0.02 + 0.06 * abs(die - 1))
    hot = float(array.reference_factor(state, temperature=400.0))
    assert hot / die == pytest.approx(1.1, rel=1e-5)
    assert float(analog().reference_factor(None)) == 1


def test_the_circuit_sees_the_written_array():
    """Wires and real parts together: effective weights are those of a circuit solved on the real conductances."""
    array = switched(switch=perfect_switch(sigma_on_device=0.2))
    state, _ = written(array)
    wires = qs.crossbar.Wires(r_word=5.0, r_bit=5.0)
    plan = qs.tile.TiledArray(array.cell, wires, (64, 64))
    g = array.conductance(state)
    w = plan.weight(plan.effective_conductance(g))
    v = jnp.asarray(np.random.default_rng(0).uniform(0, 0.2, SHAPE[0]), jnp.float32)
    i_out = qs.crossbar.solve(g, v, wires).i_out.reshape(-1, 2)
    expected = (i_out[:, 0] - i_out[:, 1]) / array.cell.span()
    np.testing.assert_allclose(v @ w, expected, rtol=0, atol=1e-5 * float(jnp.abs(expected).max()))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: qs.tile.SwitchedArray(Multilevel(4, 0.0, 1e-4), perfect_switch()),
            "must be a Ladder or ",
        ),
        (
            lambda: qs.tile.AnalogArray(Ladder(2, 80e3, 0.0, 1e6), qs.devices.analog_rram(), qs.programming.ISPP()),
            "must be a Multilevel or a Differential of one, but holds a Ladder",
        ),
        (
            lambda: qs.tile.AnalogArray(Multilevel(4, 0.0, 3e-4), qs.devices.analog_rram(), qs.programming.ISPP()),
            r"must have conductances below 1/r_series = 0\.000263158 S of the device, but g_max = 0\.0003 S",
        ),
    ],
)
def test_wrong_cells(build, message):
    with pytest.raises(ValueError, match=f"^Argument `cell` {message}"):
        build()


@by_array
def test_wrong_codes(array):
    array = array()
    state = array.init(SHAPE, key=jax.random.key(0))
    low, high = array.cell.code_range
    with pytest.raises(ValueError, match=r"^Argument `code` must have the shape \(12, 10\) of the array, but has"):
        array.write(state, jnp.zeros((10, 12), int), key=jax.random.key(1))
    with pytest.raises(ValueError, match=rf"^Argument `code` must hold integers from {low} to {high}, but"):
        array.write(state, jnp.full(SHAPE, high + 1), key=jax.random.key(1))


@by_array
def test_degrees_celsius_are_an_error_wherever_a_temperature_is_given(array):
    array = array()
    state = array.init(SHAPE, key=jax.random.key(0))
    for call in (lambda: array.conductance(state, temperature=25.0), lambda: array.age(state, 1.0, 85.0)):
        with pytest.raises(ValueError, match="looks like degrees Celsius"):
            call()
