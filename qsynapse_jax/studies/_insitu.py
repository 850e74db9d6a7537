"""A network that learns inside its arrays, beside the same network in software, trained equally long."""

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from qsynapse_jax import nn
from qsynapse_jax._fields import described
from qsynapse_jax.datasets import Dataset, load
from qsynapse_jax.studies._insitu_config import ACTIVATIONS, InsituConfig
from qsynapse_jax.studies._record import Record, TextTable, claim
from qsynapse_jax.studies._store import RunFolder
from qsynapse_jax.studies._train import Progress, train
from qsynapse_jax.training import Epoch, State, model

# Devices whose response to pulses is shown, and points of a curve of it at most.
_SHOWN, _POINTS = 8, 200


@dataclass
class InsituResult:
    """What the study found.

    Attributes:
        ROWS: the networks in words, by name.
        config: what was asked.
        layers: sizes of the layers, from inputs to classes.
        samples: how many images there were to train with, and to test with.
        devices: how many devices there are, those of all arrays.
        histories: what training told after every epoch, by network. That of the arrays has in `measured` the pulses
            that devices received until then, the share of updates that were cut and of devices that are saturated.
        seconds: time to train each [s], by name.
        weights: of every array, shape (layers' arrays, rows, cols), by path of the layer and "first" or "last".
        bounds: mean lowest and highest weight of the devices.
        response: conductances [S] under pulses up, then down, "g" (points, devices), and "pulses" until then.
        remarks: what the rule said of the run.
        continued: whether an interrupted run was continued.
    """

    ROWS: ClassVar[dict[str, str]] = {"float": "float software", "insitu": "learnt in the arrays"}
    config: InsituConfig
    layers: tuple[int, ...]
    samples: tuple[int, int]
    devices: int = 0
    histories: dict[str, list[Epoch]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    bounds: tuple[float, float] = (-1.0, 1.0)
    response: dict[str, np.ndarray] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    continued: bool = False

    __repr__ = described

    @property
    def accuracies(self) -> dict[str, float]:
        """Test accuracy at the end [%], by network."""
        return {name: 100 * epochs[-1].accuracy for name, epochs in self.histories.items()}

    @property
    def last(self) -> Mapping[str, float]:
        """What was measured of the arrays at the end."""
        return self.histories["insitu"][-1].measured

    def record(self, wall_time_s: float) -> Record:
        """The record of this run."""
        found, last = self.accuracies, self.last
        figures = [claim(f"test_accuracy_{name}", "%", [x], label=self.ROWS[name]) for name, x in found.items()]
        figures += [
            claim("lost_in_the_arrays", "points", [found["float"] - found["insitu"]]),
            claim("saturated_devices", "%", [100 * last["saturated"]], note="within a mean step of a bound of theirs"),
        ]
        if "pulses" in last:
            note = "counted by the rule; where a slow array learns from a fast one, those of the fast one"
            figures += [
                claim("pulses_received", "pulses", [last["pulses"]], label="pulses that devices received", note=note),
                claim("updates_cut", "%", [100 * last["cut"]], label="updates that asked for longer trains"),
            ]
        figures += [claim(f"time_to_train_{name}", "s", [x]) for name, x in self.seconds.items()]
        data = {
            f"history/{name}/{what}": np.array([_figure(epoch, what) for epoch in epochs])
            for name, epochs in self.histories.items()
            for what in ("loss", "accuracy", *epochs[-1].measured)
        }
        data |= {f"weights/{name}": w for name, w in self.weights.items()}
        data |= {f"response/{name}": x for name, x in self.response.items()}
        notes = ["continued: times are those after the last interruption"] if self.continued else []
        return Record(
            "insitu",
            self.config,
            (self.config.seed,),
            wall_time_s,
            figures,
            tables={"epochs": self._table()},
            data=data,
            notes=(*self.config.hardware(), *notes, *self.remarks),
        )

    def _table(self) -> TextTable:
        sizes, (train_size, test_size) = "-".join(map(str, self.layers)), self.samples
        title = (
            f"{self.config.dataset}, {sizes} network, {train_size:,} images, test accuracy on {test_size:,}, "
            f"{self.devices:,} devices, seed {self.config.seed}"
        )
        rows = []
        for software, arrays in zip(self.histories["float"], self.histories["insitu"], strict=True):
            rows.append(
                [
                    str(arrays.number),
                    f"{arrays.loss:.3f}",
                    f"{100 * arrays.accuracy:.2f} %",
                    f"{100 * software.accuracy:.2f} %",
                    f"{arrays.measured['pulses']:.3g}" if "pulses" in arrays.measured else "",
                    f"{100 * arrays.measured['saturated']:.1f} %",
                ]
            )
        return TextTable(title, ["epoch", "loss", *reversed(self.ROWS.values()), "pulses so far", "saturated"], rows)


def _figure(epoch: Epoch, what: str) -> float:
    return epoch.measured[what] if what in epoch.measured else getattr(epoch, what)


def run_insitu(config: InsituConfig, progress: Progress = Progress(), *, run: RunFolder | None = None) -> InsituResult:
    """Trains the float network, and from the same weights the one in the arrays, with the same rates and equally long.

    Args:
        config: what is asked.
        progress: who listens.
        run: where checkpoints go; nowhere if it is not given.
    """
    data = _data(config)
    sizes = (data.x_train.shape[1], *config.hidden_sizes, data.n_classes)
    samples = (len(data.y_train), len(data.y_test))
    result = InsituResult(config, sizes, samples, continued=run is not None and run.continued)
    software = _fitting(nn.mlp(sizes, activation=ACTIVATIONS[config.activation], rngs=nnx.Rngs(config.seed)), config)
    arrays = _in_arrays(software, config)
    kernels = _kernels(arrays)
    result.devices = sum(jax.tree.leaves(kernel.devices())[0].size for kernel in kernels.values())
    result.bounds = _bounds(kernels)
    result.weights = {f"{path}/first": _weights(kernel) for path, kernel in kernels.items()}
    rule, digital = config.learning(max(1, samples[0] // config.batch_size))
    _train("float", software, result, data, progress, run, rule=digital)
    with _said_once(result.remarks):
        _train("insitu", arrays, result, data, progress, run, rule=rule, digital=digital)
    result.weights |= {f"{path}/last": _weights(kernel) for path, kernel in kernels.items()}
    result.response = _response(config)
    return result


def _data(config: InsituConfig) -> Dataset:
    data = load(config.dataset, seed=config.seed)
    most, wanted = len(data.y_train), config.train_images
    if wanted is None:
        return data
    if wanted > most:
        raise ValueError(f"Argument `train_images` must be at most {most:,}, all of {data.name}, but is {wanted:,}.")
    return dataclasses.replace(data, x_train=data.x_train[:wanted], y_train=data.y_train[:wanted])


def _fitting(software: Any, config: InsituConfig) -> Any:
    """A float network whose weights fit between the bounds of the device, and are its weights one for one."""
    device = config.physical_device()
    bound = min(float(device.w_max), -float(device.w_min))
    for layer in software.layers:
        w = layer.kernel.get_value()
        layer.kernel.set_value(w * jnp.minimum(1, bound / jnp.max(jnp.abs(w))))
    return software


def _in_arrays(software: Any, config: InsituConfig) -> Any:
    """The same network on arrays of devices, as it begins."""
    tile = config.tile()
    network = nn.convert(software, tile)
    for layer in nn.crossbar_layers(network).values():
        # A weight of a device is one of the network: the scale of `convert` rounds best, and nothing is rounded here.
        kernel: Any = layer.kernel
        kernel.weight.set_value(kernel.weight.get_value() * layer.scale.get_value())
        layer.scale.set_value(jnp.ones_like(layer.scale.get_value()))
    return nn.pulsed(network, tile, gains=config.array_gains, key=jax.random.key(config.seed))


def _kernels(network: Any) -> dict[str, Any]:
    return {path: layer.kernel for path, layer in nn.crossbar_layers(network).items()}


def _train(
    name: str,
    network: Any,
    result: InsituResult,
    data: Dataset,
    progress: Progress,
    run: RunFolder | None,
    **moved: Any,
) -> None:
    config, start = result.config, time.perf_counter()
    result.histories[name] = train(
        network,
        data,
        progress,
        title=result.ROWS[name],
        name=name,
        run=run,
        seed=config.seed,
        epochs=config.passes,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        measure=_measured if name == "insitu" else None,
        told=_told,
        **moved,
    )
    result.seconds[name] = time.perf_counter() - start


@contextlib.contextmanager
def _said_once(remarks: list[str]) -> Iterator[None]:
    """What would be warned of after every epoch is warned of once, in its last words, and added to `remarks`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            last = {(one.filename, one.lineno): one for one in caught}
    for one in last.values():
        remarks.append(str(one.message))
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _told(epoch: Epoch) -> str:
    said = [f"test {100 * epoch.accuracy:.2f} %"]
    if "pulses" in epoch.measured:
        said.append(f"{epoch.measured['pulses']:.3g} pulses")
    if "saturated" in epoch.measured:
        said.append(f"{100 * epoch.measured['saturated']:.1f} % saturated")
    if epoch.measured.get("cut", 0) > 0.5:
        said.append(f"{100 * epoch.measured['cut']:.0f} % of the updates cut")
    return ", ".join(said)


def _measured(state: State) -> dict[str, float]:
    """Pulses received until now, share of updates that were cut, and of devices that are at a bound."""
    tallies = [
        node
        for node in jax.tree.leaves(state.rule_state, is_leaf=lambda node: hasattr(node, "presentations"))
        if hasattr(node, "presentations")
    ]
    found = {"saturated": _saturated(_kernels(model(state)))}
    if tallies:
        low, high = np.sum([np.asarray(tally.pulses, float) for tally in tallies], axis=0)
        cut, presentations = (sum(int(getattr(one, name)) for one in tallies) for name in ("cut", "presentations"))
        found |= {"pulses": float(low + 2**32 * high), "cut": cut / max(presentations, 1)}
    return found


def _states(kernels: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    return [(kernel.device, kernel.devices()) for kernel in kernels.values()]


def _saturated(kernels: Mapping[str, Any]) -> float:
    """Share of the devices that can move within one mean step of a bound of their own."""
    near, moving = 0, 0
    for device, state in _states(kernels):
        w, low, high = (np.asarray(getattr(state, name)) for name in ("w", "low", "high"))
        moves, step = low < high, float(device.mean_step)
        near += int(np.sum(moves & ((w < low + step) | (w > high - step))))
        moving += int(np.sum(moves))
    return near / max(moving, 1)


def _bounds(kernels: Mapping[str, Any]) -> tuple[float, float]:
    """Mean bounds of the devices, a reference taken off."""
    ends = [
        [np.ravel(getattr(state, name) - (0 if state.reference is None else state.reference)) for _, state in found]
        for found in (_states(kernels),)
        for name in ("low", "high")
    ]
    low, high = (float(np.mean(np.concatenate(end))) for end in ends)
    return low, high


def _weights(kernel: Any) -> np.ndarray:
    return np.asarray(kernel.device.weight(kernel.devices()))


def _response(config: InsituConfig) -> dict[str, np.ndarray]:
    """Devices from their lowest conductance up and down again, by one pulse or several between two points."""
    device = config.physical_device()
    # Soft bounds are approached, not reached: after twice the pulses of the range they are near enough.
    pulses = 2 * float(device.w_max - device.w_min) / float(device.mean_step)
    points = min(_POINTS, max(2, round(pulses)))
    each = max(1, round(pulses / points))
    making, lowering, moving = jax.random.split(jax.random.key(config.seed), 3)
    state = device.init((_SHOWN,), key=making)
    state = device.with_weight(state, jnp.full(_SHOWN, 10 * float(device.w_min)), key=lowering)
    counts = jnp.repeat(jnp.asarray([each, -each], jnp.int32), points)
    return {"pulses": each * np.arange(2 * points + 1), "g": np.asarray(_swept(device, state, counts, moving))}


@jax.jit
def _swept(device: Any, state: Any, counts: jax.Array, key: jax.Array) -> jax.Array:
    """Conductances [S] at the start and after each of the counts."""

    def step(state: Any, item: Any) -> tuple[Any, jax.Array]:
        count, key = item
        state = device.pulse(state, jnp.full(state.w.shape, count), key=key)
        return state, device.conductance(state)

    _, g = jax.lax.scan(step, state, (counts, jax.random.split(key, len(counts))))
    return jnp.concatenate([device.conductance(state)[None], g])
