"""Gradient descent by the array itself: every presentation pulses all devices at once."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, PRNGKeyArray, UInt

from qsynapse_jax._fields import Scalar, positive, real
from qsynapse_jax.nn import Outer, PulsedKernel, crossbar_layers
from qsynapse_jax.training.rules._arrays import pulsed
from qsynapse_jax.training.rules._base import AbstractRule
from qsynapse_jax.training.rules._trains import PulseTrains, Sent


class Tally(eqx.Module):
    """What was sent to the arrays of a kernel until now.

    Attributes:
        pulses: that devices received, low and high 32 bits.
        updates: presentations.
        cut: presentations that asked for more slots than trains have.
    """

    pulses: UInt[Array, " 2"]
    updates: UInt[Array, ""]
    cut: UInt[Array, ""]

    @classmethod
    def zero(cls) -> "Tally":
        """Nothing was sent."""
        none = jnp.zeros((), jnp.uint32)
        return cls(jnp.zeros(2, jnp.uint32), none, none)

    def after(self, sent: Sent, count: Array) -> "Tally":
        """With one more presentation, in which devices received so many pulses."""
        low = self.pulses[0] + count.astype(jnp.uint32)
        pulses = jnp.stack([low, self.pulses[1] + (low < self.pulses[0])])
        is_cut = (sent.asked > sent.length).astype(jnp.uint32)
        return Tally(pulses, self.updates + jnp.uint32(1), self.cut + is_cut)


class AnalogSGD(AbstractRule):
    """Stochastic gradient descent in the array: of every presentation the two factors are sent as pulse trains.

    Devices move where bits meet, by -`learning_rate` x d in the mean as far as their step is the mean one. The
    presentations of a batch are sent one after another; all were read before.

    Args:
        learning_rate: in units of the weights of the array.
        trains: how factors become pulses.

    Reference: T. Gokmen and Y. Vlasov, Front. Neurosci. 10:333, 2016, doi 10.3389/fnins.2016.00333.
    """

    learning_rate: Scalar = real("", positive)
    trains: PulseTrains = eqx.field(default_factory=PulseTrains)

    def init(self, model: nnx.Module) -> Any:
        return {path: Tally.zero() for path in pulsed_kernels(model, type(self).__name__, arrays=1)}

    def update(
        self, model: nnx.Module, rule_state: Any, outer: Mapping[str, Outer], key: PRNGKeyArray
    ) -> tuple[nnx.Module, Any]:
        kernels = pulsed_kernels(model, type(self).__name__, arrays=1)
        rule_state = dict(rule_state)
        for (path, factors), its_key in zip(sorted(outer.items()), jax.random.split(key, len(outer)), strict=True):
            kernel = kernels[path]
            device, devices = kernel.device, jax.tree.map(lambda leaf: leaf[0], kernel.devices())
            rate = self.learning_rate / device.dw_min

            def present(carry: Any, item: Any, device: Any = device, rate: Any = rate) -> tuple[Any, None]:
                devices, tally = carry
                x, delta, key = item
                bits, noise = jax.random.split(key)
                sent = self.trains.send(x, -delta, rate, bits)
                devices, count = pulsed(device, devices, sent, noise)
                return (devices, tally.after(sent, count)), None

            keys = jax.random.split(its_key, len(factors.x))
            carry = (devices, rule_state[path])
            (devices, rule_state[path]), _ = jax.lax.scan(present, carry, (*factors, keys))
            kernel.set_devices(jax.tree.map(lambda leaf: leaf[None], devices))
        return model, rule_state


def pulsed_kernels(model: nnx.Module, rule: str, *, arrays: int | None = None) -> dict[str, PulsedKernel]:
    """The kernels of a model by path, which all learn in place, with so many arrays each."""
    layers = crossbar_layers(model)
    other = [path for path, layer in layers.items() if not isinstance(layer.kernel, PulsedKernel)]
    if other or not layers:
        what = f"{other[0]!r} has none" if other else "it has no layer on crossbars"
        raise ValueError(
            f"Argument `model` must have devices that learn in place for `{rule}` to pulse, but {what}; put them there: "
            "`nn.pulsed(nn.convert(model, tile), tile, key=key)`."
        )
    found = {path: layer.kernel for path, layer in layers.items()}
    wrong = [path for path, kernel in found.items() if arrays not in (None, kernel.arrays)]
    if wrong:
        raise ValueError(
            f"Argument `model` must have {arrays} array{'s' if arrays != 1 else ''} of devices per layer for `{rule}`, "
            f"but {wrong[0]!r} has {found[wrong[0]].arrays}; make it with as many gains: `nn.pulsed(..., gains=...)`."
        )
    return found
