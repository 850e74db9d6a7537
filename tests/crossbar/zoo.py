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
