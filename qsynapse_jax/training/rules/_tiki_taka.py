"""Two arrays per matrix: a fast one gathers gradients, and what it holds is moved to a slow one, row by row."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qsynapse_jax._fields import Scalar, positive, probability, real, whole
from qsynapse_jax.nn import Outer, PulsedKernel
from qsynapse_jax.training.rules._analog_sgd import Tally, pulsed_kernels
from qsynapse_jax.training.rules._arrays import all_pulsed, row_pulsed, row_read
from qsynapse_jax.training.rules._base import AbstractRule
from qsynapse_jax.training.rules._groups import in_groups
from qsynapse_jax.training.rules._trains import PulseTrains, Sent

FAST, SLOW = 0, 1
# Weight of a presentation in the running means of the largest factors.
_FORGOTTEN = 0.01


class Moving(eqx.Module):
    """What a kernel's transfer remembers, beside its devices.

    Attributes:
        tally: what was sent to the fast array.
        hidden: steps of the slow array that are still to be made, fractions of one; kept in digital.
        chopper: sign with which each row of the fast array learns at present.
        reference: what is taken off a read of the fast array, row by row.
        mean: running mean of its reads in the present period of the chopper.
        size_x, size_d: running means of the largest factors.
        moved: reads of rows until now.
    """

    tally: Tally
    hidden: Float[Array, "*groups rows cols"]
    chopper: Float[Array, "*groups rows"]
    reference: Float[Array, "*groups rows cols"]
    mean: Float[Array, "*groups rows cols"]
    size_x: Float[Array, ""]
    size_d: Float[Array, ""]
    moved: Int[Array, ""]


class Read(NamedTuple):
    """One row of the fast array as it was read, and what is remembered of it."""

    value: Float[Array, " cols"]
    chopper: Float[Array, ""]
    reference: Float[Array, " cols"]
    mean: Float[Array, " cols"]


class Presented(NamedTuple):
    """What was sent to the arrays of a kernel for one presentation.

    Attributes:
        sent: trains, to the fast array.
        row: of the slow array, counted through all groups, that was pulsed after them; -1 where none was.
        steps: pulses of its devices, with their sign.
    """

    sent: Sent
    row: Int[Array, ""]
    steps: Int[Array, " cols"]


class AbstractTransfer(AbstractRule):
    """Gradients are gathered by a fast array A, and moved to a slow array C, which is the matrix.

    Every presentation pulses A with the rate lambda_A. Every `every` presentations one row of A is read, in turn, and
    what is found, times lambda_H, is added to steps H that are kept in digital; whole steps among them are sent to the
    same row of C, as pulses of its mean step.

        lambda_A = fast_rate length step / (mean max|x| mean max|d|)
        lambda_H = learning_rate every rows / (granularity step lambda_A)

    Where `in_steps`, `every` counts steps of training, that is presentations divided by those of a step: a sample of a
    convolution is hundreds of presentations, one for each window, and would otherwise move rows hundreds of times.

    A kernel needs two arrays, the fast one first: `nn.pulsed(..., gains=(0.0, 1.0))`.
    """

    learning_rate: eqx.AbstractVar[Scalar]
    fast_rate: eqx.AbstractVar[Scalar]
    granularity: eqx.AbstractVar[Scalar]
    every: eqx.AbstractVar[int]
    in_steps: eqx.AbstractVar[bool]
    trains: eqx.AbstractVar[PulseTrains]

    @abstractmethod
    def gathered(self, read: Read, key: PRNGKeyArray) -> tuple[Float[Array, " cols"], Read]:
        """What a row adds to the hidden steps, apart from lambda_H, and what is remembered of it."""

    def init(self, model: nnx.Module) -> Any:
        kernels = pulsed_kernels(model, type(self).__name__, self.arrays())
        return {path: self._begun(kernel) for path, kernel in kernels.items()}

    def arrays(self) -> int:
        """How many arrays a kernel must have, the fast and the slow one first."""
        return 2

    def _begun(self, kernel: Any) -> Moving:
        weight = kernel.device.weight(kernel.devices())
        none, zero = jnp.zeros_like(weight[FAST]), jnp.zeros((), weight.dtype)
        return Moving(
            Tally.zero(),
            none,
            jnp.ones_like(none[..., 0]),
            self.first_reference(kernel.device, jax.tree.map(lambda leaf: leaf[FAST], kernel.devices())),
            none,
            zero,
            zero,
            jnp.zeros((), jnp.int32),
        )

    def first_reference(self, device: Any, fast: Any) -> Float[Array, "*groups rows cols"]:
        """What is taken off reads of the fast array at first; 0, the weight of devices at their reference."""
        return jnp.zeros_like(device.weight(fast))

    def update(
        self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray
    ) -> tuple[nnx.Module, Any]:
        kernels = pulsed_kernels(model, type(self).__name__, self.arrays())
        return self._groups(kernels, model, rule_state, outer, key)[:2]

    def sent(self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray) -> dict[str, Any]:
        kernels = pulsed_kernels(model, type(self).__name__, self.arrays())
        _, _, found = self._groups(kernels, model, rule_state, outer, key)
        return {
            path: (one.sent, jnp.full(len(one.row), FAST), (SLOW, one.row, one.steps)) for path, one in found.items()
        }

    def _groups(self, kernels: dict[str, PulsedKernel], *of_step: Any) -> tuple[nnx.Module, Any, dict[str, Any]]:
        return in_groups(self._present, kernels, *of_step, whole_step=self.in_steps)

    def _present(
        self, kernel: PulsedKernel, devices: Any, memory: Moving, x: Array, delta: Array, keys: Array
    ) -> tuple[Any, Moving, Presented]:
        device, n = kernel.device, len(x)
        bits, noise, moving = jax.vmap(lambda key: jax.random.split(key, 3), out_axes=1)(keys)
        size_x, size_d = self._sizes(memory, x, delta)
        size = size_x * size_d
        rate = self.fast_rate * self.trains.length / jnp.where(size > 0, size, 1)
        sent = jax.vmap(self.trains.send)(memory.chopper[None] * x, -delta, rate, bits)
        devices, counts = all_pulsed(device, devices, jnp.full(n, FAST), sent, noise, self.trains)
        tally = memory.tally.after(sent, counts, jnp.int32(FAST))
        memory = eqx.tree_at(lambda m: (m.tally, m.size_x, m.size_d), memory, (tally, size_x[-1], size_d[-1]))
        rows, every = memory.chopper.size, self.every * n
        scale = self.learning_rate * every * rows / (self.granularity * device.mean_step * rate[-1] * device.mean_step)
        # A loop of one step or none, since around a condition all devices would be copied.
        due = (tally.groups % self.every == 0).astype(jnp.int32)

        row = jnp.where(due > 0, memory.moved % rows, -1)

        def transfer(number: Array, carry: tuple[Any, Moving, Array]) -> tuple[Any, Moving, Array]:
            return self._transferred(device, carry[0], carry[1], scale, moving[-1])

        nothing = jnp.zeros(memory.hidden.shape[-1], jnp.int32)
        devices, memory, steps = jax.lax.fori_loop(0, due, transfer, (devices, memory, nothing))
        is_last = jnp.arange(n) == n - 1
        steps = jnp.where(is_last[:, None], steps[None], 0)
        return devices, memory, Presented(sent, jnp.where(is_last, row, -1), steps)

    def _sizes(self, memory: Moving, x: Array, delta: Array) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """Running means of the largest factors at every presentation."""

        def one(carry: tuple[Array, Array], now: Array) -> tuple[Any, Array]:
            is_first, mean = carry
            mean = jnp.where(is_first, now, mean + _FORGOTTEN * (now - mean))
            return (jnp.zeros_like(is_first), mean), mean

        largest = jnp.stack([jnp.max(jnp.abs(factor), range(1, factor.ndim)) for factor in (x, delta)], 1)
        before = jnp.stack([memory.size_x, memory.size_d])
        means = jax.lax.scan(one, (memory.tally.presentations == 0, before), largest)[1]
        return means[:, 0], means[:, 1]

    def _transferred(
        self, device: Any, devices: Any, memory: Moving, scale: Array, key: Any
    ) -> tuple[Any, Moving, Int[Array, " cols"]]:
        """One row of the fast array read, and whole steps sent to the slow one."""
        chopping, pulsing, reading = jax.random.split(key, 3)
        rows = memory.chopper.size
        row = memory.moved % rows

        def of_row(leaf: Array) -> Array:
            return jax.lax.dynamic_index_in_dim(leaf.reshape(rows, *leaf.shape[memory.chopper.ndim :]), row, 0, False)

        def put(leaf: Array, value: Array) -> Array:
            by_row = leaf.reshape(rows, *leaf.shape[memory.chopper.ndim :])
            return jax.lax.dynamic_update_index_in_dim(by_row, value, row, 0).reshape(leaf.shape)

        fast = row_read(device, devices, row, reading)
        kept = (memory.chopper, memory.reference, memory.mean)
        found, read = self.gathered(Read(fast, *map(of_row, kept)), chopping)
        hidden = of_row(memory.hidden) + scale.astype(found.dtype) * found
        whole = jnp.trunc(hidden)
        steps = whole.astype(jnp.int32)
        devices = row_pulsed(device, devices, SLOW, row, steps, pulsing)
        memory = Moving(
            memory.tally,
            put(memory.hidden, hidden - whole),
            put(memory.chopper, read.chopper),
            put(memory.reference, read.reference),
            put(memory.mean, read.mean),
            memory.size_x,
            memory.size_d,
            memory.moved + 1,
        )
        return devices, memory, steps


class TikiTaka(AbstractTransfer):
    """Tiki-Taka with a buffer (version 2), and with choppers where `chopper` is above 0.

    A row of the fast array learns with a sign that is changed at random when the row has been read; what is read is
    taken with the same sign, so that an offset of the fast array averages out.

    Args:
        learning_rate: of the matrix.
        fast_rate: mean pulses of a device for the largest factors, in units of the train's length.
        granularity: how much of a gradient it takes for a step of the slow array.
        every: presentations between two reads. Static.
        in_steps: whether `every` counts steps of training instead, for convolutions. Static.
        chopper: probability that a row changes its sign after a read.
        trains: of the fast array.

    Reference: T. Gokmen, Front. Artif. Intell. 4:699148, 2021, doi 10.3389/frai.2021.699148 (version 2); M. J. Rasch
        et al., Nat. Commun. 15:7133, 2024, doi 10.1038/s41467-024-51221-z (choppers, rates).
    """

    learning_rate: Scalar = real("", positive)
    fast_rate: Scalar = real("", positive, default=1.0)
    granularity: Scalar = real("", positive, default=200.0)
    every: int = whole(1, default=5)
    in_steps: bool = eqx.field(static=True, default=False)
    chopper: Scalar = real("", probability, default=0.0)
    trains: PulseTrains = eqx.field(default_factory=lambda: PulseTrains(length=5))

    def gathered(self, read: Read, key: PRNGKeyArray) -> tuple[Float[Array, " cols"], Read]:
        flip = jax.random.uniform(key, ()) < self.chopper
        chopper = jnp.where(flip, -read.chopper, read.chopper)
        return read.chopper * (read.value - read.reference), read._replace(chopper=chopper)


class AGAD(AbstractTransfer):
    """Analog gradient accumulation with dynamic reference: choppers, and a reference that is what was read before.

    Of each read the mean of the reads before the last change of the row's sign is taken off. No device is needed as a
    reference, nor does a symmetry point have to be known.

    Args:
        learning_rate, fast_rate, granularity, every, in_steps, trains: as for `TikiTaka`.
        chopper: probability that a row changes its sign after a read.
        memory: weight of a read in the running mean.

    Reference: M. J. Rasch et al., Nat. Commun. 15:7133, 2024, doi 10.1038/s41467-024-51221-z.
    """

    learning_rate: Scalar = real("", positive)
    fast_rate: Scalar = real("", positive, default=1.0)
    granularity: Scalar = real("", positive, default=200.0)
    every: int = whole(1, default=5)
    in_steps: bool = eqx.field(static=True, default=False)
    chopper: Scalar = real("", probability, default=0.1)
    memory: Scalar = real("", probability, default=0.5)
    trains: PulseTrains = eqx.field(default_factory=lambda: PulseTrains(length=5))

    def first_reference(self, device: Any, fast: Any) -> Float[Array, "*groups rows cols"]:
        return device.weight(fast)

    def gathered(self, read: Read, key: PRNGKeyArray) -> tuple[Float[Array, " cols"], Read]:
        found = read.chopper * (read.value - read.reference)
        mean = read.mean + self.memory * (read.value - read.mean)
        flip = jax.random.uniform(key, ()) < self.chopper
        reference = jnp.where(flip, mean, read.reference)
        return found, Read(read.value, jnp.where(flip, -read.chopper, read.chopper), reference, mean)
