"""Hardware that holds written weights: codes in, conductances out, as the devices are and as they age."""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from qsynapse_jax._checks import as_real, is_concrete
from qsynapse_jax.cells import AbstractCell, Differential, Ladder, Multilevel
from qsynapse_jax.devices import (
    AnalogCell,
    AnalogState,
    Resistor,
    ResistorState,
    Switch,
    SwitchState,
    WriteReport,
    checked_temperature,
)
from qsynapse_jax.programming import AbstractScheme, even_bands, write_verify


class AbstractWrittenArray(eqx.Module):
    """An array of weights on devices that are written, read and age.

    `conductance` comes in the layout of `TiledArray`, (rows, lines) with the bit lines of a weight side by side, so
    that `tiled.weight(tiled.effective_conductance(array.conductance(state)))` is what the hardware multiplies with.
    """

    cell: eqx.AbstractVar[AbstractCell]

    @abstractmethod
    def init(self, shape: tuple[int, int], *, key: jax.Array) -> Any:
        """Hardware for a matrix of `shape` (rows, cols) that nobody has written yet; the cells are off or open."""

    @abstractmethod
    def write(self, state: Any, code: Int[Array, "rows cols"], *, key: jax.Array) -> tuple[Any, WriteReport]:
        """Writes codes of the cell.

        Returns:
            The new state and a report whose arrays have the shape (devices a cell, rows, lines): pulses, time, energy
            and success of every device. `cost.write_time` and `cost.write_energy` take it.

        Raises:
            ValueError: codes that are not integers in range, or of another shape.
        """

    @abstractmethod
    def age(self, state: Any, seconds: Any, temperature: Any) -> Any:
        """The hardware `seconds` [s] later, kept at `temperature` [K]."""

    @abstractmethod
    def conductance(self, state: Any, *, temperature: Any = 300.0) -> Float[Array, "rows lines"]:
        """Conductances now, read at `temperature` [K], one column a bit line [S]."""

    def reference_factor(self, state: Any, *, temperature: Any = 300.0) -> Float[Array, ""]:
        """Factor of the reference resistor of an ADC on the same die, which scales what it reads of every current.

        1 where the cells hold no resistor that it could be made like.
        """
        return jnp.ones(())

    @property
    def lines(self) -> int:
        """Bit lines of one weight."""
        return len(self.cell.signs)

    def line_codes(self, code: Int[Array, "rows cols"], shape: tuple[int, ...]) -> Int[Array, "rows lines"]:
        """Codes of the cells on every bit line for signed codes of weights.

        Raises:
            ValueError: codes that are not integers in range, or not of `shape`.
        """
        code = self.cell.checked_code(code)
        if code.shape != (shape[0], shape[1] // self.lines):
            raise ValueError(
                f"Argument `code` must have the shape {(shape[0], shape[1] // self.lines)} of the array, but has "
                f"shape {code.shape}."
            )
        signs = jnp.asarray(self.cell.signs, code.dtype)
        return jnp.maximum(code[:, :, None] * signs[None, None, :], 0).reshape(shape)


def _inner(cell: AbstractCell, kind: type) -> Any:
    """The unipolar cell on each bit line, or a `ValueError`."""
    inner = cell.cell if isinstance(cell, Differential) else cell
    if not isinstance(inner, kind):
        raise ValueError(
            f"Argument `cell` must be a {kind.__name__} or a Differential of one, but holds a {type(inner).__name__}."
        )
    return inner


class SwitchedState(eqx.Module):
    """Switches and resistors of an array, both of shape (bits, rows, lines)."""

    switch: SwitchState
    resistor: ResistorState


class SwitchedArray(AbstractWrittenArray):
    """Quantized synapses: a real switch and a real resistor in every branch.

    Args:
        cell: a `Ladder`, or a `Differential` of one: nominal branch resistors and access transistor. Its r_on and r_off
            are the designer's; what conducts is the `switch`.
        switch: the memory cell of every branch.
        resistor: mismatch, process factor and temperature coefficient of the branch resistors.
        verify: one verifying read a pulse, and one more pulse where it failed. Static.

    Raises:
        ValueError: a cell of another kind.
    """

    cell: AbstractCell
    switch: Switch
    resistor: Resistor = eqx.field(default_factory=Resistor)
    verify: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        _inner(self.cell, Ladder)

    @property
    def ladder(self) -> Ladder:
        """The ladder on each bit line."""
        return _inner(self.cell, Ladder)

    def init(self, shape: tuple[int, int], *, key: jax.Array) -> SwitchedState:
        switch_key, resistor_key = jax.random.split(key)
        rows, lines = shape[0], shape[1] * self.lines
        bits = self.ladder.bits
        return SwitchedState(
            self.switch.init((bits, rows, lines), key=switch_key),
            self.resistor.init(bits, (rows, lines), key=resistor_key),
        )

    def write(
        self, state: SwitchedState, code: Int[Array, "rows cols"], *, key: jax.Array
    ) -> tuple[SwitchedState, WriteReport]:
        on = self.ladder.bits_of(self.line_codes(code, state.switch.on.shape[1:]))
        switch, report = self.switch.write(state.switch, on, key=key, verify=self.verify)
        return SwitchedState(switch, state.resistor), report

    def age(self, state: SwitchedState, seconds: Any, temperature: Any) -> SwitchedState:
        return SwitchedState(self.switch.age(state.switch, seconds, temperature), state.resistor)

    def conductance(self, state: SwitchedState, *, temperature: Any = 300.0) -> Float[Array, "rows lines"]:
        nominal = self.ladder.resistors()[:, None, None]
        resistors = nominal * self.resistor.factor(state.resistor, temperature).astype(nominal.dtype)
        return self.ladder.branch_conductance(resistors, self.switch.resistance(state.switch))

    def reference_factor(self, state: SwitchedState, *, temperature: Any = 300.0) -> Float[Array, ""]:
        return self.resistor.shared_factor(state.resistor, temperature)


class AnalogArray(AbstractWrittenArray):
    """Analog cells, tuned to the levels of a `Multilevel` by write-verify.

    Args:
        cell: a `Multilevel`, or a `Differential` of one: the target conductances.
        device: the memory cell.
        scheme: chooses the pulses.
        tolerance: half width of a target band in steps between levels.
        max_pulses: of one cell.
        progress: called while it writes, with the number of rounds and of cells not done. Static.

    Raises:
        ValueError: a cell of another kind; levels beyond what the device can conduct.
    """

    cell: AbstractCell
    device: AnalogCell
    scheme: AbstractScheme
    tolerance: Float[Array, ""] = eqx.field(converter=partial(as_real, name="tolerance"), default=0.25)
    max_pulses: int = eqx.field(static=True, default=1000)
    progress: Callable[[int, int], None] | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        levels = _inner(self.cell, Multilevel)
        if (
            is_concrete(levels.g_max, self.device.r_series)
            and not float(levels.g_max) * float(self.device.r_series) < 1
        ):
            raise ValueError(
                f"Argument `cell` must have conductances below 1/r_series = {float(1 / self.device.r_series):g} S of "
                f"the device, but g_max = {float(levels.g_max):g} S."
            )

    @property
    def levels(self) -> Multilevel:
        """The cell on each bit line."""
        return _inner(self.cell, Multilevel)

    def init(self, shape: tuple[int, int], *, key: jax.Array) -> AnalogState:
        return self.device.init((shape[0], shape[1] * self.lines), key=key)

    def write(
        self, state: AnalogState, code: Int[Array, "rows cols"], *, key: jax.Array
    ) -> tuple[AnalogState, WriteReport]:
        levels = self.levels
        codes = self.line_codes(code, state.log_g.shape)
        low, high = even_bands(levels.levels, levels.g_min, levels.g_max, self.tolerance)
        state, report = write_verify(
            self.device,
            state,
            low[codes],
            high[codes],
            self.scheme,
            key=key,
            max_pulses=self.max_pulses,
            progress=self.progress,
        )
        return state, jax.tree.map(lambda leaf: leaf[None], report)

    def age(self, state: AnalogState, seconds: Any, temperature: Any) -> AnalogState:
        return self.device.age(state, seconds, temperature)

    def conductance(self, state: AnalogState, *, temperature: Any = 300.0) -> Float[Array, "rows lines"]:
        # The cells' own temperature coefficient is not modelled; degrees Celsius are an error all the same.
        checked_temperature(temperature)
        return self.device.conductance(state)
