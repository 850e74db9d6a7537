"""Which solver an array is given when none is asked for."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qsynapse_jax._checks import is_concrete
from qsynapse_jax.crossbar._conjugate_gradient import ConjugateGradient, plain
from qsynapse_jax.crossbar._elimination import Elimination
from qsynapse_jax.crossbar._modal import Modal, smooth
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

# Beside ideal wires any cell counts as what it is [ohm].
_LEAST = 1e-30

# Cells up to which the plain iteration is taken whatever the drop: it ends after about as many steps as there are
# cells, and half of the compilation is spared. Open lines and defects are eliminated there, which costs no digit: 2 ms
# for 16 x 16 cells where the iteration takes 0.4; 20 and 0.6 at 32 x 32.
_SMALL = 16 * 16

# Cells up to which the matrix of an array is taken from one solve per line: it compiles sooner, 3.0 s with its gradient
# at 32 lines where elimination takes 5.2 s at 64 (experiments/bench/compile.json).
_FEW_LINES = 48 * 48

# Made once: what is made anew is compared field by field when a compiled program is looked up.
_PLAIN, _MODAL = ConjugateGradient(), Modal()


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
            return plain(system, limits)
        severe = severity(system.slope, z.resistances) > _SEVERE
        # Under `vmap` the modal iteration is computed for all arrays: where it is not chosen it ends at once.
        return plain(system, limits, lambda: smooth(system, limits, chosen=severe), chosen=severe)

    def condenses(self, wires: Wires, shape: tuple[int, ...], opens: tuple[int, int]) -> bool:
        """Unless arrays are small."""
        return shape[-2] * shape[-1] > _FEW_LINES and Elimination().condenses(wires, shape, opens)

    def condense(self, g: Float[Array, "tiles wl bl"], wires: Wires) -> Float[Array, "tiles wl bl"]:
        """By elimination."""
        return Elimination().condense(g, wires)


def settled(solver: AbstractSolver, g: jax.Array, wires: Wires) -> AbstractSolver:
    """What `Auto` will choose for Ohmic cells, where a look at the values tells: half of a program less to compile.

    For equal wires that are connected at one end, and only where looking is free: from an accelerator all of `g` would
    be fetched.
    """
    if not isinstance(solver, Auto) or g.size <= _SMALL or not is_concrete(g, wires) or not g.is_fully_addressable:
        return solver
    if {device.platform for device in g.devices()} != {"cpu"}:
        return solver
    word, driver, bit, sense = (r.item() for r in (wires.r_word, wires.r_driver, wires.r_bit, wires.r_sense))
    resists, most = _resists(g.shape, (word, driver), (bit, sense))
    values = np.asarray(g)
    with np.errstate(all="ignore"):
        # What is little with all that conducts well is little without it, as in most arrays.
        severe = np.add.reduce(values, axis=None) * resists > _SEVERE * g.size
        severe = severe and np.mean(np.minimum(values, most)) * resists > _SEVERE
    return _MODAL if severe else _PLAIN


def severity(slope: Float[Array, "lines wl bl"], wires: Wires) -> Float[Array, ""]:
    """Cheap estimate of the IR drop: mean conductance times what resists a smooth current, about r g N^2.

    Of a cell that conducts much better than its wires only these count, or a single short would decide.
    """
    resists, most = _resists(slope.shape[-2:], (wires.r_word, wires.r_driver), (wires.r_bit, wires.r_sense))
    return jnp.mean(jnp.minimum(slope, most)) * resists


def _resists(shape: tuple[int, ...], word: tuple[Any, Any], bit: tuple[Any, Any]) -> tuple[Any, Any]:
    """What resists a smooth current [ohm], and the most that a cell counts [S], of segments and ends of lines [ohm].

    Numbers of Python stay such; segments may have shape (n,), ends one value for each line.
    """
    resists = own = 0.0
    for axis, (r, end) in zip((-1, -2), (word, bit), strict=True):
        # The farthest cell of a line meets the most: of each segment what it shares with all cells beyond.
        n, end = shape[axis], jnp.max(end) if np.ndim(end) else end
        if np.ndim(r):
            shared = np.arange(n, 0, -1) if axis == -1 else np.arange(1, n + 1)
            resists += n * end + jnp.sum(r * shared.astype(r.dtype))
            own += end + jnp.sum(r)
        else:
            resists += n * end + r * (n * (n + 1) / 2)
            own += end + r * n
    return resists, _ODD / (own + _LEAST)
