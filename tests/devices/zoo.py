"""Every device there is, as data; a new device is one entry of `DEVICES`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs

D = qs.devices
DRIFT = D.Retention(nu=0.01, spread=0.02, tau=3.0, activation_energy=1.1)


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


# Numbers that show in every test of the contract; bounds do not spread, for all devices shall come to them there.
_LIVELY: dict[str, Any] = {"dw_min": 0.02, "dw_min_std": 0.3, "dw_min_dtod": 0.2, "up_down_dtod": 0.05}
_LIVELY |= {"sigma_read": 0.01, "lifetime": 1e7, "lifetime_dtod": 0.1}


def _steps(kind: Callable[..., Any], **own: Any) -> Callable[..., Any]:
    return lambda **changes: kind(**(_LIVELY | own | changes))


def _measured(**changes: Any) -> D.MeasuredStep:
    way = 1 - np.exp(-np.arange(41) / 20)
    table = D.PulseTable(2e-6 + 8e-6 * way / way[-1], 10e-6 - 8e-6 * way / way[-1])
    own = _LIVELY | {"dw_min_std": 0.0}
    return D.MeasuredStep(table, **({k: v for k, v in own.items() if k != "dw_min"} | changes))


def _dome(**changes: Any) -> D.CmoFilament:
    return D.cmo_reram(**({"retention": DRIFT} | changes))


def _telegraph(**changes: Any) -> D.TelegraphFilament:
    numbers: dict[str, Any] = {"retention": DRIFT}
    return D.TelegraphFilament(**(numbers | changes))


DEVICES = [
    Case("switch", _switch, "r_on=5 kohm"),
    Case("gated_filament", _filament, "r_series=3.8 kohm"),
    Case("cmo", _dome, "r_series=223.2 ohm", half_select=0.05),
    Case("telegraph", _telegraph, "tau_min=1 us", half_select=0.2),
    Case("constant_step", _steps(D.ConstantStep), "g_max=10 uS"),
    Case("linear_step", _steps(D.LinearStep, gamma_up=0.3, gamma_down=0.5), "gamma_down=0.5"),
    Case("soft_bounds", _steps(D.SoftBounds), "g_max=10 uS"),
    Case("exp_step", _steps(D.ExpStep, dw_min_std=0.1), "A_down=0.3683"),
    Case("pow_step", _steps(D.PowStep, pow_gamma=0.5), "pow_gamma=0.5"),
    Case("measured_step", _measured, "g_max=10 uS"),
]


SELDOM = ("constant_step", "linear_step", "exp_step", "pow_step", "measured_step")


def with_capability(capability: type[D.AbstractDevice]) -> list[Case]:
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
    elif isinstance(device, D.TelegraphFilament):
        # A third of the way up, and down again.
        pair = (give(1e-3, jnp.full(shape, 1.5e-3)) for give in (device.set_pulse, device.reset_pulse))
    else:
        pair = D.Pulse(2.0, 1e-7), D.Pulse(-2.0, 1e-7)
    up, down = (pulse.where(jnp.ones(shape, bool), pulse) for pulse in pair)
    return up, down


# In the default run one of those that move by steps; what each of them has of its own, `by_pulsed` tries.
by_device = pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=pytest.mark.slow if case.name in SELDOM else []) for case in DEVICES],
)
by_driven = pytest.mark.parametrize("case", with_capability(D.AbstractDriven), ids=lambda case: case.name)
by_pulsed = pytest.mark.parametrize("case", with_capability(D.AbstractPulsed), ids=lambda case: case.name)
