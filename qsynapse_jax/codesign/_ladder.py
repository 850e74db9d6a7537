"""Branch resistors of the quantized synapse, chosen for the tile and the network they will sit in."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qsynapse_jax import nn
from qsynapse_jax._checks import as_real
from qsynapse_jax._fields import Model, Scalar, check, non_negative, positive, real, whole
from qsynapse_jax.cells import Differential, Ladder, Resistor, linearity
from qsynapse_jax.codesign._optimize import Bounded, OnStep, Optimum, optimize
from qsynapse_jax.cost import read_power, resistor_area
from qsynapse_jax.crossbar import Wires, solve
from qsynapse_jax.devices import Switch
from qsynapse_jax.tile import Tile, TileState
from qsynapse_jax.training import cross_entropy

# Read vectors over which power is averaged: its spread over vectors is a few percent for 64 lines.
_READS = 4


class TileLevels(Model):
    """What the codes of a tile amount to.

    Attributes:
        mean: effective weight of the cells that hold a code, averaged over them, shape (codes,); NaN where none does.
        spread: their standard deviation, likewise: place on the tile, neighbors, device spread.
        error: root mean square over all cells of the deviation from the best straight line through zero [LSB].
        gain: slope of that line: effective weight over intended weight. A layer's scale makes up for it.
    """

    mean: Float[Array, " codes"]
    spread: Float[Array, " codes"]
    error: Float[Array, ""] = eqx.field(metadata={"unit": "LSB"})
    gain: Float[Array, ""]

    @property
    def worst_inl(self) -> Float[Array, ""]:
        """Largest INL of the mean levels [LSB]."""
        return linearity(self.mean).worst_inl


@jax.jit
def tile_levels(tile: Tile, code: Int[Array, "rows cols"], state: TileState | None = None) -> TileLevels:
    """Effective weights of written cells, code by code.

    Args:
        tile: of a cell whose zero is code 0, i.e. `Differential`.
        code: what is written, e.g. random codes within the range of the cell.
        state: devices that hold `code`, with their spread; `None` stands for exact ones.

    Gradients: of `error` and the means, in every physical parameter of the tile.
    """
    low, high = tile.cell.code_range
    if state is None:
        g = tile.levels(jax.lax.stop_gradient(tile.cell.decode(code)))
    else:
        g = tile.crosspoints(state)
    w = tile.weights(tile.effective(g, throw=False))
    ideal = code.astype(w.dtype) / high
    gain = jnp.sum(w * ideal) / jnp.sum(ideal**2)
    error = jnp.sqrt(jnp.mean((w / gain - ideal) ** 2)) * high

    def by_code(x: jax.Array) -> jax.Array:
        return jax.ops.segment_sum(x.reshape(-1), code.reshape(-1) - low, num_segments=high - low + 1)

    count = by_code(jnp.ones_like(w))
    mean = by_code(w) / count
    variance = by_code((w - mean[code - low]) ** 2) / count
    return TileLevels(mean, jnp.sqrt(variance), error, gain)


class LadderTask(Model):
    """What is given when the resistors of a ladder are chosen: switches, spread, wires and tile.

    Args:
        bits: branches of a ladder. Static.
        switch: the memory device of every branch, with its spread.
        resistor: mismatch of the branch resistors.
        wires: resistances of every tile [ohm]; `None` for ideal wires.
        tile_shape: word lines and bit lines of a tile. Static.
        r_access: access transistor of a branch [ohm].
        v_read: word-line voltage of a full input [V].
        sheet_resistance: sheet resistance of the resistor film [ohm], that of one square.
        resistor_width: width of the film strip [m].

    Raises:
        ValueError: `bits` out of range; a `tile_shape` that is not two positive integers, the second even (two bit
            lines per weight); a voltage, sheet resistance or width that is not positive, a negative `r_access`.
    """

    bits: int = whole(1, 16, what="one per branch")
    switch: Switch  # pyright: ignore[reportGeneralTypeIssues]
    resistor: Resistor = eqx.field(default_factory=Resistor)
    wires: Wires | None = None
    tile_shape: tuple[int, int] = eqx.field(static=True, default=(64, 64))
    r_access: Scalar = real("ohm", non_negative, default=0.0)
    v_read: Scalar = real("V", positive, default=0.2)
    sheet_resistance: Scalar = real("ohm", positive, default=1e4)
    resistor_width: Scalar = real("m", positive, default=1e-6)

    def __check_init__(self):
        # What is wrong with the shape, or with wires that do not fit it, is said now.
        self.tile(self.plain(1e4))

    def tile(self, r_branch: Float[Array, " bits"]) -> Tile:
        """Tiles of signed weights with these resistors [ohm]."""
        branches: Any = r_branch
        on, off = self.switch.r_on, self.switch.r_off
        ladder = Ladder(self.bits, None, on, off, branches, self.r_access, self.resistor)
        return Tile(Differential(ladder), self.wires, self.switch, self.tile_shape, v_read=self.v_read)

    def plain(self, r_unit: Float[Array, ""] | float) -> Float[Array, " bits"]:
        """R, 2R, 4R, ... [ohm]."""
        r_unit = as_real(r_unit, "r_unit")
        return r_unit * jnp.asarray([2.0**k for k in range(self.bits)], r_unit.dtype)

    def written(
        self, r_branch: Float[Array, " bits"], shape: tuple[int, int], *, key: PRNGKeyArray
    ) -> tuple[Int[Array, "rows cols"], TileState]:
        """Random codes, every one as likely as another, and new devices that hold them."""
        coding, making, writing = jax.random.split(key, 3)
        tile = self.tile(r_branch)
        low, high = tile.cell.code_range
        code = jax.random.randint(coding, shape, low, high + 1)
        state, _ = tile.program(tile.init(shape, key=making), code, key=writing)
        return code, state

    def levels(
        self, r_branch: Float[Array, " bits"], *, key: PRNGKeyArray, tiles: tuple[int, int] = (1, 1)
    ) -> TileLevels:
        """What random codes on so many tiles (down, across), full of devices with spread, multiply with."""
        shape = (tiles[0] * self.tile_shape[0], tiles[1] * self.tile_shape[1] // 2)
        return tile_levels(self.tile(r_branch), *self.written(r_branch, shape, key=key))

    def power(self, r_branch: Float[Array, " bits"], *, key: PRNGKeyArray) -> Float[Array, ""]:
        """Mean power [W] of a tile of random codes that is read with inputs uniform in 0 to `v_read`."""
        coding, reading = jax.random.split(key)
        _, state = self.written(r_branch, (self.tile_shape[0], self.tile_shape[1] // 2), key=coding)
        g = self.tile(r_branch).crosspoints(state)
        v_in = self.v_read * jax.random.uniform(reading, (_READS, self.tile_shape[0]), g.dtype)
        wires = Wires() if self.wires is None else self.wires
        return jnp.mean(read_power(solve(g, v_in, wires, throw=False), v_in, wires).total)

    def area(self, r_branch: Float[Array, " bits"]) -> Float[Array, ""]:
        """Area of the resistors of a weight, both ladders [m2]."""
        return 2 * jnp.sum(resistor_area(r_branch, self.sheet_resistance, self.resistor_width))

    def network(self, model: Any, r_branch: Float[Array, " bits"], *, key: PRNGKeyArray) -> Any:
        """A model as it will be made: on tiles of these resistors [ohm], written into new devices, calibrated.

        Args:
            model: any NNX model; its master weights and scales are kept where it is on crossbars already.
            r_branch: of every ladder [ohm].
            key: random key for all devices as they are made and written.

        Gradients: in the physical parameters of the task and the resistors, at fixed codes.
        """
        written = nn.program(nn.convert(model, self.tile(r_branch), throw=False), key=key)
        return nn.calibrate(written)


class LadderFigures(Model):
    """What a choice of resistors is worth.

    Attributes:
        cell_inl, cell_dnl: of a cell alone, with nominal devices and ideal wires [LSB].
        tile_inl: INL of the mean levels on full tiles, wires and spread included [LSB].
        error: root mean square deviation of all weights on those tiles from the best straight line [LSB].
        gain: what is left of a weight behind the wires, on average.
        power: of a tile while it is read [W].
        area: of the resistors of a weight [m2].
    """

    cell_inl: Float[Array, ""] = eqx.field(metadata={"unit": "LSB"})
    cell_dnl: Float[Array, ""] = eqx.field(metadata={"unit": "LSB"})
    tile_inl: Float[Array, ""] = eqx.field(metadata={"unit": "LSB"})
    error: Float[Array, ""] = eqx.field(metadata={"unit": "LSB"})
    gain: Float[Array, ""]
    power: Float[Array, ""] = eqx.field(metadata={"unit": "W"})
    area: Float[Array, ""] = eqx.field(metadata={"unit": "m2"})


@eqx.filter_jit
def ladder_figures(task: LadderTask, r_branch: Float[Array, " bits"], *, key: PRNGKeyArray) -> LadderFigures:
    """Figures of resistors [ohm] on one draw of codes and devices, over 4 x 2 tiles."""
    alone = linearity(task.tile(r_branch).cell)
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


class Priorities(Model):
    """What counts in the choice of resistors, as factors of the parts of the objective.

    Args:
        error: of the logarithm of the root mean square error of all weights on a tile.
        inl: of the mean squared INL of a cell alone, nominal devices, ideal wires [LSB^2].
        network: of the cross-entropy of a model on written hardware [nat]; needs one.
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
        for name, factor in vars(self).items():
            check(factor, name, "", non_negative)
        if not any(vars(self).values()):
            raise ValueError("One of the priorities must be above 0: nothing would count.")


def design_ladder(
    task: LadderTask,
    start: Bounded,
    *,
    key: PRNGKeyArray,
    priorities: Priorities | None = None,
    model: Any = None,
    sample: Callable[[PRNGKeyArray], tuple[Any, Any]] | None = None,
    steps: int = 150,
    learning_rate: float = 0.1,
    on_step: OnStep | None = None,
) -> Optimum:
    """Branch resistors for a task, by gradient through devices, wires and, where one is given, a model.

    Every step draws new codes, new devices and a new batch, so that what is found suits them all.

    Args:
        task: what is given.
        start: resistors to begin with and their bounds [ohm], shape (bits,).
        key: all random numbers.
        priorities: default the error of the weights alone.
        model: a trained NNX model of logits, for `priorities.network`; it is left as it was.
        sample: gives inputs (batch, ...) and labels (batch,) for a key, traceable.
        steps: as for `optimize`.
        learning_rate: as for `optimize`.
        on_step: as for `optimize`.

    Returns:
        The search; `values` are the resistors [ohm].

    Raises:
        ValueError: a start of another shape; a model that counts but is not given; as `optimize`.
        training.DivergedError: as `optimize`.
    """
    priorities = Priorities() if priorities is None else priorities
    if start.raw.shape != (task.bits,):
        raise ValueError(f"Argument `start` must have shape ({task.bits},), one per branch, but has {start.raw.shape}.")
    if priorities.network and (model is None or sample is None):
        raise ValueError("Arguments `model` and `sample` must be given where the network has a priority.")
    first, key = jax.random.split(key)
    power_before = jax.jit(lambda r: task.power(r, key=first))(start.value) if priorities.power else jnp.ones(())
    area_before = task.area(start.value)
    # Once, not at every step: the full scale of every layer is found here, and kept.
    on_tiles = nn.convert(model, task.tile(start.value)) if priorities.network else None

    def objective(r_branch: Float[Array, " bits"], key: PRNGKeyArray) -> Float[Array, ""]:
        on_tile, for_power, for_batch, for_devices = jax.random.split(key, 4)
        total = jnp.zeros(())
        if priorities.error:
            total += priorities.error * jnp.log(task.levels(r_branch, key=on_tile).error)
        if priorities.inl:
            total += priorities.inl * jnp.mean(linearity(task.tile(r_branch).cell).inl ** 2)
        if priorities.power:
            total += priorities.power * task.power(r_branch, key=for_power) / power_before
        if priorities.area:
            total += priorities.area * task.area(r_branch) / area_before
        if on_tiles is not None and sample is not None:
            x, y = sample(for_batch)
            logits = task.network(on_tiles, r_branch, key=for_devices)(x)
            total += priorities.network * cross_entropy(logits, y)
        return total

    return optimize(objective, start, steps=steps, learning_rate=learning_rate, key=key, on_step=on_step)
