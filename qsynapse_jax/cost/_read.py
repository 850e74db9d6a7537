"""Energy of a read, from the solved currents: where it goes, cells, wires and periphery apart."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from qsynapse_jax._checks import as_floating
from qsynapse_jax._fields import Model, checked, non_negative, positive
from qsynapse_jax.crossbar import Solution, Wires


class Losses(Model):
    """Where the power of an operating point [W], or the energy of a read [J], goes, for every input vector.

    Attributes:
        cells: dissipated in the cells, shape (*batch,).
        word_lines, bit_lines: dissipated in their segments.
        periphery: dissipated between the sources and the lines, in `r_driver` and `r_sense`; of a read the conversions
            too.
    """

    cells: Float[Array, "*batch"]
    word_lines: Float[Array, "*batch"]
    bit_lines: Float[Array, "*batch"]
    periphery: Float[Array, "*batch"]

    @property
    def wires(self) -> Float[Array, "*batch"]:
        """Dissipated in the segments of both kinds of lines."""
        return self.word_lines + self.bit_lines

    @property
    def total(self) -> Float[Array, "*batch"]:
        """All of it: what the sources deliver, and what conversions take."""
        return self.cells + self.wires + self.periphery


def read_power(
    sol: Solution,
    v_in: Float[ArrayLike, "*batch wl"],
    wires: Wires,
    *,
    v_out: Float[ArrayLike, "*batch bl"] | None = None,
) -> Losses:
    """Power of a solved circuit, by part: the sum of r i^2 over every resistor, and of v i over every cell.

    Args:
        sol: what `crossbar.solve` returned, any law of the cells.
        v_in: the voltages it was solved for [V].
        wires: the wires it was solved with [ohm].
        v_out: its bit-line terminal voltages [V], if any were given.

    Returns:
        Power by part [W]. Its total is what the sources deliver, `sum(v_in i_in) - sum(v_out i_out)`.

    Raises:
        ValueError: shapes that are not those of the solution.

    Gradients: in everything `sol` depends on, and in the wires.

    Accuracy: that of the currents, for lines connected at one end. Where lines are driven or sensed at both ends their
        losses are differences of voltages, v_in - v_word: in float32 they carry an error of 1e-7 of the line's power.
    """
    v_in = as_floating(v_in, "v_in")
    if v_in.shape != sol.i_in.shape:
        raise ValueError(
            f"Argument `v_in` must have the shape it was solved with, {sol.i_in.shape}, but has {v_in.shape}."
        )
    v_out = jnp.zeros(sol.i_out.shape[-1:], v_in.dtype) if v_out is None else as_floating(v_out, "v_out")
    wires.check_shape(sol.i_cell.shape[-2:])
    return _read_power(sol, v_in, v_out, wires)


@jax.jit
def _read_power(sol: Solution, v_in: jax.Array, v_out: jax.Array, wires: Wires) -> Losses:
    v_out = jnp.broadcast_to(v_out, sol.i_out.shape)
    one = partial(_power_of_one, wires)
    for _ in v_in.shape[:-1]:
        one = jax.vmap(one)
    return one(sol.i_cell, sol.v_word, sol.v_bit, v_in, v_out)


def _power_of_one(
    wires: Wires, i: jax.Array, v_word: jax.Array, v_bit: jax.Array, v_in: jax.Array, v_out: jax.Array
) -> Losses:
    r_word, r_bit = (r.astype(i.dtype) for r in wires.branches(i.shape))
    r_driver = jnp.broadcast_to(wires.r_driver.astype(i.dtype), v_in.shape)
    r_sense = jnp.broadcast_to(wires.r_sense.astype(i.dtype), v_out.shape)
    if wires.r_driver_far is None:
        word, driver = _one_ended(jnp.cumsum(i[:, ::-1], 1)[:, ::-1], r_word, r_driver, axis=1, end=0)
    else:
        drop = v_in[:, None] - v_word
        word, driver = _two_ended(drop, i, r_word[:, 0], r_driver, drop[:, 0])
    if wires.r_sense_far is None:
        bit, sense = _one_ended(jnp.cumsum(i, 0), r_bit, r_sense, axis=0, end=-1)
    else:
        drop = v_bit - v_out[None, :]
        bit, sense = _two_ended(drop, i, r_bit[-1, :], r_sense, drop[-1, :])
    return Losses(jnp.sum((v_word - v_bit) * i), word, bit, driver + sense)


def _closed(r: jax.Array) -> jax.Array:
    """A resistance, 0 where it is an open: no current flows there, whatever rounding says."""
    return jnp.where(jnp.isinf(r), 0, r)


def _one_ended(
    current: jax.Array, r: jax.Array, r_end: jax.Array, *, axis: int, end: int
) -> tuple[jax.Array, jax.Array]:
    """Losses in segments and at the connected end; `r` includes `r_end` in its segment there."""
    both = jnp.sum(_closed(r) * current**2)
    # Where that segment is open nothing flows at the end either.
    lost = jnp.where(jnp.isinf(jnp.take(r, end, axis)), 0, r_end)
    at_end = jnp.sum(lost * jnp.take(current, end, axis) ** 2)
    return both - at_end, at_end


def _two_ended(
    drop: jax.Array, i: jax.Array, r_near: jax.Array, r_end: jax.Array, near_drop: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """As above where both ends are connected: all of it by Tellegen's theorem, the near end by its drop."""
    both = jnp.sum(drop * i)
    carries = (r_near > 0) & jnp.isfinite(r_near)
    current = jnp.where(carries, near_drop / jnp.where(carries, r_near, 1), 0)
    at_end = jnp.sum(_closed(r_end) * current**2)
    return both - at_end, at_end


def read_energy(
    sol: Solution,
    v_in: Float[ArrayLike, "*batch wl"],
    wires: Wires,
    *,
    t_read: Any,
    v_out: Float[ArrayLike, "*batch bl"] | None = None,
    e_dac: Any = 0.0,
    e_adc: Any = 0.0,
) -> Losses:
    """Energy of a read [J]: the power of the solved circuit for as long as it lasts, and the conversions of all lines.

    Args:
        sol: what `crossbar.solve` returned.
        v_in: the voltages it was solved for [V].
        wires: the wires it was solved with [ohm].
        t_read: how long the word lines are driven [s].
        v_out: its bit-line terminal voltages [V], if any were given.
        e_dac: energy of a digital-to-analog conversion, one per word line [J].
        e_adc: energy of an analog-to-digital conversion, one per bit line [J].

    Raises:
        ValueError: `t_read` is not positive and finite, an energy is negative; as `read_power`.
    """
    t_read = checked(t_read, "t_read", "s", positive)
    e_dac, e_adc = checked(e_dac, "e_dac", "J", non_negative), checked(e_adc, "e_adc", "J", non_negative)
    lost = jax.tree.map(lambda power: power * t_read, read_power(sol, v_in, wires, v_out=v_out))
    rows, columns = sol.i_cell.shape[-2:]
    return replace(lost, periphery=lost.periphery + (rows * e_dac + columns * e_adc))
