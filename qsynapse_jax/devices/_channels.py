"""Incomplete channels beside a filament, and the state of the cells that have them."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from qsynapse_jax._fields import Model

# Windows shorter than this part of a dwell time: the closed form of `Channels.spread` is a difference of equal numbers.
_SHORT = 0.1
_Each = tuple[Float[Array, "*shape"], ...]


class TelegraphState(Model):
    """Filaments of an array; all leaves have one shape, those of channels are tuples with one leaf per channel.

    Args:
        g: mean conductance when it was last switched, that of its incomplete channels included [S].
        amplitude: what a channel conducts while its trap lets it [S].
        tau_c: mean times for which it does not [s].
        tau_e: mean times for which it does [s].
        present: whether there is such an incomplete channel; numbers of those that are not there mean nothing.
        device: offset of ln of the step, device by device.
        rate: drift rate.
        age: equivalent time since it was last switched [s].
    """

    g: Float[Array, "*shape"] = eqx.field(metadata={"unit": "S"})
    amplitude: _Each = eqx.field(metadata={"unit": "S"})
    tau_c: _Each = eqx.field(metadata={"unit": "s"})
    tau_e: _Each = eqx.field(metadata={"unit": "s"})
    present: tuple[Bool[Array, "*shape"], ...]
    device: Float[Array, "*shape"]
    rate: Float[Array, "*shape"]
    age: Float[Array, "*shape"] = eqx.field(metadata={"unit": "s"})


class Channels(Model):
    """Channels of an array, one behind the other; numbers as in `TelegraphState`."""

    amplitude: Float[Array, " channels *shape"] = eqx.field(metadata={"unit": "S"})
    tau_c: Float[Array, " channels *shape"] = eqx.field(metadata={"unit": "s"})
    tau_e: Float[Array, " channels *shape"] = eqx.field(metadata={"unit": "s"})
    present: Bool[Array, " channels *shape"]

    @classmethod
    def of(cls, state: TelegraphState) -> "Channels":
        return cls(*map(jnp.stack, (state.amplitude, state.tau_c, state.tau_e, state.present)))

    def into(self, state: TelegraphState, **others: Any) -> TelegraphState:
        return replace(state, **{name: tuple(leaf) for name, leaf in vars(self).items()}, **others)

    @property
    def carried(self) -> Float[Array, " channels *shape"]:
        """What they conduct while they do [S]; nothing where there is none."""
        return jnp.where(self.present, self.amplitude, 0)

    @property
    def occupied(self) -> Float[Array, " channels *shape"]:
        """Shares of the time for which they conduct."""
        return self.tau_e / (self.tau_c + self.tau_e)

    def spread(self, window: Float[Array, ""]) -> Float[Array, "*shape"]:
        """Standard deviation of the average over a window [s] of all channels of a cell [S]."""
        w = window * (1 / self.tau_c + 1 / self.tau_e)
        long = jnp.maximum(w, _SHORT)
        series, closed = 1 - w / 3 * (1 - w / 4 * (1 - w / 5)), 2 * (long + jnp.expm1(-long)) / long**2
        left = jnp.where(w < _SHORT, series, closed)
        return jnp.sqrt(jnp.sum(self.carried**2 * self.occupied * (1 - self.occupied) * left, axis=0))
