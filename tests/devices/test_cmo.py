"""The CMO/HfOx dome: the published check values, and independent integrations of the same equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.devices.dome import Dome
from tests.unchecked import unchecked

D = qs.devices.CmoFilament
HRS, MIDDLE, LRS = 7e24, 1.64e25, 3.77e25
STATES = np.array([HRS, MIDDLE, LRS])
US = 1e-6

x64 = pytest.mark.usefixtures("x64")
x32 = pytest.mark.usefixtures("x32")


def close(value, expected, share=0.02, least=0.02):
    """Within 2 %, or 0.02 uS of a conductance in uS: the table is printed with so many digits."""
    np.testing.assert_array_less(np.abs(np.asarray(value) - expected), np.maximum(share * np.abs(expected), least))


def change(v, width, states=STATES):
    """Change of the conductance at 0.2 V after a pulse [uS]."""
    device = D()
    density = jnp.asarray(states)
    v, width = (jnp.broadcast_to(jnp.asarray(x, float), density.shape) for x in (v, width))
    after = device.evolve(density, v, width)
    return np.asarray(device.conductance(after, 0.2) - device.conductance(density, 0.2)) / US


@x64
def test_conductance_temperature_and_current_of_the_check_table():
    device, density = D(), jnp.asarray(STATES)
    close(device.conductance(density, 0.2) / US, [26.5, 55.0, 90.3], 0.002, 0)
    close(device.temperature(density, 1.35), [729, 867, 929], 0.001, 0)
    close(device.current(density, 1.35) / US, [231, 304, 337], 0.002, 0)
    np.testing.assert_allclose([device.hrs, device.symmetry, device.lrs], STATES)


@x64
@pytest.mark.parametrize(
    ("v", "width", "expected"),
    [
        (1.35, 1e-6, [3.50, 8.18, 0.30]),
        (-1.30, 1e-6, [-0.13, -3.28, -8.82]),
        (1.6, 60e-9, [3.9, 8.2, 0.5]),
        (0.7, 0.25, [0.08, 0.10, 0.0]),
        (-0.7, 0.25, [-0.001, -0.08, -0.30]),
        (0.7, 2.5, [0.83, 0.99, 0.001]),
        (-0.7, 2.5, [-0.01, -0.73, -3.6]),
    ],
)
def test_steps_of_the_check_table(v, width, expected):
    """Single pulses, and 1e5 and 1e6 half-select pulses of 2.5 us as one of 0.25 s and 2.5 s."""
    close(change(v, width), expected)


@x64
@pytest.mark.parametrize(("v", "expected"), [(0.675, [1.4e-7, 1.4e-7, 1.4e-10]), (-0.65, [-5e-10, -3.6e-8, -1.4e-7])])
def test_one_half_select_pulse_of_the_check_table(v, expected):
    """Ten millionths of a step and less: within the digits that the table gives."""
    close(change(v, 1e-6), expected, 0.04, 0)


@x64
def test_steps_against_voltage_of_the_check_table():
    v = [1.2, 1.3, 1.35, 1.4, -1.1, -1.2, -1.3, -1.4, -1.5]
    expected = [0.84, 4.17, 8.18, 14.4, -0.10, -0.71, -3.28, -9.9, -19.7]
    close(change(v, 1e-6, np.full(9, MIDDLE)), expected, 0.02, 0.005)


@x64
def test_forty_pulses_up_and_forty_down():
    response = np.asarray(D().pulse_response(jnp.asarray(HRS), 40, 40)) / US
    assert response.shape == (81,)
    close(response[:21:4], [26.5, 49.3, 76.1, 85.0, 88.5, 90.2], 0.002, 0)
    close(response[40:61:4], [93.0, 61.8, 47.9, 41.7, 38.0, 35.4], 0.002, 0)
    close(response[80], 28.9, 0.002, 0)


@x64
def test_the_current_balances_field_heat_and_series_resistance():
    """Against a bracketed root of the equations as they stand, from 1 uV to 3 V, both signs, and far out densities."""
    volts = np.concatenate([[1e-6, 1e-3], np.linspace(0.1, 3.0, 15)])
    volts = np.concatenate([volts, -volts])[:, None]
    densities = np.geomspace(1e23, 2e26, 12)[None]
    expected = np.vectorize(Dome().current)(densities, volts)
    found = D().current(jnp.asarray(densities), jnp.asarray(volts))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    t = D().temperature(jnp.asarray(densities), jnp.asarray(volts))
    np.testing.assert_allclose(t, 293 + 1.4e6 * volts * expected, rtol=1e-9)
    with jax.enable_x64(False):
        single = D().current(jnp.asarray(densities, jnp.float32), jnp.asarray(volts, jnp.float32))
    np.testing.assert_allclose(single, expected, rtol=1e-5)


# Voltage [V], width [s], density [m^-3], none of them in the check table.
UNSEEN = [
    (1.47, 3.3e-7, 9.1e24),
    (1.12, 4.7e-5, 2.3e25),
    (1.9, 3e-8, 1.2e25),
    (0.83, 40.0, 1.5e25),
    (2.4, 2e-9, 4.4e24),
    (1.75, 1e-3, 8e24),
    (-1.61, 8e-8, 3.1e25),
    (-1.05, 2e-4, 2.7e25),
    (-1.24, 0.3, 3.6e25),
    (-0.78, 600.0, 3.4e25),
    (-1.8, 1e-6, 1.9e25),
    (-2.3, 3e-9, 2.2e25),
    # Across the kink at 5.3e25, where the distance of traps becomes its least: up and down.
    (1.62, 1.2e-5, 9.6e24),
    (-1.7, 3e-8, 6e25),
]


@pytest.mark.slow  # compilation, most of it
@x64
def test_pulses_at_unseen_voltages_widths_and_states():
    """Against Radau's method in time, over eleven decades of width; its own tolerance is 1e-8."""
    volts, widths, before = np.array(UNSEEN).T
    expected = [Dome().after(c, [0, w], [v, v]) for v, w, c in UNSEEN]
    after, energy = np.array(expected).T
    device, pulse = D(), (jnp.asarray(before), jnp.asarray(volts), jnp.asarray(widths))
    found = device.evolve(*pulse)
    assert (np.abs(np.log(after / before)) > 1e-3).all()
    np.testing.assert_allclose(np.log(found / before), np.log(after / before), rtol=2e-7)
    np.testing.assert_allclose(device.energy(*pulse), energy, rtol=2e-7)
    with jax.enable_x64(False):
        single = device.evolve(*(jnp.asarray(x, jnp.float32) for x in pulse))
    np.testing.assert_allclose(np.asarray(single) / before, after / before, rtol=1e-5)


@x64
def test_single_precision_over_the_whole_range():
    """A thousand random pulses to 3 V, of 1 ns to 300 s, from 1e23 to 6e25 m^-3: 1e-4 of the change of ln C at most."""
    rng, n = np.random.default_rng(0), 1000
    density, width = np.exp(rng.uniform(np.log(1e23), np.log(6e25), n)), 10 ** rng.uniform(-9, 2.5, n)
    pulse = [np.float32(x) for x in (density, rng.uniform(0.05, 3, n) * rng.choice([-1, 1], n), width)]
    double = np.log(np.asarray(D().evolve(*(jnp.asarray(x, jnp.float64) for x in pulse))) / pulse[0])
    with jax.enable_x64(False):
        single = D().evolve(*map(jnp.asarray, pulse))
    off = np.abs(np.log(np.asarray(single) / pulse[0]) - double)
    # 1e-6 more, because a density has seven digits.
    assert (off <= 1e-4 * np.abs(double) + 1e-6).all()
    assert np.median(np.abs(double)) > 1e-3


@x64
def test_the_temperature_may_be_that_of_the_moment():
    """Against the equation of the temperature: 2e-3 of the step at 30 ns, 1e-4 at 1 us, as the docstring says."""
    for v, width, share in ((1.6, 3e-8, 2e-3), (1.4, 1e-6, 1e-4), (-1.4, 1e-6, 1e-4)):
        after, _ = Dome(thermal=True).after(MIDDLE, [0, width], [v, v])
        found = D().evolve(jnp.asarray(MIDDLE), jnp.asarray(v), jnp.asarray(width))
        np.testing.assert_allclose(np.log(found / MIDDLE), np.log(after / MIDDLE), rtol=share)


@x64
def test_many_pulses_are_one_of_their_width():
    device = D()
    density, v, w = jnp.asarray(STATES), jnp.asarray([1.35, -1.3, -1.3]), jnp.full(3, 1e-6)
    one_by_one = density
    for _ in range(20):
        one_by_one = device.evolve(one_by_one, v, w)
    np.testing.assert_allclose(one_by_one, device.evolve(density, v, 20 * w), rtol=3e-8)
    # A hundred million of them in one call, halved in two.
    half = device.evolve(device.evolve(density, 0.5 * v, 5e7 * w), 0.5 * v, 5e7 * w)
    np.testing.assert_allclose(
        np.log(half / density), np.log(device.evolve(density, 0.5 * v, 1e8 * w) / density), rtol=3e-8
    )


@pytest.mark.slow  # compilation, most of it
@x64
def test_a_wave_of_the_operating_point():
    """1 us flat with flanks of 750 ns, up and then down; 1e-4 of each change."""
    device, density = D(), jnp.asarray([HRS, MIDDLE])
    times = np.cumsum([0, 750e-9, 1e-6, 750e-9])
    for top in (1.35, -1.3):
        volts = np.array([0, top, top, 0])
        after = np.array([Dome().after(c, times, volts)[0] for c in (HRS, MIDDLE)])
        found = device.waveform(density, jnp.asarray(times), jnp.asarray(volts))
        np.testing.assert_allclose(np.log(found / density), np.log(after / density), rtol=1e-4)
    each = device.waveform(density, jnp.asarray(times), jnp.asarray([[0, 1.35, 1.35, 0], [0, -1.3, -1.3, 0]]).T)
    np.testing.assert_allclose(each[1], found[1], rtol=1e-12)


def smooth(density, v, width, device):
    """Two numbers that depend on everything a pulse does: density and energy, of the size of 1."""
    state = device.as_state(density, key=jax.random.key(0))
    new, trace = device.apply(state, qs.devices.Pulse(v, width), key=jax.random.key(0))
    return jnp.log(new.density / 1e25), trace.energy / 1e-10


@x64
def test_derivatives_in_density_voltage_and_width():
    """Forward and reverse against central differences, 2e-5 of the largest; and those of the current."""
    points = jnp.asarray(
        [(MIDDLE, 1.41, 1e-6), (HRS, 0.9, 5.0), (LRS, -1.37, 4e-7), (MIDDLE, -0.75, 1e3), (9.553e24, 1.6156, 1.1758e-5)]
    )

    def of(factors, point):
        c, v, w = factors * point
        return jnp.stack([*smooth(c, v, w, D()), D().current(c, v) / 1e-4])

    values = jax.jit(jax.vmap(of))
    ones, h = jnp.ones_like(points), 1e-5
    expected = [
        (values(ones.at[:, k].add(h), points) - values(ones.at[:, k].add(-h), points)) / 2 / h for k in range(3)
    ]
    expected = np.stack(expected, -1)
    forward, reverse = (jax.jit(jax.vmap(jac(of)))(ones, points) for jac in (jax.jacfwd, jax.jacrev))
    scale = np.abs(expected).max(-1, keepdims=True)
    for jacobian in (forward, reverse):
        np.testing.assert_allclose(np.asarray(jacobian) / scale, expected / scale, atol=2e-5)
    assert (np.abs(expected[:, :2]) > 1e-3).all()


@pytest.mark.slow  # compilation, most of it
@x64
def test_derivatives_in_the_numbers_of_the_device():
    names = ["barrier", "set_barrier", "reset_barrier", "r_series", "r_thermal", "hop", "radius", "ambient", "ion_rate"]
    place = jnp.asarray([MIDDLE, LRS]), jnp.asarray([1.4, -1.35]), jnp.full(2, 1e-6)

    @jax.jit
    def of(factors):
        device = D()
        changed = {name: getattr(device, name) * factors[k] for k, name in enumerate(names)}
        return jnp.concatenate(smooth(*place, D(**changed)))

    ones, h = jnp.ones(len(names)), 1e-5
    expected = np.stack([(of(ones.at[k].add(h)) - of(ones.at[k].add(-h))) / (2 * h) for k in range(len(names))], 1)
    found = np.asarray(jax.jacrev(of)(ones))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6 * np.abs(expected).max())
    assert (np.abs(expected).max(0) > 0.01).all()


@pytest.mark.slow  # compilation, most of it
@x64
def test_derivatives_where_nothing_happens_are_numbers():
    """No voltage or no time: the density stays to the bit, and no derivative is NaN."""
    density = jnp.full(3, MIDDLE)
    v, width = jnp.asarray([0.0, 1.35, 1e-6]), jnp.asarray([1e-6, 0.0, 1e-9])
    device = D()
    np.testing.assert_array_equal(device.evolve(density, v, width)[:2], density[:2])
    found = jax.jacrev(lambda c, v, w: jnp.concatenate(smooth(c, v, w, device)), (0, 1, 2))(density, v, width)
    assert all(np.isfinite(part).all() for part in found)
    # Of the density itself it is 1, and of the width the rate.
    np.testing.assert_allclose(np.diagonal(found[0][:3]) * MIDDLE, 1, rtol=1e-6)
    assert found[2][1, 1] > 1e5
    assert found[2][0, 0] == 0
    assert device.conductance(density, 0.0)[0] < device.conductance(density, 0.2)[0]


@pytest.mark.slow  # compilation, most of it
@x32
def test_a_map_over_cells_is_the_array():
    """Under `vmap`, with steps of its own for each of them: the widths are nine decades apart."""
    device = D()
    density, v = jnp.linspace(7e24, 3e25, 12), jnp.where(jnp.arange(12) % 2 == 0, 1.2, -1.1)
    width = jnp.logspace(-9, 0, 12)
    one_by_one = jax.jit(jax.vmap(device.evolve))(density, v, width)
    np.testing.assert_allclose(one_by_one, device.evolve(density, v, width), rtol=2e-6)
    assert one_by_one.dtype == jnp.float32


@x32
def test_devices_follow_the_equations_at_their_own_speed():
    """A device twice as fast does in a pulse what the nominal one does in two; its power is the same."""
    device = D(sigma_speed=0.3)
    state = device.as_state(jnp.full((400,), MIDDLE), key=jax.random.key(0))
    spread = np.log(np.asarray(state.speed))
    # Five standard errors of mean and spread of 400 devices.
    assert abs(spread.mean()) < 5 * 0.3 / 20
    assert abs(spread.std() - 0.3) < 5 * 0.3 / 28
    pulse = qs.devices.Pulse(jnp.full(400, 1.35), jnp.full(400, 1e-6))
    new, trace = device.apply(state, pulse, key=jax.random.key(1))
    np.testing.assert_allclose(new.density, device.evolve(state.density, pulse.v, pulse.width * state.speed), rtol=1e-6)
    np.testing.assert_allclose(trace.energy, 1.35 * 304e-6 * 1e-6, rtol=0.15)
    half = qs.devices.Exposure(jnp.full(400, -0.7), jnp.full(400, 2.5e-6), 1_000_000)
    exposed = device.disturb(state, half, key=jax.random.key(1))
    np.testing.assert_allclose(exposed.density, device.evolve(state.density, half.v, 2.5 * state.speed), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: D(radius=-1e-9), r"`radius` must be positive and finite, but is -1e-09 m\."),
        (lambda: D(ambient=25.0), r"`ambient` must be in kelvin and at least 200 K, but is 25 K; that looks like"),
        (lambda: D().evolve(MIDDLE, 1.0, -1e-6), r"`width` must be non-negative and finite, but is -1e-06 s\."),
        (
            lambda: D().evolve(-MIDDLE, 1.0, 1e-6),
            r"`density` must be non-negative and finite, but is -1\.64e\+25 m",
        ),
        (lambda: D().current(MIDDLE, float("nan")), r"`v` must be finite, but is nan V\."),
        (lambda: D().waveform(MIDDLE, jnp.asarray([0.0, 1e-6]), jnp.ones(3)), r"`v` must have one voltage for each of"),
        (lambda: D().waveform(MIDDLE, jnp.asarray([1e-6, 0.0]), jnp.ones(2)), r"`times` must ascend, but"),
        (lambda: D().pulse_response(MIDDLE, -1, 2), r"`up` must be an integer of at least 0, but is -1\."),
    ],
)
def test_wrong_use_is_said(call, message):
    with unchecked(), pytest.raises(ValueError, match=f"^Argument {message}"):
        call()
