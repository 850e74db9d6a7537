"""Every device there is, as data; a new device is one entry of `DEVICES`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array, Float, Int

import qsynapse_jax as qs
from qsynapse_jax._fields import Model, Scalar, finite, non_negative, positive, real

D = qs.devices
DRIFT = D.Retention(nu=0.01, spread=0.02, tau=3.0, activation_energy=1.1)


class StepState(eqx.Module):
    """Weights of devices that move by steps."""

    w: Float[Array, "*shape"]
    age: Float[Array, "*shape"]


class ConstantStep(D.AbstractPulsed):
    """A device of the tests alone: every pulse moves the weight by one noisy step, until it reaches a bound."""

    step: Scalar = real("", positive)
    sigma: Scalar = real("", non_negative, default=0.0)
    w_min: Scalar = real("", finite, default=-1.0)
    w_max: Scalar = real("", finite, default=1.0)
    g_0: Scalar = real("S", positive, default=1e-5)

    def init(self, shape: tuple[int, ...], *, key: jax.Array) -> StepState:
        return StepState(0.1 * jax.random.normal(key, shape), jnp.zeros(shape))

    def conductance(self, state: StepState, *, temperature: Any = 300.0) -> Float[Array, "*shape"]:
        D.Retention().equivalent_time(0.0, temperature)
        return self.g_0 * (1.5 + state.w) * jnp.exp(-1e-3 * jnp.log1p(state.age))

    def read(self, state: StepState, *, key: jax.Array, window: Any = None) -> Float[Array, "*shape"]:
        return self.conductance(state) * (1 + 0.01 * jax.random.normal(key, state.w.shape))

    def age(self, state: StepState, seconds: Any, temperature: Any, *, key: jax.Array | None = None) -> StepState:
        return StepState(state.w, state.age + DRIFT.equivalent_time(seconds, temperature))

    def pulse(self, state: StepState, count: Int[Array, "*shape"], *, key: jax.Array) -> StepState:
        count = count.astype(state.w.dtype)
        steps = count + self.sigma * jnp.sqrt(jnp.abs(count)) * jax.random.normal(key, count.shape)
        return StepState(jnp.clip(state.w + self.step * steps, self.w_min, self.w_max), state.age)

    def weight(self, state: StepState) -> Float[Array, "*shape"]:
        return state.w


@dataclass(frozen=True, eq=False)
class Case:
    """One device: `build` takes replacements for its numbers; `shown` is a number as `print` shows it."""

    name: str
    build: Callable[..., Any]
    shown: str
    half_select: float = 0.0  # what a million half-select pulses change of a conductance at most


def _switch(**changes: Any) -> D.Switch:
    lively = {"p_fail": 0.1, "stuck_on": 0.02, "stuck_off": 0.02, "on_retention": DRIFT, "off_retention": DRIFT}
    return D.digital_switch(**(lively | changes))


def _filament(**changes: Any) -> D.GatedFilament:
    return D.analog_rram(**({"retention": DRIFT} | changes))


def _dome(**changes: Any) -> D.CmoFilament:
    return D.cmo_reram(**({"retention": DRIFT} | changes))


def _steps(**changes: Any) -> ConstantStep:
    return ConstantStep(**({"step": 0.01, "sigma": 0.3} | changes))


DEVICES = [
    Case("switch", _switch, "r_on=5 kohm"),
    Case("gated_filament", _filament, "r_series=3.8 kohm"),
    Case("cmo", _dome, "r_series=223.2 ohm", half_select=0.05),
    Case("constant_step", _steps, "g_0=10 uS"),
]


def with_capability(capability: type[Model]) -> list[Case]:
    """The devices that have a capability."""
    return [case for case in DEVICES if isinstance(case.build(), capability)]


def pulses_of(device: D.AbstractDriven, shape: tuple[int, ...]) -> tuple[D.Pulse, D.Pulse]:
    """A pulse up and one down that surely do something, one per device: numbers would be compiled apart."""
    if isinstance(device, D.AbstractTwoLevel):
        pair = device.set_pulse(), device.reset_pulse()
    elif isinstance(device, D.AbstractGated):
        pair = device.set_pulse(device.v_t + 1), device.reset_pulse(1.0)
    elif isinstance(device, D.CmoFilament):
        pair = device.set_pulse(), device.reset_pulse()
    else:
        pair = D.Pulse(2.0, 1e-7), D.Pulse(-2.0, 1e-7)
    up, down = (pulse.where(jnp.ones(shape, bool), pulse) for pulse in pair)
    return up, down


# In the default run the devices of the package; that of the tests has its own capability there, `by_pulsed`.
by_device = pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=pytest.mark.slow if case.build is _steps else []) for case in DEVICES],
)
by_driven = pytest.mark.parametrize("case", with_capability(D.AbstractDriven), ids=lambda case: case.name)
by_pulsed = pytest.mark.parametrize("case", with_capability(D.AbstractPulsed), ids=lambda case: case.name)
