"""What a large solve needs, as the compiler plans it: nothing is run."""

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
