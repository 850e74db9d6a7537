"""Branch resistors of the quantized synapse, chosen for the tile and the network they will sit in."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from qsynapse_jax._checks import as_real, checked
from qsynapse_jax.cells import Differential, Ladder, linearity
from qsynapse_jax.codesign._optimise import OnStep, Optimum, optimise
from qsynapse_jax.codesign._parameters import Bounded
from qsynapse_jax.codesign._tile import TileLevels, tile_levels
from qsynapse_jax.cost import read_power, resistor_area
from qsynapse_jax.crossbar import Wires, solve
from qsynapse_jax.devices import Resistor, Switch
from qsynapse_jax.nn import Deployment
from qsynapse_jax.tile import SwitchedArray, TiledArray
from qsynapse_jax.training import cross_entropy

# Read vectors over which power is averaged: its spread over vectors is a few percent for 64 lines.
_READS = 4


class LadderTask(eqx.Module):
    """What is given when the resistors of a ladder are chosen: switches, spread, wires and tile.

    Args:
        bits: branches of a ladder. Static.
        switch: the memory cell of every branch, with its spread.
        resistor: mismatch of the branch resistors.
        wires: resistances of every tile [ohm]; `None` for ideal wires.
        tile: word lines and bit lines of a tile. Static.
        r_access: access transistor of a branch [ohm].
        v_read: word-line voltage of a full input [V].
        sheet_resistance: of the resistor film [ohm per square].
        resistor_width: of the film strip [m].

    Raises:
        ValueError: `bits` or `tile` that are no positive integers, or bit lines that are not even (two a weight); a
            voltage, sheet resistance or width that is not positive, a negative `r_access`.
    """

    bits: int = eqx.field(static=True)
    switch: Switch
    resistor: Resistor = eqx.field(default_factory=Resistor)
    wires: Wires | None = None
    tile: tuple[int, int] = eqx.field(static=True, default=(64, 64))
    r_access: Float[Array, ""] = eqx.field(converter=lambda r: as_real(r, "r_access"), default=0.0)
    v_read: Float[Array, ""] = eqx.field(converter=lambda v: as_real(v, "v_read"), default=0.2)
    sheet_resistance: Float[Array, ""] = eqx.field(converter=lambda r: as_real(r, "sheet_resistance"), default=1e4)
    resistor_width: Float[Array, ""] = eqx.field(converter=lambda w: as_real(w, "resistor_width"), default=1e-6)

    def __check_init__(self):
        if not isinstance(self.bits, int) or isinstance(self.bits, bool) or self.bits < 1:
            raise ValueError(f"Argument `bits` must be a positive integer, one a branch, but is {self.bits!r}.")
        sizes = self.tile
        if len(sizes) != 2 or not all(isinstance(n, int) and n > 0 for n in sizes) or sizes[1] % 2:
            raise ValueError(
                f"Argument `tile` must be two positive integers, the second even (two bit lines a weight), but is "
                f"{sizes!r}."
            )
        units = {"v_read": "V", "sheet_resistance": "ohm", "resistor_width": "m"}
        for name, unit in units.items():
            checked(getattr(self, name), name, unit=unit, minimum="positive")
        checked(self.r_access, "r_access", unit="ohm", minimum="non-negative")

    def cell(self, r_branch: Float[Array, " bits"]) -> Differential:
        """A signed weight with these resistors [ohm] and nominal switches."""
        switch = self.switch
        return Differential(Ladder(self.bits, None, switch.r_on, switch.r_off, r_branch, self.r_access))

    def hardware(self, r_branch: Float[Array, " bits"]) -> SwitchedArray:
        """Written arrays with these resistors [ohm], with device spread."""
        return SwitchedArray(self.cell(r_branch), self.switch, self.resistor)

    def plain(self, r_unit: Float[Array, ""] | float) -> Float[Array, " bits"]:
        """R, 2R, 4R, ... [ohm]."""
        r_unit = as_real(r_unit, "r_unit")
        return r_unit * jnp.asarray([2.0**k for k in range(self.bits)], r_unit.dtype)

    def written(
        self, r_branch: Float[Array, " bits"], shape: tuple[int, int], *, key: PRNGKeyArray
    ) -> tuple[Array, Float[Array, "rows lines"]]:
        """Random codes, every one as likely as another, and the conductances [S] of new devices that hold them."""
        coding, making, writing = jax.random.split(key, 3)
        hardware = self.hardware(r_branch)
        low, high = hardware.cell.code_range
        code = jax.random.randint(coding, shape, low, high + 1)
        state, _ = hardware.write(hardware.init(shape, key=making), code, key=writing)
        return code, hardware.conductance(state)

    def levels(
        self, r_branch: Float[Array, " bits"], *, key: PRNGKeyArray, tiles: tuple[int, int] = (1, 1)
    ) -> TileLevels:
        """What random codes on so many tiles (down, across), full of devices with spread, multiply with."""
        shape = (tiles[0] * self.tile[0], tiles[1] * self.tile[1] // 2)
        code, g = self.written(r_branch, shape, key=key)
        return tile_levels(TiledArray(self.cell(r_branch), self.wires, self.tile), code, g)

    def power(self, r_branch: Float[Array, " bits"], *, key: PRNGKeyArray) -> Float[Array, ""]:
        """Mean power of a tile of random codes that is read with inputs uniform in [0, v_read] [W]."""
        coding, reading = jax.random.split(key)
        _, g = self.written(r_branch, (self.tile[0], self.tile[1] // 2), key=coding)
        v_in = self.v_read * jax.random.uniform(reading, (_READS, self.tile[0]), g.dtype)
        wires = Wires() if self.wires is None else self.wires
        return jnp.mean(read_power(solve(g, v_in, wires, throw=False), v_in, wires).total)

    def area(self, r_branch: Float[Array, " bits"]) -> Float[Array, ""]:
        """Area of the resistors of a weight, both ladders [m2]."""
        return 2 * jnp.sum(resistor_area(r_branch, self.sheet_resistance, self.resistor_width))


class LadderFigures(eqx.Module):
    """What a choice of resistors is worth.

    Attributes:
        cell_inl, cell_dnl: of a cell alone, with nominal devices and ideal wires [LSB].
        tile_inl: INL of the mean levels on full tiles, wires and spread included [LSB].
        error: root mean square deviation of all weights on those tiles from the best straight line [LSB].
        gain: what is left of a weight behind the wires, on average.
        power: of a tile while it is read [W].
        area: of the resistors of a weight [m2].
    """

    cell_inl: Float[Array, ""]
    cell_dnl: Float[Array, ""]
    tile_inl: Float[Array, ""]
    error: Float[Array, ""]
    gain: Float[Array, ""]
    power: Float[Array, ""]
    area: Float[Array, ""]


@eqx.filter_jit
def ladder_figures(task: LadderTask, r_branch: Float[Array, " bits"], *, key: PRNGKeyArray) -> LadderFigures:
    """Figures of resistors [ohm] on one draw of codes and devices, over 4 x 2 tiles."""
    alone = linearity(task.cell(r_branch))
    on_tiles = task.levels(r_branch, key=key, tiles=(4, 2))
    return LadderFigures(
        cell_inl=alone.worst_inl,
        cell_dnl=alone.worst_dnl,
        tile_inl=on_tiles.worst_inl,
        error=on_tiles.error,
        gain=on_tiles.gain,
        power=task.power(r_branch, key=key),
        area=task.area(r_branch),
    )


class Priorities(eqx.Module):
    """What counts in the choice of resistors, as factors of the parts of the objective.

    Args:
        error: of the logarithm of the root mean square error of all weights on a tile.
        inl: of the mean squared INL of a cell alone, nominal devices, ideal wires [LSB^2].
        network: of the cross-entropy of a deployed network [nat]; needs one.
        power: of read power, in units of what the start takes.
        area: of resistor area, likewise.

    Raises:
        ValueError: a negative factor, or none above 0.
    """

    error: float = eqx.field(static=True, default=1.0)
    inl: float = eqx.field(static=True, default=0.0)
    network: float = eqx.field(static=True, default=0.0)
    power: float = eqx.field(static=True, default=0.0)
    area: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        factors = {name: getattr(self, name) for name in ("error", "inl", "network", "power", "area")}
        for name, factor in factors.items():
            if not factor >= 0:
                raise ValueError(f"Argument `{name}` must be non-negative, but is {factor}.")
        if not any(factors.values()):
            raise ValueError("One of the priorities must be above 0: nothing would count.")


Sampled = Callable[[PRNGKeyArray], tuple[Any, Any]]


def design_ladder(
    task: LadderTask,
    start: Bounded,
    *,
    key: PRNGKeyArray,
    priorities: Priorities | None = None,
    deployment: Deployment | None = None,
    sample: Sampled | None = None,
    steps: int = 150,
    learning_rate: float = 0.1,
    on_step: OnStep | None = None,
) -> Optimum:
    """Branch resistors for a task, by gradient through devices, wires and, where one is given, a network.

    Every step draws new codes, new devices and a new batch, so that what is found suits them all.

    Args:
        task: what is given.
        start: resistors to begin with and their bounds [ohm], shape (bits,).
        key: all random numbers.
        priorities: default the error of the weights alone.
        deployment: a trained network, for `priorities.network`.
        sample: gives inputs (batch, features) and labels (batch,) for a key, traceable.
        steps: as for `optimise`.
        learning_rate: as for `optimise`.
        on_step: as for `optimise`.

    Returns:
        The search; `values` are the resistors [ohm].

    Raises:
        ValueError: a start of another shape; a network that counts but is not given; as `optimise`.
    """
    priorities = Priorities() if priorities is None else priorities
    if start.raw.shape != (task.bits,):
        raise ValueError(f"Argument `start` must have shape ({task.bits},), one a branch, but has {start.raw.shape}.")
    if priorities.network and (deployment is None or sample is None):
        raise ValueError("Arguments `deployment` and `sample` must be given where the network has a priority.")
    first, key = jax.random.split(key)
    power_before = jax.jit(lambda r: task.power(r, key=first))(start.value) if priorities.power else jnp.ones(())
    area_before = task.area(start.value)

    def objective(r_branch: Float[Array, " bits"], key: PRNGKeyArray) -> Float[Array, ""]:
        on_tile, for_power, for_batch, for_devices = jax.random.split(key, 4)
        total = jnp.zeros(())
        if priorities.error:
            total += priorities.error * jnp.log(task.levels(r_branch, key=on_tile).error)
        if priorities.inl:
            total += priorities.inl * jnp.mean(linearity(task.cell(r_branch)).inl ** 2)
        if priorities.power:
            total += priorities.power * task.power(r_branch, key=for_power) / power_before
        if priorities.area:
            total += priorities.area * task.area(r_branch) / area_before
        if deployment is not None and sample is not None and priorities.network:
            x, y = sample(for_batch)
            logits = deployment.logits(task.hardware(r_branch), task.wires, x, key=for_devices)
            total += priorities.network * cross_entropy(logits, y)
        return total

    return optimise(objective, start, steps=steps, learning_rate=learning_rate, key=key, on_step=on_step)
