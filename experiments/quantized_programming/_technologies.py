"""The technologies that are compared, and the populations of cells they are compared on."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

import qsynapse_jax as qs

# Both sides store 2^bits levels per bit line. Resistors of 80 kohm are the best that switches of 5 kohm and 1 Mohm
# allow, sqrt(r_on r_off) = 71 kohm (science.md section 1); analog levels fill the 5 to 80 kohm of the RADAR data.
R_UNIT, R_ON, R_OFF = 80e3, 5e3, 1e6
G_LEAST, G_MOST = 1 / 80e3, 1 / 5e3
# The open states and the stuck cells that the RADAR data show, on a switch: what its weak resets would do to it.
_MEASURED_SWITCH: dict[str, Any] = {"r_off": 3e5, "sigma_off_device": 2.0, "sigma_off_cycle": 0.5, "stuck_on": 0.013}
# And analog cells that open as reliably as the digital preset's switches do.
_SOUND_CELL: dict[str, Any] = {"sigma_hrs": 0.5, "stuck": 2e-4}

NAMES = {
    "digital": "switches and resistors",
    "digital_measured": "the same, switches that open as the RADAR cells do",
    "analog": "analog cells that open as the switches do",
    "analog_measured": "analog cells as in the RADAR data",
}
_SPREADS = (
    "sigma_on_device",
    "sigma_off_device",
    "sigma_on_cycle",
    "sigma_off_cycle",
    "p_fail",
    "stuck_on",
    "stuck_off",
)
_ANALOG_SPREADS = ("sigma_device", "sigma_cycle", "sigma_pulse", "sigma_read", "sigma_hrs", "sigma_hrs_cycle", "stuck")


def is_digital(name: str) -> bool:
    """Whether a technology writes switches."""
    return name.startswith("digital")


# Of an analog cell in the bands of 3 and more bits: far above the published counts, which end at caps.
MAX_PULSES = 1000


def cell(name: str, bits: int, *, signed: bool = True, resistor: qs.cells.Resistor | None = None) -> Any:
    """The cell of a technology, its resistors nominal unless they are given."""
    one = (
        qs.cells.Ladder(bits, None, R_ON, R_OFF, r_branch=_branches(bits), resistor=resistor)
        if is_digital(name)
        else qs.cells.Multilevel(2**bits, G_LEAST, G_MOST)
    )
    return qs.cells.Differential(one) if signed else one


def _branches(bits: int) -> jax.Array:
    """Resistors that allow for the switch in series, R_k = 2^k (R + r_on) - r_on [ohm]."""
    return jnp.asarray([2.0**k * (R_UNIT + R_ON) - R_ON for k in range(bits)])


def hardware(
    name: str, bits: int, *, wires: qs.crossbar.Wires | None = None, signed: bool = True, spread: float = 1.0
) -> qs.tile.Tile:
    """Tiles of a technology, all its spreads and shares of faults times `spread`."""
    if is_digital(name):
        switch = qs.devices.digital_switch(**(_MEASURED_SWITCH if name.endswith("measured") else {}))
        resistor = _spread(qs.cells.poly_resistor(), ("sigma_unit", "sigma_process"), spread)
        return qs.tile.Tile(
            cell(name, bits, signed=signed, resistor=resistor),
            wires,
            _spread(switch, _SPREADS, spread),
            scheme=qs.programming.SinglePulse(verify=True),
        )
    device = qs.devices.analog_rram(**({} if name.endswith("measured") else _SOUND_CELL))
    return qs.tile.Tile(
        cell(name, bits, signed=signed),
        wires,
        _spread(device, _ANALOG_SPREADS, spread),
        scheme=qs.programming.RangeAdapting(max_pulses=MAX_PULSES),
    )


def _spread(part: Any, names: tuple[str, ...], factor: float) -> Any:
    return dataclasses.replace(part, **{name: getattr(part, name) * factor for name in names})
