"""What happens to a model on crossbars after training: written, calibrated, aged, compiled."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qsynapse_jax.nn._kernels import AbstractKernel, CompiledKernel, Gain, Written, WrittenKernel
from qsynapse_jax.nn._model import Keys, named, with_kernels
from qsynapse_jax.nn._pulsed import PulsedKernel
from qsynapse_jax.tile import Tile


def program(model: Any, *, key: Keys, progress: Any = None) -> Any:
    """A model whose weights are written into devices: new ones, or once more those that hold them already.

    Every layer's master weights are rounded to the levels of its cell and written by its tile's scheme. What it cost
    is in `layer.kernel.trace`.

    Args:
        model: any NNX model with layers on crossbars; it is left as it was.
        key: random key for all devices as they are made and written, split among the layers; or keys of shape
            (layers,).
        progress: as for `Tile.program`.

    Raises:
        ValueError: no layer on crossbars; frozen layers.
    """

    def written(path: str, kernel: AbstractKernel, key: Any) -> AbstractKernel:
        _check_not_frozen(path, kernel, "program")
        making, writing = jax.random.split(key)
        tile, code = kernel.tile.get_value(), kernel.code()
        used = isinstance(kernel, WrittenKernel)
        devices = kernel.state.get_value() if used else tile.init(code.shape, key=making)
        state, trace = tile.program(devices, code, key=writing, progress=progress)
        return WrittenKernel(state, code, trace, kernel.tile, throw=kernel.throw)

    return with_kernels(model, written, key)


def calibrate(model: Any) -> Any:
    """A model with one gain per layer that makes up for what all its weights lose alike, to the wires or to age.

        gain = sum(w intended) / sum(w^2)

    is the one of least squared error between the weights `w` that the tiles multiply with and those intended.

    Args:
        model: any NNX model with layers on crossbars that are not frozen; it is left as it was.

    Raises:
        ValueError: no layer on crossbars; frozen layers.
    """

    def calibrated(path: str, kernel: AbstractKernel, key: Any) -> AbstractKernel:
        _check_not_frozen(path, kernel, "calibrate")
        kernel.gain = Gain(_gain(kernel.tile.get_value(), kernel.effective(), kernel.code()))
        return kernel

    return with_kernels(model, calibrated)


@jax.jit
def _gain(tile: Tile, g_eff: Float[Array, "*groups rows lines"], code: Int[Array, "*groups rows cols"]) -> Array:
    w, intended = tile.weights(g_eff), tile.cell.decode(code)
    power = jnp.sum(w**2)
    # A matrix of zeros has nothing to calibrate.
    return jnp.where(power > 0, jnp.sum(w * intended) / jnp.where(power > 0, power, 1), 1)


def age(model: Any, seconds: Any, temperature: Any, *, key: Keys | None = None) -> Any:
    """A written model, later.

    Args:
        model: an NNX model whose layers are written (`program`); it is left as it was.
        seconds: how much later [s].
        temperature: at which it was kept [K].
        key: where ageing is a matter of chance, as for `program`.

    Raises:
        ValueError: layers that are not written; times and temperatures that `Tile.age` refuses.
    """

    def aged(path: str, kernel: AbstractKernel, key: Any) -> AbstractKernel:
        if not isinstance(kernel, WrittenKernel):
            raise ValueError(
                f"Argument `model` must be written into devices before it ages, but {named(path)} is not; age what "
                "`program(model, key=key)` gives."
            )
        # The gain stays what it was calibrated to.
        kernel.state = Written(kernel.tile.get_value().age(kernel.state.get_value(), seconds, temperature, key=key))
        return kernel

    return with_kernels(model, aged, key)


def freeze(model: Any, *, temperature: Any = 300.0, key: PRNGKeyArray | None = None) -> Any:
    """A model whose circuits are solved once: every call after that is a product of matrices.

    Args:
        model: any NNX model with layers on crossbars; it is left as it was, and is the one to train, write or age.
        temperature: at which written devices are read [K].
        key: where written devices are read with their noise, split among the layers.

    Raises:
        ValueError: no layer on crossbars.
    """

    def frozen(path: str, kernel: AbstractKernel, key: Any) -> AbstractKernel:
        if isinstance(kernel, WrittenKernel | PulsedKernel):
            g_eff = kernel.effective(temperature=temperature, key=key)
        else:
            g_eff = kernel.effective()
        return CompiledKernel(g_eff, kernel.tile, kernel.gain.get_value())

    return with_kernels(model, frozen, key)


def _check_not_frozen(path: str, kernel: AbstractKernel, verb: str) -> None:
    if isinstance(kernel, CompiledKernel):
        raise ValueError(
            f"Argument `model` must not be frozen, but {named(path)} is; `{verb}` the model that was given to "
            "`freeze`, and freeze what comes out."
        )
