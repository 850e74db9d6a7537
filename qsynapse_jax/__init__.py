"""Differentiable simulator of resistive-memory crossbars and the networks that run on them.

import qsynapse_jax as qs
sol = qs.crossbar.solve(g, v_in, qs.crossbar.Wires(r_word=1.0, r_bit=1.0))
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qsynapse_jax import cells as cells
    from qsynapse_jax import codesign as codesign
    from qsynapse_jax import cost as cost
    from qsynapse_jax import crossbar as crossbar
    from qsynapse_jax import datasets as datasets
    from qsynapse_jax import devices as devices
    from qsynapse_jax import nn as nn
    from qsynapse_jax import periphery as periphery
    from qsynapse_jax import plot as plot
    from qsynapse_jax import programming as programming
    from qsynapse_jax import quantize as quantize
    from qsynapse_jax import report as report
    from qsynapse_jax import studies as studies
    from qsynapse_jax import sweep as sweep
    from qsynapse_jax import tile as tile
    from qsynapse_jax import training as training

__version__ = "0.1.0"

# Loaded on first use: Flax, Optax and scikit-learn take longer to import than a circuit takes to solve.
_PACKAGES = (
    "cells",
    "codesign",
    "cost",
    "crossbar",
    "datasets",
    "devices",
    "nn",
    "periphery",
    "plot",
    "programming",
    "quantize",
    "report",
    "studies",
    "sweep",
    "tile",
    "training",
)

if not TYPE_CHECKING:  # to a type checker this function would make every name `Any`, misspelled ones too

    def __getattr__(name: str) -> Any:
        if name in _PACKAGES:
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PACKAGES])
