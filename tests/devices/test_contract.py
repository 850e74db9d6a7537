"""What holds of every device, and of every capability that a device has."""

from functools import cache
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.devices.zoo import Case, by_device, by_driven, by_pulsed, pulses_of
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x32")
D = qs.devices
# Standard errors that a correct program exceeds once in 1.7 million tests.
FIVE = 5.0
SHAPE = (40, 50)
N = 40 * 50
CHECKERED = jnp.indices(SHAPE).sum(axis=0) % 2 == 0


@cache
def fresh(case: Case) -> tuple[Any, Any]:
    device = case.build()
    return device, device.init(SHAPE, key=jax.random.key(0))


@cache
def written(case: Case) -> tuple[Any, Any]:
    """Half of the devices pulsed up, half down."""
    device, state = fresh(case)
    if isinstance(device, D.AbstractPulsed):
        return device, device.pulse(state, jnp.where(CHECKERED, 30, -30), key=jax.random.key(1))
    up, down = pulses_of(device, SHAPE)
    state, _ = device.apply(state, up.where(CHECKERED, down), key=jax.random.key(1))
    return device, state


@by_device
def test_every_leaf_of_a_state_has_the_shape_of_the_devices(case):
    for device, state in (fresh(case), written(case)):
        assert {leaf.shape for leaf in jax.tree.leaves(state)} == {SHAPE}
        g = device.conductance(state)
        assert g.shape == SHAPE
        assert np.isfinite(g).all()
        assert (np.asarray(g) > 0).all()


@by_device
def test_shapes_may_be_numbers_of_numpy(case):
    device, state = fresh(case)
    with unchecked():
        chex.assert_trees_all_equal(device.init(tuple(np.array(SHAPE)), key=jax.random.key(0)), state)


@by_device
def test_a_key_decides_and_neighbors_are_independent(case):
    """Whatever varies from device to device varies by the key, and does not follow the neighbor: correlation of 2,000
    pairs within five standard errors; flags and shares of faults vary too seldom to be looked at.
    """
    device, state = fresh(case)
    chex.assert_trees_all_equal(device.init(SHAPE, key=jax.random.key(0)), state)
    other = device.init(SHAPE, key=jax.random.key(7))
    varies = 0
    for mine, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
        if mine.dtype == bool or np.ptp(mine) == 0:
            continue
        varies += 1
        ranks = np.argsort(np.argsort(np.asarray(mine).ravel()))
        assert abs(np.corrcoef(ranks[1:], ranks[:-1])[0, 1]) < FIVE / N**0.5
        assert (np.asarray(mine) != np.asarray(theirs)).mean() > 0.9
    assert varies > 0


@by_device
def test_the_mean_of_reads_is_the_conductance(case):
    """One read of 2,000 devices; the mean of the relative noise within five standard errors."""
    device, state = written(case)
    reads = device.read(state, key=jax.random.key(3))
    noise = np.asarray(reads) / np.asarray(device.conductance(state)) - 1
    assert abs(noise.mean()) <= FIVE * noise.std() / N**0.5
    assert noise.std() < 0.1
    assert device.read(state, key=jax.random.key(3), window=1e-6).shape == SHAPE


@by_device
def test_ageing_composes(case):
    """Ageing for a, then for b, is ageing for a + b; the order of hot and cold does not matter."""
    device, state = written(case)

    def after(*spells):
        aged = state
        for spell in spells:
            aged = device.age(aged, *spell, key=jax.random.key(4))
        return np.asarray(device.conductance(aged))

    at_once = after((5e5, 330.0))
    np.testing.assert_allclose(after((2e5, 330.0), (3e5, 330.0)), at_once, rtol=1e-5)
    np.testing.assert_allclose(after((3e3, 358.0), (4e5, 300.0)), after((4e5, 300.0), (3e3, 358.0)), rtol=1e-5)
    np.testing.assert_array_equal(after((0.0, 400.0)), device.conductance(state))
    assert np.abs(at_once / np.asarray(device.conductance(state)) - 1).max() > 1e-3


@by_device
def test_degrees_celsius_are_refused(case):
    device, state = fresh(case)
    message = r"^Argument `temperature` must be in kelvin and at least 200 K, but is 25 K; that looks like degrees"
    with pytest.raises(ValueError, match=message):
        device.conductance(state, temperature=25.0)
    with pytest.raises(ValueError, match=message):
        device.age(state, 1.0, 25.0)


@by_device
def test_a_device_works_compiled_and_in_batches(case):
    device, state = fresh(case)

    def life(key):
        if isinstance(device, D.AbstractDriven):
            new, _ = device.apply(state, pulses_of(device, SHAPE)[0], key=key)
        else:
            new = device.pulse(state, jnp.ones(SHAPE, int), key=key)
        return device.conductance(device.age(new, 1e5, 350.0))

    keys = jax.random.split(jax.random.key(5), 2)
    one_by_one = np.stack([life(key) for key in keys])
    np.testing.assert_allclose(jax.jit(jax.vmap(life))(keys), one_by_one, rtol=1e-5)
    # The rest is traced: to compile it takes long and tells no more.
    for call in (lambda key: device.init(SHAPE, key=key), lambda key: device.read(state, key=key)):
        assert {leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(jax.vmap(call), keys))} == {(2, *SHAPE)}


@by_device
def test_print_shows_numbers_with_units(case):
    assert case.shown in repr(case.build())


@by_driven
def test_no_voltage_is_no_pulse(case):
    device, state = written(case)
    up, _ = pulses_of(device, SHAPE)
    new, trace = device.apply(state, up.only(jnp.zeros(SHAPE, bool)), key=jax.random.key(6))
    chex.assert_trees_all_equal(new, state)
    chex.assert_trees_all_equal(trace, D.Trace.zeros(SHAPE))
    # Device by device: one that gets none is left alone while its neighbors are written.
    new, trace = device.apply(state, up.only(CHECKERED), key=jax.random.key(6))
    chex.assert_trees_all_equal(trace.only(~CHECKERED), D.Trace.zeros(SHAPE))
    for mine, theirs in zip(jax.tree.leaves(new), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(mine[~CHECKERED], theirs[~CHECKERED])
    np.testing.assert_array_equal(trace.sets, CHECKERED)


@by_driven
def test_pulses_up_do_not_lower_and_pulses_down_do_not_raise(case):
    device = case.build(**({"sigma_on_cycle": 0.0, "sigma_off_cycle": 0.0} if case.name == "switch" else {}))
    state = device.init(SHAPE, key=jax.random.key(0))
    for turn, sign in enumerate((1, -1, 1, 1, -1, -1)):
        new, _ = device.apply(state, pulses_of(device, SHAPE)[sign < 0], key=jax.random.key(turn))
        assert (sign * (np.asarray(device.conductance(new)) - np.asarray(device.conductance(state))) >= 0).all()
        state = new


@by_driven
def test_traces_are_finite_and_add_up(case):
    device, state = written(case)
    total = D.Trace.zeros(SHAPE)
    for turn, pulse in enumerate(pulses_of(device, SHAPE)):
        state, trace = device.apply(state, pulse, key=jax.random.key(turn))
        np.testing.assert_array_equal((trace.sets, trace.resets), [np.full(SHAPE, k == turn) for k in (0, 1)])
        np.testing.assert_allclose(trace.time, pulse.width)
        total += trace + device.read_trace(state)
    for leaf in jax.tree.leaves(total):
        assert leaf.shape == SHAPE
        assert np.isfinite(leaf).all()
    np.testing.assert_array_equal((total.pulses, total.reads), np.full((2, *SHAPE), 2))
    assert (np.asarray(total.energy) > 0).all()
    assert total.success.all()
    failed = D.Trace(**(vars(total) | {"success": CHECKERED}))
    np.testing.assert_array_equal((total + failed).success, CHECKERED)
    np.testing.assert_array_equal((failed + total).success, CHECKERED)


@by_driven
def test_half_select_pulses_do_no_more_than_the_device_says(case):
    device, state = written(case)
    half = D.Exposure(pulses_of(device, ())[0].v / 2, 1e-6, 1_000_000)
    exposed = device.disturb(state, half, key=jax.random.key(0))
    if not case.half_select:
        chex.assert_trees_all_equal(exposed, state)
    g, before = (np.asarray(device.conductance(state)) for state in (exposed, state))
    assert (np.abs(g / before - 1) <= case.half_select).all()
    # None of them is none.
    none = D.Exposure(half.v, 1e-6, 0)
    chex.assert_trees_all_equal(device.disturb(state, none, key=jax.random.key(0)), state)


@by_pulsed
def test_counts_move_the_weight_their_way_within_its_bounds(case):
    device, state = fresh(case)
    moved = device.pulse(state, jnp.where(CHECKERED, 20, -20), key=jax.random.key(1))
    change = np.asarray(device.weight(moved)) - np.asarray(device.weight(state))
    assert change[CHECKERED].mean() > 0 > change[~CHECKERED].mean()
    chex.assert_trees_all_equal(device.pulse(state, jnp.zeros(SHAPE, int), key=jax.random.key(1)), state)
    for count, bound in ((5000, device.w_max), (-5000, device.w_min)):
        far = device.pulse(state, jnp.full(SHAPE, count), key=jax.random.key(2))
        np.testing.assert_allclose(device.weight(far), np.full(SHAPE, bound), rtol=1e-6)


GATED, SWITCH = D.analog_rram(), D.digital_switch()


@pytest.mark.parametrize(
    ("device", "capability", "message"),
    [
        (SWITCH, D.AbstractGated, "`AbstractGated` for `R`, but is a `Switch`; devices that are: `GatedFilament`"),
        (GATED, D.AbstractTwoLevel, "`AbstractTwoLevel` for `R`, but is a `GatedFilament`; devices that are: `Switch`"),
        (GATED, D.AbstractPulsed, "`AbstractPulsed` for `R`, but is a `GatedFilament`; devices that are: `Const"),
        (
            3,
            D.AbstractDriven,
            "`AbstractDriven` for `R`, but is a `int`; devices that are: `CmoFilament`, `GatedFilament`, `Sw",
        ),
    ],
)
def test_what_a_device_cannot_do_is_said_with_those_that_can(device, capability, message):
    with pytest.raises(ValueError, match=f"^Argument `device` must be an {message}"):
        D.demand(device, capability, "`R`")


@by_device
def test_a_device_that_can_is_let_through(case):
    D.demand(case.build(), D.AbstractDevice, "`R`")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: D.Pulse(float("nan"), 1e-6), r"`v` must be finite, but is nan V\."),
        (lambda: D.Pulse(1.0, -1e-6), r"`width` must be non-negative and finite, but is -1e-06 s\."),
        (
            lambda: D.Pulse(1.0, jnp.array([1e-6, -1.0])),
            r"`width` must be non-negative and finite, but width\[1\]",
        ),
        (lambda: D.Pulse(1.0, 1e-6, -1.0), r"`gate` must be non-negative \(infinity is allowed\), but is -1 V\."),
        (lambda: SWITCH.init((2, -1), key=jax.random.key(0)), r"`shape` must be an integer of at least 0, but is -1\."),
        (lambda: D.Exposure(1.0, 1e-6, 2.5), r"`count` must hold integers, but is 2\.5\."),
        (
            lambda: D.Exposure(1.0, 1e-6, np.array([3, -1])),
            r"`count` must be non-negative and finite, but count\[1\]",
        ),
    ],
)
def test_wrong_pulses(build, message):
    with unchecked(), pytest.raises(ValueError, match=f"^Argument {message}"):
        build()
