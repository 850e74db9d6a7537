"""The pictures of every study. This file is imported when they are drawn: studies bring Flax and Optax with them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from qsynapse_jax._fields import quantity
from qsynapse_jax.plot._axes import new_figure
from qsynapse_jax.plot._circuit import crossbar, effective_weights
from qsynapse_jax.plot._devices import largest_weight, pulse_response, staircase, weight_bars
from qsynapse_jax.plot._levels import error_histogram, levels_and_resistors, noise_traces, pulse_counts
from qsynapse_jax.plot._results import accuracy
from qsynapse_jax.studies import CodesignResult, InsituResult, MappedResult, NetworkResult, ProgramResult

_COLORS = {
    "float": "0.45",
    "quantized": "tab:blue",
    "deployed": "tab:red",
    "circuit": "tab:green",
    "insitu": "tab:green",
}
_SHOWN_WITHOUT_LEVELS = ("R as found", "closed form")


def _network(result: NetworkResult) -> dict[str, Any]:
    """Voltages of a tile, weights behind the wires, and accuracy of the four networks where they were trained."""
    rows, found, views = result.ROWS, result.accuracies, result.views
    v_cell, v_read = views["tile/v_cell"], float(views["tile/v_read"])
    drop = crossbar(
        v_cell,
        label="cell voltage",
        unit="V",
        limits=(0.0, v_read),
        title=f"All word lines of this tile are driven with {1e3 * v_read:.0f} mV;\n"
        f"the wires take {100 * (1 - v_cell.min() / v_read):.0f} % of it from the worst cell",
    )
    shown = [name for name in ("deployed", "circuit") if name in found]
    weights, panels = new_figure(4.2 * len(shown), 4.4, 1, len(shown), sharex=True, sharey=True, squeeze=False)
    for panel, name in zip(panels[0], shown, strict=True):
        effective_weights(
            *(views[f"weights/{name}/{what}"] for what in ("intended", "effective")),
            color=_COLORS[name],
            ax=panel,
            title=f"{rows[name]}:\n{found[name]:.1f} % of the test samples are right",
        )
    for panel in panels[0][1:]:
        panel.set_ylabel("")
    pictures = {"ir_drop": drop.figure, "weights": weights}
    if not result.histories:
        return pictures
    course = accuracy(
        {rows[name]: [100 * e.accuracy for e in epochs] for name, epochs in result.histories.items()},
        reference={rows["deployed"]: found["deployed"]},
        title=f"One network for {result.config.dataset}, trained four ways",
        colors={rows[name]: _COLORS[name] for name in rows},
    )
    return {"accuracy": course.figure} | pictures


def _insitu(result: InsituResult) -> dict[str, Any]:
    """Accuracy of arrays that learn, their weights before and after, and the answer of their devices to pulses."""
    config, rows = result.config, result.ROWS
    course = accuracy(
        {rows[name]: [100 * e.accuracy for e in epochs] for name, epochs in result.histories.items()},
        title=f"{config.dataset}, learnt by {config.rule} on {config.device} devices, and in software",
        colors={rows[name]: _COLORS[name] for name in rows},
    )
    response = pulse_response(
        result.response["pulses"],
        result.response["g"],
        title=f"How {config.device} devices answer to pulses, {result.response['g'].shape[1]} as fabricated",
    )
    return {"accuracy": course.figure, "weights": _histograms(result), "pulses": response.figure}


def _histograms(result: InsituResult) -> Any:
    """A panel per array: a row per array of a weight, a column per layer, all on one axis."""
    names, paths = result.config.array_names, list(dict.fromkeys(key.rpartition("/")[0] for key in result.weights))
    size = max(4.8, 3.6 * len(paths)), 0.6 + 2.9 * len(names)
    figure, panels = new_figure(*size, len(names), len(paths), squeeze=False)
    end = largest_weight(*result.weights.values(), result.bounds)
    for number, name in enumerate(names):
        for place, path in enumerate(paths):
            first, last = (result.weights[f"{path}/{when}"][number] for when in ("first", "last"))
            matrix = f"matrix {place + 1} of {len(paths)}, {first.shape[0]} x {first.shape[1]}"
            panel = panels[number][place]
            weight_bars(panel, first, last, result.bounds, end)
            panel.set(title="\n".join(filter(None, [matrix, name])), ylabel="" if place else "devices")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _program(result: ProgramResult) -> dict[str, Any]:
    """The map of an array at its levels, its staircase, errors, fluctuation, and pulses."""
    config, words, stages = result.config, result.ROWS, result.stages.items()
    g = crossbar(result.read[0], title=f"One read of {result.target.size:,} cells at {config.levels:,} levels")
    failed = np.argwhere(~np.asarray(result.last.success))
    if len(failed):
        label = f"{len(failed):,} cells that gave up"
        g.plot(failed[:, 1], failed[:, 0], "s", ms=4, markerfacecolor="none", color="tab:red", label=label)
        g.legend(loc="upper right", fontsize=8)
    step = quantity(config.step, "S")
    return {
        "conductance": g.figure,
        "staircase": _staircases(result, step),
        "errors": error_histogram(
            {words[name]: result.errors(stage) for name, stage in stages},
            tolerance=config.tolerance,
            title=f"How far raw reads are from their targets, {step} from level to level",
        ),
        "traces": noise_traces(
            {words[name]: stage.traces for name, stage in stages},
            interval=config.interval,
            band=2 * config.tolerance * config.step,
            cells=[f"cell {i}, {j}" for i, j in result.followed],
        ),
        "pulses": pulse_counts(
            {words[name]: stage.trace.pulses for name, stage in stages},
            title="Pulses per cell, denoising ones included",
        ),
    }


def _staircases(result: ProgramResult, step: str) -> Any:
    """All cells, and those of a dozen levels around the middle one."""
    figure, (whole, part) = new_figure(10.0, 4.2, 1, 2)
    staircase(result.target, result.read, ax=whole, title=f"Reads of all cells, sorted by target; {step} apart")
    target = np.asarray(result.target, float)
    middle = np.sort(target, axis=None)[target.size // 2]
    near = np.abs(target - middle) <= 6.5 * result.config.step
    staircase(target[near], np.asarray(result.read)[:, near], ax=part, title="A dozen levels in the middle")
    return figure


def _mapped(result: MappedResult) -> dict[str, Any]:
    """Weights of the first layer as intended and as the array has them; and the map."""
    pictures = {}
    if result.weights is not None:
        name, found = list(result.accuracies.items())[-1]
        title = f"First layer, {result.ROWS[name]}:\n{found:.1f} % of the test samples are right"
        pictures["weights"] = effective_weights(*result.weights, title=title).figure
    errors = result.config.errors()
    if errors is not None:
        title = f"Errors of {result.config.map}"
        pictures["map"] = crossbar(errors, label="measured over target", unit="", title=title).figure
    return pictures


def _codesign(result: CodesignResult) -> dict[str, Any]:
    """Levels of a full tile, and the resistors."""
    levels = {name: level for name, level in result.levels.items() if name not in _SHOWN_WITHOUT_LEVELS}
    designs = {name: r for name, r in result.designs.items() if name != "R as found"}
    return {"codesign": levels_and_resistors(levels, designs)}


PAGES: dict[type, Callable[[Any], dict[str, Any]]] = {
    NetworkResult: _network,
    InsituResult: _insitu,
    ProgramResult: _program,
    MappedResult: _mapped,
    CodesignResult: _codesign,
}
