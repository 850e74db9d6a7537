"""Nodes eliminated one after another: exact, whatever the wires and however severe the drop."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax.crossbar._condense import compile_lines
from qsynapse_jax.crossbar._lines import Opens
from qsynapse_jax.crossbar._solver import AbstractSolver, Limits, Loaded, Nodes, System
from qsynapse_jax.crossbar._star_mesh import AT_ONCE, star_mesh
from qsynapse_jax.crossbar._wires import Wires


class Elimination(AbstractSolver):
    """Elimination of nodes instead of an iteration.

    In `solve` it takes wires of any kind and loses no digit to floating or broken lines (`_star_mesh`), one node after
    another: about 2 wl bl (4 wl + bl)^2 operations for each input, for small arrays. In `effective_conductance` the
    whole array is condensed block by block, whatever the drop (`_condense`); lines connected at one end only.
    """

    crossing: ClassVar[bool] = True

    def load(self, system: System, limits: Limits) -> Loaded:
        """Currents of all cells."""
        found = star_mesh(system)
        z = system.z
        phi = [found.current[:, 0, :0]]
        for line, rise in ((z.word, found.word_rise), (z.bit, found.bit_rise)):
            if isinstance(line, Opens):
                phi.append(line.at(rise))
        steps = jnp.zeros((), jnp.int32)
        defect = jnp.where(found.shorted, jnp.inf, 0.0).astype(found.current.dtype)
        nodes = Nodes(found.word, found.bit, found.out)
        return Loaded(found.current, jnp.concatenate(phi, 1), steps, ~jnp.any(found.shorted), defect, nodes)

    def numbers(self, shape: tuple[int, ...], inputs: int) -> int:
        """How many numbers `load` keeps at least: of inputs taken together, the means of all nodes of a front."""
        n_word, n_bit = shape
        return super().numbers(shape, inputs) + min(inputs, AT_ONCE) * 2 * n_word * n_bit * (4 * n_word + n_bit)

    def condenses(self, wires: Wires, shape: tuple[int, ...], opens: tuple[int, int]) -> bool:
        """Where lines are connected at one end and not open."""
        return not any(opens) and wires.r_driver_far is None and wires.r_sense_far is None

    def condense(self, g: Float[Array, "tiles wl bl"], wires: Wires) -> Float[Array, "tiles wl bl"]:
        """The matrices of whole arrays [S]."""
        branches = [jnp.broadcast_to(r.astype(g.dtype), g.shape) for r in wires.branches(g.shape[-2:])]
        word, bit = branches
        own = jnp.cumsum(word, -1) + jnp.flip(jnp.cumsum(jnp.flip(bit, -2), -2), -2)
        # A short is a cell that conducts so much better than its wires that the difference is below rounding.
        most = 1 / (float(jnp.finfo(g.dtype).eps) * jnp.where(own > 0, own, 1))
        return compile_lines(jnp.where(own > 0, jnp.minimum(g, jax.lax.stop_gradient(most)), g), *branches)
