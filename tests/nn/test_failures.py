"""Wrong use of a layer is refused; what cannot be solved is an error, or NaN where no error can be had."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.nn.layers import WIRES, signed_ladder, small_layer
from tests.unchecked import unchecked

MESSAGE = "Argument `wires` must hold non-negative resistances, but one is negative"


@pytest.fixture(autouse=True)
def as_users_run_it() -> Iterator[None]:
    with unchecked():
        yield


def build(in_features=5, out_features=3, **options):
    options = {"cell": signed_ladder(), "wires": None} | options
    return qs.nn.CrossbarDense(in_features, out_features, rngs=nnx.Rngs(0), **options)


@pytest.mark.parametrize("name", ["in_features", "out_features"])
@pytest.mark.parametrize("size", [0, -1, 2.0, None])
def test_sizes(name, size):
    with pytest.raises(ValueError, match=rf"^Argument `{name}` must be a positive integer, but is {size}\.$"):
        build(**{name: size})


def test_weights_have_signs():
    message = (
        r"^Argument `cell` must hold signed weights, but Multilevel does not; wrap it: `Differential\(Multilevel\("
    )
    with pytest.raises(ValueError, match=message):
        build(cell=qs.cells.Multilevel(4, 0.0, 1e-4))


@pytest.mark.parametrize(
    ("tile", "message"), [((4, 3), "must have a multiple of 2 bit lines"), ((0, 4), "must be two positive integers")]
)
def test_tiles(tile, message):
    with pytest.raises(ValueError, match=f"^Argument `tile` {message}"):
        build(tile=tile)


def test_wires_are_wires():
    with pytest.raises(ValueError, match=r"^Argument `wires` must be a `Wires`, but is a float"):
        build(wires=3.0)(jnp.ones((2, 5)))


def with_bad_wires(throw):
    """Past the border: a resistance that became negative while it was trained."""
    layer = small_layer(throw=throw)
    layer.wires.set_value(
        jax.tree.map(lambda r: r, jax.tree.unflatten(jax.tree.structure(qs.crossbar.Wires(**WIRES)), [-1.0] * 4))
    )
    return nnx.split(layer)


def forward(graph):
    return jax.jit(lambda state, x: nnx.merge(graph, state)(x))


def test_a_circuit_that_cannot_be_solved_gives_nan_where_it_must_not_raise():
    graph, state = with_bad_wires(throw=False)
    assert np.isnan(forward(graph)(state, jnp.ones((2, 5)))).all()


def test_a_circuit_that_cannot_be_solved_raises():
    graph, state = with_bad_wires(throw=True)
    with pytest.raises(Exception, match=MESSAGE):
        jax.block_until_ready(forward(graph)(state, jnp.ones((2, 5))))


def test_only_a_layer_that_raises_calls_back_to_the_host():
    """An accelerator without callbacks can run the other."""
    for throw in (True, False):
        graph, state = nnx.split(small_layer(throw=throw))
        text = forward(graph).lower(state, jnp.ones((2, 5))).as_text()
        assert ("callback" in text) == throw
