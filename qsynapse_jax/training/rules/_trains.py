"""Pulse trains: two factors become bits on rows and columns, and a device moves where two bits meet."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt

from qsynapse_jax._fields import Model, whole
from qsynapse_jax.training.rules._half_select import HalfSelect, HalfSelected

_WORD = 32
# Longer trains are of no use: the mean of so many bits is as good as the factor itself.
_LONGEST = 1024


class Sent(NamedTuple):
    """What was sent to the rows and columns of an array for one presentation.

    Pulses of both polarities cannot meet on one array at once, so a train is played in sign phases: for both signs of
    rows and both signs of columns, lines of these signs alone. A phase in which no row or no column would be pulsed is
    left out: two are left where no input is negative.

    Attributes:
        rows: bits of every row, 32 pulse slots to a word, the first slot in the lowest bit.
        cols: bits of every column, likewise.
        row_sign: polarity of the row's pulses, 1 or -1.
        col_sign: polarity of the column's pulses; where bits meet, devices move in the direction of the product.
        length: slots in use.
        asked: slots that would have been needed, more than there are where the update was cut.
    """

    rows: UInt[Array, "words *groups rows"]
    cols: UInt[Array, "words *groups cols"]
    row_sign: Int[Array, "*groups rows"]
    col_sign: Int[Array, "*groups cols"]
    length: Int[Array, ""]
    asked: Float[Array, ""]

    def counts(self) -> Int[Array, "*groups rows cols"]:
        """Pulses that every device receives, positive for potentiation: slots in which both of its bits are set."""
        met = jax.lax.population_count(self.rows[..., :, None] & self.cols[..., None, :])
        total = jnp.sum(met, 0, dtype=jnp.int32) if len(met) > 1 else met[0].astype(jnp.int32)
        return total * (self.row_sign[..., :, None] * self.col_sign[..., None, :])

    def half_selected(self) -> HalfSelected:
        """Pulses that devices receive from their row or their column alone, in all sign phases."""
        rows, cols = (jnp.sum(jax.lax.population_count(bits), 0, dtype=jnp.int32) for bits in (self.rows, self.cols))
        row = [jnp.any(rows * (sign * self.row_sign > 0), -1, keepdims=True) for sign in (1, -1)]
        col = [jnp.any(cols * (sign * self.col_sign > 0), -1, keepdims=True) for sign in (1, -1)]
        # A line is pulsed once for each sign of the other kind of line that has pulses.
        met = self.counts()
        up, down = (
            (rows * jnp.where(sign * self.row_sign > 0, *col))[..., :, None]
            + (cols * jnp.where(sign * self.col_sign > 0, *row))[..., None, :]
            - 2 * jnp.maximum(sign * met, 0)
            for sign in (1, -1)
        )
        return HalfSelected(up, down)


class PulseTrains(Model):
    """Factors x of rows and d of columns as random trains of pulses, whose coincidences have the mean rate x d.

    With K = rate max|x| max|d| slots a train is as long as need be, L = ceil(K), `length` at most, and a slot of row j
    and column i has a pulse with the probabilities

        p_j = sqrt(rate/L) m |x_j|,   p_i = sqrt(rate/L) |d_i| / m,   m^2 = max|d| / max|x|

    so that both kinds of line are as busy. Where K is above `length` that is more than 1: then p_j = |x_j| / max|x| and
    p_i = min(1, (K/length) |d_i| / max|d|), so that only large columns are cut.

    Args:
        length: slots at most, 1 to 1024. Static.
        length_management: whether trains are shorter where that suffices; else all have `length` slots. Static.
        update_management: whether rows and columns are balanced by m; else m = 1. Static.
        half_select: what a pulse does to devices of which it drives the row or the column alone; `None` is nothing.

    Reference: T. Gokmen and Y. Vlasov, Front. Neurosci. 10:333, 2016, doi 10.3389/fnins.2016.00333; T. Gokmen,
        O. M. Onen and W. Haensch, Front. Neurosci. 11:538, 2017, doi 10.3389/fnins.2017.00538 (managements).
    """

    length: int = whole(1, _LONGEST, default=31)
    length_management: bool = eqx.field(static=True, default=True)
    update_management: bool = eqx.field(static=True, default=True)
    half_select: HalfSelect | None = None

    def send(
        self, x: Float[Array, "*groups rows"], d: Float[Array, "*groups cols"], rate: Any, key: PRNGKeyArray
    ) -> Sent:
        """The trains of one presentation.

        Args:
            x: of the rows.
            d: of the columns; devices potentiate where x d is positive.
            rate: mean coincidences for x = d = 1, e.g. learning rate over mean step.
            key: random key for the bits.
        """
        size_x, size_d = jnp.max(jnp.abs(x)), jnp.max(jnp.abs(d))
        asked = rate * size_x * size_d
        most = jnp.asarray(self.length, x.dtype)
        length = jnp.clip(jnp.ceil(asked), 1, most) if self.length_management else most
        amplitude = jnp.sqrt(rate / length)
        balance = jnp.sqrt(_over(size_d, size_x)) if self.update_management else jnp.ones_like(amplitude)
        p_row, p_col = amplitude * balance * jnp.abs(x), _over(amplitude, balance) * jnp.abs(d)
        if self.length_management or self.update_management:
            is_cut = asked > length
            p_row = jnp.where(is_cut, _over(jnp.abs(x), size_x), p_row)
            p_col = jnp.where(is_cut, _over(asked, length) * _over(jnp.abs(d), size_d), p_col)
        row_key, col_key = jax.random.split(key)
        words, slots = -(-self.length // _WORD), length.astype(jnp.int32)
        return Sent(
            _bits(row_key, p_row, words, slots),
            _bits(col_key, p_col, words, slots),
            jnp.where(x < 0, -1, 1),
            jnp.where(d < 0, -1, 1),
            slots,
            asked,
        )


def _over(x: Array, y: Array) -> Array:
    return jnp.where(y > 0, x / jnp.where(y > 0, y, 1), 0)


def _bits(key: PRNGKeyArray, p: Float[Array, "..."], words: int, slots: Array) -> UInt[Array, "words ..."]:
    """Random bits of so many slots, each set with the probability of its line."""

    def slot(number: Array, found: Array) -> Array:
        bits = jax.random.uniform(jax.random.fold_in(key, number), p.shape, p.dtype) < p
        word = found[number // _WORD] | (bits.astype(jnp.uint32) << (number % _WORD).astype(jnp.uint32))
        return found.at[number // _WORD].set(word)

    # Most trains are shorter than they may be: only slots in use are drawn.
    return jax.lax.fori_loop(0, slots, slot, jnp.broadcast_to(jnp.zeros_like(p, jnp.uint32), (words, *p.shape)))
