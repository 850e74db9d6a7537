"""A tile: cells, devices, wires and converters in one object, and the state of the hardware beside it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qsynapse_jax._checks import as_floating
from qsynapse_jax._fields import Model, Scalar, as_whole, check, checked, kelvin, non_negative, positive, real
from qsynapse_jax.cells import AbstractCell
from qsynapse_jax.crossbar import Followed, FollowError, Wires, follow, renew
from qsynapse_jax.devices import AbstractDevice, ProgrammingNoise, Trace, demand
from qsynapse_jax.periphery import ADC, DAC
from qsynapse_jax.programming import AbstractScheme, default_scheme, program
from qsynapse_jax.quantize import NUMBER
from qsynapse_jax.tile._circuit import alike, counted, effective, tiles
from qsynapse_jax.tile._layout import assembled, levels, of_weights, targets, weights
from qsynapse_jax.tile._writing import compensated, in_range

_HIGHEST = jax.lax.Precision.HIGHEST


def _tile_shape(shape: Any) -> tuple[int, int]:
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape, shape)
    try:
        wl, bl = (as_whole(n, "shape", 1) for n in sizes)
    except ValueError:
        raise ValueError(
            f"Argument `shape` must be two positive integers (word lines, bit lines), e.g. (64, 64), but is {shape!r}."
        ) from None
    return wl, bl


class TileState(Model):
    """The hardware of one matrix.

    Args:
        devices: state of the devices as they lie on the tiles, shape (devices per crosspoint, *stack, rows, lines), the
            bit lines of a weight side by side; without a `device` their conductances [S].
        parts: what the cells are made of besides, as `cell.init` gives it.
    """

    devices: Any
    parts: Any


class Tile(Model):
    """A crossbar array with its surroundings; a matrix takes as many as it needs.

    Rows of a matrix are inputs on word lines; every column is an output on as many neighboring bit lines as the cell
    has. Tiles in one row of tiles share their inputs; what tiles above one another give is added.

    Args:
        cell: how one weight sits on devices and bit lines.
        wires: resistances of every tile [ohm]; `None` is ideal wires, for which no circuit is solved.
        device: memory device of the cells; `None` is one that is exactly its target; or a `ProgrammingNoise`, what was
            found after writing.
        shape: word lines and bit lines of a tile. Static.
        dac: converter of the inputs; `None` applies them as they are.
        adc: converter of the currents of every line of every tile, with its reference on the die of the cells; its
            codes are added up in digital. `None` adds currents as they are.
        scheme: how devices are written; default `programming.default_scheme(device)`.
        v_read: word-line voltage of an input of 1 [V], where no `dac` sets it. Cells are linear: without converters it
            sets currents, not outputs.

    Raises:
        ValueError: an argument of another kind; a tile narrower than a weight, or that cuts one; wires that do not fit
            the tile; a device that cannot do what the scheme asks.
    """

    cell: AbstractCell
    wires: Wires | None = None
    device: AbstractDevice | ProgrammingNoise | None = None
    shape: tuple[int, int] = eqx.field(static=True, converter=_tile_shape, default=(64, 64))
    dac: DAC | None = None
    adc: ADC | None = None
    scheme: AbstractScheme | None = None
    v_read: Scalar = real("V", positive, default=0.2)

    def __check_init__(self):
        optional = {"wires": Wires, "device": AbstractDevice, "dac": DAC, "adc": ADC, "scheme": AbstractScheme}
        for name, kind in {"cell": AbstractCell, **optional}.items():
            given = getattr(self, name)
            is_noise = name == "device" and isinstance(given, ProgrammingNoise)
            if not isinstance(given, kind) and not is_noise and not (given is None and name in optional):
                article = "an" if kind.__name__[0] in "AEIOU" else "a"
                raise ValueError(
                    f"Argument `{name}` must be {article} `{kind.__name__}`, but is a `{type(given).__name__}`."
                )
        if self.shape[1] % self.cell.lines:
            raise ValueError(
                f"Argument `shape` must have a multiple of {self.cell.lines} bit lines, the bit lines of one weight of "
                f"a {type(self.cell).__name__}, but is {self.shape}."
            )
        if self.wires is not None:
            self.wires.check_shape(self.shape)
        if self.device is not None and self.scheme is not None:
            demand(self.device, self.scheme.demands, f"`{type(self.scheme).__name__}`")

    @property
    def v_word(self) -> Float[Array, ""]:
        """Word-line voltage of an input of 1 [V]."""
        return self.v_read if self.dac is None else self.dac.v_max

    def realise(self, w: Float[Any, "*stack rows cols"], *, throw: bool = True) -> Float[Array, "*stack rows cols"]:
        """The weights that the tiles multiply with when float weights are written exactly, wires included.

        Args:
            w: weights in [-1, 1], or [0, 1] of a cell without a sign.
            throw: raise where a circuit cannot be solved; otherwise its weights are NaN.

        Gradients: straight through the rounding in `w`, exact in the physical parameters of cell and wires, through
            Kirchhoff's equations of every tile.
        """
        return self.weights(self.effective(self.levels(w), throw=throw))

    def init(self, shape: tuple[int, ...], *, key: PRNGKeyArray) -> TileState:
        """Hardware for a matrix of `shape` (*stack, rows, cols) that nobody has written yet."""
        if not isinstance(shape, tuple | list) or len(shape) < 2:
            raise ValueError(f"Argument `shape` must be (rows, cols) of a matrix, but is {shape!r}.")
        shape = tuple(as_whole(n, "shape", 1) for n in shape)
        device_key, parts_key = jax.random.split(key)
        parts = self.cell.init(shape, key=parts_key)
        if not isinstance(self.device, AbstractDevice):
            return TileState(targets(self.cell, jnp.zeros(shape, jnp.int32)), parts)
        per_line = self.cell.n_devices // self.cell.lines
        lines = (per_line, *shape[:-1], shape[-1] * self.cell.lines)
        return TileState(self.device.init(lines, key=key if parts is None else device_key), parts)

    def program(
        self,
        state: TileState,
        code: Int[Any, "*stack rows cols"],
        *,
        key: PRNGKeyArray,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[TileState, Trace]:
        """Writes codes of the cell into the devices.

        Args:
            state: of the hardware.
            code: of every weight.
            key: random key for the writing.
            progress: told, by schemes that take many rounds, the rounds and the devices that are not done.

        Returns:
            The new state, and a trace of pulses, time, energy and success per device, shape (devices, *stack, rows,
            cols) with the devices of a weight first.

        Raises:
            ValueError: codes that are not integers in range, or of another shape; a device that cannot be written so.
        """
        code = self.cell.checked_code(code)
        _, *stack_and_rows, lines = jax.tree.leaves(state.devices)[0].shape
        shape = (*stack_and_rows, lines // self.cell.lines)
        if code.shape != shape:
            raise ValueError(f"Argument `code` must have the shape {shape} of the matrix, but has shape {code.shape}.")
        return self._to(targets(self.cell, code), state, key, progress)

    def write(
        self, w: Float[Any, "*stack rows cols"], *, key: PRNGKeyArray
    ) -> tuple[TileState, Float[Array, "*stack rows cols"]]:
        """New hardware that is written to the levels nearest to float weights: `encode`, `init`, `program`, `matrix`.

        Args:
            w: weights in [-1, 1], or [0, 1] of a cell without a sign.
            key: random key for the hardware and for its writing.

        Returns:
            The state, and the weights that it multiplies with, wires included.

        Raises:
            ValueError: weights out of range; as `program`.
        """
        making, writing = jax.random.split(key)
        w = in_range(self.cell, w)
        state, _ = self.program(self.init(w.shape, key=making), self.cell.encode(w), key=writing)
        return state, self.matrix(state)

    def write_compensated(
        self, w: Float[Any, "*stack rows cols"], *, key: PRNGKeyArray, max_steps: int = 300
    ) -> tuple[TileState, Float[Array, "*stack rows cols"]]:
        """As `write`, to the levels of devices whose effective conductances are those of the weights, or come nearest.

        `programming.compensate` finds them within the window of the cell: weights need room below 1 for what the wires
        take. Cells without a device per crosspoint, such as `Ladder`, have no such targets. `max_steps` bounds
        its search, which needs few where wires take a tenth, a hundred where they take half.
        """
        making, writing = jax.random.split(key)
        w = in_range(self.cell, w)
        target = compensated(self.cell, self.levels(w), self.wires, self.shape, as_whole(max_steps, "max_steps", 1))
        state, _ = self._to(target[None], self.init(w.shape, key=making), writing, None)
        return state, self.matrix(state)

    def _to(self, target: Array, state: TileState, key: PRNGKeyArray, progress: Any) -> tuple[TileState, Trace]:
        """Writes targets of the devices as they lie on the tiles [S]."""
        device: Any = self.device  # which `program` checks for what the scheme demands
        if not isinstance(self.device, AbstractDevice):
            devices = target if device is None else device.found(target, key=key)
            trace = Trace.zeros(target.shape, target.dtype)
        else:
            least, step = self.cell.device_grid()
            scheme = default_scheme(device) if self.scheme is None else self.scheme
            devices, trace = program(
                device, state.devices, target, scheme, step=step, least=least, key=key, progress=progress
            )
        return TileState(devices, state.parts), jax.tree.map(partial(of_weights, self.cell), trace)

    def age(self, state: TileState, seconds: Any, temperature: Any, *, key: PRNGKeyArray | None = None) -> TileState:
        """The hardware `seconds` [s] later, kept at `temperature` [K]; `key` for devices whose ageing is random."""
        if not isinstance(self.device, AbstractDevice):
            checked(seconds, "seconds", "s", non_negative)
            checked(temperature, "temperature", "K", kelvin)
            if self.device is not None:
                raise ValueError("A `ProgrammingNoise` is what was found at one time; take that of another one.")
            return state
        return TileState(self.device.age(state.devices, seconds, temperature, key=key), state.parts)

    def matrix(
        self, state: TileState, *, temperature: Any = 300.0, key: PRNGKeyArray | None = None, throw: bool = True
    ) -> Float[Array, "*stack rows cols"]:
        """The weights that the written hardware multiplies with, wires included and converters' rounding apart."""
        return self.weights(self.compiled(state, temperature=temperature, key=key, throw=throw))

    def read(
        self,
        state: TileState,
        x: Float[Any, "*batch rows"],
        *,
        key: PRNGKeyArray | None = None,
        temperature: Any = 300.0,
        throw: bool = True,
    ) -> Float[Array, "*batch cols"]:
        """Word lines driven with `x`, bit lines sensed: x times the matrix.

        Args:
            state: of the hardware.
            x: inputs in [-1, 1], in units of the read voltage.
            key: random key for the read noise of the devices, one draw for the whole batch; `None` is no noise.
            temperature: of the hardware [K].
            throw: as in `realise`.
        """
        return self.multiply(x, self.compiled(state, temperature=temperature, key=key, throw=throw))

    def read_transposed(
        self,
        state: TileState,
        e: Float[Any, "*batch cols"],
        *,
        key: PRNGKeyArray | None = None,
        temperature: Any = 300.0,
        throw: bool = True,
    ) -> Float[Array, "*batch rows"]:
        """Bit lines driven with `e` times their significance, word lines sensed: e times the transposed matrix.

        Crosspoints and wires are resistors, so the current into terminal a per volt at terminal b is that into b per
        volt at a: the transposed effective conductances, wires included. Arguments as in `read`.
        """
        return self.multiply_transposed(e, self.compiled(state, temperature=temperature, key=key, throw=throw))

    def crosspoints(
        self, state: TileState, *, temperature: Any = 300.0, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*stack rows lines"]:
        """Conductances of the crosspoints now [S], the bit lines of a weight side by side; with a `key` as read."""
        temperature = checked(temperature, "temperature", "K", kelvin)
        if not isinstance(self.device, AbstractDevice):
            g = state.devices
        elif key is None:
            g = self.device.conductance(state.devices, temperature=temperature)
        else:
            g = self.device.read(state.devices, key=key)
        return assembled(self.cell, g, state.parts, temperature)

    def levels(self, w: Float[Any, "*stack rows cols"]) -> Float[Array, "*stack rows lines"]:
        """Conductances of crosspoints that hold the levels nearest to float weights [S], laid out alike."""
        w = as_floating(w, "w")
        check(w, "w", "", NUMBER)
        return levels(self.cell, w)

    def effective(
        self,
        g: Float[Any, "*stack rows lines"],
        *,
        throw: bool = True,
        followed: Followed | None = None,
        exact: Any = False,
    ) -> Float[Array, "*stack rows lines"]:
        """What crosspoints amount to behind the wires of their tiles [S]; bit-line currents are `v @ g_eff`.

        Args:
            g: conductances of the crosspoints [S].
            throw: as in `realise`.
            followed: a model of the circuits near other conductances, as `follow` gave it, in place of them.
            exact: whether `g` is the reference of that model, which then has the exact derivative; may be traced.
        """
        return effective(as_floating(g, "g"), self.wires, self.shape, throw=throw, followed=followed, exact=exact)

    def follow(self, g: Float[Any, "*stack rows lines"], *, throw: bool = True) -> Followed:
        """A model of the circuits of a matrix near these crosspoints [S]; see `crossbar.follow`.

        Raises:
            ValueError: wires that are ideal.
        """
        if self.wires is None:
            raise ValueError("A tile with ideal wires has no circuit to follow; `effective` costs nothing there.")
        wires = counted(self.wires, self.shape)
        return follow(tiles(as_floating(g, "g"), wires, self.shape), wires, throw=throw)

    def renew(
        self, followed: Followed, g: Float[Any, "*stack rows lines"], *, key: PRNGKeyArray, slope: Any = 0.0
    ) -> tuple[Followed, FollowError, FollowError]:
        """A model near other crosspoints, and how far the old and the new one are there; see `crossbar.renew`."""
        return renew(followed, alike(as_floating(g, "g"), followed), key, slope=slope)

    def compiled(
        self, state: TileState, *, temperature: Any = 300.0, key: PRNGKeyArray | None = None, throw: bool = True
    ) -> Float[Array, "*stack rows lines"]:
        """Effective conductances of written hardware [S], in units of the reference resistor on its die."""
        g = self.effective(self.crosspoints(state, temperature=temperature, key=key), throw=throw)
        if self.adc is None:
            return g
        # A current times the factor, against the nominal reference, is the current against that of the die.
        return g * self.cell.reference_factor(state.parts, temperature).astype(g.dtype)

    def weights(self, g_eff: Float[Any, "*stack rows lines"]) -> Float[Array, "*stack rows cols"]:
        """Weights that (effective) conductances [S] stand for."""
        return weights(self.cell, g_eff)

    def multiply(self, x: Float[Any, "*batch rows"], g_eff: Float[Array, "rows lines"]) -> Float[Array, "*batch cols"]:
        """Inputs times the weights of effective conductances [S], through the converters.

        Gradients: straight through the converters.
        """
        x = self._driven(x, "x", g_eff.shape[0], "rows")
        if self.adc is None:
            return jnp.matmul(x, self.weights(g_eff), precision=_HIGHEST)
        i = self._converted(x, g_eff, self.shape[0], (1, 0))
        return self._normalized(self.cell.total(jnp.moveaxis(i.reshape(*i.shape[:-1], -1, self.cell.lines), -1, 0)), x)

    def multiply_transposed(
        self, e: Float[Any, "*batch cols"], g_eff: Float[Array, "rows lines"]
    ) -> Float[Array, "*batch rows"]:
        """As `multiply`, with bit lines driven and word lines sensed."""
        e = self._driven(e, "e", g_eff.shape[1] // self.cell.lines, "columns")
        if self.adc is None:
            return jnp.matmul(e, self.weights(g_eff).T, precision=_HIGHEST)
        lines = e[..., None] * jnp.asarray(self.cell.significance, e.dtype).reshape(*(1 for _ in e.shape), -1)
        return self._normalized(self._converted(lines.reshape(*e.shape[:-1], -1), g_eff.T, self.shape[1], (0, 1)), e)

    def _driven(self, x: Any, name: str, size: int, what: str) -> Float[Array, "*batch n"]:
        """Inputs as the lines receive them, in units of the read voltage."""
        x = as_floating(x, name)
        if x.ndim < 1 or x.shape[-1] != size:
            raise ValueError(
                f"Argument `{name}` must have shape (*batch, {size}) for a matrix of {size} {what}, but has shape "
                f"{x.shape}."
            )
        return x if self.dac is None else self.dac.value(x)

    @eqx.filter_jit
    def _converted(
        self, x: Float[Any, "*batch n"], g: Float[Array, "n m"], tile: int, pad: tuple[int, int]
    ) -> Float[Array, "*batch m"]:
        """Currents over read voltage [S] as the digital side knows them: converted tile by tile, then added."""
        assert self.adc is not None
        tile = min(tile, g.shape[0])
        blocks = -(-g.shape[0] // tile)
        before, after = (n * (blocks * tile - g.shape[0]) for n in pad)
        x = jnp.pad(x, [*((0, 0) for _ in x.shape[:-1]), (before, after)]).reshape(*x.shape[:-1], blocks, tile)
        g = jnp.pad(g, ((before, after), (0, 0))).reshape(blocks, tile, -1)
        v = self.v_word.astype(g.dtype)
        i = v * jnp.einsum("...bn,bnm->...bm", x, g, precision=_HIGHEST)
        return jnp.sum(self.adc.value(i), axis=-2) * (self.adc.full_scale.astype(g.dtype) / v)

    @eqx.filter_jit
    def _normalized(self, total: Float[Array, "*batch n"], x: Float[Array, "*batch m"]) -> Float[Array, "*batch n"]:
        """Outputs from weighted sums [S]: what stands for weight 0 is taken off."""
        offset, span = (g.astype(total.dtype) for g in (self.cell.offset(), self.cell.span()))
        return (total - offset * jnp.sum(x, axis=-1, keepdims=True)) / span
