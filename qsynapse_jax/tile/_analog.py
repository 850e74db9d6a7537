"""Tiles of devices whose weight is a number and no code: arrays that learn in place."""

from typing import Any

from qsynapse_jax.cells import Multilevel, Referenced
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.devices import AbstractPulsed, demand
from qsynapse_jax.periphery import ADC, DAC
from qsynapse_jax.tile._tile import Tile


def analog(
    device: Any,
    *,
    wires: Wires | None = None,
    shape: tuple[int, int] = (64, 64),
    dac: DAC | None = None,
    adc: ADC | None = None,
) -> Tile:
    """A tile with one pulsed device per weight, read against a reference: weights are those of the device.

        w = (G - G(0)) / slope,   slope = (g_max - g_min)/(w_max - w_min) of the device

    The reference current, G(0) times the sum of the word-line voltages, is that of an ideal column.

    Args:
        device: that moves by steps, e.g. `devices.SoftBounds(dw_min=0.04)`.
        wires: resistances of every tile [ohm], as for `Tile`.
        shape: word lines and bit lines of a tile.
        dac: converter of the inputs, as for `Tile`.
        adc: converter of the currents, as for `Tile`.

    Raises:
        ValueError: a device that cannot be pulsed; as `Tile`.
    """
    demand(device, AbstractPulsed, "an analog tile")
    slope = (device.g_max - device.g_min) / (device.w_max - device.w_min)
    cell = Referenced(Multilevel(2, 0.0, 2 * slope), device.g_min - device.w_min * slope)
    return Tile(cell, wires=wires, device=device, shape=shape, dac=dac, adc=adc)
