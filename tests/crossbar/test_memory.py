"""What a large solve needs, as the compiler plans it, and what is refused for its size: nothing is run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs

pytestmark = pytest.mark.usefixtures("x32")

N = 1024


def solve(g, v_in, wires):
    """Everything that a solution holds; three arrays of the size of `g` are results."""
    return qs.crossbar.solve(g, v_in, wires, throw=False)


def gradient(g, v_in, wires):
    def power(*arguments):
        return jnp.sum(solve(*arguments).i_out ** 2)

    return jax.grad(power, argnums=(0, 1, 2))(g, v_in, wires)


@pytest.mark.parametrize(("function", "most"), [(solve, 18), pytest.param(gradient, 22, marks=pytest.mark.slow)])
def test_memory_of_a_large_array(function, most):
    """In arrays of the size of `g`, `g` and results included; 20 is promised for a solve, the solver left to choose."""
    g, v_in = jax.ShapeDtypeStruct((N, N), np.float32), jax.ShapeDtypeStruct((N,), np.float32)
    compiled = jax.jit(function).lower(g, v_in, qs.crossbar.Wires(1.0, 1.0)).compile()
    memory = compiled.memory_analysis()
    assert memory is not None
    total = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    assert total <= most * 4 * N**2


def effective(g, _, wires, **options):
    return qs.crossbar.effective_conductance(g, wires, **options)


@pytest.mark.parametrize(
    ("call", "shape", "options"),
    [
        (qs.crossbar.solve, (2**20, 2**20), {}),
        (qs.crossbar.solve, (2**11, 2**12), {"solver": qs.crossbar.Elimination()}),
        (effective, (2**20, 2**20), {}),
        (effective, (2**12, 2**13), {"solver": qs.crossbar.ConjugateGradient()}),
        (effective, (2**12, 2**13), {"wires": qs.crossbar.Wires(1.0, r_sense_far=1.0)}),
    ],
)
def test_what_cannot_fit_is_refused_from_its_shape_alone(call, shape, options, monkeypatch):
    monkeypatch.setattr("qsynapse_jax.crossbar._memory._available", lambda: 2**36)
    options = {"wires": qs.crossbar.Wires(1.0, 1.0), **options}

    def known(shape):
        arrays = jax.ShapeDtypeStruct(shape, np.float32), jax.ShapeDtypeStruct(shape[:1], np.float32)
        return jax.eval_shape(lambda g, v_in: call(g, v_in, **options), *arrays)

    with pytest.raises(ValueError, match=rf"`g` must fit into memory, but {shape[0]} x .* GB here, of 68\.7 GB"):
        known(shape)
    known((3, 4))
