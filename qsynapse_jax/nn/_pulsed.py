"""Kernels whose devices learn in place: nothing but pulses moves them."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qsynapse_jax._checks import as_floating
from qsynapse_jax.devices import AbstractPulsed, demand
from qsynapse_jax.nn._kernels import AbstractKernel, MasterKernel, Physical, Written, driven
from qsynapse_jax.nn._model import Keys, named, with_kernels
from qsynapse_jax.periphery import ADC, DAC
from qsynapse_jax.tile import Tile, TileState

Converters = tuple[DAC | None, ADC | None]


class Gains(nnx.Variable):
    """How much each array of a kernel counts, shape (arrays,)."""


class PulsedKernel(AbstractKernel):
    """Arrays of devices whose currents are added, each times its gain; learning rules pulse them.

        matrix = sum over k of gains[k] * weights of array k

    All arrays are read together, forwards and backwards. What a rule keeps beside them is its own.

    What a gradient takes backwards through the kernel is a read too, with bit lines driven and word lines sensed: its
    inputs and outputs are converted, and the circuit is the same one seen from the other side. The slope in physical
    parameters of the tile is that of the forward read.

    Args:
        state: the devices, a `TileState` with an axis of arrays before the matrix: (1, arrays, *groups, rows, cols).
        gains: of every array; 1 at least for one of them, else the kernel does not reach weights of 1.
        tile: what each array sits on; its device is pulsed, its cell has one device and one line per weight.
        back: DAC and ADC of the backward read; `None` is those of the tile.
        noise: random numbers of read noise, one draw for each call and direction; `None` is reads without noise.
        throw: see `AbstractKernel`.

    Attributes:
        state: the devices, `Written`.
        gains: a `Gains` variable.
    """

    def __init__(
        self,
        state: TileState,
        gains: Any,
        tile: Physical,
        *,
        back: Converters | None = None,
        noise: nnx.Rngs | None = None,
        throw: bool = True,
    ):
        super().__init__(tile, jnp.ones((), jnp.float32), throw)
        held = tile.get_value()
        # Numbers of converters are physical parameters, like those of the tile.
        self.back = Physical((held.dac, held.adc) if back is None else back)
        self.noise = nnx.data(noise)
        self.state = Written(state)
        self.gains = Gains(gains)

    @property
    def device(self) -> AbstractPulsed:
        """The law of the devices."""
        device: Any = self.tile.get_value().device
        return device

    @property
    def arrays(self) -> int:
        """How many arrays."""
        return self.gains.get_value().shape[0]

    def devices(self) -> Any:
        """States of all devices, leaves (arrays, *groups, rows, cols)."""
        return jax.tree.map(lambda leaf: leaf[0], self.state.get_value().devices)

    def set_devices(self, devices: Any) -> None:
        """Puts other states in their place."""
        old = self.state.get_value()
        self.state.set_value(TileState(jax.tree.map(lambda leaf: leaf[None], devices), old.parts))

    def each(
        self, *, temperature: Any = 300.0, key: PRNGKeyArray | None = None
    ) -> Float[Array, "arrays *groups rows cols"]:
        """Conductances [S] that every array amounts to, wires included; with a `key` one read with its noise."""
        tile, state = self.tile.get_value(), self.state.get_value()
        return tile.compiled(state, temperature=temperature, key=key, throw=self.throw)

    def effective(
        self, *, temperature: Any = 300.0, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*groups rows cols"]:
        g = self.each(temperature=temperature, key=key)
        gains = self.gains.get_value().astype(g.dtype)
        zero = self.tile.get_value().cell.offset().astype(g.dtype)
        # The conductance that stands for weight 0 is taken off each array.
        return zero + jnp.tensordot(gains, g - zero, axes=1)

    def read(self) -> Float[Array, "*groups rows cols"]:
        return self.effective(key=None if self.noise is None else self.noise.read())

    def product(
        self, x: Float[Array, "*batch rows"], g_eff: Float[Array, "*groups rows cols"]
    ) -> Float[Array, "*batch cols"]:
        y = super().product(jax.lax.stop_gradient(x), g_eff)
        g_back = g_eff if self.noise is None else self.read()
        dac, adc = self.back.get_value()
        tile = replace(self.tile.get_value(), dac=dac, adc=adc)
        nothing: Any = _backward(x, jax.lax.stop_gradient((tile, g_back)), y.shape[-1])
        return y + nothing

    def code(self) -> Int[Array, "*groups rows cols"]:
        raise ValueError("Devices that learn in place hold no codes; ask the kernel for its `matrix()`.")

    def intended(self) -> Float[Array, "*groups rows cols"]:
        """Weights with ideal wires."""
        tile = self.tile.get_value()
        weights = tile.weights(tile.crosspoints(self.state.get_value()))
        return jnp.tensordot(self.gains.get_value().astype(weights.dtype), weights, axes=1)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _backward(x: Array, back: tuple[Tile, Array], cols: int) -> Array:
    """Nothing is added forwards; backwards a read of `back` from its bit lines takes the place of the slope in `x`."""
    return jnp.zeros((*x.shape[:-1], cols), x.dtype)


def _backward_read(cols: int, back: tuple[Tile, Array], e: Array) -> tuple[Array, None]:
    tile, g_eff = back
    return driven(tile, tile.multiply_transposed, e, g_eff), None


_backward.defvjp(lambda x, back, cols: (_backward(x, back, cols), back), _backward_read)


def pulsed(
    model: Any,
    tile: Tile,
    *,
    gains: Any = (1.0,),
    back: Any = None,
    noise: bool = False,
    key: Keys,
) -> Any:
    """A model whose matrices are arrays of devices that learn in place (`training.rules`).

    The array that counts most is set to the weights of the model, as near as its devices come; the others are as
    fabricated, about 0.

    Args:
        model: any NNX model with layers on crossbars that hold master weights; it is left as it was.
        tile: what every array sits on, with a device that is pulsed: `tile.analog(device)`.
        gains: how much each array of a kernel counts, positive or 0; one array by default.
        back: DAC and ADC of reads from the bit lines, which training takes gradients back through; either may be
            `None`, a perfect one. By default those of the tile.
        noise: whether every call reads the devices with their noise, one draw for a batch and direction.
        key: random key for all devices as they are made, split among the layers; or keys of shape (layers,).

    Raises:
        ValueError: a tile whose device cannot be pulsed, or with more than one device per weight; gains that are
            negative or all 0; no layer on crossbars, or one without master weights.
    """
    demand(tile.device, AbstractPulsed, "arrays that learn in place")
    if tile.cell.n_devices != 1:
        raise ValueError(
            f"Argument `tile` must have one device per weight, but a {type(tile.cell).__name__} has "
            f"{tile.cell.n_devices}; make it by `tile.analog(device)`."
        )
    gains = as_floating(gains, "gains")
    if gains.ndim != 1 or not bool(jnp.all(gains >= 0)) or not bool(jnp.any(gains > 0)):
        raise ValueError(
            f"Argument `gains` must be a list of numbers of at least 0, one of them above, but is {gains}."
        )
    if back is not None and not (
        isinstance(back, tuple) and len(back) == 2 and all(map(isinstance, back, (DAC | None, ADC | None)))
    ):
        raise ValueError(f"Argument `back` must be a DAC and an ADC, e.g. `(DAC(7), None)`, but is {back!r}.")
    physical = Physical(tile)

    def replaced(path: str, kernel: AbstractKernel, key: Any) -> AbstractKernel:
        if not isinstance(kernel, MasterKernel):
            raise ValueError(f"Argument `model` must hold master weights, but {named(path)} is written or frozen.")
        making, reading = jax.random.split(key)
        rngs = nnx.Rngs(read=reading) if noise else None
        state = _made(physical.get_value(), kernel.master(), gains, making)
        return PulsedKernel(state, gains, physical, back=back, noise=rngs, throw=kernel.throw)

    return with_kernels(model, replaced, key)


@jax.jit
def _made(tile: Tile, weight: Float[Array, "*groups rows cols"], gains: Float[Array, " arrays"], key: Any) -> TileState:
    """Arrays as fabricated, the one that counts most set to the weights."""
    device: Any = tile.device
    making, setting = jax.random.split(key)
    state = tile.init((*gains.shape, *weight.shape), key=making)
    most = jnp.argmax(gains)
    target = jnp.where(
        (jnp.arange(len(gains)) == most).reshape(-1, *(1 for _ in weight.shape)), weight / gains[most], 0
    )
    return TileState(device.with_weight(state.devices, target[None], key=setting), state.parts)
