"""Under `jit` and `vmap`: the same errors at run time, one compilation a shape, full precision, batches."""

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.crossbar.problems import UNEQUAL, random_cells, random_volts

pytestmark = pytest.mark.usefixtures("x64")

G = random_cells((3, 4), seed=60)
V = np.array([0.1, -0.2, 0.3])
Wires = qs.crossbar.Wires
AT_RUN_TIME = (eqx.EquinoxRuntimeError, jax.errors.JaxRuntimeError)


@jax.jit
def traced_solve(g, v_in, r):
    """With wires, too, whose value is not known when they are made."""
    return qs.crossbar.solve(g, v_in, Wires(r_word=r, r_bit=1.0)).i_out


@jax.jit
def traced_effective(g, r):
    return qs.crossbar.effective_conductance(g, Wires(r_word=r, r_bit=1.0))


BAD = {
    "negative conductance": ((G - 2 * G.max(), V, 1.0), r"Argument `g` must be non-negative, but"),
    "NaN conductance": ((G * np.nan, V, 1.0), r"Use 0\.0 for an open cell"),
    "NaN voltage": ((G, V * np.nan, 1.0), r"Argument `v_in` must be finite"),
    "negative wire": ((G, V, -1.0), r"Argument `wires` must hold non-negative resistances"),
    "infinite wire": ((G, V, np.inf), r"holds infinite resistances \(open lines\) where values are traced"),
}


@pytest.mark.parametrize("name", BAD)
def test_values_are_refused_under_jit(name):
    (g, v_in, r), message = BAD[name]
    with pytest.raises(AT_RUN_TIME, match=message):
        jax.block_until_ready(traced_solve(g, v_in, r))
    if "voltage" not in name:
        with pytest.raises(AT_RUN_TIME, match=message):
            jax.block_until_ready(traced_effective(g, r))


def test_no_convergence_is_raised_under_jit():
    for run in (
        jax.jit(lambda g: qs.crossbar.solve(g, V, Wires(1.0, 1.0), max_steps=1).i_out),
        jax.jit(
            lambda g: qs.crossbar.effective_conductance(
                g, Wires(1.0, 1.0), solver=qs.crossbar.ConjugateGradient(), max_steps=1
            )
        ),
    ):
        with pytest.raises(AT_RUN_TIME, match=r"did not reach `rtol` within `max_steps`"):
            jax.block_until_ready(run(G))


def test_one_bad_array_among_several_is_refused():
    arrays = np.stack([G, 2 * G, 3 * G])
    arrays[1, 2, 3] = -1e-6
    wires = Wires(r_word=1.0, r_bit=1.0)
    with pytest.raises(AT_RUN_TIME, match=r"Argument `g` must be non-negative"):
        jax.block_until_ready(jax.vmap(lambda g: qs.crossbar.solve(g, V, wires).i_out)(arrays))
    with pytest.raises(AT_RUN_TIME, match=r"Argument `g` must be non-negative"):
        jax.block_until_ready(jax.vmap(lambda g: qs.crossbar.effective_conductance(g, wires))(arrays))


def test_without_throw_one_bad_array_leaves_the_others_alone():
    arrays = np.stack([G, 2 * G, 3 * G])
    arrays[1, 2, 3] = -1e-6
    wires = Wires(r_word=1.0, r_bit=1.0)
    sol = jax.jit(jax.vmap(lambda g: qs.crossbar.solve(g, V, wires, throw=False)))(arrays)
    np.testing.assert_array_equal(np.isnan(sol.i_out).any(axis=1), [False, True, False])
    results = qs.crossbar.RESULTS
    np.testing.assert_array_equal(sol.result == results.successful, [True, False, True])
    np.testing.assert_array_equal(sol.result == results.bad_conductance, [False, True, False])
    alone = qs.crossbar.solve(3 * G, V, wires).i_out
    np.testing.assert_allclose(sol.i_out[2], alone, rtol=1e-12)


def functions(throw, **options):
    """What is compiled: both calls and their gradients; `solve` alone with a law, which is nothing to a matrix."""

    def solve(g, v_in, wires):
        return jnp.sum(qs.crossbar.solve(g, v_in, wires, throw=throw, **options).i_out)

    def effective(g, v_in, wires):
        # No product of the test's own, whose precision would be the caller's business.
        return jnp.sum(v_in[:, None] * qs.crossbar.effective_conductance(g, wires, throw=throw, **options))

    everything = (0, 1, 2)
    calls = {"solve": solve} if "law" in options else {"solve": solve, "effective_conductance": effective}
    return {
        **calls,
        **{f"gradient of {name}": jax.value_and_grad(call, argnums=everything) for name, call in calls.items()},
        **{f"tangent of {name}": lambda *x, call=call: jax.jvp(call, x, x) for name, call in calls.items()},
    }


@pytest.mark.parametrize("name", functions(throw=False))
def test_without_throw_no_callback_is_compiled(name):
    """A callback to the host stalls an accelerator, and some have none."""
    arguments = (G, V, Wires(**UNEQUAL))
    quiet = jax.jit(functions(throw=False)[name]).lower(*arguments).as_text()
    assert "callback" not in quiet
    loud = jax.jit(functions(throw=True)[name]).lower(*arguments).as_text()
    assert "callback" in loud  # so the word is the one to look for


def equations(jaxpr):
    """All equations of a jaxpr, those of its inner jaxprs too."""
    for equation in jaxpr.eqns:
        yield equation
        pending = list(equation.params.values())
        while pending:
            value = pending.pop()
            if isinstance(value, list | tuple):
                pending.extend(value)
            elif hasattr(value, "jaxpr"):  # closed
                yield from equations(value.jaxpr)
            elif hasattr(value, "eqns"):
                yield from equations(value)


def inexact_products(function, *arguments):
    """How many products of matrices a function compiles, and those that may be rounded to TF32 or bf16 on the way."""
    closed = jax.make_jaxpr(function)(*arguments)
    products = [e for e in equations(closed.jaxpr) if e.primitive.name == "dot_general"]
    exact = jax.lax.Precision.HIGHEST
    return len(products), [str(e) for e in products if e.params["precision"] not in (exact, (exact, exact))]


def circuit(name):
    """Options of `solve` and of `Wires` that lead through other code, and how many products are in it at least."""
    line = np.ones(G.shape, np.float32)
    broken = np.where(np.arange(G.size).reshape(G.shape) == 5, np.inf, line)
    return {
        # Two lines, in the iteration and after it. Running sums are no products.
        "uniform": ({}, {}, 4),
        "modal": ({"solver": qs.crossbar.Modal()}, {}, 14),
        "nonlinear": ({"law": qs.crossbar.Sinh(3.0)}, {}, 8),
        "both ends": ({}, {"r_driver_far": 5.0, "r_sense_far": 9.0}, 4),
        "segments": ({"solver": qs.crossbar.ConjugateGradient()}, {"r_word": line}, 2),
        "opens": ({"solver": qs.crossbar.ConjugateGradient()}, {"r_word": broken, "opens": 1}, 2),
    }[name]


CIRCUITS = ["uniform", "modal", "nonlinear", "both ends", "segments", "opens"]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in ("modal", "nonlinear") else pytest.mark.slow) for n in CIRCUITS]
)
def test_every_product_asks_for_full_precision(name):
    """TF32 or bf16 products, the default on accelerators, would leave three digits; a CPU cannot show it."""
    options, changed, least = circuit(name)
    wires = Wires(**{**UNEQUAL, **changed})
    arguments = (G.astype(np.float32), V.astype(np.float32), wires)
    for function in functions(throw=False, **options).values():
        count, inexact = inexact_products(function, *arguments)
        assert count >= least
        assert not inexact


def test_products_between_devices_ask_for_full_precision():
    """Of the totals of blocks of lines, for an array that is spread over devices: none are needed to compile it."""
    mesh = jax.sharding.AbstractMesh((2,), ("a",), axis_types=(jax.sharding.AxisType.Auto,))
    g = jax.ShapeDtypeStruct((4, 4), np.float32, sharding=jax.sharding.NamedSharding(mesh, jax.P("a")))
    count, inexact = inexact_products(
        functions(throw=False)["gradient of solve"], g, np.ones(4, np.float32), Wires(1.0)
    )
    assert count >= 8  # two sums along two lines, in two iterations
    assert not inexact


def test_an_inexact_product_would_be_seen():
    def careless(g, x):
        return jax.lax.fori_loop(0, 2, lambda _, x: g @ x, x)

    count, inexact = inexact_products(careless, np.eye(3), np.eye(3))
    assert count == len(inexact) == 1


def test_one_compilation_for_one_shape():
    """Other conductances, voltages and wires are other numbers, not other programs."""
    wires = [Wires(1.0, 1.0), Wires(2, 0.0, 3.5), Wires(np.float64(0.5), jnp.asarray(2.0)), Wires(r_sense=9.0)]

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(g, v_in, wires):
        return qs.crossbar.solve(g, v_in, wires).i_out, qs.crossbar.effective_conductance(g, wires)

    for k, w in enumerate(wires):
        run((k + 1) * G, V / (k + 1), w)


def test_no_compilation_without_jit_either():
    """Called as in a notebook, repeated calls find the compiled program."""
    first, other = Wires(1.0, 1.0, 1.0, 1.0), Wires(2.0, 0.0, 3.0, 0.5)
    qs.crossbar.solve(G, V, first)
    qs.crossbar.effective_conductance(G, first)
    with jax.no_tracing():
        qs.crossbar.solve(2 * G, -V, other)
        qs.crossbar.effective_conductance(2 * G, other)
        with pytest.raises(RuntimeError, match="re-tracing"):  # so it would have been seen
            qs.crossbar.solve(G[:, :2], V, other)


@pytest.mark.parametrize("batch", [(), (2,), (3, 2)], ids=str)
def test_batches_of_inputs(batch):
    """Leading axes are kept, and every input is solved as if alone."""
    v_in = random_volts((*batch, 3), seed=61)
    sol = qs.crossbar.solve(G, v_in, Wires(**UNEQUAL))
    assert sol.i_out.shape == (*batch, 4)
    assert sol.i_in.shape == (*batch, 3)
    assert sol.v_word.shape == sol.v_bit.shape == sol.i_cell.shape == sol.v_cell.shape == (*batch, 3, 4)
    assert sol.stats.residual.shape == sol.stats.power_balance.shape == batch
    assert sol.stats.iterations.shape == ()
    g_eff = np.asarray(qs.crossbar.effective_conductance(G, Wires(**UNEQUAL)))
    np.testing.assert_allclose(sol.i_out, v_in @ g_eff, rtol=0, atol=1e-12 * np.abs(G).max())
    np.testing.assert_allclose(sol.i_in, np.sum(sol.i_cell, axis=-1), rtol=1e-14)


@pytest.mark.parametrize("axes", [(0, 0, 0), pytest.param((None, None, 0), marks=pytest.mark.slow)], ids=str)
def test_vmap_over_arrays_inputs_and_wires(axes):
    """Every combination of what is mapped gives what a loop gives."""
    arrays = np.stack([G, 0.5 * G, 3 * G[::-1]])
    inputs = random_volts((3, 3), seed=62)
    r = np.array([0.0, 2.0, 30.0])

    def run(g, v_in, r):
        wires = Wires(r_word=r, r_bit=0.5 * r, r_driver=5.0, r_sense=1.0)
        return qs.crossbar.solve(g, v_in, wires).i_out, qs.crossbar.effective_conductance(g, wires)

    chosen = [x if axis == 0 else x[1] for x, axis in zip((arrays, inputs, r), axes, strict=True)]
    together = jax.jit(jax.vmap(run, in_axes=axes))(*chosen)
    for k in range(3):
        alone = run(*(x[k] if axis == 0 else x for x, axis in zip(chosen, axes, strict=True)))
        one = jax.tree.map(lambda x, k=k: x[k], together)
        chex.assert_trees_all_close(one, alone, rtol=1e-10, atol=1e-17)


def test_numpy_and_jax_arrays_are_the_same():
    numpy = qs.crossbar.solve(G, V, Wires(1.0, 1.0))
    arrays = qs.crossbar.solve(jnp.asarray(G), jnp.asarray(V), Wires(jnp.asarray(1.0), jnp.asarray(1.0)))
    np.testing.assert_array_equal(numpy.i_out, arrays.i_out)
    assert isinstance(numpy.i_out, jax.Array)


def test_working_precision_is_that_of_the_inputs():
    """float32 stays float32 where float64 is allowed; the larger of the two where they differ."""
    wires = Wires(1.0, 1.0)
    sol = qs.crossbar.solve(G.astype(np.float32), V.astype(np.float32), wires)
    leaves = [sol.i_out, sol.v_word, sol.v_bit, sol.i_cell, sol.stats.residual, sol.stats.power_balance]
    assert all(x.dtype == np.float32 for x in leaves)
    with jax.numpy_dtype_promotion("standard"):
        assert qs.crossbar.solve(G.astype(np.float32), V, wires).i_out.dtype == np.float64


@pytest.mark.parametrize(("r", "short"), [(1.0, False), (1.0, True), (3e3, False)], ids=["mild", "a short", "severe"])
def test_the_way_that_values_tell_is_the_one_a_program_chooses(r, short):
    """Without `jit` a look at the values spares the other way: of 64 x 64 cells, solved alike."""
    g, v_in = np.array(random_cells((64, 64), seed=63)), random_volts((64,), seed=64)
    g[3, 4] = 1e3 if short else g[3, 4]
    alone = qs.crossbar.solve(g, v_in, Wires(r, r))
    both = jax.jit(lambda g, v_in, r: qs.crossbar.solve(g, v_in, Wires(r, r)))(g, v_in, r)
    # Rounding, another in another program, may cost the last step.
    assert abs(int(alone.stats.iterations) - int(both.stats.iterations)) <= 1
    np.testing.assert_allclose(alone.i_out, both.i_out, rtol=0, atol=1e-12 * np.abs(both.i_out).max())
    by_name = qs.crossbar.Modal() if r > 1 else qs.crossbar.ConjugateGradient()
    assert int(alone.stats.iterations) == int(qs.crossbar.solve(g, v_in, Wires(r, r), solver=by_name).stats.iterations)


@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize("compiled", [False, True], ids=["alone", "jit"])
def test_one_nan_among_thousands_is_found(compiled):
    """XLA for CPUs loses it in the largest and the least of many numbers."""
    g, v_in = (x.astype(np.float32) for x in (random_cells((64, 64), seed=65), random_volts((64,), seed=66)))

    def result(g, v_in):
        return qs.crossbar.solve(g, v_in, Wires(1.0, 1.0), throw=False).result

    solve = jax.jit(result) if compiled else result
    bad_g, bad_v = g.copy(), v_in.copy()
    bad_g[40, 7] = bad_v[33] = np.nan
    assert solve(g, v_in) == qs.crossbar.RESULTS.successful
    assert solve(bad_g, v_in) == qs.crossbar.RESULTS.bad_conductance
    assert solve(g, bad_v) == qs.crossbar.RESULTS.bad_voltage
