"""The one linear system behind everything, and what a solver of it is.

Cells of conductances D carry I = D (u0 + C phi - Z I), where phi are the voltages across the opens of the lines and C
spreads them over the cells beyond. Without opens there is no phi; with them, their currents C'I have given values.

Capped cells. Where D is much larger than the wires let it count, as in a short, D itself would spoil the digits of all
other cells, and an infinite one could not be written down at all. With Gamma = min(D, cap) and alpha = Gamma / D the
same cell reads alpha q = u, I = Gamma q: a voltage q that is finite, whatever D, and the voltage of the cell where D is
below the cap.
"""

from abc import abstractmethod
from math import prod
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from qsynapse_jax.crossbar._impedance import Impedance
from qsynapse_jax.crossbar._wires import Wires

Cells = Float[Array, "batch wl bl"]

# A cell counts as what it is up to this many times the conductance of its own wires: beyond, a thousandth of a
# thousandth of the drop is left to it.
_CAP = 1e3


# Cells of all inputs that are iterated on together on a CPU: one array of 128 x 128, whose five arrays of numbers stay
# in the second cache. 128 inputs took 45 ms so, 60 ms by 32 or all at once.
_CELLS_TOGETHER = 128 * 128


class Limits(NamedTuple):
    """When a linear solve ends: relative residual and steps."""

    rtol: float
    max_steps: int


class System(NamedTuple):
    """One array with its sources, for a batch of inputs.

    Attributes:
        slope: conductances of the cells [S], 0 and infinity included; one array for all inputs, or one for each.
        z: the wires.
        drive: voltages that drive the cells [V].
        passed: currents forced through the opens [A].
        terminals: voltages of drivers and sense terminals [V], where these alone make up `drive`.
    """

    slope: Float[Array, "lines wl bl"]
    z: Impedance
    drive: Cells
    passed: Float[Array, "batch opens"]
    terminals: tuple[Float[Array, "batch wl"], Float[Array, "batch bl"]] | None = None


class Nodes(NamedTuple):
    """Voltages of the nodes [V] and currents out of the bit lines [A], where a solver finds them itself."""

    word: Cells
    bit: Cells
    out: Float[Array, "batch bl"]


class Loaded(NamedTuple):
    """Cell currents [A], voltages across the opens [V], steps taken, whether all inputs have converged.

    `defect` bounds what each input's currents out of the bit lines may be off [A]; `None` where node voltages show it.
    """

    current: Cells
    phi: Float[Array, "batch opens"]
    steps: Int[Array, ""]
    converged: Bool[Array, ""]
    defect: Float[Array, " batch"] | None = None
    nodes: Nodes | None = None


class AbstractSolver(eqx.Module):
    """How the circuit of an array is solved; asked for by name, a solver solves or refuses. A subclass gives `load`.

    `crossing` says that it needs lines that cross, and takes no source lines beside the bit lines.
    """

    crossing: ClassVar[bool] = False

    @abstractmethod
    def load(self, system: System, limits: Limits) -> Loaded:
        """Currents of all cells."""

    def refusal(self, wires: Wires, shape: tuple[int, ...], opens: tuple[int, int]) -> str | None:
        """Why it cannot take these wires, with those that can; `None` where it can."""
        return None

    def numbers(self, shape: tuple[int, ...], inputs: int) -> int:
        """How many numbers `load` keeps at least: seven arrays for every input, by XLA's account, and ten more."""
        return (7 * inputs + 10) * prod(shape)

    def condenses(self, wires: Wires, shape: tuple[int, ...], opens: tuple[int, int]) -> bool:
        """Whether it finds the matrices of such arrays by `condense`, rather than by a solve for every line."""
        return False

    def condense(self, g: Float[Array, "tiles wl bl"], wires: Wires) -> Float[Array, "tiles wl bl"]:
        """The matrices of whole arrays [S]; asked for only where it `condenses`."""
        raise NotImplementedError(f"`{type(self).__name__}` condenses no array")


def load(solver: AbstractSolver, system: System, limits: Limits) -> Loaded:
    """`solver.load`, on a CPU for a few inputs at a time."""
    batch, cells = system.drive.shape[0], system.drive[0].size
    size = max(1, _CELLS_TOGETHER // cells)
    # Inputs that lie on several devices are iterated on there: taken in groups, all would come to each.
    if batch <= size or system.z.spread > 1:
        return solver.load(system, limits)
    groups = -(-batch // size)
    # One slope for all inputs stays outside of the loop, as the wires do.
    common = len(system.slope) == 1

    def grouped(x: jax.Array) -> jax.Array:
        padded = jnp.pad(x, ((0, groups * size - batch), *((0, 0) for _ in x.shape[1:])))
        return padded.reshape(groups, size, *x.shape[1:])

    def in_groups(system: System) -> Loaded:
        own = system._replace(z=None, slope=None if common else system.slope)

        def one(part: System) -> Loaded:
            return solver.load(part._replace(z=system.z, slope=system.slope if common else part.slope), limits)

        found = jax.lax.map(one, jax.tree.map(grouped, own))
        whole = found._replace(steps=None, converged=None)
        by_input = jax.tree.map(lambda x: x.reshape(groups * size, *x.shape[2:])[:batch], whole)
        return by_input._replace(steps=jnp.max(found.steps), converged=jnp.all(found.converged))

    # A processor's caches want few inputs at a time, an accelerator's many units all of them.
    return jax.lax.platform_dependent(system, cpu=in_groups, default=lambda system: solver.load(system, limits))


def capped(slope: Float[Array, "lines wl bl"], z: Impedance) -> tuple[jax.Array, jax.Array]:
    """Gamma [S] and alpha of the cells."""
    own = z.own()[None]
    cap = jnp.where(own > 0, _CAP / jnp.where(own > 0, own, 1), jnp.where(jnp.isinf(slope), 1, jnp.inf))
    beyond = slope > cap
    return jnp.where(beyond, cap, slope), jnp.where(beyond, cap / jnp.where(beyond, slope, 1), 1)


def after(steps: Int[Array, ""], x: jax.Array) -> jax.Array:
    """`x`, once an iteration has ended: what it is needed for then must not take up memory during the iteration.

    A condition that always holds, but not for the compiler, which is free to drop `jax.lax.optimization_barrier` and
    does so for CPUs. Of 1024 x 1024 cells a solve needed 20 arrays without it.
    """
    return jnp.where(steps >= 0, x, 0)
