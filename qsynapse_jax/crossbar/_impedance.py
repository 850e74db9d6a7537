"""The wires as two linear maps from cell currents to voltage drops.

A word line with its driver at the left carries, at segment `j`, the sum of the cell currents at and beyond `j`; the
drop at cell `j` is the running sum of `r` times those. With equal segments this is a product with a fixed matrix,

    Zw(I) = I Kw,   Kw[j, k] = r_driver + r_word (min(j, k) + 1)
    Zb(I) = Kb I,   Kb[i, k] = r_sense + r_bit (min(M-1-i, M-1-k) + 1)

both symmetric and positive semi-definite, and zero when their wires are: no conductance of a wire appears anywhere.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._wires import Wires

# TF32 or bf16 products, the default on accelerators, lose the drops: six digits are asked of float32 results.
EXACT = jax.lax.Precision.HIGHEST


class Impedance(eqx.Module):
    """`Kw` and `Kb` of one array in its working dtype [ohm]."""

    word: Float[Array, "bl bl"]
    bit: Float[Array, "wl wl"]

    def word_drop(self, current: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        """Drop along the word lines [V] that cell currents [A] cause: `Zw(I)`."""
        return jnp.matmul(current, self.word, precision=EXACT)

    def bit_drop(self, current: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        """Rise along the bit lines [V] that cell currents [A] cause: `Zb(I)`."""
        return jnp.matmul(self.bit, current, precision=EXACT)

    def __call__(self, current: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        """Both drops together: `Z(I) = Zw(I) + Zb(I)` [V]."""
        return self.word_drop(current) + self.bit_drop(current)


def impedance(wires: Wires, shape: tuple[int, ...], dtype: jnp.dtype) -> Impedance:
    """The two maps of an array of `shape` (wl, bl) for the given wires."""
    n_word, n_bit = shape
    from_driver = jnp.arange(n_bit)
    from_sense = jnp.arange(n_word)[::-1]

    def line(r_end: jax.Array, r_segment: jax.Array, distance: jax.Array) -> jax.Array:
        shared_segments = jnp.minimum(distance[:, None], distance[None, :]) + 1
        return r_end.astype(dtype) + r_segment.astype(dtype) * shared_segments.astype(dtype)

    return Impedance(
        word=line(wires.r_driver, wires.r_word, from_driver),
        bit=line(wires.r_sense, wires.r_bit, from_sense),
    )
