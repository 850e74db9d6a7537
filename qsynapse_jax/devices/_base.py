"""The contract of a device: what a scheme, a tile or a learning rule may ask of one, and what a write costs."""

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import Model, Numbers, Scalar, as_whole, check, non_negative, non_negative_or_infinite, reals


class Pulse(Model):
    """A rectangular voltage pulse at the terminals of devices; one of 0 V is no pulse.

    Args:
        v: voltage across the device, positive towards higher conductance [V].
        width: duration [s].
        gate: gate voltage of an access transistor meanwhile [V]; infinity is one that does not limit.
    """

    v: Numbers = reals("V")
    width: Numbers = reals("s", non_negative)
    gate: Numbers = reals("V", non_negative_or_infinite, default=float("inf"))

    def where(self, mask: Bool[Array, "*shape"], other: "Pulse") -> "Pulse":
        """This pulse for the devices of `mask`, the `other` one for the rest."""
        return jax.tree.map(lambda mine, theirs: jnp.where(mask, mine, theirs), self, other)

    def only(self, mask: Bool[Array, "*shape"]) -> "Pulse":
        """This pulse for the devices of `mask`, none for the rest."""
        return Pulse(jnp.where(mask, self.v, 0), self.width, self.gate)


# To a type checker a declared array of numbers like any other; it is one of integers.
if TYPE_CHECKING:
    Counts = Numbers
else:
    Counts = Int[Array, "..."]


def _counts(value: Any) -> Int[Array, "..."]:
    if not np.issubdtype(getattr(value, "dtype", type(value)), np.integer):
        raise ValueError(f"Argument `count` must hold integers, but is {value!r}.")
    if is_concrete(value):
        check(value, "count", "", non_negative)
    return jnp.asarray(value, jnp.int32)


def _count_field() -> Any:
    return eqx.field(converter=_counts)


class Exposure(Model):
    """Many equal pulses that a device receives because its neighbors are written (half-selects).

    Args:
        v: voltage across the device, signed as in `Pulse` [V].
        width: duration of one pulse [s].
        count: number of pulses.
    """

    v: Numbers = reals("V")
    width: Numbers = reals("s", non_negative)
    count: Counts = _count_field()


class Trace(Model):
    """What a write cost, device by device; all leaves have the shape of the devices.

    The sum of two traces is the cost of both writes; it is a success where both were.

    Args:
        sets: pulses towards higher conductance.
        resets: pulses towards lower conductance.
        reads: verifying reads.
        time: time for which the device was pulsed or read [s].
        energy: energy spent in the device [J].
        success: whether the device ended where it should; a pulse alone has no target and always succeeds.
    """

    sets: Int[Array, "*shape"]
    resets: Int[Array, "*shape"]
    reads: Int[Array, "*shape"]
    time: Float[Array, "*shape"] = eqx.field(metadata={"unit": "s"})
    energy: Float[Array, "*shape"] = eqx.field(metadata={"unit": "J"})
    success: Bool[Array, "*shape"]

    @classmethod
    def zeros(cls, shape: tuple[int, ...], dtype: Any = None) -> "Trace":
        """The trace of a write that cost nothing and succeeded."""
        none, free = jnp.zeros(shape, jnp.int32), jnp.zeros(shape, float if dtype is None else dtype)
        return cls(none, none, none, free, free, jnp.ones(shape, bool))

    @classmethod
    def of_pulse(cls, pulse: Pulse, energy: Float[Array, "*shape"]) -> "Trace":
        """The trace of one pulse per device that costs `energy` [J]; devices at 0 V receive none."""
        none, shape = jnp.zeros_like(energy), energy.shape
        sets, resets = (jnp.broadcast_to(sign, shape).astype(jnp.int32) for sign in (pulse.v > 0, pulse.v < 0))
        time, energy = (jnp.where(pulse.v != 0, x, none) for x in (pulse.width, energy))
        return cls(sets, resets, jnp.zeros(shape, jnp.int32), time, energy, jnp.ones(shape, bool))

    @classmethod
    def of_read(cls, time: Float[Array, ""], energy: Float[Array, "*shape"]) -> "Trace":
        """The trace of one verifying read per device that takes `time` [s] and costs `energy` [J]."""
        free = cls.zeros(energy.shape, energy.dtype)
        return replace(free, reads=free.reads + 1, time=free.time + time, energy=energy)

    @property
    def pulses(self) -> Int[Array, "*shape"]:
        """Set and reset pulses together, which is what papers count; reads are apart."""
        return self.sets + self.resets

    def __add__(self, other: "Trace") -> "Trace":
        return jax.tree.map(lambda a, b: a & b if a.dtype == bool else a + b, self, other)

    def only(self, mask: Bool[Array, "*shape"]) -> "Trace":
        """This trace for the devices of `mask`, one that cost nothing for the rest."""
        return jax.tree.map(lambda x: x | ~mask if x.dtype == bool else jnp.where(mask, x, 0), self)


class AbstractDevice(Model):
    """An element with a state that conducts, is read and ages.

    States are PyTrees whose leaves all have the shape of the device array.
    """

    @abstractmethod
    def init(self, shape: tuple[int, ...], *, key: jax.Array) -> Any:
        """State of `shape` devices as they are fabricated, each with its own deviations."""

    @abstractmethod
    def conductance(self, state: Any, *, temperature: Any = 300.0) -> Float[Array, "*shape"]:
        """Conductances at `temperature` [K] without read noise [S]."""

    @abstractmethod
    def read(self, state: Any, *, key: jax.Array, window: Any = None) -> Float[Array, "*shape"]:
        """One read of every device with its noise [S]; `window` is its duration [s] where noise has a spectrum."""

    @abstractmethod
    def age(self, state: Any, seconds: Any, temperature: Any, *, key: jax.Array | None = None) -> Any:
        """State after `seconds` [s] at `temperature` [K]; ageing for a, then for b, is ageing for a + b."""


class AbstractPulsed(AbstractDevice):
    """A device that moves by one small step per pulse.

    Weights go from `w_min` to `w_max`, and the conductances of both are `g_min` and `g_max` [S].
    """

    w_min: eqx.AbstractVar[Scalar]
    w_max: eqx.AbstractVar[Scalar]
    g_min: eqx.AbstractVar[Scalar]
    g_max: eqx.AbstractVar[Scalar]

    @abstractmethod
    def pulse(self, state: Any, count: Int[Array, "*shape"], *, key: jax.Array) -> Any:
        """State after `count` pulses per device; a positive count potentiates, a negative one depresses."""

    @abstractmethod
    def weight(self, state: Any) -> Float[Array, "*shape"]:
        """Weights between `w_min` and `w_max`."""

    @property
    @abstractmethod
    def mean_step(self) -> Float[Array, ""]:
        """Size of a step near weight 0, mean of both directions and of all devices, which learning rules count in."""

    def creep(self, state: Any, up: Any, down: Any, noise: Any, *, key: jax.Array) -> Any:
        """State after small parts of pulses, which is what half-selects are.

        Args:
            state: of the devices.
            up: how many pulses towards higher weights they amount to, a floating-point number for every device.
            down: likewise towards lower weights.
            noise: standard deviation of the sum of both, in pulses.
            key: random key for the noise.

        Raises:
            ValueError: a device that does not say.
        """
        raise ValueError(
            f"A {type(self).__name__} does not say what a part of a pulse does to it, so half-selects cannot be "
            "simulated; give it a method `creep`, or leave `half_select` away."
        )

    def moving(self, state: Any) -> Any:
        """Those leaves of a state that a pulse can change: all by default, fewer where a device knows better."""
        return jax.tree.leaves(state)


class AbstractDriven(AbstractDevice):
    """A device that is written by voltage pulses at its terminals."""

    @abstractmethod
    def apply(self, state: Any, pulse: Pulse, *, key: jax.Array) -> tuple[Any, Trace]:
        """State after one pulse per device, and what the pulse cost; 0 V changes nothing and costs nothing."""

    @abstractmethod
    def disturb(self, state: Any, exposure: Exposure, *, key: jax.Array) -> Any:
        """State after the pulses that devices receive while their neighbors are written."""

    @abstractmethod
    def read_trace(self, state: Any) -> Trace:
        """What one verifying read of every device costs."""

    def write_current(self, state: Any, v: Float[Array, "..."]) -> Float[Array, "..."]:
        """Currents while `v` [V] is across the devices [A]: what a write draws from the lines. Ohmic unless said."""
        return self.conductance(state) * v


class AbstractGated(AbstractDriven):
    """A device behind an access transistor, whose gate voltage chooses the level that a set pulse reaches."""

    v_t: eqx.AbstractVar[Scalar]

    @abstractmethod
    def gate_voltage(self, g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Gate voltage whose set pulse leaves the median device at `g` [S]; infinite where none does [V]."""

    @abstractmethod
    def set_pulse(self, gate: Any) -> Pulse:
        """The set pulse of a gate voltage [V]."""

    @abstractmethod
    def reset_pulse(self, strength: Any) -> Pulse:
        """The reset pulse of a strength in (0, 1]: the part of the way to the open state that it goes."""


class AbstractBipolar(AbstractDriven):
    """A device of many levels that a voltage of one sign moves up and one of the other down, the further the higher.

    Pulses of the amplitudes `v_set` and `v_reset` [V], both positive, and widths `t_set` and `t_reset` [s] are those of
    its operating point.
    """

    v_set: eqx.AbstractVar[Scalar]
    v_reset: eqx.AbstractVar[Scalar]
    t_set: eqx.AbstractVar[Scalar]
    t_reset: eqx.AbstractVar[Scalar]


class AbstractFluctuating(AbstractDriven):
    """A device whose conductance fluctuates, the less so after pulses that are too weak to switch it."""

    g_min: eqx.AbstractVar[Scalar]
    g_max: eqx.AbstractVar[Scalar]

    @abstractmethod
    def set_pulse(self, step: Any, g: Any = None) -> Pulse:
        """The pulse up that moves the median device by `step` [S] from `g` [S], or as far as pulses go."""

    @abstractmethod
    def reset_pulse(self, step: Any, g: Any = None) -> Pulse:
        """The pulse down, likewise; `step` is positive."""

    @abstractmethod
    def denoise_pulse(self, sign: Any = -1.0) -> Pulse:
        """A pulse that may calm a device and does not switch it, of a polarity."""

    @abstractmethod
    def read_noise(self, g: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Standard deviation of a read of a device at `g` [S] that does not fluctuate [S]."""


class AbstractTwoLevel(AbstractDriven):
    """A switch: a device that is on or off."""

    r_on: eqx.AbstractVar[Scalar]
    r_off: eqx.AbstractVar[Scalar]

    @abstractmethod
    def is_on(self, state: Any) -> Bool[Array, "*shape"]:
        """Which devices are on."""

    @abstractmethod
    def set_pulse(self) -> Pulse:
        """The pulse that turns a device on."""

    @abstractmethod
    def reset_pulse(self) -> Pulse:
        """The pulse that turns a device off."""


def as_shape(shape: Any) -> tuple[int, ...]:
    """`shape` as Python integers, NumPy's too, which a compiled function takes for what they are."""
    return tuple(as_whole(n, "shape", 0) for n in shape)


def demand(device: Any, capability: type[AbstractDevice], asker: str) -> None:
    """Raises a `ValueError` unless `device` has a capability; it names `asker` and the devices that have it."""
    if isinstance(device, capability):
        return
    able = ", ".join(f"`{name}`" for name in sorted(_shipped(capability))) or "no device of this package"
    raise ValueError(
        f"Argument `device` must be an `{capability.__name__}` for {asker}, but is a `{type(device).__name__}`; "
        f"devices that are: {able}."
    )


def _shipped(capability: type) -> set[str]:
    """Names of the devices of this package that have a capability."""
    names = set()
    for kind in capability.__subclasses__():
        if not kind.__name__.startswith("Abstract") and kind.__module__.startswith("qsynapse_jax."):
            names.add(kind.__name__)
        names |= _shipped(kind)
    return names
