"""Precise levels on devices that fluctuate: come near, measure the fluctuation, denoise by trial and error, settle."""

from functools import partial
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax._fields import Rule, Scalar, as_whole, checked, non_negative, positive, quantity, real, whole
from qsynapse_jax.devices import AbstractFluctuating, Pulse, demand
from qsynapse_jax.programming._base import SAME, Bands, Decision, Reading, is_least
from qsynapse_jax.programming._verify import AbstractVerifying

_HALF_WIDTH = Rule("above 0 and at most 1/2 of a step; wider bands overlap", lambda x: (x > 0) & (x <= 0.5))
_PART = Rule("between 0 and 1", lambda x: (x > 0) & (x < 1))

# After this part of its reads a measurement ends where the fluctuation is so much too large, in half widths of a band:
# the deviation of 8 reads is known to a quarter.
_EARLY, _HOPELESS = 4, 1.5


class _Memory(NamedTuple):
    """Of one measurement, in half widths of the band from its middle; and of the pulses before it."""

    count: Int[Array, " n"]
    total: Float[Array, " n"]
    squares: Float[Array, " n"]
    missed: Bool[Array, " n"]
    calm: Bool[Array, " n"]
    sigma: Float[Array, " n"]
    sign: Float[Array, " n"]
    tried: Float[Array, " n"]


class Denoise(AbstractVerifying):
    """Coarse write-verify, fluctuation over many reads, denoising pulses by trial and error, fine write-verify.

    Each device is in a state of its own, and has one read a round. With x a read, mu and s the mean and the deviation
    of `reads` of them, all in half widths of the band from its middle:

        approach    |x| > near: a switching pulse of `part` of the way; else measure
        measure     `reads` reads, the one that ended the approach first; a quarter of them if those already say noisy
        done        |mu| + separation/2 s <= 1, and no read was out of the band
        denoise     separation/2 s > 1 - room, or a read was out of the band though mu is right: a pulse below the
                    threshold, then measure. The first is of the polarity that takes mu to the middle. After one that
                    helped, s fell, comes one like it; after one that did not, one of the other polarity. Where it took
                    mu beyond near, the value is corrected: approach
        settle      else: a pulse of |mu|; measure, unless the device is out of the band: approach

    So success says that `separation` standard deviations lie within the width of the band, around a mean that has room
    for them: with `tolerance` 1/2, levels of 6 sigma. Without denoising (`denoising=0`) a device whose fluctuation is
    too large is given up at once.

    Reads of one round are one pass over the array, so those of one device are a pass apart. Traps slower than that
    (256 rows of 10 us: 3 ms) show in a measurement for what they do in `reads` passes; the package's devices give every
    read at a moment of its own, which is how it is after long enough. What neighbours suffer is
    `program`'s argument `half_selects`. The trace counts denoising pulses with those of their polarity.

    On 256 x 256 `TelegraphFilament()` and random ones of 2,048 levels all cells were a success (one seed), with 9
    pulses and 98 reads on the mean. Of raw reads afterwards 99.98 % lay within +-1 uS; 6 sigma were above 2 uS in
    0.26 % of the cells. It takes 9 s on two cores and 26 s to compile (`test_an_array_of_65536_cells` in
    `tests/programming/test_denoise.py`).

    Of 32 x 32 all were a success too with density 0.5 to 1 and amplitudes of 0.8 and 1.6 uS; without denoising 3 %.

    Which protocol the source used is not known, beyond that fluctuation was measured and that it was of
    trial and error; pulses, order and all numbers here are chosen.

    Args:
        near: where measuring begins, in half widths of the band. Corrections from there must be small beside what grows
            new channels: 5 uS against the 20 uS of `renewal` in a band of +-1 uS.
        part: of the way that a switching pulse is asked to go. Devices and cycles spread by more than 1 - part.
        room: what the fluctuation must leave of the half width for the mean.
        separation: standard deviations that the width of the band must hold.
        reads: of one measurement. Static.
        denoising: the most denoising pulses of a device.
        tolerance, max_pulses, erase_pulses: as for `AbstractVerifying`, `tolerance` up to 1/2; denoising pulses are
            pulses.

    Reference: M. Rao et al., Nature 615, 823, 2023, doi 10.1038/s41586-023-05759-5 [A]; of trial and error: A. Nyary et
        al., arXiv 2412.16080 [S2].
    """

    demands: ClassVar = AbstractFluctuating

    near: Scalar = real("", positive, default=5.0)
    part: Scalar = real("", _PART, default=0.9)
    room: Scalar = real("", _PART, default=0.25)
    separation: Scalar = real("", positive, default=6.0)
    reads: int = whole(2, default=32)
    denoising: Scalar = real("", non_negative, default=50.0)
    tolerance: Scalar = real("", _HALF_WIDTH, default=0.5)
    max_pulses: int = whole(1, default=300)
    erase_pulses: int = whole(1, default=100)

    def bands(self, device: AbstractFluctuating, target: Float[Array, "*shape"], step: Any, least: Any) -> Bands:
        if is_concrete(device, target, step, least, self):
            bands = super().bands(device, target, step, least)
            self._check(device, np.asarray(target), np.asarray(is_least(target, least)), bands)
            return bands
        below = (target < device.g_min * (1 - SAME)) & ~is_least(target, least)
        outside = below | (target > device.g_max * (1 + SAME))
        message = "Argument `target` must lie in the window of the device, g_min to g_max; scale the targets into it."
        return super().bands(device, eqx.error_if(target, outside, message), step, least)

    def _check(self, device: AbstractFluctuating, target: Any, below: Any, bands: Bands) -> None:
        """Refuses targets outside of the window, and levels whose bands heat alone fills."""
        g_min, g_max = _window(device)
        outside = ((target < g_min * (1 - SAME)) & ~below) | (target > g_max * (1 + SAME))
        if outside.any():
            raise ValueError(
                f"Argument `target` must lie in the window of the device, {quantity(g_min, 'S')} to "
                f"{quantity(g_max, 'S')}, but holds {quantity(float(target[outside][0]), 'S')}; scale the targets into "
                "it. Only the lowest level, `least`, may lie below."
            )
        noise, is_narrow = self._needed(device, target, bands)
        if is_narrow.any():
            at_best = float(noise.max()) / (2 * float(self.tolerance))
            levels = 1 + int((g_max - g_min) / at_best)
            raise ValueError(
                f"Argument `step` must be at least {quantity(at_best, 'S')}: {float(self.separation):g} standard "
                f"deviations of read noise do not fit into a band of {float(self.tolerance):g} steps to both sides. "
                f"Read longer, widen `tolerance`, or take at most {levels} levels."
            )

    def check(self, device: AbstractFluctuating, bands: Bands) -> None:
        if not is_concrete(device, bands, self):
            return
        low, high = (np.asarray(bound) for bound in bands)
        g_min, g_max = _window(device)
        outside = (high < g_min * (1 - SAME)) | (low > g_max * (1 + SAME))
        if outside.any():
            band = " to ".join(quantity(float(bound[outside][0]), "S") for bound in (low, high))
            raise ValueError(
                f"Arguments `low` and `high` must meet the window of the device, {quantity(g_min, 'S')} to "
                f"{quantity(g_max, 'S')}, but a band is {band}; scale the bands into it."
            )
        closed = np.isfinite(high)
        noise, is_narrow = self._needed(device, np.where(closed, (low + high) / 2, g_max), bands)
        if is_narrow.any():
            raise ValueError(
                f"Arguments `low` and `high` must be at least {quantity(float(noise[is_narrow].max()), 'S')} apart: "
                f"{float(self.separation):g} standard deviations of read noise do not fit between. Read longer, or "
                "widen the bands."
            )

    def _needed(self, device: AbstractFluctuating, g: Any, bands: Bands) -> tuple[Any, Any]:
        """Width that read noise at `g` asks of a band [S], and which bands have less."""
        noise = float(self.separation) * np.asarray(device.read_noise(jnp.asarray(g)))
        return noise, noise > np.asarray(bands.high - bands.low)

    def start(self, device: AbstractFluctuating, low: Float[Array, " n"], high: Float[Array, " n"]) -> _Memory:
        none, zero, no = jnp.zeros(low.shape, jnp.int32), jnp.zeros_like(low), jnp.zeros(low.shape, bool)
        return _Memory(none, zero, zero, no, no, zero + jnp.inf, zero, zero)

    def next(self, device: AbstractFluctuating, memory: _Memory, reading: Reading) -> tuple[Pulse, _Memory]:
        """A switching pulse towards the middle of the band."""
        middle, _ = _scale(reading)
        return self._towards(device, reading.g, middle - reading.g), memory

    def decide(
        self,
        device: AbstractFluctuating,
        memory: _Memory,
        reading: Reading,
        pulses: Int[Array, " n"],
        limits: Int[Array, " 2"],
    ) -> Decision:
        middle, half = _scale(reading)
        x = (reading.g - middle) / half
        near, room, separation, most = (
            number.astype(x.dtype) for number in (self.near, self.room, self.separation, self.denoising)
        )
        # A band without end has no middle to be near to.
        is_closed = (reading.low > 0) & jnp.isfinite(reading.high)
        within = (reading.g >= reading.low) & (reading.g <= reading.high)
        measuring = (memory.count > 0) | jnp.where(is_closed & ~memory.calm, jnp.abs(x) <= near, within)
        count = memory.count + 1
        total, squares = memory.total + x, memory.squares + x**2
        missed = memory.missed | ~within

        number = count.astype(x.dtype)
        mean = total / number
        sigma = jnp.sqrt(jnp.maximum(squares - total * mean, 0) / jnp.maximum(number - 1, 1))
        needs = separation / 2 * sigma
        hopeless = (count >= max(self.reads // _EARLY, 2)) & (needs > _HOPELESS)
        judged = measuring & ((count >= self.reads) | hopeless)
        far = jnp.where(is_closed, jnp.abs(mean), 0)
        done = judged & (far + needs <= 1) & ~missed
        # Around a mean that is right, a read beyond the band is fluctuation too.
        calm = (needs <= 1 - room) & (~missed | (far > room))
        astray = jnp.where(is_closed, far > near, ~within)
        noisy = judged & ~done & ~calm & ~astray
        moved = (judged & ~done & ~noisy) | ~measuring

        sign = jnp.where(sigma < memory.sigma, memory.sign, -memory.sign)
        sign = jnp.where(memory.sign == 0, jnp.where(mean < 0, 1, -1).astype(x.dtype), sign)
        way = jnp.where(judged, -mean * half, middle - reading.g)
        pulse = device.denoise_pulse(sign).where(noisy, self._towards(device, reading.g, way))

        spent = (pulses >= limits[0]) | ((reading.low <= 0) & (pulses >= limits[1]))
        # A traced target that is no number ends here.
        given_up = (spent & (noisy | moved)) | (noisy & (memory.tried >= most)) | jnp.isnan(x)
        pulsed = (noisy | moved) & ~given_up
        over = pulsed | done
        new = _Memory(
            count=jnp.where(over, 0, count),
            total=jnp.where(over, 0, total),
            squares=jnp.where(over, 0, squares),
            missed=missed & ~over,
            calm=jnp.where(judged, calm, memory.calm),
            sigma=jnp.where(noisy, sigma, memory.sigma),
            sign=jnp.where(noisy, sign, memory.sign),
            tried=memory.tried + (noisy & pulsed).astype(x.dtype),
        )
        return Decision(pulse, new, pulsed, ~done & ~given_up, done)

    def _towards(self, device: AbstractFluctuating, g: Array, way: Array) -> Pulse:
        # No step is 0: what is on its target has no pulse.
        step = jnp.maximum(self.part.astype(way.dtype) * jnp.abs(way), jnp.finfo(way.dtype).tiny)
        return device.set_pulse(step, g).where(way > 0, device.reset_pulse(step, g))


def _window(device: AbstractFluctuating) -> tuple[float, float]:
    return float(device.g_min), float(device.g_max)


def _scale(reading: Reading) -> tuple[Array, Array]:
    """Middle and half width of bands; a bound and itself where there is only one."""
    closed = (reading.low > 0) & jnp.isfinite(reading.high)
    middle = jnp.where(closed, (reading.low + reading.high) / 2, jnp.where(reading.low > 0, reading.low, reading.high))
    return middle, jnp.where(closed, (reading.high - reading.low) / 2, middle)


def distinguishable_levels(
    device: AbstractFluctuating,
    state: Any = None,
    *,
    key: jax.Array | None = None,
    separation: Any = 6.0,
    share: Any = 0.999,
    reads: int | Float[Array, " n *shape"] = 64,
) -> tuple[int, Float[Array, "*shape"]]:
    """How many levels devices as they are can keep apart, and the fluctuation that says so.

        1 + (g_max - g_min)/(separation sigma),    sigma of the device that `share` of all others do not exceed

    Args:
        device: what is read; anything with a window.
        state: of the devices, and
        key: random key of their reads; not needed where these are given.
        separation: standard deviations from level to level.
        share: of the devices, between 0 and 1.
        reads: per device; or the reads [S], shape (n, *shape). A number is static.

    Returns:
        Number of levels, and standard deviation of the reads of every device [S].

    Raises:
        ValueError: a device that has no window; fewer than two reads; neither reads nor a key for them.
    """
    demand(device, AbstractFluctuating, "`distinguishable_levels`")
    given = None if isinstance(reads, int) else as_floating(reads, "reads")
    number = as_whole(reads if given is None else len(given), "reads", 2)
    if given is None and key is None:
        raise ValueError("Argument `key` must be given for reads that are still to be taken, and `state` with it.")
    separation, share = checked(separation, "separation", "", positive), checked(share, "share", "", _PART)
    # From the first read, see `_deviation`.
    sigma = (
        _deviation(device, state, key, reads=number) if given is None else jnp.std(given - given[:1], axis=0, ddof=1)
    )
    window = device.g_max - device.g_min
    return 1 + int(window / (separation * jnp.quantile(sigma, share))), sigma


@partial(jax.jit, static_argnames="reads")
def _deviation(device: AbstractFluctuating, state: Any, key: Any, *, reads: int) -> Array:
    first = device.read(state, key=key)

    def add(sums: tuple[Array, Array], key: jax.Array) -> tuple[tuple[Array, Array], None]:
        # From the first read: squares of the whole conductance have no digits left for its noise. In microsiemens.
        x = (device.read(state, key=key) - first) * 1e6
        return (sums[0] + x, sums[1] + x**2), None

    none = jnp.zeros_like(first)
    (total, squares), _ = jax.lax.scan(add, (none, none), jax.random.split(jax.random.fold_in(key, 1), reads))
    return jnp.sqrt(jnp.maximum(squares - total**2 / reads, 0) / (reads - 1)) * 1e-6
