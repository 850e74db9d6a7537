"""The systems whose arrays are written to given weights, and what a network on them costs."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import qsynapse_jax as qs
from experiments._written import accuracy, written
from qsynapse_jax.datasets import Dataset

R_ON, R_OFF = 5e3, 1e6
BITS = 4


def tile(name: str, wires: qs.crossbar.Wires, shape: tuple[int, int]) -> qs.tile.Tile:
    """A tile of a system, with the cells of its paper and the device models of this package.

    - quantized synapse: ladders of 4 bits, R = 80 kohm, switches of 5 kohm and 1 Mohm, one verified pulse each;
    - 2,048-level memristor: the lowest 64 uS of its window of 50 to 4,144 uS in steps of 2 uS as published, since wires
      leave nothing of the rest (experiment `array_size`), written within +-1 uS and denoised;
    - CMO/HfOx ReRAM: 27 levels from 25 to 90 uS, written by amplitudes in steps.

    Two such devices or ladders hold a signed weight.
    """
    if name == "quantized synapse":
        # Resistors that allow for the switch in series, so that levels are even.
        r_branch = jnp.asarray([2.0**k * (80e3 + R_ON) - R_ON for k in range(BITS)])
        cell: Any = qs.cells.Ladder(BITS, None, R_ON, R_OFF, r_branch=r_branch, resistor=qs.cells.poly_resistor())
        device, scheme = qs.devices.digital_switch(), qs.programming.SinglePulse(verify=True)
    elif name == "2,048-level memristor":
        cell = qs.cells.Multilevel(33, 50e-6, 114e-6)
        device, scheme = qs.devices.TelegraphFilament(), qs.programming.Denoise()
    else:
        cell = qs.cells.Multilevel(27, 25e-6, 90e-6)
        device, scheme = qs.devices.cmo_reram(), qs.programming.BipolarISPP()
    return qs.tile.Tile(qs.cells.Differential(cell), wires, device, scheme=scheme, shape=shape)


class Found(NamedTuple):
    """What a network on written arrays is worth; a float each.

    Attributes:
        fresh: accuracy on the test images [%].
        kept: the same after the time and at the temperature that were asked for.
        time: to write, tiles side by side and rows one after another [s].
        energy: in the devices, to write [J].
        read: in cells and wires, for one image [J].
        pulses: of a device, mean.
        success: devices that came to their levels [%].
    """

    fresh: float
    kept: float
    time: float
    energy: float
    read: float
    pulses: float
    success: float


def downloaded(
    software: Any, hardware: qs.tile.Tile, data: Dataset, config: Any, *, seconds: float, celsius: float, seed: int
) -> Found:
    """A network trained for the levels of a tile's cells, then written into devices behind wires."""
    network = qs.nn.convert(software, qs.tile.Tile(hardware.cell))
    options: dict[str, Any] = {"epochs": config.epochs, "batch_size": config.batch, "learning_rate": config.rate}
    qs.training.fit(network, data.train, data.test, key=jax.random.key(seed), **options)
    held = written(network, hardware, seed=seed)
    layers = list(qs.nn.crossbar_layers(held).values())
    traces = [layer.kernel.trace.get_value() for layer in layers]
    pulses, success = (
        np.concatenate([np.ravel(getattr(one, what)) for one in traces]) for what in ("pulses", "success")
    )
    images = jnp.asarray(data.x_test[: config.read_images])
    return Found(
        accuracy(held, data.test),
        accuracy(held, data.test, seconds=seconds, temperature=celsius + 273.15),
        max(_write_time(one.time, hardware.shape[0]) for one in traces),
        float(sum(qs.cost.write_energy(one) for one in traces)),
        read_energy(held, images, config.v_read, config.t_read),
        float(pulses.mean()),
        100 * float(success.mean()),
    )


def _write_time(time: Float[Array, "devices rows cols"], lines: int) -> float:
    blocks = [time[:, start : start + lines] for start in range(0, time.shape[1], lines)]
    return max(float(qs.cost.write_time(block, "row")) for block in blocks)


def read_energy(network: Any, x: Float[Array, "images features"], v_read: float, t_read: float) -> float:
    """Energy that cells and wires of all arrays take for an image, mean [J]; converters are not in it.

    Args:
        network: on crossbars, of dense layers with sigmoids between.
        x: images.
        v_read: voltage of an input of 1 [V].
        t_read: duration of a read [s].
    """
    total = 0.0
    for layer in network.layers:
        tile, state = layer.kernel.tile.get_value(), layer.kernel.state.get_value()
        total += t_read * float(_power(tile, tile.crosspoints(state), v_read * x))
        x = jax.nn.sigmoid(layer(x))
    return total


@eqx.filter_jit
def _power(tile: qs.tile.Tile, g: Float[Array, "rows lines"], v: Float[Array, "images rows"]) -> Float[Array, ""]:
    """Power of all tiles of a matrix [W], mean over the images. What a matrix leaves empty is open."""
    n, m = tile.shape
    rows, columns = (-(-size // lines) for size, lines in zip(g.shape, (n, m), strict=True))
    g = jnp.pad(g, ((0, rows * n - g.shape[0]), (0, columns * m - g.shape[1]))).reshape(rows, n, columns, m)
    v = jnp.pad(v, ((0, 0), (0, rows * n - v.shape[1]))).reshape(-1, rows, n)

    wires = tile.wires
    assert wires is not None

    def one(tile_g: Array, tile_v: Array) -> Array:
        return jnp.mean(qs.cost.read_power(qs.crossbar.solve(tile_g, tile_v, wires), tile_v, wires).total)

    of_row = jax.vmap(jax.vmap(one, (1, None)), (0, 1))
    return jnp.sum(of_row(g, v))
