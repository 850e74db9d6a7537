"""Inside `jax.shard_map` with its default checks: values and derivatives, one array for each device.

The checks follow what differs between devices; they are the same for one device, which is what the tests have.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import qsynapse_jax as qs
from tests.crossbar.problems import random_cells, random_volts

BROKEN = np.where(np.arange(30).reshape(6, 5) == 7, np.inf, 1.0)
WIRES = {
    "uniform": {"r_word": 1.0, "r_bit": 2.0, "r_driver": 3.0, "r_sense": 4.0},
    "both ends": {"r_word": 1.0, "r_bit": 2.0, "r_driver_far": 5.0},
    "open": {"r_word": BROKEN, "r_bit": 2.0, "r_sense": 4.0, "opens": 1},
}
SOLVERS = {
    "auto": qs.crossbar.Auto(),
    "conjugate gradients": qs.crossbar.ConjugateGradient(),
    "modal": qs.crossbar.Modal(),
    "elimination": qs.crossbar.Elimination(),
}
# Each compiles for seconds; those in the default run meet the rules of every kind once.
QUICK = [
    ("uniform", "auto", "solve"),
    ("uniform", "conjugate gradients", "matrix"),
    ("open", "conjugate gradients", "solve"),
]
SLOW = [
    ("uniform", "modal", "sinh"),
    ("uniform", "elimination", "matrix"),
    ("both ends", "auto", "sinh"),
    ("both ends", "elimination", "solve"),
    ("open", "auto", "matrix"),
    ("open", "auto", "solve"),
]
CASES = [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]


def currents(g, v_in, wires, solver, what):
    if what == "matrix":
        return qs.crossbar.effective_conductance(g, wires, solver=solver, throw=False)
    law = qs.crossbar.Sinh(3.0) if what == "sinh" else qs.crossbar.Ohmic()
    return qs.crossbar.solve(g, v_in, wires, law=law, solver=solver, throw=False).i_out


def check(g, v_in, wires, solver, what):
    """Value and gradient, of a loss that couples all currents, inside and outside."""

    def loss(g, v_in, wires):
        return jnp.sum(jnp.sin(1e4 * currents(g[0], v_in[0], wires, solver, what)))

    derived = jax.value_and_grad(loss, argnums=(0, 1, 2))
    mesh = jax.make_mesh((1,), ("d",), axis_types=(AxisType.Auto,))
    each, same = P("d"), P()
    mapped = jax.shard_map(
        lambda *x: (derived(*x)[0][None], derived(*x)[1]),
        mesh=mesh,
        in_specs=(each, each, same),
        out_specs=(each, (each, each, same)),
    )
    value, gradients = jax.jit(mapped)(g, v_in, wires)
    alone, expected = jax.jit(derived)(g, v_in, wires)
    np.testing.assert_allclose(value[0], alone, rtol=1e-12)
    for found, known in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, known, rtol=0, atol=1e-9 * np.abs(known).max())


@pytest.mark.parametrize(("wires", "solver", "what"), CASES)
def test_value_and_gradient(wires, solver, what, x64):
    g, v_in = random_cells((1, 6, 5), seed=1), random_volts((1, 6), seed=2)
    check(jnp.asarray(g), jnp.asarray(v_in), qs.crossbar.Wires(**WIRES[wires]), SOLVERS[solver], what)


@pytest.mark.slow  # lines long enough for every way to add up along them
@pytest.mark.parametrize(("uneven", "what"), [(False, "solve"), (True, "matrix")])
def test_long_lines(what, uneven, x64):
    g, v_in = random_cells((1, 100, 40), seed=3), random_volts((1, 100), seed=4)
    r_word = random_cells((100, 40), seed=5, low=0.5, high=2.0) if uneven else 1.0
    wires = qs.crossbar.Wires(r_word=jnp.asarray(r_word), r_bit=2.0)
    check(jnp.asarray(g), jnp.asarray(v_in), wires, qs.crossbar.Auto(), what)
