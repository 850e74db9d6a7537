"""Every layer there is, as the layer of Flax that it stands for; a new layer is one entry of `LAYERS`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flax import nnx

import qsynapse_jax as qs


@dataclass(frozen=True, eq=False)
class Case:
    """One layer on crossbars: `build` makes its like without them; `inputs` is the shape of a batch."""

    name: str
    kind: type[qs.nn.CrossbarLayer]
    build: Callable[[nnx.Rngs], Any]
    inputs: tuple[int, ...]


LAYERS = [
    Case("dense", qs.nn.CrossbarDense, lambda rngs: nnx.Linear(5, 4, rngs=rngs), (3, 5)),
    Case(
        "general",
        qs.nn.CrossbarGeneral,
        lambda rngs: nnx.LinearGeneral((2, 3), (2, 2), axis=(-2, -1), rngs=rngs),
        (3, 2, 3),
    ),
    Case(
        "conv",
        qs.nn.CrossbarConv,
        lambda rngs: nnx.Conv(4, 6, (3,), strides=2, feature_group_count=2, rngs=rngs),
        (2, 7, 4),
    ),
]
by_layer = pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=pytest.mark.slow if case.name == "general" else []) for case in LAYERS],
)
