"""Gradient descent by the arrays themselves: every presentation pulses the devices of one array at once."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Int, PRNGKeyArray, UInt

from qsynapse_jax._fields import Scalar, as_whole, positive, real
from qsynapse_jax.nn import Outer, PulsedKernel
from qsynapse_jax.training.rules._arrays import all_pulsed
from qsynapse_jax.training.rules._base import AbstractRule, kernels_of
from qsynapse_jax.training.rules._trains import PulseTrains, Sent


class Tally(eqx.Module):
    """What was sent to the arrays of a kernel until now.

    Attributes:
        pulses: that devices received, low and high 32 bits.
        presentations: one per sample (and window of a convolution).
        groups: of presentations that were sent together: single ones, or all of a step.
        cut: presentations that asked for more slots than trains have.
        selected: array that the last one went to.
    """

    pulses: UInt[Array, " 2"]
    presentations: UInt[Array, ""]
    groups: UInt[Array, ""]
    cut: UInt[Array, ""]
    selected: Int[Array, ""]

    @classmethod
    def zero(cls) -> "Tally":
        """Nothing was sent."""
        none = jnp.zeros((), jnp.uint32)
        return cls(jnp.zeros(2, jnp.uint32), none, none, none, jnp.zeros((), jnp.int32))

    def after(self, sent: Sent, counts: Int[Array, " n"], selected: Array) -> "Tally":
        """With a group of n presentations, the last one to the selected array, in which devices got so many pulses."""
        more = jax.lax.fori_loop(0, len(counts), lambda k, tally: tally.and_pulses(counts[k], selected), self)
        is_cut = jnp.sum(sent.asked > sent.length, dtype=jnp.uint32)
        presentations, groups = self.presentations + jnp.uint32(len(counts)), self.groups + jnp.uint32(1)
        return Tally(more.pulses, presentations, groups, self.cut + is_cut, selected)

    def and_pulses(self, count: Array, selected: Array) -> "Tally":
        """With so many pulses more, which devices of the selected array received apart from presentations."""
        low = self.pulses[0] + count.astype(jnp.uint32)
        pulses = jnp.stack([low, self.pulses[1] + (low < self.pulses[0])])
        return Tally(pulses, self.presentations, self.groups, self.cut, jnp.asarray(selected, jnp.int32))


class AbstractDescent(AbstractRule):
    """Descent by pulses: for every presentation one array is selected, and its rows and columns receive the factors."""

    learning_rate: eqx.AbstractVar[Scalar]
    schedule: eqx.AbstractVar[Callable[[Any], Any] | None]
    trains: eqx.AbstractVar[PulseTrains]

    @abstractmethod
    def arrays(self) -> int:
        """How many arrays a kernel must have."""

    @abstractmethod
    def selected(self, presentations: UInt[Array, "..."]) -> Int[Array, "..."]:
        """The array that a presentation goes to, by the number of those before it."""

    def init(self, model: nnx.Module) -> Any:
        return {path: Tally.zero() for path in pulsed_kernels(model, type(self).__name__, self.arrays())}

    def remark(self, rule_state: Any) -> str:
        return told(list(rule_state.values()), self.trains.length, "the learning rate")

    def update(
        self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray
    ) -> tuple[nnx.Module, Any]:
        kernels = pulsed_kernels(model, type(self).__name__, self.arrays())
        rule_state = dict(rule_state)
        for (path, factors), its_key in zip(sorted(outer.items()), jax.random.split(key, len(outer)), strict=True):
            kernel, tally = kernels[path], rule_state[path]
            arrays, sent, noise = self._sent(kernel, tally, factors, its_key)
            devices, counts = all_pulsed(kernel.device, kernel.devices(), arrays, sent, noise, self.trains)
            kernel.set_devices(devices)
            rule_state[path] = tally.after(sent, counts, arrays[-1])
        return model, rule_state

    def sent(self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray) -> dict[str, Any]:
        kernels = pulsed_kernels(model, type(self).__name__, self.arrays())
        keys = jax.random.split(key, len(outer))
        found = {}
        for (path, factors), its_key in zip(sorted(outer.items()), keys, strict=True):
            arrays, found[path], _ = self._sent(kernels[path], rule_state[path], factors, its_key)
            found[path] = found[path], arrays
        return found

    def _sent(self, kernel: PulsedKernel, tally: Tally, factors: Outer, key: PRNGKeyArray) -> tuple[Array, Sent, Array]:
        """For every presentation the array that is selected, the trains, and the key of the devices' noise."""
        keys = jax.vmap(jax.random.split)(jax.random.split(key, len(factors.x)))
        numbers = tally.presentations + jnp.arange(len(factors.x), dtype=jnp.uint32)
        arrays = self.selected(numbers)
        rate = self.learning_rate / (kernel.gains.get_value()[arrays] * kernel.device.mean_step)
        if self.schedule is not None:
            rate = rate * jax.vmap(self.schedule)(numbers)
        return arrays, jax.vmap(self.trains.send)(factors.x, -factors.delta, rate, keys[:, 0]), keys[:, 1]


class AnalogSGD(AbstractDescent):
    """Stochastic gradient descent in one array: of every presentation the two factors are sent as pulse trains.

    Devices move where bits meet, by `-learning_rate x d` in the mean as far as their steps are the mean one. The
    presentations of a batch are sent one after another; all of them were read before.

    Args:
        learning_rate: in units of the matrix.
        schedule: factor of the learning rate for the number of presentations until then, e.g. a schedule of Optax;
            `None` is 1. Static.
        trains: how factors become pulses.

    Reference: T. Gokmen and Y. Vlasov, Front. Neurosci. 10:333, 2016, doi 10.3389/fnins.2016.00333.
    """

    learning_rate: Scalar = real("", positive)
    schedule: Callable[[Any], Any] | None = eqx.field(static=True, default=None)
    trains: PulseTrains = eqx.field(default_factory=PulseTrains)

    def arrays(self) -> int:
        return 1

    def selected(self, presentations: UInt[Array, "..."]) -> Int[Array, "..."]:
        return jnp.zeros(presentations.shape, jnp.int32)


def switches(value: Any) -> tuple[int, ...]:
    """Numbers of presentations in ascending order, or a `ValueError`."""
    numbers = tuple(as_whole(n, "switch", 1) for n in (value if isinstance(value, tuple | list) else (value,)))
    if list(numbers) != sorted(set(numbers)):
        raise ValueError(f"Argument `switch` must be in ascending order, but is {numbers}.")
    return numbers


class CoarseToFine(AbstractDescent):
    """The hybrid synapse: arrays of large and small gain, of which one learns at a time, the coarsest first.

    All arrays are read together. An update goes to all devices of the selected array at once; after `switch`
    presentations the next array is selected, and what the former one holds stays. A reconstruction: the paper's
    abstract says "simple array selection logic", not which; this one fits it and the author's later work.

    Args:
        learning_rate: in units of the matrix; the same for all arrays, so that one of small gain gets more pulses.
        switch: presentations after which the next array is selected, in ascending order. Static.
        schedule, trains: as for `AnalogSGD`.

    Reference: W. Choi, M. Kwak, S. Kim and H. Hwang, Front. Neurosci. 15:690418, 2021,
        doi 10.3389/fnins.2021.690418.
    """

    learning_rate: Scalar = real("", positive)
    switch: tuple[int, ...] = eqx.field(static=True, converter=switches, default=(60_000,))
    schedule: Callable[[Any], Any] | None = eqx.field(static=True, default=None)
    trains: PulseTrains = eqx.field(default_factory=PulseTrains)

    def arrays(self) -> int:
        return len(self.switch) + 1

    def selected(self, presentations: UInt[Array, "..."]) -> Int[Array, "..."]:
        return jnp.searchsorted(jnp.asarray(self.switch, jnp.uint32), presentations, "right").astype(jnp.int32)


def pulsed_kernels(model: nnx.Module, rule: str, arrays: int) -> dict[str, PulsedKernel]:
    """The kernels of a model by path, which all learn in place, with so many arrays each."""
    wanted = f"devices that learn in place for `{rule}` to pulse"
    found = kernels_of(
        model, PulsedKernel, wanted, "put them there: `nn.pulsed(nn.convert(model, tile), tile, key=key)`"
    )
    wrong = [path for path, kernel in found.items() if kernel.arrays != arrays]
    if wrong:
        raise ValueError(
            f"Argument `model` must have {arrays} array{'s' if arrays != 1 else ''} of devices per layer for `{rule}`, "
            f"but {wrong[0]!r} has {found[wrong[0]].arrays}; make it with as many gains: `nn.pulsed(..., gains=...)`."
        )
    return found


def told(tallies: list[Tally], length: int, remedy: str) -> str:
    """A remark where most presentations asked for more slots than trains have; empty where not."""
    cut, all_ = (sum(int(getattr(tally, name)) for tally in tallies) for name in ("cut", "presentations"))
    if 2 * cut <= all_:
        return ""
    return (
        f"{cut / all_:.0%} of the updates asked for more than the {length} pulses of a train and were cut; lower "
        f"{remedy}, or give longer trains: `PulseTrains(length=...)`."
    )
