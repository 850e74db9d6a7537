"""The wires as two linear maps from cell currents to voltage drops.

A word line with its driver at the left carries, at segment `j`, the sum of the cell currents at and beyond `j`; the
drop at cell `j` is the running sum of `r` times those, and the driver's resistance adds its share of the whole. Where
the segments are the same on every line this is a product with a fixed matrix,

    Zw(I) = I Kw,   Kw[j, k] = R[min(j, k)],   R[j] = r_word[0] + ... + r_word[j]
    Zb(I) = Kb I,   likewise from the sense end

symmetric and positive semi-definite, and zero when their wires are: no conductance of a wire appears anywhere. A
second connection at the far end, through `r_far` to a terminal of the same voltage, returns the current

    J = drop[last] / (r_far + k[last])        k = the drop of 1 A drawn at the last cell

and lowers the drops by k J: a rank-one change that leaves the map symmetric.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._wires import Wires

# TF32 or bf16 products, the default on accelerators, lose the drops: six digits are asked of float32 results.
EXACT = jax.lax.Precision.HIGHEST


class Line(eqx.Module):
    """All lines of one direction. Along `axis`, the terminal lies before index 0, or after the last if `from_end`.

    Either `kernel`, one matrix for all lines [ohm], or `segments` of every cell [ohm] is set. `end` and `far` broadcast
    against the lines.
    """

    kernel: Float[Array, "n n"] | None
    segments: Float[Array, "wl bl"] | None
    end: Float[Array, "..."]
    far: Float[Array, "..."] | None
    axis: int = eqx.field(static=True)
    from_end: bool = eqx.field(static=True)

    def drop(self, current: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        """Voltage between the terminal and every cell [V] for the given cell currents [A]."""
        drop = self._segment_drop(current) + _rank(self.end, current) * jnp.sum(current, self.axis, keepdims=True)
        if self.far is None:
            return drop
        reach = self._reach(current)
        last = 0 if self.from_end else -1
        at_last = jax.lax.slice_in_dim(drop, *_at(last, drop.shape[self.axis]), axis=self.axis % drop.ndim)
        back = jax.lax.slice_in_dim(reach, *_at(last, reach.shape[self.axis]), axis=self.axis % reach.ndim)
        loop = _rank(self.far + back, drop)
        # A loop without resistance has no drop to drive a current either: 0 rather than 0/0.
        returned = jnp.where(loop > 0, at_last / jnp.where(loop > 0, loop, 1), 0)
        return drop - _rank(reach, drop) * returned

    def _segment_drop(self, current: jax.Array) -> jax.Array:
        if self.kernel is not None and self.axis == -1:
            return jnp.matmul(current, self.kernel, precision=EXACT)
        if self.kernel is not None:
            return jnp.matmul(self.kernel, current, precision=EXACT)
        assert self.segments is not None
        axis = self.axis % current.ndim
        carried = jax.lax.cumsum(current, axis=axis, reverse=not self.from_end)
        return jax.lax.cumsum(_rank(self.segments, current) * carried, axis=axis, reverse=self.from_end)

    def _reach(self, current: jax.Array) -> jax.Array:
        """Drop at every cell for 1 A drawn at the cell farthest from the terminal [V/A], shape (wl, bl) or less."""
        if self.kernel is not None:
            row = self.kernel[0 if self.from_end else -1]
            return (row[None, :] if self.axis == -1 else row[:, None]) + self.end
        assert self.segments is not None
        return jax.lax.cumsum(self.segments, axis=self.axis % 2, reverse=self.from_end) + self.end


class Impedance(eqx.Module):
    """Both directions of one array in its working dtype [ohm]."""

    word: Line
    bit: Line

    def word_drop(self, current: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        """Drop along the word lines [V] that cell currents [A] cause: `Zw(I)`."""
        return self.word.drop(current)

    def bit_drop(self, current: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        """Rise along the bit lines [V] that cell currents [A] cause: `Zb(I)`."""
        return self.bit.drop(current)

    @property
    def has_modes(self) -> bool:
        """Whether all lines are driven from one end and made of the same segments."""
        lines = (self.word, self.bit)
        return all(line.kernel is not None and line.far is None for line in lines)

    def __call__(self, current: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        """Both drops together: `Z(I) = Zw(I) + Zb(I)` [V]."""
        return self.word_drop(current) + self.bit_drop(current)


def impedance(wires: Wires, shape: tuple[int, ...], dtype: jnp.dtype) -> Impedance:
    """The two maps of an array of `shape` (wl, bl) for the given wires."""
    n_word, n_bit = shape
    wires = jax.tree.map(lambda r: r.astype(dtype), wires)
    return Impedance(
        word=_line(wires.r_word, wires.r_driver, wires.r_driver_far, n_bit, axis=-1, from_end=False),
        bit=_line(wires.r_bit, wires.r_sense, wires.r_sense_far, n_word, axis=-2, from_end=True),
    )


def _line(segments: jax.Array, end: jax.Array, far: jax.Array | None, n: int, *, axis: int, from_end: bool) -> Line:
    across = -1 if axis == -1 else 0

    def by_line(r: jax.Array) -> jax.Array:
        return jnp.expand_dims(r.reshape(-1), across)

    kernel = None
    if segments.ndim < 2:
        reach = jax.lax.cumsum(jnp.broadcast_to(segments, (n,)), reverse=from_end)
        order = jnp.arange(n)
        nearer = order[:, None] >= order[None, :] if from_end else order[:, None] <= order[None, :]
        kernel = jnp.where(nearer, reach[:, None], reach[None, :])
    return Line(
        kernel=kernel,
        segments=segments if kernel is None else None,
        end=by_line(end),
        far=None if far is None else by_line(far),
        axis=axis,
        from_end=from_end,
    )


def _at(index: int, n: int) -> tuple[int, int]:
    start = index % n
    return start, start + 1


def _rank(x: jax.Array | None, like: jax.Array) -> jax.Array:
    """`x` with leading axes for the batch of `like`: no implicit rank promotion."""
    assert x is not None
    return x.reshape((1,) * (like.ndim - x.ndim) + x.shape)
