"""The CMO/HfOx ReRAM: oxygen vacancies in a conductive metal-oxide dome, moved by field and heat."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax._fields import (
    Model,
    Rule,
    Scalar,
    as_whole,
    check,
    checked,
    finite,
    kelvin,
    non_negative,
    positive,
    real,
)
from qsynapse_jax.devices._base import AbstractBipolar, Exposure, Pulse, Trace, as_shape
from qsynapse_jax.devices._cmo_law import CHARGE, Dome, conductance
from qsynapse_jax.devices._cmo_march import density_at, march
from qsynapse_jax.devices._retention import Retention

_UNIT = 1e25  # of densities inside, [m^-3]
_GIVEN = (("density", "m^-3", non_negative), ("v", "V", finite), ("width", "s", non_negative))


class CmoState(Model):
    """Domes of an array; all leaves have one shape.

    Args:
        density: oxygen vacancies [m^-3].
        speed: how much faster than the nominal device its vacancies move.
        rate: drift rate.
        age: equivalent time since it was last written [s].
    """

    density: Float[Array, "*shape"] = eqx.field(metadata={"unit": "m^-3"})
    speed: Float[Array, "*shape"]
    rate: Float[Array, "*shape"]
    age: Float[Array, "*shape"] = eqx.field(metadata={"unit": "s"})


class CmoFilament(AbstractBipolar):
    """Vacancies C in a dome of metal oxide hop with the field and the heat of a pulse, and set the current that flows.

        field      F = (V - I r_series) / length
        current    I = pi radius^2 area_factor q C a electron_rate exp(-E_e/kT) 2 sinh(q F a/2kT)
                   a = max(hop_min, hop (1 - C/hop_density)),   E_e = barrier (1 - C/barrier_density)
        heat       T = ambient + r_thermal V I
        vacancies  dC/dt = (ion_hop/length) ion_rate C exp(-E_i/kT) 2 sinh(q F ion_hop/kT) (1 - C/density_max)^crowding
                   E_i = set_barrier (1 + C/set_density) for V >= 0,   reset_barrier for V < 0

    Heat is quasi-static: the dome warms in 28 ps (2e-17 J/K times 1.4e6 K/W), a pulse lasts nanoseconds and more.
    Against an equation of the temperature the change of C differs by 1e-3 in pulses of 30 ns, by 6e-5 from 1 us on.

    `conductance`, `current`, `temperature`, `evolve` and `waveform` are functions of arrays, elementwise, broadcast
    against each other, differentiable forward and in reverse in the density, the voltage, the width and in the numbers
    of the device. In float32 a change of density below 6e-8 of it is lost: give pulses that do less together, as one
    `Exposure`, or compute in float64.

    As a device it has what the equations do not say: `sigma_speed` makes devices faster or slower than the nominal one,
    read noise and drift (`Retention`) are those of any device. By default there is none of them, and the devices begin
    at the symmetry point; `cmo_reram` has the numbers known of arrays.

    Args:
        radius, length: of the dome, and the way that the field acts along [m].
        area_factor: of the area of the dome that conducts.
        r_series: electrode and line inside the terminals [ohm].
        hop, hop_density, hop_min: distance of traps without vacancies [m]; density at which it would be 0 [m^-3]; the
            least [m].
        barrier, barrier_density: of the electrons, likewise [eV], [m^-3].
        electron_rate: attempts of electrons [1/s].
        r_thermal, ambient: thermal resistance [K/W]; temperature of the chip [K].
        ion_rate, ion_hop: attempts of vacancies [1/s]; distance of their hops [m].
        set_barrier, set_density: barrier of vacancies where V >= 0 [eV]; the density that doubles it [m^-3].
        reset_barrier: where V < 0 [eV].
        density_max, crowding: no more vacancies than this [m^-3], and how sharply they are slowed before.
        hrs, symmetry, lrs: densities of the high-resistance state, of the symmetry point as published, and of the
            low-resistance state [m^-3].
        v_set, v_reset, t_set, t_reset: amplitudes [V] and widths [s] of the pulses of `set_pulse` and `reset_pulse`.
        v_read, t_read: amplitude [V] and width [s] of a read.
        sigma_speed: spread of the logarithm of the speed of vacancies, device by device.
        sigma_read: relative noise of a read.
        retention: drift of ln R.

    Raises:
        ValueError: numbers out of range.

    Accuracy: of `evolve` against an independent integration of the same equations 2e-7 of the change of ln C, the
        equation of the temperature included 2e-3 from 30 ns on (`tests/devices/test_cmo.py`).

    Reference: circuit model of github.com/IBM/Analog_ReRAM_Training_Simulator (Clerico et al., "Proving Analog
        In-Memory Training with Fully Parallel Outer Product in ReRAM Crosspoint Array", 2026) [S]; vacancies: Galetta
        et al., Adv. Electron. Mater. 12(7) e00373, doi 10.1002/aelm.202500373; current: Falcone et al., Nanoscale
        Horiz. 2024, doi 10.1039/D4NH00072B.
    """

    radius: Scalar = real("m", positive, default=11e-9)
    area_factor: Scalar = real("", positive, default=1.44)
    length: Scalar = real("m", positive, default=12e-9)
    r_series: Scalar = real("ohm", non_negative, default=219.2217 + 4.0)
    # Written over the slopes in C that the source gives: in float32 those would be 0.
    hop: Scalar = real("m", positive, default=3.6369e-9)
    hop_density: Scalar = real("m^-3", positive, default=3.6369e-9 / 3.0738e-35)
    hop_min: Scalar = real("m", positive, default=2e-9)
    barrier: Scalar = real("eV", non_negative, default=1.275579007691538e-20 / CHARGE)
    barrier_density: Scalar = real("m^-3", positive, default=1.275579007691538e-20 / 3.697330457076916e-47)
    electron_rate: Scalar = real("1/s", positive, default=2e13)
    r_thermal: Scalar = real("K/W", non_negative, default=1.4e6)
    ambient: Scalar = real("K", kelvin, default=293.0)
    ion_rate: Scalar = real("1/s", positive, default=4e12)
    ion_hop: Scalar = real("m", positive, default=1e-9)
    set_barrier: Scalar = real("eV", non_negative, default=1.499179468667143e-19 / CHARGE)
    set_density: Scalar = real("m^-3", positive, default=1.499179468667143e-19 / 2.288823616285713e-45)
    reset_barrier: Scalar = real("eV", non_negative, default=1.18)
    density_max: Scalar = real("m^-3", positive, default=1e28)
    crowding: Scalar = real("", non_negative, default=10.0)
    hrs: Scalar = real("m^-3", positive, default=7e24)
    symmetry: Scalar = real("m^-3", positive, default=1.64e25)
    lrs: Scalar = real("m^-3", positive, default=3.77e25)
    v_set: Scalar = real("V", positive, default=1.35)
    v_reset: Scalar = real("V", positive, default=1.30)
    t_set: Scalar = real("s", positive, default=1e-6)
    t_reset: Scalar = real("s", positive, default=1e-6)
    v_read: Scalar = real("V", positive, default=0.2)
    t_read: Scalar = real("s", positive, default=1e-6)
    sigma_speed: Scalar = real("", non_negative, default=0.0)
    sigma_read: Scalar = real("", non_negative, default=0.0)
    retention: Retention = eqx.field(default_factory=Retention)

    # Functions of arrays.

    def current(self, density: Any, v: Any) -> Float[Array, "..."]:
        """Current [A] at a voltage `v` across the terminals [V], in balance with heat and series resistance.

        Gradients: in everything, by the implicit function theorem. Accuracy: all digits from 1 uV to 3 V.
        """
        dome, c, v = self._inside(density, v)
        return v * _conductance(dome, c, v)

    def temperature(self, density: Any, v: Any) -> Float[Array, "..."]:
        """Temperature of the dome [K] at a voltage `v` [V], quasi-static: 28 ps after the voltage changed."""
        dome, c, v = self._inside(density, v)
        return dome.ambient + dome.r_thermal * v * v * _conductance(dome, c, v)

    def evolve(self, density: Any, v: Any, width: Any) -> Float[Array, "..."]:
        """Density [m^-3] after a rectangular pulse at the terminals; n of them are one of n times the width.

        Args:
            density: before the pulse [m^-3].
            v: amplitude [V]; positive ones raise the density.
            width: duration [s], from nothing to hours in one call.

        Gradients: forward and reverse in everything, by the implicit function theorem; 3e-5 of them where the density
            changes by less than a factor of 20, 2e-3 over all of the range below.
        Accuracy: of the change of ln C, over 1 ns to 300 s, 3 V and 1e23 to 6e25 m^-3, 1e-4 in float32 (mostly 1e-6),
            1e-7 in float64; NaN where the integration fails.
        """
        return self._pulsed(density, v, width)[0]

    def energy(self, density: Any, v: Any, width: Any) -> Float[Array, "..."]:
        """Energy of a rectangular pulse, the integral of V I [J]; arguments as for `evolve`."""
        return self._pulsed(density, v, width)[1]

    def waveform(self, density: Any, times: Any, v: Any, *, parts: int = 32) -> Float[Array, "..."]:
        """Density [m^-3] after a voltage that goes straight from point to point.

        Args:
            density: before [m^-3], of any shape.
            times: of the points [s], ascending, shape (n,).
            v: voltages at them [V], shape (n,), or (n, *shape) for waveforms of each device.
            parts: pulses that a straight line is made of, at least 2. From half of them and all of them an error of
                fourth order is left: 3e-5 of the change of ln C with 32 for flanks of 750 ns. Static.

        Raises:
            ValueError: times that do not ascend; voltages that are not one per time.
        """
        times, v = as_floating(times, "times"), as_floating(v, "v")
        if times.ndim != 1 or v.shape[:1] != times.shape:
            raise ValueError(
                f"Argument `v` must have one voltage for each of `times`, but has shape {v.shape} for {times.shape}."
            )
        if is_concrete(times) and np.any(np.diff(times) < 0):
            raise ValueError("Argument `times` must ascend, but one is before the one that it follows.")
        coarse = as_whole(parts, "parts", 2) // 2
        found = [self._ramps(density, times, v, n) for n in (coarse, 2 * coarse)]
        # Middles have an error of even powers: half of the length leaves a quarter of it, which goes out in ln C.
        return found[1] * (found[1] / found[0]) ** (1 / 3)

    def pulse_response(self, density: Any, up: int, down: int, cycles: int = 1) -> Float[Array, " n *shape"]:
        """Conductance at `v_read` before and after each of `up` set pulses and `down` reset pulses [S].

        Args:
            density: at the beginning [m^-3], of any shape.
            up: number of set pulses, `set_pulse`. Static.
            down: number of reset pulses after them, `reset_pulse`. Static.
            cycles: so often all of them. Static.

        Returns:
            Shape (1 + cycles (up + down), *shape): the table of a measurement, which behavioural devices are fitted to.
        """
        up, down, cycles = (as_whole(n, name, 0) for n, name in ((up, "up"), (down, "down"), (cycles, "cycles")))
        density = _numbers(density, *_GIVEN[0])
        return _response(self, density, jnp.tile(jnp.arange(up + down) < up, cycles))

    # The contract of devices.

    def init(self, shape: tuple[int, ...], *, key: jax.Array) -> CmoState:
        """Devices at the symmetry point; `as_state` gives others."""
        return self.as_state(jnp.full(as_shape(shape), self.symmetry), key=key)

    def as_state(self, density: Float[Array, "*shape"], *, key: jax.Array) -> CmoState:
        """Devices with given densities [m^-3], each with its own speed and drift."""
        check(density, "density", "m^-3", non_negative)
        noise = jax.random.normal(key, (2, *density.shape), density.dtype)
        speed = jnp.exp(self.sigma_speed.astype(density.dtype) * noise[0])
        return CmoState(density, speed, self.retention.rate(noise[1]), jnp.zeros_like(density))

    def conductance(self, state: Any, v_read: Any = None, *, temperature: Any = 300.0) -> Float[Array, "*shape"]:
        """Conductance at `v_read` [V], by default that of the device [S].

        Args:
            state: a `CmoState`, or densities [m^-3] alone.
            v_read: voltage across the device [V].
            temperature: of the chip during the read [K]; the current model has its own, `ambient`.
        """
        # `ambient` is a number of the device; degrees Celsius are an error all the same.
        checked(temperature, "temperature", "K", kelvin)
        v_read = self.v_read if v_read is None else v_read
        check(v_read, "v_read", "V", finite)
        if isinstance(state, CmoState):
            drift = jnp.exp(-self.retention.log_drift(state.rate, state.age))
            return self.conductance(state.density, v_read) * drift.astype(state.density.dtype)
        dome, c, v = self._inside(state, v_read)
        return _conductance(dome, c, v)

    def read(self, state: CmoState, *, key: jax.Array, window: Any = None) -> Float[Array, "*shape"]:
        g = self.conductance(state)
        return g * (1 + self.sigma_read * jax.random.normal(key, g.shape, g.dtype))

    def age(self, state: CmoState, seconds: Any, temperature: Any, *, key: jax.Array | None = None) -> CmoState:
        return replace(state, age=state.age + self.retention.equivalent_time(seconds, temperature))

    def set_pulse(self) -> Pulse:
        """The pulse up of the operating point."""
        return Pulse(self.v_set, self.t_set)

    def reset_pulse(self) -> Pulse:
        """The pulse down of the operating point."""
        return Pulse(-self.v_reset, self.t_reset)

    @eqx.filter_jit
    def apply(self, state: CmoState, pulse: Pulse, *, key: jax.Array) -> tuple[CmoState, Trace]:
        dtype = state.density.dtype
        v, width = pulse.v.astype(dtype), pulse.width.astype(dtype)
        density, energy = self._pulsed(state.density, v, width * state.speed)
        age = jnp.where(v != 0, 0, state.age)
        # A fast device takes as long as any other: energy is power times the width.
        return replace(state, density=density, age=age), Trace.of_pulse(Pulse(v, width), energy / state.speed)

    @eqx.filter_jit
    def disturb(self, state: CmoState, exposure: Exposure, *, key: jax.Array) -> CmoState:
        """State after half-select pulses, all of them as one: exact, since n pulses are one of n times the width."""
        dtype = state.density.dtype
        v, width, count = (x.astype(dtype) for x in (exposure.v, exposure.width, exposure.count))
        return replace(state, density=self._pulsed(state.density, v, width * count * state.speed)[0])

    def write_current(self, state: CmoState, v: Any) -> Float[Array, "..."]:
        return self.current(state.density, v)

    def read_trace(self, state: CmoState) -> Trace:
        return Trace.of_read(self.t_read, self.v_read**2 * self.t_read * self.conductance(state))

    def _inside(self, *given: Any) -> Any:
        """Numbers of the dome, density [1e25 m^-3], voltage and width, in one precision and the arrays of one shape."""
        density, *others = (_numbers(x, *about) for x, about in zip(given, _GIVEN, strict=False))
        dtype = jnp.result_type(density, *others)
        shape = jnp.broadcast_shapes(density.shape, *(x.shape for x in others))
        arrays = [jnp.broadcast_to(x.astype(dtype), shape) for x in (density, *others)]
        # The compiler may join (C/unit)/(C_0/unit) with the unit left in: products that leave float32.
        return jax.lax.optimization_barrier((self._dome(dtype), arrays[0] / _UNIT, *arrays[1:]))

    def _dome(self, dtype: Any) -> Dome:
        nm, unit = 1e9, _UNIT
        # Factors one by one of the size of 1: their product in SI leaves the range of float32 on the way.
        area = np.pi * (self.radius * nm) ** 2 * self.area_factor
        scale = area * (self.electron_rate / 1e13) * (CHARGE / 1e-19) * 1e-8
        dome = Dome(
            scale=scale,
            hop=self.hop * nm,
            hop_density=self.hop_density / unit,
            hop_least=self.hop_min * nm,
            barrier=self.barrier,
            barrier_density=self.barrier_density / unit,
            length=self.length * nm,
            r_series=self.r_series,
            r_thermal=self.r_thermal,
            ambient=self.ambient,
            attempts=self.ion_rate * (self.ion_hop / self.length),
            ion_hop=self.ion_hop * nm,
            set_barrier=self.set_barrier,
            set_density=self.set_density / unit,
            reset_barrier=self.reset_barrier,
            most=self.density_max / unit,
            crowding=self.crowding,
        )
        return jax.tree.map(lambda x: x.astype(dtype), dome)

    def _pulsed(self, density: Any, v: Any, width: Any) -> tuple[Array, Array]:
        """Density [m^-3] and energy [J] after a pulse."""
        dome, c, v, width = self._inside(density, v, width)
        path = _march(dome, c, v, width)
        # Of the density as it was given: one that does not move stays the same to the last bit.
        density = jnp.broadcast_to(jnp.asarray(density, v.dtype), v.shape)
        return density_at(density, v, path.y), v * v * path.charge

    @eqx.filter_jit
    def _ramps(self, density: Any, times: Array, v: Array, parts: int) -> Array:
        """Density after straight lines, each as `parts` pulses of the voltages at their middles."""
        middles = (np.arange(parts) + 0.5) / parts
        steps = jnp.asarray(middles, v.dtype).reshape(1, parts, *(1 for _ in v.shape[1:]))
        between = v[:-1, None] + steps * (v[1:, None] - v[:-1, None])
        widths = jnp.repeat(jnp.diff(times) / parts, parts)

        def step(density: Array, pulse: tuple[Array, Array]) -> tuple[Array, None]:
            return self._pulsed(density, *pulse)[0], None

        shape = jnp.broadcast_shapes(jnp.shape(density), v.shape[1:])
        start = jnp.broadcast_to(_numbers(density, *_GIVEN[0]), shape).astype(jnp.result_type(v, times))
        return jax.lax.scan(step, start, (between.reshape(-1, *v.shape[1:]), widths))[0]


# Compiled here, where every number is an array: of Python numbers each would be compiled anew.
_conductance, _march = jax.jit(conductance), jax.jit(march)


def _numbers(value: Any, name: str, unit: str, rule: Rule) -> Array:
    array = as_floating(float(value) if isinstance(value, int) else value, name)
    # As it was given: inside a trace an array made of a known number is a tracer.
    check(value, name, unit, rule)
    return array


@eqx.filter_jit
def _response(device: CmoFilament, density: Array, ups: Array) -> Array:
    def step(density: Array, up: Array) -> tuple[Array, Array]:
        v = jnp.where(up, device.v_set, -device.v_reset).astype(density.dtype)
        width = jnp.where(up, device.t_set, device.t_reset).astype(density.dtype)
        new = device.evolve(density, v, width)
        return new, device.conductance(new)

    g = jax.lax.scan(step, density, ups)[1]
    return jnp.concatenate([device.conductance(density)[None], g])
