"""Write-verify of whole arrays at once: read, pulse those that are out of their band, until none is or all gave up."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import Scalar, quantity
from qsynapse_jax.devices import AbstractDriven, AbstractGated, Pulse, Trace
from qsynapse_jax.programming._base import AbstractScheme, Bands, Decision, Progress, Reading, is_least
from qsynapse_jax.programming._bias import AbstractBias
from qsynapse_jax.programming._serial import HalfSelects

# Cells that still need pulses are gathered into a buffer of a quarter of the width whenever they fit there. Each width
# is compiled once more, so fewer of them compile faster; below the smallest the work is not worth another one.
_SHRINK = 4
_NARROWEST = 256


class AbstractVerifying(AbstractScheme):
    """Reads every device after each pulse, and chooses its next pulse from that read.

    Every round reads the devices that are not done and pulses those out of their band once, all at the same time, so
    the rounds are the pulses of the slowest device. `max_pulses` ends the attempts on a device; `erase_pulses` does so
    on a target without lower bound, which only resets can reach: no further one helps a device that does not open.
    `tolerance` is the half width of a band in steps between levels, below 1/2.
    """

    tolerance: eqx.AbstractVar[Scalar]
    max_pulses: eqx.AbstractVar[int]
    erase_pulses: eqx.AbstractVar[int]

    @abstractmethod
    def start(self, device: Any, low: Float[Array, " n"], high: Float[Array, " n"]) -> Any:
        """What the scheme remembers of each device before its first pulse: a PyTree of arrays of length n."""

    @abstractmethod
    def next(self, device: Any, memory: Any, reading: Reading) -> tuple[Pulse, Any]:
        """The next pulse of devices whose read is out of its band, and what to remember of them."""

    def decide(
        self, device: Any, memory: Any, reading: Reading, pulses: Int[Array, " n"], limits: Int[Array, " 2"]
    ) -> Decision:
        """What to do after a read: a pulse to each device out of its band, until its pulses are used up.

        Args:
            device: what is written.
            memory: of the scheme, device by device.
            reading: what was read.
            pulses: that each device has had.
            limits: `max_pulses` and `erase_pulses`, which the scheme's own fields do not say here.
        """
        within = (reading.g >= reading.low) & (reading.g <= reading.high)
        given_up = (pulses >= limits[0]) | ((reading.low <= 0) & (pulses >= limits[1]))
        pulse, new = self.next(device, memory, reading)
        pulsed = ~within & ~given_up
        return Decision(pulse, jax.tree.map(lambda a, b: jnp.where(pulsed, a, b), new, memory), pulsed, pulsed, within)

    def bands(self, device: Any, target: Float[Array, "*shape"], step: Any, least: Any) -> Bands:
        if isinstance(device, AbstractGated):
            target = _reachable(device, target)
        half = self.tolerance.astype(target.dtype) * jnp.asarray(step, target.dtype)
        return Bands(jnp.where(is_least(target, least), 0, target - half), target + half)

    def write(
        self,
        device: Any,
        state: Any,
        bands: Bands,
        *,
        key: jax.Array,
        progress: Progress | None = None,
        half_selects: tuple[AbstractBias, AbstractBias] | None = None,
    ) -> tuple[Any, Trace]:
        shape = bands.low.shape
        limits = jnp.asarray((self.max_pulses, self.erase_pulses), jnp.int32)
        # Limits and sizes are data and the cells are flat: neither other limits nor another shape compile again.
        scheme = replace(self, max_pulses=1, erase_pulses=1)
        size = jnp.asarray((1, *shape)[-2:] if shape else (1, 1), jnp.int32)
        # Numbers without a type of their own would compile again too.
        bands = jax.tree.map(lambda bound: jax.lax.convert_element_type(bound, bound.dtype), bands)
        state, bands = jax.tree.map(jnp.ravel, (state, bands))
        state, trace = _rounds(device, scheme, state, bands, limits, size, key, progress, half_selects)
        return jax.tree.map(lambda leaf: leaf.reshape(shape), (state, trace))


def _reachable(device: AbstractGated, target: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    beyond = jnp.isinf(target) | jnp.isinf(device.gate_voltage(target))
    message = "Argument `target` must hold conductances that a gate voltage of the device reaches"
    if not is_concrete(target, device):
        return eqx.error_if(target, beyond, message + ".")
    if bool(jnp.any(beyond)):
        raise ValueError(f"{message}, but holds {quantity(float(target[beyond][0]), 'S')}, which none does.")
    return target


class _Work(eqx.Module):
    """Everything of the cells in the buffer; all leaves have its length."""

    state: Any
    memory: Any
    low: Float[Array, " n"]
    high: Float[Array, " n"]
    place: Int[Array, " n"]
    active: Bool[Array, " n"]
    success: Bool[Array, " n"]
    trace: Trace
    suffered: tuple[Int[Array, " n"], ...] | None


class _Carry(eqx.Module):
    """From round to round: `left` are the cells that are not in their bands; `beside`, what these do to each other."""

    work: _Work
    number: Int[Array, ""]
    left: Int[Array, ""]
    beside: HalfSelects | None


@eqx.filter_jit
def _rounds(
    device: AbstractDriven,
    scheme: AbstractVerifying,
    state: Any,
    bands: Bands,
    limits: Int[Array, " 2"],
    size: Int[Array, " 2"],
    key: jax.Array,
    progress: Progress | None,
    biases: tuple[AbstractBias, AbstractBias] | None,
) -> tuple[Any, Trace]:
    dtype = device.conductance(state).dtype
    low, high = (bound.astype(dtype) for bound in bands)
    cells = low.size
    work = _Work(
        state=state,
        memory=scheme.start(device, low, high),
        low=low,
        high=high,
        place=jnp.arange(cells, dtype=jnp.int32),
        active=jnp.ones(cells, bool),
        success=jnp.zeros(cells, bool),
        trace=Trace.zeros((cells,), dtype),
        suffered=None if biases is None else (jnp.zeros(cells, jnp.int32),) * 2,
    )

    def exposed(work: _Work, beside: HalfSelects, key: jax.Array) -> _Work:
        """All that cells were half-selected since it was last asked for."""
        place = work.place // size[1] % size[0], work.place % size[1]
        state, suffered = beside.suffer(device, work.state, place, work.trace, work.suffered, key)
        return replace(work, state=state, suffered=suffered)

    def round_of(carry: _Carry) -> _Carry:
        before, number, beside = carry.work, carry.number, carry.beside
        of_round = jax.random.fold_in(key, number)
        if beside is not None:
            before = exposed(before, beside, jax.random.fold_in(of_round, 1))
        work = _round(device, scheme, before, limits, size, of_round)
        if beside is not None:
            pulses = work.trace.sets - before.trace.sets, work.trace.resets - before.trace.resets
            beside = beside.add(work.place // size[1] % size[0], work.place % size[1], pulses)
        left = carry.left - jnp.sum(work.success & ~before.success, dtype=jnp.int32)
        if progress is not None:
            tell = progress.tell
            told = partial(jax.debug.callback, lambda rounds, cells: tell(int(rounds), int(cells)), number, left)
            jax.lax.cond(number % progress.every == 0, told, lambda: None)
        return _Carry(work, number + 1, left, beside)

    beside = None if biases is None else HalfSelects.none(biases, cells)
    end = _shrinking(round_of, _Carry(work, jnp.asarray(0, jnp.int32), jnp.asarray(cells, jnp.int32), beside))
    work = end.work
    if end.beside is not None:
        # Those that were done early did not suffer the rest yet.
        work = exposed(work, end.beside, jax.random.fold_in(key, 2**31 - 1))
    return work.state, replace(work.trace, success=work.success)


def _shrinking(round_of: Callable[[_Carry], _Carry], carry: _Carry) -> _Carry:
    """Rounds in this width until the cells left fit the next, those in the next, and everything back in its place."""
    size = carry.work.place.size
    fits = -(-size // _SHRINK) if size > _NARROWEST * _SHRINK else 0
    carry = jax.lax.while_loop(lambda carry: jnp.sum(carry.work.active) > fits, round_of, carry)
    if not fits:
        return carry
    # Free places of the buffer hold cells that are done: they are not pulsed, and go back to nowhere.
    places = jnp.nonzero(carry.work.active, size=fits, fill_value=size)[0]
    part = jax.tree.map(lambda leaf: leaf[jnp.minimum(places, size - 1)], carry.work)
    end = _shrinking(round_of, replace(carry, work=replace(part, active=places < size)))
    whole = jax.tree.map(lambda leaf, new: leaf.at[places].set(new, mode="drop"), carry.work, end.work)
    return replace(end, work=whole)


def _round(
    device: AbstractDriven,
    scheme: AbstractVerifying,
    work: _Work,
    limits: Int[Array, " 2"],
    size: Int[Array, " 2"],
    key: jax.Array,
) -> _Work:
    """One read of every active cell, and one pulse to those that shall have one."""
    read_key, pulse_key = jax.random.split(key)
    rows, columns = size
    g = device.read(work.state, key=read_key)
    reading = Reading(g, work.low, work.high, work.place // columns % rows, work.place % columns)
    said = scheme.decide(device, work.memory, reading, work.trace.pulses, limits)
    state, spent = device.apply(work.state, said.pulse.only(work.active & said.pulsed), key=pulse_key)
    return replace(
        work,
        state=state,
        memory=jax.tree.map(lambda new, old: jnp.where(work.active, new, old), said.memory, work.memory),
        active=work.active & said.goes_on,
        success=work.success | (work.active & said.success),
        trace=work.trace + device.read_trace(work.state).only(work.active) + spent,
    )
