"""A filament with incomplete channels beside it, whose traps make its conductance a sum of telegraph signals."""

from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import (
    Scalar,
    as_whole,
    check,
    checked,
    finite,
    kelvin,
    non_negative,
    positive,
    probability,
    quantity,
    real,
    whole,
)
from qsynapse_jax.devices import _noise
from qsynapse_jax.devices._base import AbstractFluctuating, Exposure, Pulse, Trace, as_shape
from qsynapse_jax.devices._channels import Channels, TelegraphState
from qsynapse_jax.devices._cmo_law import BOLTZMANN
from qsynapse_jax.devices._retention import Retention
from qsynapse_jax.devices._telegraph import shares, windows

# Thermal noise is that of a read at this temperature [K].
_ROOM = 300.0
# The largest exponent of a step: no filament is left to grow or to open long before it.
_MOST = 30.0
# The largest part of the way to the end of its range that one pulse is asked to go.
_FARTHEST = 0.999


class TelegraphFilament(AbstractFluctuating):
    """A filament and a few incomplete channels beside it, opened and closed by traps: G(t) = G_main + sum a_i s_i(t).

        switching, |v| >= v_threshold, of the mean conductance g:
            x = step/(high - low) exp((|v| - v_threshold)/v_scale + device + sigma_cycle xi) width/t_pulse
            up:    g <- g + (high - g) (1 - exp(-x))        down:  g <- g - (g - low) (1 - exp(-x))
            every channel is drawn anew with 1 - exp(-|dg|/renewal); a new one is there with `density`
        below, each channel that is there meets its end with 1 - exp(-width hazard),
            hazard = sinh(|v|/v_slope)/sinh(v_denoise/v_slope)/t_denoise:
            it is completed (a joins G_main; with `directed` where v > 0) or removed (with `directed` where v < 0)
        new channel: ln(tau) uniform from tau_min to tau_max, ln(tau_e/tau_c) ~ Normal(0, sigma_occupancy),
            1/tau = 1/tau_c + 1/tau_e,    a = min(amplitude exp(sigma_amplitude xi), share g/channels)
        read:  average over `window` of G, and the thermal noise of it: variance 2 k 300 K G/(window v_read^2)

    low and high lie beyond g_min and g_max by the part `reach` of each. s_i is a two-state Markov process, so that the
    G(t) of many cells have a spectrum 1/f on the mean, between 1/tau_max and 1/tau_min. A read finds the process at a
    moment of its own: two reads of one state are independent of each other, and `record` is what follows in time.
    Averages over windows are exact in distribution, see `telegraph_record`.

    A pulse moves the mean g, the share of channels in it included. A channel that ends leaves g lower by
    a tau_e/(tau_c + tau_e), or higher by a tau_c/(tau_c + tau_e). Steps far below `renewal` leave nearly all channels
    as they are, so that a cell that was denoised can still be brought to its target. `set_pulse`, `reset_pulse` and
    `denoise_pulse` give the voltages, `fluctuation` the noise that is left. Gate voltages of pulses do nothing.

    Disturb: below v_threshold channels end, with 1 - exp(-count width hazard); from there on the filament moves, by
    the sum of `count` steps. Both are closed forms.

    Known is the window, that its 2,048 levels lie 2 uS apart, and that the noise of incomplete channels limits them,
    which pulses below the threshold weaken or complete [S2], [D]. All other numbers are chosen, no source has them: so
    that 6 sigma, in reads of `t_read`, is above 2 uS in most cells before denoising and in few after it. Percentage of
    cells in which it is not, and levels that 99 of 100 cells keep apart, 1 + (g_max - g_min)/(6 sigma)
    (`tests/devices/test_telegraph_filament.py`):

        density, amplitude    before        1 pulse       5 pulses of `denoise_pulse()`
        0.75, 0.8 uS           9 %,  227    53 %,  293    99.1 %, 2248
        0.75, 0.4 uS          38 %,  454    78 %,  586    99.7 %, 4495
        0.75, 1.6 uS           2 %,  114    37 %,  147    98.5 %, 1124
        0.50, 0.8 uS          27 %,  255    67 %,  351    99.4 %, 3729
        1.00, 0.8 uS           1 %,  203    42 %,  263    98.8 %, 1738

    Args:
        g_min, g_max: the window of levels [S].
        reach: how far beyond each end of it pulses go, as a part of that end.
        channels: incomplete channels that a cell has at most. Static.
        density: probability that a new channel is there.
        amplitude, sigma_amplitude: median [S], and spread of the logarithm.
        share: the largest part of g that incomplete channels conduct together.
        tau_min, tau_max: of traps [s].
        sigma_occupancy: spread of ln(tau_e/tau_c).
        renewal: change of g that draws a channel anew with 1 - 1/e [S].
        v_threshold, v_scale: where switching begins, and what multiplies the step by e [V].
        v_max: the most that `set_pulse` and `reset_pulse` ask for [V].
        step: median of it in a pulse of v_threshold and t_pulse, a small part of the way before [S].
        t_pulse: width of switching pulses [s].
        sigma_cycle, sigma_device: spreads of ln of the step, pulse by pulse and device by device.
        v_denoise, t_denoise: a pulse of both ends a channel with 1 - 1/e [V], [s].
        v_slope: what multiplies the hazard by e [V].
        directed: probability that an end goes the way of the voltage.
        g_fresh, sigma_fresh: median [S] and spread of ln of g as fabricated.
        v_read, t_read: amplitude [V] and width [s] of a read.
        retention: drift of ln R; none by default, since no source has that of a denoised cell.

    Raises:
        ValueError: numbers out of range; a window that is empty; v_denoise, v_threshold and v_max out of order.

    Reference: M. Rao et al., "Thousands of conductance levels in memristors integrated on CMOS", Nature 615, 823, 2023,
        doi 10.1038/s41586-023-05759-5 [A]; pulses below the threshold that reconfigure fluctuators without switching:
        A. Nyary et al., arXiv 2412.16080 [S abstract]; g_max as (g_max - g_min)/2047 = 2 uS [D].
    """

    g_min: Scalar = real("S", positive, default=50e-6)
    g_max: Scalar = real("S", positive, default=4144e-6)
    reach: Scalar = real("", probability, default=0.1)
    channels: int = whole(1, 64, default=4)
    density: Scalar = real("", probability, default=0.75)
    amplitude: Scalar = real("S", non_negative, default=0.8e-6)
    sigma_amplitude: Scalar = real("", non_negative, default=0.8)
    share: Scalar = real("", probability, default=0.2)
    tau_min: Scalar = real("s", positive, default=1e-6)
    tau_max: Scalar = real("s", positive, default=1.0)
    sigma_occupancy: Scalar = real("", non_negative, default=1.0)
    renewal: Scalar = real("S", positive, default=20e-6)
    v_threshold: Scalar = real("V", positive, default=0.85)
    v_scale: Scalar = real("V", positive, default=0.08)
    v_max: Scalar = real("V", positive, default=1.6)
    step: Scalar = real("S", positive, default=0.1e-6)
    t_pulse: Scalar = real("s", positive, default=1e-6)
    sigma_cycle: Scalar = real("", non_negative, default=0.3)
    sigma_device: Scalar = real("", non_negative, default=0.2)
    v_denoise: Scalar = real("V", positive, default=0.75)
    t_denoise: Scalar = real("s", positive, default=1e-6)
    v_slope: Scalar = real("V", positive, default=0.025)
    directed: Scalar = real("", probability, default=0.7)
    g_fresh: Scalar = real("S", positive, default=100e-6)
    sigma_fresh: Scalar = real("", non_negative, default=0.3)
    v_read: Scalar = real("V", positive, default=0.2)
    t_read: Scalar = real("s", positive, default=1e-5)
    retention: Retention = eqx.field(default_factory=Retention)

    def __check_init__(self):
        for low, high, unit in (
            ("g_min", "g_max", "S"),
            ("tau_min", "tau_max", "s"),
            ("v_denoise", "v_threshold", "V"),
            ("v_threshold", "v_max", "V"),
        ):
            values = getattr(self, low), getattr(self, high)
            if is_concrete(values) and not float(values[0]) < float(values[1]):
                given = [quantity(float(x), unit) for x in values]
                raise ValueError(f"Argument `{low}` must be below `{high}` = {given[1]}, but is {given[0]}.")

    # What the numbers mean.

    @property
    def low(self) -> Float[Array, ""]:
        """The conductance that switching does not go below [S]."""
        return self.g_min * (1 - self.reach)

    @property
    def high(self) -> Float[Array, ""]:
        """The conductance that switching does not go beyond [S]."""
        return self.g_max * (1 + self.reach)

    def set_pulse(self, step: Any, g: Any = None) -> Pulse:
        """The pulse up that moves the median cell by `step` [S] from `g` [S], by default from the middle of the window.

        Between what v_threshold and v_max do: a step beyond is cut.
        """
        g = (self.g_min + self.g_max) / 2 if g is None else g
        return Pulse(self._voltage(step, self.high - g), self.t_pulse)

    def reset_pulse(self, step: Any, g: Any = None) -> Pulse:
        """The pulse down, see `set_pulse`; `step` is positive."""
        g = (self.g_min + self.g_max) / 2 if g is None else g
        return Pulse(-self._voltage(step, g - self.low), self.t_pulse)

    def denoise_pulse(self, sign: Any = -1.0) -> Pulse:
        """The pulse below the threshold that ends each channel with 1 - 1/e, mostly by completing it where `sign` > 0.

        A channel that is completed raises the mean conductance, one that is removed lowers it.
        """
        check(sign, "sign", "", finite)
        return Pulse(jnp.sign(jnp.asarray(sign, self.v_denoise.dtype)) * self.v_denoise, self.t_denoise)

    def fluctuation(self, state: TelegraphState, window: Any = None) -> Float[Array, "*shape"]:
        """Standard deviation of the average over `window` [s], by default `t_read`, that telegraph signals make [S].

        sqrt(sum a^2 p (1 - p) 2 (w - 1 + exp(-w))/w^2),  w = window/tau. Thermal noise is not in it.
        """
        window = self.t_read if window is None else checked(window, "window", "s", non_negative)
        return self._kept(state) * Channels.of(state).spread(window.astype(state.g.dtype))

    def read_noise(self, g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Standard deviation of a read of `t_read` by heat alone: 10 nS at 4 mS [S]."""
        return self._heat(g, self.t_read.astype(g.dtype))

    def record(
        self, state: TelegraphState, samples: int, interval: Any, window: Any = 0.0, *, key: jax.Array
    ) -> Float[Array, " samples *shape"]:
        """Conductances over time without thermal noise [S]; arguments as for `telegraph_record`."""
        samples = as_whole(samples, "samples", 1)
        return self._over_time(state, samples, *windows(interval, window), key=key)

    # The contract of devices.

    def init(self, shape: tuple[int, ...], *, key: jax.Array) -> TelegraphState:
        """Cells as fabricated: g around `g_fresh`, with new channels."""
        return self._fabricated(as_shape(shape), key)

    def conductance(self, state: TelegraphState, *, temperature: Any = 300.0) -> Float[Array, "*shape"]:
        """Mean conductances, over a time much longer than `tau_max` [S]."""
        # The filament's own temperature coefficient is not modelled; degrees Celsius are an error all the same.
        checked(temperature, "temperature", "K", kelvin)
        return state.g * self._kept(state)

    def read(self, state: TelegraphState, *, key: jax.Array, window: Any = None) -> Float[Array, "*shape"]:
        """Averages over `window` [s], by default `t_read`, at a moment of the stationary process [S]."""
        return self._read(state, key, self.t_read if window is None else checked(window, "window", "s", positive))

    def age(
        self, state: TelegraphState, seconds: Any, temperature: Any, *, key: jax.Array | None = None
    ) -> TelegraphState:
        return replace(state, age=state.age + self.retention.equivalent_time(seconds, temperature))

    @eqx.filter_jit
    def apply(self, state: TelegraphState, pulse: Pulse, *, key: jax.Array) -> tuple[TelegraphState, Trace]:
        new = self._exposed(state, pulse.v, pulse.width, jnp.ones((), jnp.int32), key)
        g = jnp.where(pulse.v > 0, self.conductance(new), self.conductance(state))
        return new, Trace.of_pulse(pulse, pulse.v**2 * pulse.width * g)

    @eqx.filter_jit
    def disturb(self, state: TelegraphState, exposure: Exposure, *, key: jax.Array) -> TelegraphState:
        return self._exposed(state, exposure.v, exposure.width, exposure.count, key)

    def read_trace(self, state: TelegraphState) -> Trace:
        return Trace.of_read(self.t_read, self.v_read**2 * self.t_read * self.conductance(state))

    # The laws.

    def _voltage(self, step: Any, way: Any) -> Float[Array, "..."]:
        """Voltage that goes `step` of the `way` to the end of the range."""
        check(step, "step", "S", positive)
        step, way = (jnp.asarray(x, self.step.dtype) for x in (step, way))
        part = jnp.minimum(step / jnp.maximum(way, step), _FARTHEST)
        strength = -jnp.log1p(-part) * (self.high - self.low) / self.step
        return jnp.clip(self.v_threshold + self.v_scale * jnp.log(strength), self.v_threshold, self.v_max)

    def _heat(self, g: Float[Array, "*shape"], window: Float[Array, ""]) -> Float[Array, "*shape"]:
        """Deviation of averages over `window` [s] by thermal noise [S]."""
        # Root by root: the variance is not far from where float32 ends.
        return (2 * BOLTZMANN * _ROOM) ** 0.5 * jnp.sqrt(g / window) / self.v_read

    def _kept(self, state: TelegraphState) -> Float[Array, "*shape"]:
        """What drift has left of conductances."""
        return jnp.exp(-self.retention.log_drift(state.rate, state.age))

    @eqx.filter_jit
    def _fabricated(self, shape: tuple[int, ...], key: jax.Array) -> TelegraphState:
        dtype = self.g_min.dtype
        words = [_noise.words(k, shape) for k in jax.random.split(key, 2)]
        noise = [_noise.normal(_noise.stream(words[0], k), dtype) for k in range(3)]
        g = jnp.clip(self.g_fresh * jnp.exp(self.sigma_fresh * noise[0]), self.low, self.high)
        fresh = self._grown(g, words[1])
        none = tuple(jnp.zeros(shape, dtype) for _ in range(self.channels))
        absent = tuple(jnp.zeros(shape, bool) for _ in range(self.channels))
        rate = self.retention.rate(noise[2])
        state = TelegraphState(g, none, none, none, absent, self.sigma_device * noise[1], rate, jnp.zeros(shape, dtype))
        return fresh.into(state)

    def _grown(self, g: Float[Array, "*shape"], word: Array) -> Channels:
        """New channels beside filaments that conduct `g` on the mean."""
        shape = (self.channels, *g.shape)
        numbers = jnp.arange(self.channels, dtype=jnp.uint32).reshape(-1, *(1 for _ in g.shape))
        word = _noise.stream(jnp.broadcast_to(word[None], shape), jnp.broadcast_to(numbers, shape))
        words = [_noise.stream(word, k) for k in range(4)]
        amplitude = self.amplitude * jnp.exp(self.sigma_amplitude * _noise.normal(words[0], g.dtype))
        decades = jnp.log(self.tau_max / self.tau_min)
        tau = self.tau_min * jnp.exp(decades * _noise.uniform(words[1], g.dtype))
        occupied = jax.nn.sigmoid(self.sigma_occupancy * _noise.normal(words[2], g.dtype))
        return Channels(
            amplitude=jnp.minimum(amplitude, (self.share / self.channels * g)[None]),
            tau_c=tau / occupied,
            tau_e=tau / (1 - occupied),
            present=_noise.uniform(words[3], g.dtype) < self.density,
        )

    @eqx.filter_jit
    def _over_time(
        self, state: TelegraphState, samples: int, interval: Array, window: Array, is_instant: bool, *, key: jax.Array
    ) -> Float[Array, " samples *shape"]:
        channels, times = Channels.of(state), (x.astype(state.g.dtype) for x in (interval, window))
        law = partial(shares, interval=next(times), window=next(times), samples=samples, is_instant=is_instant)

        def beside(total: Array, channel: tuple[Array, ...]) -> tuple[Array, None]:
            tau_c, tau_e, carried, key = channel
            return total + carried[None] * law(tau_c, tau_e, key=key), None

        # One channel after the other: all records of all channels at once are many times what is asked for.
        numbers = channels.tau_c, channels.tau_e, channels.carried, jax.random.split(key, self.channels)
        main = state.g - jnp.sum(channels.carried * channels.occupied, axis=0)
        start = jnp.broadcast_to(main[None], (samples, *main.shape))
        return lax.scan(beside, start, numbers)[0] * self._kept(state)[None]

    @eqx.filter_jit
    def _read(self, state: TelegraphState, key: jax.Array, window: Float[Array, ""]) -> Float[Array, "*shape"]:
        heat, key = jax.random.split(key)
        g, window = self._over_time(state, 1, window, window, False, key=key)[0], window.astype(state.g.dtype)
        return g + self._heat(g, window) * _noise.normal(_noise.words(heat, g.shape), g.dtype)

    def _exposed(self, state: TelegraphState, v: Array, width: Array, count: Array, key: jax.Array) -> TelegraphState:
        """State after `count` pulses."""
        shape, dtype = state.g.shape, state.g.dtype
        v, width, count = (jnp.broadcast_to(x, shape).astype(dtype) for x in (v, width, count))
        words = [_noise.words(k, shape) for k in jax.random.split(key, 3)]
        given = (width > 0) & (count > 0)
        switched = (jnp.abs(v) >= self.v_threshold) & given
        old = Channels.of(state)
        ended, completed = self._ends(jnp.where(given & ~switched, v, 0), width * count, old, words[0])
        moved = jnp.where(completed, 1 - old.occupied, jnp.where(ended, -old.occupied, 0)) * old.amplitude
        disturbed = replace(old, present=old.present & ~ended).into(state, g=state.g + jnp.sum(moved, axis=0))

        # A filament that has drifted is switched from where it is.
        kept = self._kept(state)
        g = state.g * kept
        change = self._change(g, v, width, count, state.device, words[1])
        new = self._grown(g + change, words[2])
        renewed = self._each(words[1], 1) < -jnp.expm1(-jnp.abs(change) / self.renewal)[None]
        mixed = jax.tree.map(
            lambda a, b: jnp.where(renewed, a, b), new, replace(old, amplitude=old.amplitude * kept[None])
        )
        changed = mixed.into(state, g=g + change, age=jnp.zeros_like(state.age))
        return jax.tree.map(lambda a, b: jnp.where(switched, a, b), changed, disturbed)

    def _each(self, word: Array, number: int) -> Float[Array, " channels *shape"]:
        """Numbers uniform in (0, 1), one for every channel."""
        words = [_noise.stream(word, number * self.channels + k) for k in range(self.channels)]
        return jnp.stack([_noise.uniform(w, self.step.dtype) for w in words])

    def _ends(
        self, v: Array, time: Array, channels: Channels, word: Array
    ) -> tuple[Bool[Array, " channels *shape"], Bool[Array, " channels *shape"]]:
        """Which channels end while `v` [V] is there for `time` [s], and which of them are completed."""
        # The quotient of two hyperbolic sines, each of which may be too large for float32.
        raised, least = jnp.minimum(jnp.abs(v), self.v_threshold) / self.v_slope, self.v_denoise / self.v_slope
        hazard = jnp.exp(raised - least) * jnp.expm1(-2 * raised) / jnp.expm1(-2 * least) / self.t_denoise
        ended = channels.present & (self._each(word, 1) < -jnp.expm1(-hazard * time)[None])
        completing = jnp.where(v > 0, self.directed, 1 - self.directed)
        return ended, ended & (self._each(word, 2) < completing[None])

    def _change(self, g: Array, v: Array, width: Array, count: Array, device: Array, word: Array) -> Array:
        """Change of the mean conductance by `count` pulses that switch [S]."""
        # The sum of n log-normal steps as one: of their mean and variance, exact for one (L. Fenton, 1960).
        spread = jnp.log1p(jnp.expm1(self.sigma_cycle**2) / jnp.maximum(count, 1))
        cycle = (self.sigma_cycle**2 - spread) / 2 + jnp.sqrt(spread) * _noise.normal(word, g.dtype)
        overdrive = (jnp.abs(v) - self.v_threshold) / self.v_scale
        x = jnp.exp(jnp.minimum(overdrive + device + cycle, _MOST)) * self.step / (self.high - self.low)
        part = -jnp.expm1(-x * count * width / self.t_pulse)
        return jnp.where(v > 0, jnp.maximum(self.high - g, 0), -jnp.maximum(g - self.low, 0)) * part
