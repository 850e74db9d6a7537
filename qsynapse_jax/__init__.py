"""Differentiable simulator of resistive-memory crossbars and the networks that run on them.

import qsynapse_jax as qs
sol = qs.crossbar.solve(g, v_in, qs.crossbar.Wires(r_word=1.0, r_bit=1.0))
"""

import importlib
from typing import Any

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
    "programming",
    "quantize",
    "tile",
    "training",
)


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PACKAGES])
