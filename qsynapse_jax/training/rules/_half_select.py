"""Half-selects: what pulses do to devices of which only the row, or only the column, is driven."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from qsynapse_jax._fields import Model, Scalar, non_negative, real
from qsynapse_jax.devices import AbstractPulsed


class HalfSelect(Model):
    """A device whose row or column alone is pulsed moves by a small part of a step.

    One such pulse adds `k dw`, with dw the step that a full pulse of its polarity would make and k normal of mean `up`
    or `down` and standard deviation `sigma`; many are added up first.

    Args:
        up: k of pulses towards higher weights.
        down: k of pulses towards lower weights.
        sigma: standard deviation of k from pulse to pulse.

    Reference: Choi et al., Advanced Science 13(4), e04578, 2026, doi 10.1002/advs.202504578: k = dg(V/2)/dg(V). Whether
        its numbers are means or drifts of many pulses is not said; `programming.half_select_ratio` measures both.
    """

    up: Scalar = real("", default=0.0)
    down: Scalar = real("", default=0.0)
    sigma: Scalar = real("", non_negative, default=0.0)

    def after(self, device: AbstractPulsed, devices: Any, counts: "HalfSelected", key: PRNGKeyArray) -> Any:
        """Devices after so many half-selects, leaves and counts of one shape."""
        dtype = device.weight(devices).dtype
        up, down = counts.up.astype(dtype), counts.down.astype(dtype)
        return device.creep(devices, self.up * up, self.down * down, self.sigma * jnp.sqrt(up + down), key=key)


class HalfSelected(eqx.Module):
    """How many half-select pulses devices received.

    Attributes:
        up: towards higher weights.
        down: towards lower weights.
    """

    up: Int[Array, "*shape"]
    down: Int[Array, "*shape"]
