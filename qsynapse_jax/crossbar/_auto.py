"""Which solver an array is given when none is asked for."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._conjugate_gradient import ConjugateGradient, plain
from qsynapse_jax.crossbar._elimination import Elimination
from qsynapse_jax.crossbar._lines import Dense
from qsynapse_jax.crossbar._modal import modal
from qsynapse_jax.crossbar._solver import AbstractSolver, Limits, Loaded, System
from qsynapse_jax.crossbar._wires import Wires

# Mean conductance times the largest row sums of Kw and Kb, about 1.2 times the largest eigenvalue of g Z. A modal step
# costs four products of matrices more than a plain one, on a CPU three to five times as much. Plain and modal solves of
# cells of 1k-1M ohm took 1.8 and 4.8 ms at 72 (128 x 128), 17 and 17 ms at 95 (256 x 256), 206 and 356 ms at 152
# (1024 x 1024), 89 and 80 ms at 380 (512 x 512).
_SEVERE = 200.0

# A cell counts up to this many times the conductance of the wires that lead to the farthest one: an odd one, a short of
# 1 mohm among cells of 10k-1M, adds a tenth to the mean of 128 x 128, cells that all load their wires this heavily are
# severe in any case.
_ODD = 10.0

# Cells up to which the plain iteration is taken whatever the drop: it ends after about as many steps as there are
# cells, and half of the compilation is spared. Open lines and defects are eliminated there, which costs no digit: 2 ms
# for 16 x 16 cells where the iteration takes 0.4; 20 and 0.6 at 32 x 32.
_SMALL = 16 * 16

# Cells up to which the matrix of an array is taken from one solve per line: it compiles sooner, 3.0 s with its gradient
# at 32 lines where elimination takes 5.2 s at 64 (experiments/bench/compile.json).
_FEW_LINES = 48 * 48


class Auto(AbstractSolver):
    """The quickest of the others for the array at hand (default)."""

    def load(self, system: System, limits: Limits) -> Loaded:
        """Currents of all cells."""
        z, cells = system.z, system.drive[0].size
        if z.parallel:
            return ConjugateGradient().load(system, limits)
        uneven = z.resistances.r_word.ndim == 2 or z.resistances.r_bit.ndim == 2
        # Segments that differ are likely to be defects, which need no infinity to be delicate.
        if (any(z.opens) or uneven) and cells <= _SMALL:
            return Elimination().load(system, limits)
        if any(z.opens):
            return ConjugateGradient().load(system, limits)
        if cells <= _SMALL or z.alike is None:
            return plain(system, limits, chosen=jnp.asarray(True))
        # Under `vmap` both branches are computed for all arrays: the iteration not chosen is told to end at once.
        severe = severity(system.slope, z.own(), z.alike) > _SEVERE
        return jax.lax.cond(
            severe,
            lambda: modal(system, limits, chosen=severe),
            lambda: plain(system, limits, chosen=~severe),
        )

    def condenses(self, wires: Wires, shape: tuple[int, ...], opens: tuple[int, int]) -> bool:
        """Unless arrays are small."""
        return shape[-2] * shape[-1] > _FEW_LINES and Elimination().condenses(wires, shape, opens)

    def condense(self, g: Float[Array, "tiles wl bl"], wires: Wires) -> Float[Array, "tiles wl bl"]:
        """By elimination."""
        return Elimination().condense(g, wires)


def severity(
    slope: Float[Array, "lines wl bl"], own: Float[Array, "wl bl"], alike: tuple[Dense, Dense]
) -> Float[Array, ""]:
    """Cheap estimate of the IR drop: mean conductance times what resists a smooth current, about r g N^2.

    Of a cell that conducts much better than its wires only these count, or a single short would decide.
    """
    resistance = jnp.zeros((), slope.dtype)
    for line in alike:
        # The row of the kernel for the farthest cell, which is the largest.
        resistance += jnp.sum(line.along) + line.way.cells * jnp.max(line.end)
    own = jnp.max(own)
    most = jnp.where(own > 0, _ODD / jnp.where(own > 0, own, 1), jnp.inf)
    return jnp.mean(jnp.minimum(slope, most)) * resistance
