"""How many operations one after another an accelerator gets: a launch each, which is what small arrays cost there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.mlir import ir
from jax.extend.mlir.dialects import func
from jax.interpreters.mlir import make_ir_context

import qsynapse_jax as qs
from qsynapse_jax.crossbar._condense import compile_lines
from qsynapse_jax.crossbar._matrices import by_halves, by_pivots
from tests.crossbar.test_elimination import circuit, error

# What moves no number.
FREE = {"reshape", "broadcast_in_dim", "constant", "iota", "slice"}


def longest_chain(module):
    """The longest way through a program, calls and branches included; it must have no loop."""
    with make_ir_context():
        program = ir.Module.parse(module)
        functions = {op.sym_name.value: op for op in program.body.operations if isinstance(op, func.FuncOp)}

        def through(block, depths, outer):
            known = outer | dict(zip(block.arguments, depths, strict=True))
            for op in block.operations:
                name = op.operation.name.split(".")[-1]
                into = [known[value] for value in op.operands]
                after = max(into, default=0)
                assert name != "while", "a loop is a chain of unknown length"
                if name == "return":
                    return into
                if name == "call":
                    body = functions[op.attributes["callee"].value].regions[0].blocks[0]
                    out = through(body, into, {})
                elif name == "case":
                    ways = [through(region.blocks[0], [], known) for region in op.regions]
                    out = [max(after, *each) for each in zip(*ways, strict=True)]
                else:
                    out = [after + (name not in FREE)] * len(op.results)
                known |= dict(zip(op.results, out, strict=True))
            raise AssertionError("a block without a return")

        body = functions["main"].regions[0].blocks[0]
        return max(through(body, [0] * len(body.arguments), {}))


@pytest.mark.slow
@pytest.mark.usefixtures("x32")
@pytest.mark.parametrize(("shape", "most"), [((108, 64, 64), 400), ((256, 256), 1500)])
def test_value_and_gradient_in_few_launches(shape, most):
    wires = qs.crossbar.Wires(1.0, 1.0)

    def loss(g):
        return jnp.sum(jnp.sin(qs.crossbar.effective_conductance(g, wires, throw=False)))

    exported = jax.export.export(jax.jit(jax.value_and_grad(loss)), platforms=["cuda"])
    assert longest_chain(exported(jax.ShapeDtypeStruct(shape, jnp.float32)).mlir_module()) <= most


@pytest.mark.parametrize("size", [1, 3, 32, 48, 128])
def test_inverses_by_halves_are_those_by_pivots(size, x64):
    """1 + R C of the resistances of random lines and the conductances between them, mild to severe."""
    rng = np.random.default_rng(size)
    r = np.cumsum(rng.uniform(0, 1, size))[np.minimum.outer(np.arange(size), np.arange(size))]
    between = rng.uniform(0, 1, (size, size)) / size
    c = np.diag(rng.uniform(0, 1, size) + np.sum(between + between.T, 1)) - between - between.T
    a = jnp.asarray(np.eye(size) + np.array([1e-3, 1.0, 1e3])[:, None, None] * (r @ c))
    for inverse in (by_halves, by_pivots):
        for found, each in zip(inverse(a), a, strict=True):
            assert error(found, np.linalg.inv(each)) < 16 * np.finfo(float).eps * np.linalg.cond(each)


@pytest.fixture
def accelerator(monkeypatch):
    """What other platforms than CPUs run, run here."""
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, cpu, default: default(*args))
    jax.clear_caches()
    yield
    jax.clear_caches()


def value_and_gradients(cells, weights):
    def loss(*cells):
        g_eff = compile_lines(*cells)
        return jnp.sum(weights * g_eff), g_eff

    gradients, g_eff = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(*cells)
    return g_eff, *gradients


@pytest.mark.slow
@pytest.mark.parametrize(
    "kwargs", [{"ohms": 1.0}, {"low": 1e-9, "high": 1.0, "zeros": 0.2}, {"ohms": 1e3, "low": 1e-3}]
)
def test_accelerators_agree_with_cpus(kwargs, request):
    """Mild and severe drops and shorts, tiles in groups and at once, in both precisions."""
    single = [np.asarray(a, np.float32) for a in circuit((5, 72, 65), seed=3, **kwargs)]
    weights = np.random.default_rng(4).normal(size=(5, 72, 65)).astype(np.float32)
    with jax.enable_x64(True):
        double = [a.astype(np.float64) for a in single]
        expected = [np.asarray(x) for x in value_and_gradients(double, weights.astype(np.float64))]
    request.getfixturevalue("accelerator")
    with jax.enable_x64(True):
        found = value_and_gradients(double, weights.astype(np.float64))
    for x, known in zip(found, expected, strict=True):
        assert error(np.asarray(x), known) < 1e-12
    with jax.enable_x64(False):
        found = value_and_gradients(single, weights)
    # Of gradients by their own rounding: products of two solutions.
    for x, known, most in zip(found, expected, (2e-6, 6e-6, 6e-6, 6e-6), strict=True):
        assert error(np.asarray(x), known) < most
