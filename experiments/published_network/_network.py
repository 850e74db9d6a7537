"""The network on tiles: weights to conductances, the circuit, and conductances back to weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

import qsynapse_jax as qs

G_LOW, G_HIGH = 1 / 40e3, 1 / 1e3  # [S]
WIRES = qs.crossbar.Wires(2.0, 2.0)  # [ohm]

Circuit = Callable[[jax.Array], jax.Array]
"""Conductances of the cells of many tiles [S] to the matrices that the tiles are [S], both (tiles, wl, bl)."""


class Layer(NamedTuple):
    """Weights in units of the layer's `scale`, shape (inputs, outputs), and bias, shape (outputs,)."""

    weight: jax.Array
    bias: jax.Array


class Written(NamedTuple):
    """Tiles as they are written: conductances [S], siemens for a weight of one, and siemens of a weight of zero."""

    g: jax.Array
    gain: jax.Array
    zero: jax.Array | float = 0.0


@dataclass(frozen=True)
class Offset:
    """One cell per weight: smallest to largest weight take a tile's whole range, zero is subtracted digitally."""

    lines: int = 1
    label: str = "offset"

    def write(self, weights: jax.Array, present: jax.Array) -> Written:
        """Conductances of tiles of weights; where none is `present` the cell is open."""
        low = jnp.min(weights, axis=(-2, -1), keepdims=True, where=present, initial=jnp.inf)
        high = jnp.max(weights, axis=(-2, -1), keepdims=True, where=present, initial=-jnp.inf)
        gain = (G_HIGH - G_LOW) / (high - low)
        return Written(jnp.where(present, (weights - low) * gain + G_LOW, 0), gain, G_LOW - low * gain)

    def read(self, g_eff: jax.Array, written: Written) -> jax.Array:
        """The weights that tiles of such matrices have."""
        return (g_eff - written.zero) / written.gain


@dataclass(frozen=True)
class Differential:
    """Two cells per weight on neighbouring bit lines: one holds its positive part, one its negative part."""

    lines: int = 2
    label: str = "differential"

    def write(self, weights: jax.Array, present: jax.Array) -> Written:
        """Conductances of tiles of weights; where none is `present` both cells are open."""
        largest = jnp.max(jnp.abs(weights), axis=(-2, -1), keepdims=True, where=present, initial=0)
        gain = (G_HIGH - G_LOW) / largest
        pair = jnp.stack([jnp.maximum(weights, 0), jnp.maximum(-weights, 0)], axis=-1) * gain[..., None] + G_LOW
        return Written(jnp.where(present[..., None], pair, 0).reshape(*weights.shape[:-1], -1), gain)

    def read(self, g_eff: jax.Array, written: Written) -> jax.Array:
        """The weights that tiles of such matrices have."""
        return (g_eff[..., 0::2] - g_eff[..., 1::2]) / written.gain


@dataclass(frozen=True)
class Hardware:
    """How weights are written, and how many lines of either kind a tile has."""

    coding: Offset | Differential
    tile: int

    def split(self, matrix: jax.Array) -> jax.Array:
        """A matrix in tiles, shape (tiles, wl, bl); what fills the first word lines and the last bit lines is zero.

        Cells that are not there are far from the drivers and from the sense amplifiers, where they change nothing.
        """
        (rows, cols), (wl, bl) = matrix.shape, self._shape(matrix.shape)
        padded = jnp.pad(matrix, ((-rows % wl, 0), (0, -cols % bl)))
        return padded.reshape(-(-rows // wl), wl, -1, bl).swapaxes(1, 2).reshape(-1, wl, bl)

    def join(self, tiles: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """The matrix of `shape` whose tiles these are."""
        (rows, cols), (wl, bl) = shape, self._shape(shape)
        down = -(-rows // wl)
        whole = tiles.reshape(down, -1, wl, bl).swapaxes(1, 2).reshape(down * wl, -1)
        return whole[-rows % wl :, :cols]

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        return min(self.tile, shape[0]), min(self.tile // self.coding.lines, shape[1])

    def write(self, weight: jax.Array) -> Written:
        """A matrix of weights on tiles."""
        return self.coding.write(self.split(weight), self.split(jnp.ones_like(weight)) > 0)

    def effective(self, weight: jax.Array, circuit: Circuit) -> jax.Array:
        """The weights that the circuit makes of `weight`, of the same shape."""
        written = self.write(weight)
        return self.join(self.coding.read(circuit(written.g), written), weight.shape)

    def logits(
        self, layers: Sequence[Layer], circuits: Sequence[Circuit], scale: float, images: jax.Array
    ) -> jax.Array:
        """What the network answers, shape (batch, classes); `scale` is the digital factor of every layer."""
        signal = images
        for number, (layer, circuit) in enumerate(zip(layers, circuits, strict=True)):
            signal = jax.nn.relu(signal) if number else signal
            signal = scale * (signal @ self.effective(layer.weight, circuit)) + layer.bias[None]
        return signal


def exact(g: jax.Array) -> jax.Array:
    """The circuit of tiles behind the wires, solved."""
    return qs.crossbar.effective_conductance(g, WIRES, throw=False)


def near(g: jax.Array) -> Circuit:
    """A cheap model of the circuit for tiles that differ little from these."""
    return qs.crossbar.follow(g, WIRES, throw=False)


def xavier(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """The published start: uniform weights, so that cells have half of the largest conductance on average."""
    return jax.random.uniform(key, shape, minval=-1, maxval=1) * jnp.sqrt(6 / sum(shape))


def sparing(key: jax.Array, shape: tuple[int, int], hardware: Hardware, skew: float) -> jax.Array:
    """A start that spares the lines: most cells near the smallest conductance, a few at the largest.

    What a line loses grows with what its cells conduct. Uniform numbers to the power of `skew` leave 1/(1 + skew) of
    the range on average. The mean weight that the circuit makes of them is shifted to zero: what it adds
    to all outputs alike says nothing about a digit.
    """
    size = jax.random.uniform(key, shape) ** skew
    g = (G_LOW + (G_HIGH - G_LOW) * size) / G_HIGH
    return g - jnp.sum(exact(hardware.write(g).g)) / (g.size * G_HIGH)
