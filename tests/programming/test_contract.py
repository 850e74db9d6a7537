"""Every scheme with every device: what both promise when they suit each other, and what is said when they do not."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.devices.zoo import by_device
from tests.programming.zoo import SHAPE, Climb, Counter, by_scheme
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x32")
D, P = qs.devices, qs.programming
# Two levels, which every device of the list can hold: 5 and 80 kohm.
LEAST, MOST = 1 / 80e3, 1 / 5e3
# One whose window begins there.
WIDE = partial(replace, g_min=jnp.asarray(LEAST))
TARGET = jnp.where(jnp.indices(SHAPE).sum(axis=0) % 2 == 0, LEAST, MOST)


def program(device, scheme, state=None, target=TARGET, seed=0, **options):
    if state is None:
        state = device.init(target.shape, key=jax.random.key(100 + seed))
    numbers = {"step": MOST - LEAST, "least": LEAST} | options
    return P.program(device, state, target, scheme, key=jax.random.key(seed), **numbers)


@by_scheme
@by_device
def test_a_scheme_writes_what_it_suits_and_refuses_the_rest(scheme, case):
    device = case.build()
    if isinstance(device, D.TelegraphFilament):
        device = WIDE(device)
    if not isinstance(device, scheme.demands):
        able = {
            D.AbstractTwoLevel: "`Switch`",
            D.AbstractGated: "`GatedFilament`",
            D.AbstractBipolar: "`CmoFilament`",
            D.AbstractFluctuating: "`TelegraphFilament`",
        }[scheme.demands]
        message = (
            f"^Argument `device` must be an `{scheme.demands.__name__}` for `{type(scheme).__name__}`, but is a "
            f"`{type(device).__name__}`; devices that are: {able}\\.$"
        )
        with unchecked(), pytest.raises(ValueError, match=message):
            program(device, scheme)
        with unchecked(), pytest.raises(ValueError, match=message):
            P.write_verify(device, None, jnp.zeros(3), jnp.ones(3), scheme, key=jax.random.key(0))
        return
    state, trace = program(device, scheme)
    assert {leaf.shape for leaf in jax.tree.leaves((state, trace))} == {SHAPE}
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(trace))
    g, done, up = np.asarray(device.conductance(state)), np.asarray(trace.success), np.asarray(TARGET) > LEAST
    assert done.mean() > 0.75
    assert g[done & up].min() > g[done & ~up].max()
    assert (np.asarray(trace.sets)[done & up] > 0).mean() > 0.9
    assert (np.asarray(trace.time)[np.asarray(trace.pulses) > 0] > 0).all()


def test_a_target_is_a_band_of_the_schemes_tolerance_and_the_least_has_no_lower_bound():
    device = D.analog_rram(stuck=0.0, sigma_read=0.0, sigma_hrs=0.3)
    levels = jnp.asarray([5e-5, 1e-4, 1.5e-4, 2e-4])
    target = levels[jnp.arange(1024).reshape(SHAPE) % 4]
    for tolerance in (0.25, 0.1):
        scheme = P.RangeAdapting(tolerance=tolerance, max_pulses=1000)
        state, trace = program(device, scheme, target=target, step=5e-5, least=5e-5)
        off = np.asarray(device.conductance(state) - target)
        assert trace.success.all()
        assert off.max() <= tolerance * 5e-5 * 1.00001
        assert off[np.asarray(target) > 6e-5].min() >= -tolerance * 5e-5 * 1.00001
        assert off.min() < -5e-6


def test_a_step_for_each_device():
    """Devices of a weight that count differently have steps of their own: the band of each follows its step."""
    device = D.analog_rram(stuck=0.0, sigma_read=0.0, sigma_hrs=0.3)
    target, step = jnp.full(SHAPE, 1.2e-4), jnp.asarray([4e-5, 1e-5])[:, None, None]
    state, trace = program(device, P.RangeAdapting(max_pulses=2000), target=target, step=step, least=0.0)
    off = np.abs(np.asarray(device.conductance(state) - target))
    assert trace.success.all()
    assert (off <= 0.25 * np.asarray(step) * 1.0001).all()
    assert off[0].max() > 2e-6


def test_a_switch_is_on_above_the_least_level_whatever_its_own_resistances():
    """Branches of 0 ohm and open ones too, as an ideal ladder asks for."""
    for low, high in ((0.0, np.inf), (1e-6, 2e-4), (1.25e-5, 2e-4)):
        target = jnp.where(TARGET > LEAST, high, low)
        device = D.Switch(5e3, 1e12)
        state, trace = program(device, P.SinglePulse(), target=target, step=high - low, least=low)
        np.testing.assert_array_equal(state.on, TARGET > LEAST)
        assert trace.success.all()


def test_more_levels_than_two_are_refused_for_a_switch_inside_a_trace_too():
    device = D.Switch(5e3, 1e6)
    target = TARGET.at[0, 0, 0].set(1e-4)
    with pytest.raises(
        ValueError, match=r"^Argument `target` must hold two levels for `SinglePulse`, but holds 0\.0001 S"
    ):
        program(device, P.SinglePulse(), target=target)
    with pytest.raises(Exception, match="must hold two levels for `SinglePulse`"):
        jax.block_until_ready(jax.jit(lambda t: program(device, P.SinglePulse(), target=t))(target))


def test_writing_again_costs_a_switch_nothing_and_a_filament_one_read():
    for device, scheme, reads in (
        (D.Switch(5e3, 1e6), P.SinglePulse(), 0),
        (D.analog_rram(sigma_read=0.0), P.ISPP(), 1),
    ):
        state, first = program(device, scheme)
        done = np.asarray(first.success)
        _, again = program(device, scheme, state)
        np.testing.assert_array_equal(np.asarray(again.reads)[done], np.full(done.sum(), reads))
        assert again.pulses[done].sum() == 0


@by_scheme
def test_a_traced_target_that_is_no_number_is_no_success(scheme):
    built = {
        D.AbstractTwoLevel: D.digital_switch,
        D.AbstractFluctuating: lambda: WIDE(D.TelegraphFilament()),
        D.AbstractBipolar: D.cmo_reram,
    }
    device = built.get(scheme.demands, D.analog_rram)()
    target = TARGET.at[1, 2, 3].set(jnp.nan)
    bands = jax.jit(lambda t: scheme.bands(device, t, MOST - LEAST, LEAST))(target)
    _, trace = scheme.write(device, device.init(SHAPE, key=jax.random.key(0)), bands, key=jax.random.key(1))
    assert not trace.success[1, 2, 3]
    assert trace.success.mean() > 0.75


def test_cmo_devices_are_written_to_27_levels_by_their_operating_point():
    """Both polarities in steps; all 1,024 in their bands of a quarter of a level, as read with noise."""
    device = D.cmo_reram()
    low, high = 25e-6, 90e-6
    step = (high - low) / 26
    target = low + step * (jnp.arange(1024.0).reshape(SHAPE) % 27)
    state, trace = program(device, P.BipolarISPP(), target=target, step=step, least=low)
    # The read that said so had noise of 0.3 uS at most, an eighth of a level.
    error = (np.asarray(device.conductance(state)) - np.asarray(target)) / step
    assert trace.success.all()
    assert np.abs(error[np.asarray(target) > 26e-6]).max() < 1
    assert np.std(error) < 0.25
    assert (np.asarray(trace.sets) > 0).any()
    assert (np.asarray(trace.resets) > 0).any()


def test_positions_survive_the_gathering_into_buffers():
    """2 x 25 x 60 devices, two widths: a seventh of them goes on in the smaller buffer, pulsed by row and column."""
    shape, device = (2, 25, 60), Counter()
    few = jnp.arange(3000).reshape(shape) % 7 == 0
    low, high = jnp.where(few, 1.0, 0), jnp.where(few, 2.0, 1e-3)
    scheme = Climb(1e-6, row=1e-4, column=1e-6, max_pulses=3)
    state, trace = P.write_verify(
        device, device.init(shape, key=jax.random.key(0)), low, high, scheme, key=jax.random.key(1)
    )
    _, row, column = np.indices(shape)
    np.testing.assert_array_equal(trace.sets, np.where(few, 3, 0))
    np.testing.assert_array_equal(trace.success, ~few)
    expected = np.where(few, 3 * (1e-6 + 1e-4 * row + 1e-6 * column), 0) + 1e-6
    np.testing.assert_allclose(state.g, expected, rtol=1e-5)


def test_a_scheme_that_suits_is_chosen():
    assert isinstance(P.default_scheme(D.digital_switch()), P.SinglePulse)
    assert isinstance(P.default_scheme(D.analog_rram()), P.RangeAdapting)
    assert isinstance(P.default_scheme(D.cmo_reram()), P.BipolarISPP)
    with pytest.raises(
        ValueError, match=r"^Argument `device` must be an `AbstractGated` for `RangeAdapting`, .* `Const"
    ):
        P.default_scheme(D.ConstantStep(0.1))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"target": jnp.full((3, 3), LEAST)},
            r"must have the shape \(2, 16, 32\) of the devices, but has",
        ),
        (
            {"target": TARGET.at[0, 0, 1].set(jnp.nan)},
            r"must be non-negative \(infinity is allowed\), but",
        ),
        ({"target": jnp.full(SHAPE, 3e-4)}, r"must hold conductances that a gate voltage of the device reaches"),
        (
            {"target": jnp.full(SHAPE, jnp.inf)},
            r"must hold conductances that a gate voltage of the device reaches",
        ),
        ({"target": jnp.full(SHAPE, 1)}, r"must be a float32 or float64 array"),
    ],
)
def test_wrong_targets(changed, message):
    device = D.analog_rram()
    state = device.init(SHAPE, key=jax.random.key(0))
    with unchecked(), pytest.raises(ValueError, match=rf"^Argument `target` {message}"):
        program(device, P.ISPP(), state, **changed)
