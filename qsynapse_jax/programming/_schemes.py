"""Which pulse comes next: fixed ones, a rising staircase, or steps that shrink towards the target."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from qsynapse_jax._checks import as_real, is_concrete
from qsynapse_jax.devices import AnalogCell


def _positive(name: str, default: float) -> Any:
    return eqx.field(converter=lambda value: as_real(value, name), default=default)


class AbstractScheme(eqx.Module):
    """Chooses the next pulse of every cell from the last read.

    `max_pulses` ends the attempts on a cell where `write_verify` is given no other number. `erase_pulses` does so on a
    target without lower bound, which only resets can reach: no further one helps a cell whose filament does not open.
    """

    max_pulses: eqx.AbstractVar[int]
    erase_pulses: eqx.AbstractVar[int]

    @abstractmethod
    def start(self, device: AnalogCell, low: Float[Array, " n"], high: Float[Array, " n"]) -> Any:
        """What the scheme remembers of each cell before its first pulse: a tree of arrays of length n."""

    @abstractmethod
    def next(
        self, device: AnalogCell, memory: Any, g: Float[Array, " n"], low: Float[Array, " n"], high: Float[Array, " n"]
    ) -> tuple[Bool[Array, " n"], Float[Array, " n"], Any]:
        """The next pulse of cells whose read `g` [S] is out of its band.

        Returns:
            Whether it is a set; its gate voltage [V] or, of a reset, its strength; and what to remember.
        """

    def __check_init__(self):
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if is_concrete(value) and not float(value) > 0:
                raise ValueError(f"Argument `{name}` must be positive, but is {value}.")


def _nominal_voltage(
    device: AnalogCell, low: Float[Array, " n"], high: Float[Array, " n"], v_max: Float[Array, ""]
) -> Float[Array, " n"]:
    """Gate voltage for the middle of a band [V]; the largest one where the band has no end."""
    middle = jnp.sqrt(jnp.maximum(low, 0) * jnp.where(jnp.isfinite(high), high, 0))
    return jnp.where(middle > 0, jnp.minimum(device.gate_voltage(middle), v_max), v_max)


class FPPV(AbstractScheme):
    """Fixed pulses: the set pulse that suits the median cell; whoever missed is reset and tries again.

    Args:
        v_max: gate voltage for a band without upper end [V].
        max_pulses: of one cell; 1,000 in the data files of 2 bits [S], 2,000 in those of 3 [D].
        erase_pulses: resets tried on the lowest level; 10 in the data files [S].
    """

    v_max: Float[Array, ""] = _positive("v_max", 4.5)
    max_pulses: int = eqx.field(static=True, default=1000)
    erase_pulses: int = eqx.field(static=True, default=10)

    def start(self, device: AnalogCell, low: Float[Array, " n"], high: Float[Array, " n"]) -> Any:
        # False: the last pulse was no set, so a cell below its band may have one.
        return _nominal_voltage(device, low, high, self.v_max), jnp.zeros(low.shape, bool)

    def next(
        self, device: AnalogCell, memory: Any, g: Float[Array, " n"], low: Float[Array, " n"], high: Float[Array, " n"]
    ) -> tuple[Bool[Array, " n"], Float[Array, " n"], Any]:
        v, was_set = memory
        is_set = (g < low) & ~was_set
        return is_set, jnp.where(is_set, v, 1), (v, is_set)


class ISPP(AbstractScheme):
    """Incremental steps: the gate voltage rises with every set pulse; who overshoots is reset and starts again.

    Args:
        v_start: of the first set pulse [V].
        v_step: from one set pulse to the next [V].
        v_max: not exceeded [V].
        max_pulses: of one cell; 200 is where the published counts of 2 bits end [D].
        erase_pulses: resets tried on the lowest level; 50 in the data files [S].
    """

    v_start: Float[Array, ""] = _positive("v_start", 2.0)
    v_step: Float[Array, ""] = _positive("v_step", 0.045)
    v_max: Float[Array, ""] = _positive("v_max", 5.0)
    max_pulses: int = eqx.field(static=True, default=200)
    erase_pulses: int = eqx.field(static=True, default=50)

    def start(self, device: AnalogCell, low: Float[Array, " n"], high: Float[Array, " n"]) -> Any:
        return jnp.full(low.shape, self.v_start)

    def next(
        self, device: AnalogCell, memory: Any, g: Float[Array, " n"], low: Float[Array, " n"], high: Float[Array, " n"]
    ) -> tuple[Bool[Array, " n"], Float[Array, " n"], Any]:
        is_set = g < low
        raised = jnp.minimum(memory + self.v_step, self.v_max)
        return is_set, jnp.where(is_set, memory, 1), jnp.where(is_set, raised, self.v_start)


class RangeAdapting(AbstractScheme):
    """Coarse steps far from the band, fine ones near it; an overshoot is taken back a little, not from the start.

    The overdrive v - v_t begins at `first` of what suits the median cell, and grows by a factor. A reset out of the
    band is a weak one and keeps most of the filament, so that what was learnt of it stays true.

    The idea is RADAR's; its own protocol, which adapts bit-line voltages too, is not reproduced here.

    Args:
        first: first overdrive over the nominal one.
        coarse, fine: relative steps of the overdrive, far from the band and near it.
        near: distance of ln G below the band at which steps become fine.
        weak: strength of a reset after an overshoot.
        back: factor of the overdrive after it.
        v_max: not exceeded [V].
        max_pulses: of one cell; 45 is where the published counts of 2 bits end [D]. Narrower bands need more.
        erase_pulses: full resets tried on the lowest level.
    """

    first: Float[Array, ""] = _positive("first", 0.22)
    coarse: Float[Array, ""] = _positive("coarse", 0.15)
    fine: Float[Array, ""] = _positive("fine", 0.08)
    near: Float[Array, ""] = _positive("near", 0.08)
    weak: Float[Array, ""] = _positive("weak", 0.05)
    back: Float[Array, ""] = _positive("back", 0.85)
    v_max: Float[Array, ""] = _positive("v_max", 5.0)
    max_pulses: int = eqx.field(static=True, default=45)
    erase_pulses: int = eqx.field(static=True, default=30)

    def start(self, device: AnalogCell, low: Float[Array, " n"], high: Float[Array, " n"]) -> Any:
        return self.first * (_nominal_voltage(device, low, high, self.v_max) - device.v_t)

    def next(
        self, device: AnalogCell, memory: Any, g: Float[Array, " n"], low: Float[Array, " n"], high: Float[Array, " n"]
    ) -> tuple[Bool[Array, " n"], Float[Array, " n"], Any]:
        is_set = g < low
        # g > 0 always: a cell leaks.
        step = jnp.where(jnp.log(low / g) > self.near, self.coarse, self.fine)
        raised = jnp.minimum(memory * (1 + step), self.v_max - device.v_t)
        strength = jnp.where(low > 0, self.weak, 1)
        amplitude = jnp.where(is_set, device.v_t + raised, strength)
        return is_set, amplitude, jnp.where(is_set, raised, self.back * memory)
