"""Every scheme there is, as data; a new scheme is one entry of `SCHEMES`. And a device to watch the engine with."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array, Float

import qsynapse_jax as qs
from qsynapse_jax._fields import Scalar, positive, real, whole

D = qs.devices
P = qs.programming
# One shape in most tests, so that each scheme and device is compiled once per process.
SHAPE = (2, 16, 32)
SCHEMES = [
    P.SinglePulse(),
    P.SinglePulse(verify=True),
    P.FPPV(),
    P.ISPP(),
    P.RangeAdapting(),
    P.BipolarISPP(max_pulses=1000, erase_pulses=1000, most=1.6),
    # In bands that new devices do not happen to lie in, and with few reads.
    P.Denoise(tolerance=0.1, reads=4),
]
# Those that write the published bands.
VERIFYING = [scheme for scheme in SCHEMES if scheme.demands is D.AbstractGated]


def _name(scheme: P.AbstractScheme) -> str:
    return type(scheme).__name__ + ("_verified" if getattr(scheme, "verify", False) else "")


def _by(schemes: Sequence[P.AbstractScheme]) -> pytest.MarkDecorator:
    """Parametrizes a test by schemes; those that other tests write with in the default run are slow."""
    second = ("SinglePulse_verified", "ISPP", "BipolarISPP")
    marked = [pytest.param(s, id=_name(s), marks=pytest.mark.slow if _name(s) in second else []) for s in schemes]
    return pytest.mark.parametrize("scheme", marked)


by_scheme, by_verifying = _by(SCHEMES), _by(VERIFYING)


class Register(eqx.Module):
    """Conductances of counters [S]."""

    g: Float[Array, "*shape"]


class Counter(D.AbstractDriven):
    """A device of the tests alone, without chance: every pulse adds its voltage times 1 S/V."""

    unit: Scalar = real("S/V", positive, default=1.0)

    def init(self, shape: tuple[int, ...], *, key: jax.Array) -> Register:
        return Register(jnp.full(shape, 1e-6))

    def conductance(self, state: Register, *, temperature: Any = 300.0) -> Float[Array, "*shape"]:
        return state.g

    def read(self, state: Register, *, key: jax.Array, window: Any = None) -> Float[Array, "*shape"]:
        return state.g

    def age(self, state: Register, seconds: Any, temperature: Any, *, key: jax.Array | None = None) -> Register:
        return state

    def apply(self, state: Register, pulse: D.Pulse, *, key: jax.Array) -> tuple[Register, D.Trace]:
        g = state.g + self.unit * pulse.v
        return Register(g), D.Trace.of_pulse(pulse, pulse.v**2 * pulse.width * g)

    def disturb(self, state: Register, exposure: D.Exposure, *, key: jax.Array) -> Register:
        return state

    def read_trace(self, state: Register) -> D.Trace:
        return D.Trace.of_read(jnp.asarray(1e-6), 0 * state.g)


class Climb(P.AbstractVerifying):
    """A scheme of the tests alone: one step up per pulse, plus what the position of the device adds to it."""

    demands = D.AbstractDriven

    step: Scalar = real("V", positive, default=1e-6)
    row: Scalar = real("V", default=0.0)
    column: Scalar = real("V", default=0.0)
    tolerance: Scalar = real("", positive, default=0.25)
    max_pulses: int = whole(1, default=100)
    erase_pulses: int = whole(1, default=3)

    def start(self, device: Counter, low: Float[Array, " n"], high: Float[Array, " n"]) -> Any:
        return None

    def next(self, device: Counter, memory: Any, reading: P.Reading) -> tuple[D.Pulse, Any]:
        row, column = (x.astype(float) for x in (reading.row, reading.column))
        return D.Pulse(self.step + self.row * row + self.column * column, 1e-7), memory
