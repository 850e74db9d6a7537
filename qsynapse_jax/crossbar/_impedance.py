"""The wires as two linear maps from cell currents to voltage drops, one of the word lines and one of the bit lines."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._line_sums import Cells
from qsynapse_jax.crossbar._lines import AbstractLine, Dense, OnCpu, Phi, Way, line_of
from qsynapse_jax.crossbar._wires import Wires


class Impedance(eqx.Module):
    """Both directions of one array in its working dtype [ohm], which may be divided among `spread` devices.

    Voltages across opens and currents through them stand in one vector: those in word lines, then those in bit lines.
    In the place of word lines there may be source lines beside the bit lines (`parallel`).
    """

    word: AbstractLine
    bit: AbstractLine
    resistances: Wires
    spread: int = eqx.field(static=True)
    parallel: bool = eqx.field(static=True, default=False)

    def own(self) -> Float[Array, "wl bl"]:
        """Resistance that each cell meets on its own [ohm]: the diagonal of Z."""
        return self.word.own() + self.bit.own()

    @property
    def alike(self) -> tuple[Dense, Dense] | None:
        """The matrices of both directions, where all lines are driven from one end and made of the same segments."""
        word, bit = (one.elsewhere if isinstance(one, OnCpu) else one for one in (self.word, self.bit))
        return (word, bit) if isinstance(word, Dense) and isinstance(bit, Dense) else None

    @property
    def opens(self) -> tuple[int, int]:
        """Places for opens in word lines and in bit lines."""
        return self.word.opens, self.bit.opens

    def _split(self, phi: Phi) -> tuple[jax.Array, jax.Array]:
        # Not `jnp.split`, which JAX cannot map where there are no opens.
        return phi[:, : self.word.opens], phi[:, self.word.opens :]

    def word_voltage(self, current: Cells, phi: Phi) -> Cells:
        """What cell currents [A] and the voltages across the opens [V] add to that of the word lines."""
        return self.word.lift(self._split(phi)[0], current.shape[1:]) - self.word.drop(current)

    def bit_voltage(self, current: Cells, phi: Phi) -> Cells:
        """Likewise of the bit lines."""
        return self.bit.lift(self._split(phi)[1], current.shape[1:]) + self.bit.drop(current)

    def lift(self, phi: Phi, shape: tuple[int, ...]) -> Cells:
        """Voltages across the cells [V] that the opens add."""
        word, bit = self._split(phi)
        return self.word.lift(word, shape) - self.bit.lift(bit, shape)

    def passed(self, current: Cells, phi: Phi | None = None) -> Phi:
        """Currents through the opens that must vanish [A]: what cells ask for, and what voltages across opens drive."""
        passed = jnp.concatenate([self.word.passed(current), -self.bit.passed(current)], axis=1)
        return passed if phi is None else passed + self.linked(phi, current.shape[1:])

    def linked(self, phi: Phi, shape: tuple[int, ...]) -> Phi:
        """Currents that voltages across the opens drive through them and through the far ends [A]."""
        word, bit = self._split(phi)
        return jnp.concatenate([self.word.linked(word, shape), self.bit.linked(bit, shape)], axis=1)

    def __call__(self, current: Cells) -> Cells:
        """Both drops together: `Z(I) = Zw(I) + Zb(I)` [V]."""
        return self.word.drop(current) + self.bit.drop(current)


def impedance(
    wires: Wires, shape: tuple[int, ...], dtype: jnp.dtype, opens: tuple[int, int] = (0, 0), *, spread: int = 1
) -> Impedance:
    """The two maps of an array of `shape` (wl, bl), which may be divided among `spread` devices.

    `opens` are places for infinite or very large resistances in word lines, and in bit lines.
    """
    wires = jax.tree.map(lambda r: r.astype(dtype), wires)
    word, bit, driver, sense = wires.r_word, wires.r_bit, wires.r_driver, wires.r_sense
    if any(opens):
        (word, bit), driver, sense = wires.branches(shape), jnp.zeros((), dtype), jnp.zeros((), dtype)
    along_rows, along_columns = Way(-1, False, shape[1], spread), Way(-2, True, shape[0], spread)
    return Impedance(
        word=line_of(along_rows, word, driver, wires.r_driver_far, opens[0]),
        bit=line_of(along_columns, bit, sense, wires.r_sense_far, opens[1]),
        resistances=wires,
        spread=spread,
    )
