"""A float network, and its weights as they are found on arrays: rounded, written, behind wires."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from qsynapse_jax import nn, training
from qsynapse_jax.cells import Differential, Multilevel
from qsynapse_jax.crossbar import Wires
from qsynapse_jax.datasets import Dataset
from qsynapse_jax.devices import ProgrammingNoise, TelegraphFilament
from qsynapse_jax.programming import Denoise, program
from qsynapse_jax.tile import Tile, TileState

# Levels of a cell before they are rounded to those of a run: 0.125 uS in 4 mS.
_FINE = 2**15
# The band of the published levels [S].
_BAND = 2e-6


class Layer(NamedTuple):
    """Weights and biases in software."""

    w: Float[Array, "rows cols"]
    bias: Float[Array, " cols"]


def trained(data: Dataset, hidden: int, epochs: int, seed: int) -> list[Layer]:
    """A dense network with one hidden layer, trained in software by Adam."""
    network: Any = nn.mlp((data.x_train.shape[1], hidden, data.n_classes), rngs=nnx.Rngs(seed))
    state = training.init(network, optax.adam(1e-3), key=jax.random.key(seed))
    for _ in range(epochs):
        state, _ = training.epoch(state, *data.train, 128)
    layers = training.model(state).layers
    return [Layer(layer.kernel.get_value(), layer.bias.get_value()) for layer in layers]


def accuracies(layers: list[Layer], matrices: list[Float[Array, "runs rows cols"]], data: Dataset) -> np.ndarray:
    """Test accuracy of every run [%], with matrices in place of the weights."""
    biases = [layer.bias for layer in layers]
    return np.asarray(_accuracies(matrices, biases, jnp.asarray(data.x_test), jnp.asarray(data.y_test)))


@jax.jit
def _accuracies(matrices: list[Array], biases: list[Array], x: Array, y: Array) -> Float[Array, " runs"]:
    def accuracy(matrices: list[Array]) -> Array:
        hidden = jax.nn.relu(x @ matrices[0] + biases[0][None])
        return 100 * jnp.mean(jnp.argmax(hidden @ matrices[1] + biases[1][None], axis=-1) == y)

    return jax.lax.map(accuracy, matrices)


def written(denoising: bool, cells: int, seed: int) -> tuple[ProgrammingNoise, float]:
    """What the write engine leaves of targets within +-1 uS, all over the window of the device.

    Args:
        denoising: whether the fluctuation of cells is taken down as well.
        cells: how many are written, to targets at random, and read once.
        seed: of the cells.

    Returns:
        The deviation of reads from targets as a device, and the share of successes.
    """
    device, keys = TelegraphFilament(), jax.random.split(jax.random.key(seed), 4)
    target = jax.random.uniform(keys[0], (cells,), minval=device.g_min, maxval=device.g_max)
    scheme = Denoise() if denoising else Denoise(denoising=0.0)
    state = device.init((cells,), key=keys[1])
    state, trace = program(device, state, target, scheme, step=_BAND, least=0.0, key=keys[2])
    error = device.read(state, key=keys[3]) - target
    # It does not depend on the conductance.
    sigma = jnp.sqrt(jnp.mean((error * 1e6) ** 2))[None] * 1e-6
    return ProgrammingNoise(sigma, 1e-6, device.g_min, device.g_max), float(trace.success.mean())


def targets(
    w: Float[Array, "rows cols"], span: float, wires: Wires | None, shape: tuple[int, int], max_steps: int = 300
) -> Float[Array, "rows lines"]:
    """Conductances that differential cells are written to for weights in [-1, 1], before they are rounded [S].

    Args:
        w: weights.
        span: from the least conductance to the one of weight 1 [S].
        wires: to be compensated, with all of the window of the device; `None` compensates nothing.
        shape: of a tile.
        max_steps: of the search for them.
    """
    tile, key = _tile(wires, shape), jax.random.key(0)
    w = w * (span / float(tile.cell.span()))
    state, _ = tile.write(w, key=key) if wires is None else tile.write_compensated(w, key=key, max_steps=max_steps)
    return state.devices[0]


def matrices(
    g: Float[Array, "rows lines"],
    span: float,
    levels: tuple[int, ...],
    noises: list[ProgrammingNoise],
    wires: Wires | None,
    shape: tuple[int, int],
    seed: int,
) -> Float[Array, "runs rows cols"]:
    """Weights found on arrays for each noise and each number of levels within the span, levels first."""
    steps, sigmas = np.meshgrid([span / (n - 1) for n in levels], [float(one.coefficients[0]) for one in noises])
    runs = (jnp.asarray(steps.ravel(), g.dtype), jnp.asarray(sigmas.ravel(), g.dtype))
    return _found(g, span, runs, noises[0], _tile(wires, shape), jax.random.key(seed))


@eqx.filter_jit
def _found(g: Array, span: float, runs: tuple[Array, Array], noise: ProgrammingNoise, tile: Tile, key: Any) -> Array:
    def devices(run: tuple[Array, Array]) -> Array:
        step, sigma = run
        rounded = noise.g_min + step * jnp.round((g - noise.g_min) / step)
        law = eqx.tree_at(lambda one: one.coefficients, noise, sigma[None])
        return law.found(jnp.clip(rounded, noise.g_min, noise.g_max), key=key)

    w = tile.matrix(TileState(jax.lax.map(devices, runs)[None], None), throw=False)
    return w * (tile.cell.span() / span)


def _tile(wires: Wires | None, shape: tuple[int, int]) -> Tile:
    device = TelegraphFilament()
    return Tile(Differential(Multilevel(_FINE, device.g_min, device.g_max)), wires=wires, shape=shape)
