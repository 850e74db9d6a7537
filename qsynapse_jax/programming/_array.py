"""Writing cells of an array together, through its wires: the voltages that cells see, and what neighbors suffer."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import Model, as_whole
from qsynapse_jax.crossbar import RESULTS, AbstractLaw, ConvergenceError, Wires, solve
from qsynapse_jax.devices import AbstractDriven, Exposure, Pulse, Trace, demand
from qsynapse_jax.programming._bias import AbstractBias, Lines


class Disturbance(Model):
    """What cells have suffered that were not selected; the sum of two is both.

    Args:
        ups: half-select pulses towards higher conductance.
        downs: half-select pulses towards lower conductance.
        g_up: change of conductance with the former [S].
        g_down: change of conductance with the latter [S].
    """

    ups: Int[Array, "wl bl"]
    downs: Int[Array, "wl bl"]
    g_up: Float[Array, "wl bl"] = eqx.field(metadata={"unit": "S"})
    g_down: Float[Array, "wl bl"] = eqx.field(metadata={"unit": "S"})

    @classmethod
    def zeros(cls, shape: tuple[int, ...], dtype: Any = None) -> "Disturbance":
        """Of an array that nobody wrote."""
        none, nothing = jnp.zeros(shape, jnp.int32), jnp.zeros(shape, float if dtype is None else dtype)
        return cls(none, none, nothing, nothing)

    def __add__(self, other: "Disturbance") -> "Disturbance":
        return jax.tree.map(jnp.add, self, other)


class Driven(Model):
    """One write of an array.

    Attributes:
        v_cell: voltages across the devices at its beginning [V].
        trace: what it cost; of cells that are not selected the energy that they took.
        disturbance: what those suffered.
    """

    v_cell: Float[Array, "wl bl"] = eqx.field(metadata={"unit": "V"})
    trace: Trace
    disturbance: Disturbance


class Endurance(Model):
    """Half-select pulses by number; the first axis is that of the numbers.

    Attributes:
        counts: pulses until then.
        g: conductances then [S].
        v_cell: voltages across the devices in the interval that ends there [V].
        disturbance: all that was suffered.
    """

    counts: Int[Array, " n"]
    g: Float[Array, "n wl bl"] = eqx.field(metadata={"unit": "S"})
    v_cell: Float[Array, "n wl bl"] = eqx.field(metadata={"unit": "V"})
    disturbance: Disturbance


class HalfSelectRatio(Model):
    """k = dg(half-select)/dg(full pulse), device by device; both have the sign of the pulse, so k is positive.

    Attributes:
        up, down: of both polarities, for all half-select pulses of `count` together.
        count: half-select pulses.
    """

    up: Float[Array, "*shape"]
    down: Float[Array, "*shape"]
    count: int = eqx.field(static=True)

    @property
    def per_pulse(self) -> "HalfSelectRatio":
        """Mean of one of the half-select pulses."""
        return HalfSelectRatio(self.up / self.count, self.down / self.count, 1)

    @property
    def mean(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Over the devices, up and down."""
        return jnp.mean(self.up), jnp.mean(self.down)

    @property
    def spread(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Standard deviation over the devices, up and down."""
        return jnp.std(self.up), jnp.std(self.down)


class _Drawn(AbstractLaw):
    """What the devices draw while they are written; none where the transistor does not conduct."""

    device: AbstractDriven
    state: Any
    gate: Bool[Array, " wl"]

    # A device that conducts less at a higher voltage would switch by itself before that: none of this package does.
    rises = True

    def current(self, g: Float[Array, "wl bl"], v: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        inputs = v.reshape(-1, *v.shape[-2:])
        drawn = jax.vmap(lambda v: self.device.write_current(self.state, v))(inputs)
        return jnp.where(self.gate[None, :, None], drawn, 0).astype(v.dtype).reshape(v.shape)


def drive(
    device: AbstractDriven,
    state: Any,
    bias: AbstractBias,
    rows: Bool[Array, " wl"],
    columns: Bool[Array, " bl"],
    wires: Wires,
    *,
    key: jax.Array,
    parts: int = 1,
) -> tuple[Any, Driven]:
    """One pulse to every cell where a selected row meets a selected column, through the wires of the array.

    All lines are driven at once (`bias.lines`). Kirchhoff's equations, with the currents that devices draw at such
    voltages, say what reaches each device, and that is what it is written or disturbed with: a cell far from the
    drivers gets less than `bias.v`, and cells of unselected lines more than nothing.

    Args:
        device: what the cells are.
        state: of devices in an array (wl, bl).
        bias: voltages and width.
        rows: which word lines are selected: the bits of one factor of an outer product, or a single one.
        columns: which bit lines are selected, likewise.
        wires: of the array.
        key: random key of the devices' noise.
        parts: the circuit is solved so often during the pulse, because conductances change; 1 takes the voltages at its
            beginning for all of it, which writes slightly too much upwards and too little downwards. Static.

    Returns:
        The new state, and voltages, cost and disturbance, see `Driven`.

    Raises:
        ValueError: a device that is not written by voltages; rows or columns that do not fit the array.
        ConvergenceError: the circuit was not solved.
    """
    rows, columns = _selection(device, state, rows, columns, "`drive`")
    parts = as_whole(parts, "parts", 1)
    lines = bias.lines(rows, columns)
    cells = rows[:, None] & columns[None]
    state, v, trace, disturbance, result = _drive(device, state, lines, cells, bias.width, wires, parts, key)
    state = _checked(state, result)
    return state, Driven(v[0], trace, disturbance)


def endure(
    device: AbstractDriven,
    state: Any,
    bias: AbstractBias,
    rows: Bool[Array, " wl"],
    columns: Bool[Array, " bl"],
    wires: Wires,
    counts: Any,
    *,
    key: jax.Array,
) -> tuple[Any, Endurance]:
    """Half-select pulses without end: rows alone or columns alone, again and again, until each of `counts`.

    The circuit is solved once from count to count, and the pulses between two are one exposure: a million of them are
    seven steps if `counts` are powers of 10.

    Args:
        device: what the cells are.
        state: of devices in an array (wl, bl).
        bias: voltages and width.
        rows: which word lines are pulsed, with no bit line, so that no cell is selected;
        columns: or which bit lines, with no word line.
        wires: of the array.
        counts: numbers of pulses, ascending, shape (n,).
        key: random key of the devices' noise.

    Returns:
        The state after the last of them, and conductances by count, see `Endurance`.

    Raises:
        ValueError: as for `drive`; cells that are selected; counts that do not ascend.
        ConvergenceError: the circuit was not solved.
    """
    rows, columns = _selection(device, state, rows, columns, "`endure`")
    if is_concrete(rows, columns) and bool(jnp.any(rows)) and bool(jnp.any(columns)):
        raise ValueError(
            "Arguments `rows` and `columns` must select no cell for half-select pulses, but both hold selected lines; "
            "`drive` writes cells."
        )
    counts = np.asarray(counts)
    if counts.ndim != 1 or not np.issubdtype(counts.dtype, np.integer) or (np.diff(counts, prepend=0) < 0).any():
        raise ValueError(f"Argument `counts` must be ascending integers of shape (n,), but is {counts!r}.")
    steps = jnp.asarray(np.diff(counts, prepend=0), jnp.int32)
    state, endured, result = _endure(device, state, bias.lines(rows, columns), bias.width, wires, steps, key)
    return _checked(state, result), replace(endured, counts=jnp.asarray(counts, jnp.int32))


def half_select_ratio(
    device: AbstractDriven,
    state: Any,
    up: AbstractBias,
    down: AbstractBias,
    *,
    key: jax.Array,
    count: int = 100_000,
) -> HalfSelectRatio:
    """What half-select pulses do over what a full pulse does, dg/dg, of every device at its terminals, up and down.

    The published k is that ratio. One half-select pulse moves nothing that can be read, so `count` of them are asked
    together; `per_pulse` divides by it.

    Args:
        device: what is asked.
        state: of devices, any shape; each is asked from there.
        up: bias of pulses towards higher conductance.
        down: bias of pulses towards lower conductance.
        key: random key of the devices' noise.
        count: half-select pulses. Static.

    Raises:
        ValueError: a device that is not written by voltages; pulses of the other polarity; a count below 1.
    """
    demand(device, AbstractDriven, "`half_select_ratio`")
    count = as_whole(count, "count", 1)
    check_polarities(up, down)
    ratio_up, ratio_down = (_ratio(device, state, bias, count, key) for bias in (up, down))
    return HalfSelectRatio(ratio_up, ratio_down, count)


def check_polarities(up: AbstractBias, down: AbstractBias) -> None:
    """Refuses biases whose pulses go the other way."""
    for name, bias, sign in (("up", up, 1), ("down", down, -1)):
        if is_concrete(bias) and float(bias.v) * sign <= 0:
            raise ValueError(f"Argument `{name}` must have a pulse of that polarity, but its v is {float(bias.v):g} V.")


@eqx.filter_jit
def _ratio(device: AbstractDriven, state: Any, bias: AbstractBias, count: int, key: jax.Array) -> Array:
    g = device.conductance(state)
    full, _ = device.apply(state, Pulse(bias.v, bias.width), key=key)
    half = device.disturb(state, Exposure(bias.half, bias.width, jnp.asarray(count, jnp.int32)), key=key)
    moved = device.conductance(full) - g
    return jnp.where(moved == 0, 0, (device.conductance(half) - g) / jnp.where(moved == 0, 1, moved))


def _selection(device: Any, state: Any, rows: Any, columns: Any, asker: str) -> tuple[Array, Array]:
    demand(device, AbstractDriven, asker)
    shape = jax.tree.leaves(state)[0].shape
    if len(shape) != 2:
        raise ValueError(f"Argument `state` must be of devices in an array (wl, bl), but they have shape {shape}.")
    for name, lines, size in (("rows", rows, shape[0]), ("columns", columns, shape[1])):
        if jnp.shape(lines) != (size,) or jnp.asarray(lines).dtype != bool:
            raise ValueError(
                f"Argument `{name}` must be booleans of shape ({size},) for an array of {shape}, but is "
                f"{jnp.asarray(lines).dtype} of shape {jnp.shape(lines)}."
            )
    return jnp.asarray(rows), jnp.asarray(columns)


def _checked(state: Any, result: Any) -> Any:
    """The state, if every solve of the circuit was a success."""
    failed = result != RESULTS.successful
    if not is_concrete(failed):
        return eqx.error_if(state, failed, "The circuit of a write was not solved; `crossbar.solve` says why.")
    if bool(jnp.any(failed)):
        raise ConvergenceError("The circuit of a write was not solved. Check `wires` [ohm] and `bias.v` [V].")
    return state


def _nominal(lines: Lines) -> Float[Array, "wl bl"]:
    """Voltages across the devices with ideal wires [V]."""
    return jnp.where(lines.gate[:, None], lines.v_word[:, None] - lines.v_bit[None], 0)


def _seen(device: AbstractDriven, state: Any, lines: Lines, wires: Wires) -> tuple[Float[Array, "wl bl"], Any]:
    """Voltages across the devices, and whether they were found."""
    g = device.conductance(state)
    v_word, v_bit = (x.astype(g.dtype) for x in (lines.v_word, lines.v_bit))
    law = _Drawn(device, state, lines.gate)
    sol = solve(g, v_word, wires, v_out=v_bit, law=law, throw=False)
    # A device behind a closed transistor sees nothing of what is across the cell.
    return jnp.where(lines.gate[:, None], sol.v_cell, 0), sol.result


def _disturbed(
    device: AbstractDriven, state: Any, nominal: Array, v: Array, width: Array, count: Array, key: jax.Array
) -> tuple[Any, Disturbance]:
    """State after half-select pulses of `v`; counted are those that the bias means, by `nominal`."""
    before = device.conductance(state)
    state = device.disturb(state, Exposure(v, width, count), key=key)
    change = device.conductance(state) - before
    ups, downs = (jnp.where(sign, count, 0) for sign in (nominal > 0, nominal < 0))
    return state, Disturbance(ups, downs, jnp.where(v > 0, change, 0), jnp.where(v < 0, change, 0))


@eqx.filter_jit
def _drive(
    device: AbstractDriven,
    state: Any,
    lines: Lines,
    selected: Array,
    width: Array,
    wires: Wires,
    parts: int,
    key: jax.Array,
) -> tuple[Any, Array, Trace, Disturbance, Any]:
    g = device.conductance(state)
    nominal = jnp.where(selected, 0, _nominal(lines))
    width = width.astype(g.dtype) / parts

    def part(carry: Any, key: jax.Array) -> Any:
        state, trace, suffered = carry
        v, result = _seen(device, state, lines, wires)
        write, disturb = jax.random.split(key)
        # What cells take that are not selected: their power at the beginning.
        taken = jnp.where(selected, 0, v * device.write_current(state, v) * width)
        state, spent = device.apply(state, Pulse(jnp.where(selected, v, 0), width), key=write)
        once = jnp.ones(v.shape, jnp.int32)
        state, more = _disturbed(device, state, nominal, jnp.where(selected, 0, v), width, once, disturb)
        spent = replace(spent, energy=(spent.energy + taken).astype(spent.energy.dtype))
        return (state, trace + spent, suffered + more), (v, result)

    start = (state, Trace.zeros(g.shape, g.dtype), Disturbance.zeros(g.shape, g.dtype))
    (state, trace, suffered), (v, result) = jax.lax.scan(part, start, jax.random.split(key, parts))
    # Parts of one pulse are one pulse.
    sets, resets = (jnp.minimum(x, 1) for x in (trace.sets, trace.resets))
    ups, downs = (jnp.minimum(x, 1) for x in (suffered.ups, suffered.downs))
    return state, v, replace(trace, sets=sets, resets=resets), replace(suffered, ups=ups, downs=downs), result


@eqx.filter_jit
def _endure(
    device: AbstractDriven,
    state: Any,
    lines: Lines,
    width: Array,
    wires: Wires,
    steps: Int[Array, " n"],
    key: jax.Array,
) -> tuple[Any, Endurance, Any]:
    g = device.conductance(state)
    nominal, width = _nominal(lines), width.astype(g.dtype)

    def interval(carry: Any, step: Any) -> Any:
        state, suffered = carry
        key, count = step
        v, result = _seen(device, state, lines, wires)
        count = jnp.broadcast_to(count, v.shape)
        state, more = _disturbed(device, state, nominal, v, width, count, key)
        return (state, suffered + more), (device.conductance(state), v, result)

    start = (state, Disturbance.zeros(g.shape, g.dtype))
    (state, suffered), (g, v, result) = jax.lax.scan(interval, start, (jax.random.split(key, steps.size), steps))
    return state, Endurance(steps, g, v, suffered), result
