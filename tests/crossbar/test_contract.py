"""What every solver promises: it solves what it takes, with derivatives, and refuses the rest by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.crossbar.nodal import nodal_solve
from tests.crossbar.problems import random_cells, random_volts
from tests.crossbar.zoo import by_solver, quick_by_solver
from tests.unchecked import unchecked

pytestmark = pytest.mark.usefixtures("x64")

G = random_cells((5, 4), seed=80)
V = random_volts((2, 5), seed=81)
UNEVEN = random_cells((5, 4), seed=82, low=1.0, high=100.0)
KINDS = {
    "ideal": {},
    "equal": {"r_word": 20.0, "r_bit": 50.0, "r_driver": 3.0, "r_sense": 5.0},
    "severe": {"r_word": 3e3, "r_bit": 2e3},
    "uneven": {"r_word": UNEVEN, "r_bit": 2.0},
    "both ends": {"r_word": 20.0, "r_bit": 50.0, "r_driver_far": 7.0, "r_sense_far": 9.0},
    "floating": {"r_word": 20.0, "r_bit": 2.0, "r_driver": np.array([1.0, np.inf, 1.0, 1.0, 1.0])},
}


@quick_by_solver
def test_it_solves_what_it_takes_and_refuses_the_rest(case):
    solved = 0
    for resistances in KINDS.values():
        wires = qs.crossbar.Wires(**{name: jnp.asarray(r) for name, r in resistances.items()})
        if case.refusal(wires, G.shape, wires.count_opens(G.shape)) is not None:
            message = rf"`solver` must take these wires, but `{type(case).__name__}` does not take .*; use `Auto\(\)`"
            with unchecked(), pytest.raises(ValueError, match=message):
                qs.crossbar.solve(G, V, wires, solver=case)
            continue
        sol = qs.crossbar.solve(G, V, wires, solver=case)
        for number, v in enumerate(V):
            expected = nodal_solve(G, v, **resistances)
            for name in ("i_out", "i_cell"):
                known = getattr(expected, name)
                np.testing.assert_allclose(getattr(sol, name)[number], known, rtol=0, atol=1e-10 * np.abs(known).max())
            np.testing.assert_allclose(sol.v_cell[number], expected.v_word - expected.v_bit, rtol=0, atol=1e-10)
        solved += 1
    assert solved >= 3


@pytest.mark.slow  # the default run has test_gradients.py
@by_solver
def test_its_derivatives_are_those_of_the_circuit(case):
    """Forward and reverse, against central differences of the nodal equations."""

    def loss(g, r):
        wires = qs.crossbar.Wires(r, 2 * r, r_sense=5.0)
        return jnp.sum(jnp.asarray([[1.0, -2.0, 3.0, 0.5]]) * qs.crossbar.solve(g, V, wires, solver=case).i_out)

    def textbook(g, r):
        return sum(nodal_solve(g, v, r, 2 * r, r_sense=5.0).i_out @ [1.0, -2.0, 3.0, 0.5] for v in V)

    dg, dr, change = random_cells(G.shape, seed=83), 1.0, 1e-4
    expected = (textbook(G + change * dg, 20.0 + change * dr) - textbook(G - change * dg, 20.0 - change * dr)) / (
        2 * change
    )
    _, forward = jax.jvp(loss, (jnp.asarray(G), 20.0), (jnp.asarray(dg), dr))
    in_g, in_r = jax.grad(loss, argnums=(0, 1))(jnp.asarray(G), 20.0)
    assert forward == pytest.approx(expected, rel=1e-6)
    assert jnp.sum(in_g * dg) + in_r * dr == pytest.approx(float(forward), rel=1e-9)
