"""Every solver there is, as data; a new solver is one entry of `SOLVERS`."""

import pytest

import qsynapse_jax as qs

SOLVERS = [
    qs.crossbar.Auto(),
    qs.crossbar.ConjugateGradient(),
    qs.crossbar.Modal(),
    qs.crossbar.Elimination(),
]

by_solver = pytest.mark.parametrize("case", SOLVERS, ids=lambda solver: type(solver).__name__)

# Elimination and conjugate gradients are what `Auto` takes for these sizes.
_slow = [pytest.param(s, marks=pytest.mark.slow if i in (1, 3) else []) for i, s in enumerate(SOLVERS)]
quick_by_solver = pytest.mark.parametrize("case", _slow, ids=lambda solver: type(solver).__name__)
