"""Any number of arrays per matrix: each one learns what the coarser ones leave, and hands it on to the next coarser."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Int, PRNGKeyArray

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import Rule, Scalar, checked, positive, real, whole
from qsynapse_jax.nn import Outer, PulsedKernel
from qsynapse_jax.training.rules._analog_sgd import Tally, pulsed_kernels, switches, told
from qsynapse_jax.training.rules._arrays import all_pulsed, row_pulsed, row_read
from qsynapse_jax.training.rules._base import AbstractRule
from qsynapse_jax.training.rules._groups import in_groups
from qsynapse_jax.training.rules._trains import PulseTrains

FINEST = 0
# Groups of presentations are counted in 32 bits: an array on a slower clock than this is never read.
_NEVER = 2**32 - 1


def _share(value: Any) -> float:
    checked(value, "share", "", Rule("from 0 to 1", lambda x: (x >= 0) & (x <= 1)))
    return float(value)


class ResidualLearning(AbstractRule):
    """Multi-tile residual learning: every array learns what the coarser ones leave, on a faster clock than theirs.

        matrix = sum over n of gains[n] W_n,   gains ascending, e.g. (gamma^2, gamma, 1)
        W_0 <- W_0 - learning_rate gradient                   every presentation
        W_(n+1) <- W_(n+1) + transfer W_n, row by row         a row every `every slower^n` presentations

    The finest array W_0 receives both factors of every presentation as pulse trains. Of every array one row is read at
    a time, and what is found is sent to the same row of the next array in whole pulses, rounded at random unless
    `nearest`: nothing is kept in digital. At weight 0 nothing is handed on, so symmetry points should lie there, but
    those of the coarsest.

    Two conditions: a step of an array, gain times `mean_step`, is within the range of the next finer one; and between
    two reads of a row, `every rows` presentations, the finest array has come to terms with the step before.

    With two arrays it is Tiki-Taka version 1: A is the finest, C the other, `nn.pulsed(..., gains=(gamma, 1.0))`.

    A warm start, where `switch` is not empty, hands on what the finest array holds to the coarsest one first, then to
    the next finer, before the clocks begin; the arrays in between stay as they are.

    Args:
        learning_rate: of the finest array, in units of its own weights, whatever its gain.
        transfer: part of what is read that the next array moves by.
        arrays: how many, finest first. Static.
        every: presentations between two reads of the finest array. Static.
        cycle: training steps in which all rows of the finest array are read once, but a row a step at most; then they,
            and not `every`, are the clock, and `switch` counts steps. For convolutions: a sample is hundreds of
            presentations, one for each window, and their few rows would come round hundreds of times as often as
            those of a dense layer. 0 is `every`. Static.
        share: how far the n presentations of a step share the learning rate, where `cycle` is the clock: each has
            `learning_rate/n^share`, 0 to 1. Windows of a convolution send pulses of both signs, hundreds a sample: with
            0 its finest array forgets within a sample, with 0.5 no faster than that of a dense layer. Static.
        slower: how much slower the clock of every next array is. Static.
        switch: presentations after which the warm start goes on to the next finer array, or ends, in ascending order.
            The paper goes on when the loss does not fall any more, of which a rule knows nothing. Static.
        schedule: factor of the learning rate for the number of presentations until then; `None` is 1. Static.
        nearest: whether reads are rounded to the nearest whole number of pulses, not at random. Then a weight below
            `mean_step/(2 transfer)` hands on nothing, which may be noise, and the next array keeps what it has; rounded
            at random, noise moves it to and fro, which pulls soft devices to their symmetry point. Static.
        carry: whether what an array hands on is taken off it, by pulses of the other sign, as digits of a number are
            carried: as many as change the matrix by as much, to the nearest whole one, but no more than lead to weight
            0. Then the matrix stays as it was, and the finer array has room again. What is sent to a device at its
            bound is lost. Static.
        trains: how factors become pulses.

    Raises:
        ValueError: numbers out of range; more of `switch` than arrays that may be fed; a `share` without a
            `cycle`; a model with other arrays, or whose gains do not ascend from above 0 where there is a carry.

    Reference: J. Li et al., arXiv 2510.02516, 2025 (algorithm 1; on MNIST gamma 0.5, `every=2`, `slower=5`, `transfer`
        0.1 and more; gamma is best near one over the number of states); T. Gokmen and W. Haensch, Front. Neurosci.
        14:103, 2020, doi 10.3389/fnins.2020.00103 (two arrays).
    """

    learning_rate: Scalar = real("", positive)
    transfer: Scalar = real("", positive, default=0.1)
    arrays: int = whole(2, default=2)
    every: int = whole(1, default=2)
    cycle: int = whole(0, default=0)
    share: float = eqx.field(static=True, converter=_share, default=0.0)
    slower: int = whole(1, default=5)
    switch: tuple[int, ...] = eqx.field(static=True, converter=switches, default=())
    schedule: Callable[[Any], Any] | None = eqx.field(static=True, default=None)
    nearest: bool = eqx.field(static=True, default=False)
    carry: bool = eqx.field(static=True, default=False)
    trains: PulseTrains = eqx.field(default_factory=PulseTrains)

    def __check_init__(self):
        if len(self.switch) >= self.arrays:
            raise ValueError(
                f"Argument `switch` must hold {self.arrays - 1} numbers at most, one for every array but the finest, "
                f"but is {self.switch}."
            )
        if self.share and not self.cycle:
            raise ValueError("Argument `share` needs steps as the clock; give `cycle`, 1 or more.")

    def init(self, model: nnx.Module) -> Any:
        kernels = self._kernels(model)
        for path, kernel in kernels.items():
            gains = kernel.gains.get_value()
            if self.carry and is_concrete(gains) and not (gains[0] > 0 and jnp.all(gains[1:] >= gains[:-1])):
                raise ValueError(
                    f"Argument `model` must have positive gains in ascending order for a carry, but those of layer "
                    f"{path} are {gains.tolist()}."
                )
        return {path: Tally.zero() for path in kernels}

    def remark(self, rule_state: Any) -> str:
        return told(list(rule_state.values()), self.trains.length, "the learning rate")

    def update(
        self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray
    ) -> tuple[nnx.Module, Any]:
        kernels = self._kernels(model)
        return in_groups(self._presented, kernels, model, rule_state, outer, key, whole_step=self.cycle > 0)[:2]

    def _kernels(self, model: nnx.Module) -> dict[str, PulsedKernel]:
        return pulsed_kernels(model, type(self).__name__, self.arrays)

    def _presented(self, kernel: PulsedKernel, devices: Any, tally: Tally, x: Array, delta: Array, keys: Array) -> Any:
        device, n = kernel.device, len(x)
        bits, noise, moving = jax.vmap(lambda key: jax.random.split(key, 3), out_axes=1)(keys)
        rate = jnp.broadcast_to(self.learning_rate * n**-self.share / device.mean_step, (n,))
        if self.schedule is not None:
            rate = rate * jax.vmap(self.schedule)(tally.presentations + jnp.arange(n, dtype=jnp.uint32))
        sent = jax.vmap(self.trains.send)(x, -delta, rate, bits)
        devices, counts = all_pulsed(device, devices, jnp.full(n, FINEST), sent, noise, self.trains)
        tally = tally.after(sent, counts, jnp.int32(FINEST))
        clocks = self._clocks(prod(x.shape[1:]))
        due, shift = self._due(tally.groups, clocks)

        def hand_on(source: Array, carry: tuple[Any, Tally]) -> tuple[Any, Tally]:
            read = tally.groups // clocks[source] - 1
            return self._handed_on(kernel, *carry, source, source + shift, read, jax.random.fold_in(moving[-1], source))

        # A loop of as many steps as arrays are due, since around a condition all devices would be copied.
        return *jax.lax.fori_loop(0, due, hand_on, (devices, tally)), None

    def _due(self, groups: Array, clocks: Array) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """How many arrays are read after presentations, finest first, and how far from each the next one is."""
        # The clock of an array divides the next one's, so that the arrays due are always the first ones.
        due = jnp.sum(groups % clocks == 0, dtype=jnp.int32)
        stage = jnp.sum(groups > jnp.asarray(self.switch, jnp.uint32), dtype=jnp.int32)
        is_warm = stage == len(self.switch)
        return jnp.where(is_warm, due, jnp.minimum(due, 1)), jnp.where(is_warm, 1, self.arrays - 1 - stage)

    def _clocks(self, lines: int) -> Array:
        """Groups between two reads of an array with so many rows, for all arrays but the coarsest."""
        finest = max(1, self.cycle // lines) if self.cycle else self.every
        return jnp.asarray([min(finest * self.slower**n, _NEVER) for n in range(self.arrays - 1)], jnp.uint32)

    def _handed_on(
        self, kernel: PulsedKernel, devices: Any, tally: Tally, source: Array, target: Array, read: Array, key: Any
    ) -> tuple[Any, Tally]:
        """One row of an array read, and the same row of another one pulsed; with a carry, what it hands on is off."""
        rounding, noise, reading = jax.random.split(key, 3)
        device, (_, *groups, rows, _) = kernel.device, jax.tree.leaves(devices)[0].shape
        lines = prod(groups) * rows
        row = (read % lines).astype(jnp.int32)

        held = row_read(device, devices, source * lines + row, reading)
        steps = self.transfer / device.mean_step * held
        # The row is on throughout, so that each column is rounded for itself.
        up = 0.5 if self.nearest else jax.random.uniform(rounding, steps.shape, steps.dtype)
        counts = jnp.floor(steps + up).astype(jnp.int32)
        # Rows of all arrays are numbered through: which array it is, is known at run time only.
        devices = row_pulsed(device, devices, 0, target * lines + row, counts, noise)
        tally = tally.and_pulses(jnp.sum(jnp.abs(counts)), target)
        if self.carry:
            gains = kernel.gains.get_value()
            handed, most = jnp.abs(counts) * gains[target] / gains[source], jnp.abs(held) / device.mean_step
            taken = jnp.round(jnp.where(handed <= 2 * most, handed, most))
            taken = -jnp.sign(counts) * taken.astype(jnp.int32)
            devices = row_pulsed(device, devices, 0, source * lines + row, taken, jax.random.fold_in(noise, 0))
            tally = tally.and_pulses(jnp.sum(jnp.abs(taken)), target)
        return devices, tally
