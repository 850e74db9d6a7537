"""Writing cells of an array together: Kirchhoff's voltages at the devices, and what cells suffer that are not meant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

P, D = qs.programming, qs.devices
STATES = np.array([7e24, 1.64e25, 3.77e25])
ROWS, COLUMNS = jnp.array([True, False, True]), jnp.array([True, False, False, True])
WIRES = qs.crossbar.Wires(r_word=5.0, r_bit=3.0)
IDEAL = qs.crossbar.Wires()
US = 1e-6
KEY = jax.random.key(0)

x64 = pytest.mark.usefixtures("x64")
NOMINAL = {
    "half": (P.HalfBias, [[1, 0.5], [0.5, 0]]),
    "third": (P.ThirdBias, [[1, 1 / 3], [1 / 3, -1 / 3]]),
    "gate": (P.GateBias, [[1, 0], [0, 0]]),
}
by_bias = pytest.mark.parametrize(("kind", "seen"), NOMINAL.values(), ids=NOMINAL)


def array():
    """Rows of one state each, four cells a row."""
    device = D.CmoFilament()
    return device, device.as_state(jnp.tile(jnp.asarray(STATES, float)[:, None], (1, 4)), key=KEY)


@pytest.mark.slow
@x64
@by_bias
@pytest.mark.parametrize("v", [1.35, -1.3])
def test_ideal_wires_bring_the_nominal_voltages(kind, seen, v):
    """[[selected, row only], [column only, neither]] in units of the pulse; supplies have one sign, as on chips."""
    device, state = array()
    bias = kind(v, 1e-6)
    new, out = P.drive(device, state, bias, ROWS, COLUMNS, IDEAL, key=KEY)
    rows, columns = (1 - np.asarray(x, int) for x in (ROWS, COLUMNS))
    expected = v * np.asarray(seen)[rows[:, None], columns[None]]
    np.testing.assert_allclose(out.v_cell, expected, atol=1e-12)
    np.testing.assert_allclose(new.density, device.evolve(state.density, expected, 1e-6), rtol=1e-12)
    np.testing.assert_allclose(bias.half, v * seen[0][1])
    lines = bias.lines(ROWS, COLUMNS)
    for terminal in (lines.v_word, lines.v_bit):
        assert ((np.asarray(terminal) >= 0) & (np.asarray(terminal) <= abs(v))).all()
    # Accounts: a cell is written, or disturbed by a pulse of one of both polarities, or neither.
    selected = np.asarray(ROWS)[:, None] & np.asarray(COLUMNS)
    disturbed = np.where(selected, 0, np.round(expected, 12))
    np.testing.assert_array_equal(out.disturbance.ups, disturbed > 0)
    np.testing.assert_array_equal(out.disturbance.downs, disturbed < 0)
    np.testing.assert_array_equal(out.trace.pulses, selected)
    change = np.asarray(device.conductance(new) - device.conductance(state))
    np.testing.assert_allclose(out.disturbance.g_up + out.disturbance.g_down, np.where(selected, 0, change), atol=1e-18)


def kirchhoff(v_word, v_bit, current, r_word, r_bit):
    """Voltages across cells whose currents are known: Ohm's law along every line, by running sums."""
    along_word = r_word * np.cumsum(np.cumsum(current[:, ::-1], 1)[:, ::-1], 1)
    along_bit = r_bit * np.cumsum(np.cumsum(current, 0)[::-1], 0)[::-1]
    return v_word[:, None] - along_word - (v_bit[None] + along_bit)


@pytest.mark.slow  # compilation, most of it
@x64
@by_bias
def test_cells_see_what_the_wires_leave(kind, seen):
    """Kirchhoff's laws with the currents of the devices at the voltages that were found, 1e-9 V; and it matters."""
    device, state = array()
    bias = kind(1.35, 1e-6)
    new, out = P.drive(device, state, bias, ROWS, COLUMNS, WIRES, key=KEY)
    lines = bias.lines(ROWS, COLUMNS)
    gate = np.asarray(lines.gate)[:, None]
    v = np.asarray(out.v_cell)
    current = np.asarray(device.current(state.density, v))
    expected = kirchhoff(np.asarray(lines.v_word), np.asarray(lines.v_bit), current, 5.0, 3.0)
    np.testing.assert_allclose(v, np.where(gate, expected, 0), atol=1e-9)
    np.testing.assert_allclose(new.density, device.evolve(state.density, v, 1e-6), rtol=1e-9)
    # Of the two selected cells of a row the far one is written less.
    assert v[0, 3] < v[0, 0] - 2e-3
    step = np.asarray(device.conductance(new) - device.conductance(state))
    assert step[0, 3] < 0.97 * step[0, 0]
    # Energy: with ideal power at the devices; half-selected cells take theirs.
    power = v * current
    np.testing.assert_allclose(out.trace.energy, power * 1e-6, rtol=0.12, atol=1e-15)


@pytest.mark.slow
@x64
def test_a_pulse_in_parts_follows_the_conductances():
    """Parts of a pulse converge by first order, and count as one pulse."""
    device, state = array()
    bias = P.HalfBias(1.45, 1e-6)
    found = [P.drive(device, state, bias, ROWS, COLUMNS, WIRES, key=KEY, parts=n) for n in (1, 4, 16)]
    g = [np.asarray(device.conductance(new)) for new, _ in found]
    first, second = (np.abs(g[k] - g[2]).max() / np.abs(g[2] - device.conductance(state)).max() for k in (0, 1))
    assert 0.0005 < first < 0.02
    assert second < 0.3 * first
    assert (g[0] >= g[1] - 1e-12).all()
    for _, out in found:
        np.testing.assert_array_equal(out.trace.pulses, np.asarray(ROWS)[:, None] & np.asarray(COLUMNS))
        np.testing.assert_allclose(out.trace.time, 1e-6 * np.asarray(out.trace.pulses), rtol=1e-12)
        assert out.disturbance.ups.max() == 1


# The table of a hundred thousand and a million half-select pulses of 0.70 V and 2.5 us [uS], in three states.
@pytest.mark.slow
@x64
@pytest.mark.parametrize(
    ("v", "expected"),
    [
        (1.4, [[0.08, 0.10, 0.000], [0.83, 0.99, 0.001]]),
        (-1.4, [[-0.001, -0.08, -0.30], [-0.01, -0.73, -3.6]]),
    ],
)
def test_a_million_half_select_pulses(v, expected):
    """Every row is pulsed and no column: within 5 %, or the last digit that the table has."""
    device, state = array()
    bias, no_columns = P.HalfBias(v, 2.5e-6), jnp.zeros(4, bool)
    counts = [1000, 100_000, 1_000_000]
    new, out = P.endure(device, state, bias, jnp.ones(3, bool), no_columns, IDEAL, counts, key=KEY)
    change = np.asarray(out.g - device.conductance(state)[None])[1:, :, 0] / US
    np.testing.assert_array_less(np.abs(change - expected), np.maximum(0.05 * np.abs(expected), 0.005))
    np.testing.assert_allclose(new.density[:, 0], device.evolve(jnp.asarray(STATES), v / 2, 2.5), rtol=1e-7)
    np.testing.assert_array_equal(out.counts, counts)
    np.testing.assert_array_equal(out.disturbance.ups, np.full((3, 4), 1_000_000 if v > 0 else 0))
    suffered = (out.disturbance.g_up + out.disturbance.g_down) / US
    np.testing.assert_allclose(suffered[:, 0], change[1], rtol=1e-6)


@x64
def test_sixty_nanoseconds_at_an_array():
    device, state = array()
    new, _ = P.drive(device, state, P.HalfBias(1.6, 60e-9), ROWS, COLUMNS, IDEAL, key=KEY)
    all_rows, _ = P.drive(device, state, P.HalfBias(1.6, 60e-9), jnp.ones(3, bool), COLUMNS, IDEAL, key=KEY)
    assert new.density[1, 0] / state.density[1, 0] - 1 < 1e-6
    step = np.asarray(device.conductance(all_rows) - device.conductance(state))[1, 0] / US
    np.testing.assert_allclose(step, 8.2, rtol=0.02)


@pytest.mark.slow  # compilation, most of it
@x64
def test_the_ratio_of_half_select_to_full_pulses():
    """By the check table: 2e-8 up, 1e-8 down at the symmetry point for one pulse; for 100,000 together below 0.005."""
    device, state = array()
    k = P.half_select_ratio(device, state, P.HalfBias(1.35, 1e-6), P.HalfBias(-1.3, 1e-6), key=KEY)
    one = k.per_pulse
    np.testing.assert_allclose(one.up[1], 1.40e-7 / 8.18, rtol=0.03)
    np.testing.assert_allclose(one.down[1], 3.6e-8 / 3.28, rtol=0.03)
    assert (np.asarray(k.up) < 0.005).all()
    assert (np.asarray(k.down) < 0.005).all()
    np.testing.assert_allclose(k.mean, (k.up.mean(), k.down.mean()))
    np.testing.assert_allclose(k.spread, (k.up.std(), k.down.std()))
    free = P.half_select_ratio(device, state, P.GateBias(1.35, 1e-6), P.GateBias(-1.3, 1e-6), key=KEY, count=10)
    np.testing.assert_array_equal(free.up, np.zeros((3, 4)))


@x64
@pytest.mark.slow
def test_a_write_has_a_gradient_in_wires_voltage_and_state():
    """Reverse mode through the pulse and the circuit that brings it, under `jit`, against central differences."""
    device = D.CmoFilament()
    start, lines = jnp.asarray([[7e24, 1.64e25], [3.77e25, 2e25]]), jnp.array([True, False])

    def written(factors):
        r_word, v, density = 5.0 * factors[0], 1.4 * factors[1], start * factors[2]
        bias, wires = P.HalfBias(v, 1e-6), qs.crossbar.Wires(r_word=r_word, r_bit=300.0)
        new, _ = P.drive(device, device.as_state(density, key=KEY), bias, lines, lines, wires, key=KEY)
        return jnp.sum(device.conductance(new)) / US

    value, ones, h = jax.jit(written), jnp.ones(3), 1e-4
    expected = [(value(ones.at[k].add(h)) - value(ones.at[k].add(-h))) / (2 * h) for k in range(3)]
    np.testing.assert_allclose(jax.jit(jax.grad(written))(ones), expected, rtol=1e-5)
    assert abs(expected[0]) > 1e-3


@pytest.mark.slow  # compilation, most of it
@pytest.mark.usefixtures("x32")
def test_any_driven_device_is_driven():
    """A switch behind the same wires: it switches where what is left of the voltage is above its threshold."""
    device = D.digital_switch(p_fail=0.0, stuck_on=0.0, stuck_off=0.0)
    state = device.init((3, 4), key=KEY)
    new, out = P.drive(device, state, P.HalfBias(1.5, 1e-6), ROWS, COLUMNS, IDEAL, key=KEY)
    selected = np.asarray(ROWS)[:, None] & np.asarray(COLUMNS)
    np.testing.assert_array_equal(device.is_on(new), selected)
    # Half of that does nothing to it, a thousand times; and a line of 100 kohm segments leaves too little for any.
    poor = qs.crossbar.Wires(r_word=1e5)
    new, out = P.drive(device, state, P.HalfBias(1.5, 1e-6), ROWS, COLUMNS, poor, key=KEY)
    np.testing.assert_array_equal(device.is_on(new), selected & (np.asarray(out.v_cell) >= 1.0))
    assert device.is_on(new).sum() < selected.sum()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda d, s, b: P.drive(d, s, b, ROWS[:2], COLUMNS, IDEAL, key=KEY),
            r" `rows` must be booleans of shape \(3,\)",
        ),
        (
            lambda d, s, b: P.drive(d, s, b, ROWS, jnp.ones(4), IDEAL, key=KEY),
            r" `columns` must be booleans of shape \(4,\)",
        ),
        (
            lambda d, s, b: P.drive(d, s, b, ROWS, COLUMNS, IDEAL, key=KEY, parts=0),
            r" `parts` must be an integer of at lea",
        ),
        (
            lambda d, s, b: P.drive(3, s, b, ROWS, COLUMNS, IDEAL, key=KEY),
            r" `device` must be an `AbstractDriven` for `dri",
        ),
        (
            lambda d, s, b: P.endure(d, s, b, ROWS, COLUMNS, IDEAL, [1], key=KEY),
            r"s `rows` and `columns` must select no c",
        ),
        (
            lambda d, s, b: P.endure(d, s, b, ROWS, ~COLUMNS & COLUMNS, IDEAL, [2, 1], key=KEY),
            r" `counts` must be ascen",
        ),
        (
            lambda d, s, b: P.half_select_ratio(d, s, b, b, key=KEY),
            r" `down` must have a pulse of that polarity, but its",
        ),
        (lambda d, s, b: P.HalfBias(1.0, 0.0), r" `width` must be positive and finite, but is 0 s\."),
    ],
)
def test_wrong_use_is_said(call, message):
    device, state = array()
    with unchecked(), pytest.raises(ValueError, match=f"^Argument{message}"):
        call(device, state, P.HalfBias(1.35, 1e-6))
