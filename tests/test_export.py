"""Compiled once, for every platform: what users run is exported for CPU, CUDA and TPU, and what is exported runs."""

import re
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax import export

import qsynapse_jax as qs
from tests.crossbar.problems import UNEQUAL, random_cells, random_volts

PLATFORMS = ("cpu", "cuda", "tpu")
SHAPE = (3, 4)


def gradient_of_solve(g, v_in, wires, *, law):
    """Value and gradients in everything."""

    def total(g, v_in, wires):
        return jnp.sum(qs.crossbar.solve(g, v_in, wires, law=law, throw=False).i_out)

    return jax.value_and_grad(total, argnums=(0, 1, 2))(g, v_in, wires)


def gradient_of_effective(g, v_in, wires):
    """Likewise of the matrix."""

    def total(g, wires):
        return jnp.sum(v_in[:, None] * qs.crossbar.effective_conductance(g, wires, throw=False))

    return jax.value_and_grad(total, argnums=(0, 1))(g, wires)


def training_step():
    """One step of training for a small network on tiles, and its arguments."""
    cell = qs.cells.Differential(qs.cells.Ladder(3, 80e3, 5e3, 1e6))
    tile = qs.tile.Tile(cell, wires=qs.crossbar.Wires(1.0, 1.0), shape=(4, 4))
    model = nnx.Sequential(
        qs.nn.CrossbarDense(8, 6, tile=tile, throw=False, rngs=nnx.Rngs(0)),
        nnx.relu,
        qs.nn.CrossbarDense(6, 3, tile=tile, throw=False, rngs=nnx.Rngs(1)),
    )
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-3, 10))
    state = qs.training.init(model, optimizer, key=jax.random.key(0))
    # Arrays alone: keys are exported as the numbers they are.
    leaves, tree = jax.tree.flatten(eqx.tree_at(lambda s: s.key, state, jax.random.key_data(state.key)))

    def step(leaves, x, y):
        state = jax.tree.unflatten(tree, leaves)
        state = eqx.tree_at(lambda s: s.key, state, jax.random.wrap_key_data(state.key))
        state, loss = qs.training.step(state, x, y)
        return state.parameters, loss

    rng = np.random.default_rng(80)
    x, y = jnp.asarray(rng.normal(size=(5, 8)), np.float32), jnp.asarray(rng.integers(3, size=5))
    return step, (leaves, x, y)


def case(name):
    """A function, and float32 arguments for it."""
    if name == "training step":
        return training_step()
    g, v_in = random_cells(SHAPE, seed=81).astype(np.float32), random_volts(SHAPE[:1], seed=82).astype(np.float32)
    if name == "solve with an open line":
        r_word = np.ones(SHAPE, np.float32)
        r_word[1, 2] = np.inf
        wires = qs.crossbar.Wires(**{**UNEQUAL, "r_word": r_word}, opens=1)
        return lambda *x: qs.crossbar.solve(*x, throw=False).i_out, (g, v_in, wires)
    function = {
        "gradient of solve": partial(gradient_of_solve, law=qs.crossbar.Ohmic()),
        "gradient of solve, nonlinear": partial(gradient_of_solve, law=qs.crossbar.Sinh(3.0)),
        "gradient of effective_conductance": gradient_of_effective,
    }[name]
    return function, (g, v_in, qs.crossbar.Wires(**UNEQUAL))


def flat(name):
    """The same with arrays in and out, for which an exported function needs no classes of ours."""
    function, arguments = case(name)
    leaves, tree = jax.tree.flatten(arguments)

    def on_leaves(*leaves):
        return jax.tree.leaves(function(*jax.tree.unflatten(tree, leaves)))

    return on_leaves, leaves


CASES = [
    "gradient of solve",
    "gradient of solve, nonlinear",
    "solve with an open line",
    "gradient of effective_conductance",
    "training step",
]


@pytest.mark.parametrize("name", CASES)
def test_exported_for_every_platform(name):
    """JAX refuses what it cannot translate for one of them; nor may it call a library that only a CPU has."""
    function, leaves = flat(name)
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(*leaves)
    assert exported.platforms == PLATFORMS
    called = set(re.findall(r"custom_call @(\w+)", exported.mlir_module()))
    if name == "solve with an open line":
        # A small dense factorisation: one library on each platform that has one, in a branch of its own.
        alone = export.export(jax.jit(function), platforms=("tpu",))(*leaves).mlir_module()
        called = set(re.findall(r"custom_call @(\w+)", alone))
    assert not {target for target in called if target not in ("Cholesky", "Sharding")}


# One case in the default run: each is compiled twice, as a module and from Python.
@pytest.mark.parametrize(
    "name",
    [name if name == "solve with an open line" else pytest.param(name, marks=pytest.mark.slow) for name in CASES],
)
def test_what_was_exported_runs(name):
    """On the platform at hand: the same program, so the same numbers but for rounding."""
    function, leaves = flat(name)
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(*leaves)
    for ours, theirs in zip(exported.call(*leaves), jax.jit(function)(*leaves), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6 * float(np.abs(theirs).max()))
