"""Drift with time and temperature: how it composes, what it follows, and what is refused."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x64")
Retention = qs.devices.Retention


def drifting():
    return Retention(nu=0.01, spread=0.02, tau=3.0, activation_energy=1.1, reference=300.0)


def switches(**changed):
    numbers = {"r_on": 5e3, "r_off": 1e6, "on_retention": drifting(), "off_retention": Retention(nu=-0.02, spread=0.1)}
    return qs.devices.Switch(**(numbers | changed))


@cache
def half_on():
    """Switches, every second of which is on."""
    switch = switches()
    state = switch.init((6, 7), key=jax.random.key(0))
    return switch, dataclasses.replace(state, on=jnp.arange(42).reshape(6, 7) % 2 == 0)


def test_drift_is_the_formula():
    """Every device has its own rate, that of its present state, on ln(1 + t_eq/tau)."""
    switch, state = half_on()
    t, temperature = 1e6, 358.15
    change = np.log(switch.conductance(state) / switch.conductance(switch.age(state, t, temperature)))
    factor = np.exp(-1.1 / 8.617333262e-5 * (1 / temperature - 1 / 300.0))
    on = np.asarray(state.on_rate) * np.log1p(t * factor / 3.0)
    factor = np.exp(-1.0 / 8.617333262e-5 * (1 / temperature - 1 / 300.0))
    off = np.asarray(state.off_rate) * np.log1p(t * factor)
    np.testing.assert_allclose(change, np.where(state.on, on, off), rtol=1e-9, atol=1e-12)


def test_rates_have_their_mean_and_spread():
    """20,000 rates: both within five standard errors; the false-alarm rate of the two is 1e-6."""
    n = 20_000
    rates = np.asarray(drifting().rate(jax.random.normal(jax.random.key(5), (n,))))
    assert abs(rates.mean() - 0.01) < 5 * 0.02 / n**0.5
    assert abs(rates.std() / 0.02 - 1) < 5 / (2 * n) ** 0.5


def test_arrhenius_doubles_as_it_should():
    """By hand: 1 eV from 300 K to 310 K is exp(1/8.617e-5 x 1.0753e-4) = 3.48; 1 at the reference."""
    assert float(Retention(activation_energy=1.0).equivalent_time(1.0, 310.0)) == pytest.approx(3.483, rel=1e-3)
    assert float(Retention(activation_energy=1.3, reference=350.0).equivalent_time(2.0, 350.0)) == 2
    assert float(Retention(activation_energy=0.0).equivalent_time(3.0, 400.0)) == 3


@pytest.mark.parametrize("celsius", [25.0, 85.0, 125.0, 0.0, -40.0])
def test_degrees_celsius_are_caught(celsius):
    switch, state = half_on()
    message = (
        rf"^Argument `temperature` must be in kelvin and at least 200 K, but is {celsius:g} K; that looks like degrees "
        rf"Celsius: {celsius:g} C is {celsius + 273.15:g} K\.$"
    )
    with pytest.raises(ValueError, match=message):
        switch.age(state, 1.0, celsius)
    with pytest.raises(ValueError, match=r"^Argument `reference` must be in kelvin"):
        Retention(reference=celsius)


def test_degrees_celsius_are_caught_inside_a_trace():
    switch, state = half_on()
    with pytest.raises(Exception, match="`temperature` must be in kelvin and at least 200 K"):
        jax.block_until_ready(jax.jit(lambda t: switch.age(state, 1.0, t).age)(25.0))
    with pytest.raises(Exception, match="`seconds` must be non-negative"):
        jax.block_until_ready(jax.jit(lambda t: switch.age(state, t, 300.0).age)(-1.0))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"spread": -0.1}, r"`spread` must be non-negative and finite, but is -0\.1\."),
        ({"tau": 0.0}, r"`tau` must be positive and finite, but is 0 s\."),
        ({"activation_energy": -1.0}, r"`activation_energy` must be non-negative and finite, but is -1 eV\."),
    ],
)
def test_wrong_numbers(changed, message):
    with unchecked(), pytest.raises(ValueError, match=rf"^Argument {message}"):
        Retention(**changed)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_time_runs_forward(seconds):
    switch, state = half_on()
    with pytest.raises(ValueError, match=r"^Argument `seconds` must be non-negative and finite, but is "):
        switch.age(state, seconds, 300.0)


def test_the_drift_is_differentiable_in_time_and_temperature():
    switch, state = half_on()

    def total(t, temperature):
        return jnp.sum(jnp.log(switch.conductance(switch.age(state, t, temperature))))

    at = (1e4, 340.0)
    found = jax.grad(total, argnums=(0, 1))(*map(jnp.asarray, at))
    for k, step in enumerate((1.0, 1e-3)):
        high, low = ([x + s * step * (i == k) for i, x in enumerate(at)] for s in (1, -1))
        # Central differences: second order in a step of 1e-4 and 3e-6 of the argument.
        np.testing.assert_allclose(found[k], (total(*high) - total(*low)) / (2 * step), rtol=1e-5)
