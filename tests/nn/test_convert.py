"""Any model goes onto crossbars and comes back: nested, shared, tied, by rule; the one given stays as it was."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.nn.layers import TILE, WIRES, fine_tile, initial, linear, run, signed_ladder, small_tile

convert, to_digital, crossbar_layers = qs.nn.convert, qs.nn.to_digital, qs.nn.crossbar_layers
CrossbarDense, Physical = qs.nn.CrossbarDense, qs.nn.Physical
slow = pytest.mark.slow
CELLS = {
    "ladder3": signed_ladder,
    "multilevel64": lambda: qs.cells.Differential(qs.cells.Multilevel(64, 1e-6, 1e-4)),
}


class Block(nnx.Module):
    """Attention with a normalization before and a dropout after it."""

    def __init__(self):
        self.norm = nnx.LayerNorm(4, rngs=nnx.Rngs(0))
        options = {"kernel_init": initial, "decode": False}
        self.attention = nnx.MultiHeadAttention(num_heads=2, in_features=4, **options, rngs=nnx.Rngs(0))
        self.dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return x + self.dropout(self.attention(self.norm(x)))


class Net(nnx.Module):
    """What people build: convolution, normalization, embedding, attention, a head, in every kind of container."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.stem = nnx.Dict(
            conv=nnx.Conv(1, 4, (3,), kernel_init=initial, rngs=rngs), norm=nnx.BatchNorm(4, rngs=rngs)
        )
        self.position = nnx.Param(jnp.ones((1, 5, 4)))
        self.blocks = nnx.List([Block()])
        self.tables: Any = nnx.data([nnx.Embed(5, 4, embedding_init=initial, rngs=rngs), (linear(4, 4),)])
        self.head = nnx.Sequential(nnx.relu, linear(4, 3, use_bias=False))
        self.head_again = self.head
        self.rnn: Any = nnx.RNN(nnx.SimpleCell(4, 4, kernel_init=initial, recurrent_kernel_init=initial, rngs=rngs))

    def __call__(self, x):
        x = self.stem.norm(self.stem.conv(x)) + self.position[...] + self.tables[0](jnp.arange(5))[None]
        for block in self.blocks:
            x = block(x)
        return self.head_again(self.tables[1][0](self.rnn(x))).sum(axis=1)


LAYERS = {
    **dict.fromkeys([f"blocks/0/attention/{name}" for name in ("key", "out", "query", "value")], "CrossbarGeneral"),
    "head/layers/1": "CrossbarDense",
    "rnn/cell/dense_h": "CrossbarDense",
    "rnn/cell/dense_i": "CrossbarDense",
    "stem/conv": "CrossbarConv",
    "tables/1/0": "CrossbarDense",
}


def kinds(model):
    return {path: type(layer).__name__ for path, layer in crossbar_layers(model).items()}


@pytest.fixture
def flax_promotes():
    """Flax's own layers add arrays of different rank."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.usefixtures("flax_promotes")
def test_a_nested_model_is_the_same_on_crossbars_and_back():
    net = Net()
    net.eval()
    x = jnp.asarray(np.random.default_rng(2).normal(size=(2, 5, 1)), jnp.float32)
    before, y = jax.tree.map(np.asarray, nnx.state(net, nnx.Param)), run(net, x)
    crossbar = convert(net, fine_tile())
    assert kinds(crossbar) == LAYERS
    # Rounded to 1 in 32,767 in every layer, outputs are of order 1.
    np.testing.assert_allclose(run(crossbar, x), y, rtol=0, atol=3e-4)
    assert crossbar.head is crossbar.head_again
    assert isinstance(crossbar.tables[1], tuple)
    kept = (crossbar.stem.norm, crossbar.blocks[0].norm, crossbar.blocks[0].dropout, crossbar.tables[0])
    assert [type(part) for part in kept] == [nnx.BatchNorm, nnx.LayerNorm, nnx.Dropout, nnx.Embed]
    assert len(nnx.to_flat_state(nnx.state(crossbar, Physical))) == 1
    back = to_digital(crossbar)
    nnx.update(crossbar, jax.tree.map(jnp.zeros_like, nnx.state(crossbar, nnx.Param)))
    jax.tree.map(np.testing.assert_array_equal, nnx.state(net, nnx.Param), before)
    assert crossbar_layers(back) == {}
    np.testing.assert_allclose(run(back, x), y, rtol=0, atol=1e-5)
    # Normalization moves, dropout draws: what is not a matrix is as it was.
    back.train()
    assert nnx.graphdef(to_digital(convert(back, fine_tile()))) == nnx.graphdef(back)


def test_one_layer_is_a_model():
    layer = linear(5, 3)
    crossbar = convert(layer, small_tile(None))
    assert type(crossbar) is CrossbarDense
    assert kinds(crossbar) == {"": "CrossbarDense"}
    assert type(to_digital(crossbar)) is nnx.Linear
    np.testing.assert_allclose(to_digital(crossbar).kernel[...], layer.kernel[...], rtol=0, atol=1e-7)


class Tied(nnx.Module):
    """One layer in two places, and one matrix in two layers."""

    def __init__(self):
        self.a, self.c = linear(4, 4), linear(4, 4)
        self.b = self.a
        self.c.kernel = self.a.kernel

    def __call__(self, x):
        return self.c(self.b(self.a(x)))


def test_what_was_shared_stays_shared():
    model, x = Tied(), jnp.asarray(np.random.default_rng(2).normal(size=(2, 4)), jnp.float32)
    crossbar = convert(model, fine_tile())
    np.testing.assert_allclose(run(crossbar, x), run(model, x), rtol=0, atol=2e-4)
    assert kinds(crossbar) == {"a": "CrossbarDense", "c": "CrossbarDense"}
    for same in (crossbar, convert(crossbar, small_tile(None)), qs.nn.freeze(crossbar)):
        assert same.a is same.b
        assert same.a.kernel is same.c.kernel
        assert same.a.scale is same.c.scale
        assert same.a.bias is not same.c.bias
    back = to_digital(crossbar)
    assert back.a is back.b
    assert back.a.kernel is back.c.kernel
    # A rule by any of its paths counts.
    assert kinds(convert(crossbar, fine_tile(), {"b": None, "c": None})) == {}
    for given, kind in ((model, "Linear"), (crossbar, "CrossbarDense")):
        with pytest.raises(ValueError, match=rf"'a' \({kind}\) shares its weights with .* not on the same tile"):
            convert(given, fine_tile(), {"c": None})


class Deep(nnx.Module):
    """Paths: encoder/0, encoder/1, head."""

    def __init__(self):
        self.encoder = nnx.List([linear(4, 4), linear(4, 4)])
        self.head = linear(4, 4)


@pytest.mark.parametrize(
    ("rules", "digital", "coarse"),
    [
        ({}, [], []),
        ({"head": None}, ["head"], []),
        ({"encoder": "coarse"}, [], ["encoder/0", "encoder/1"]),
        ({"encoder": None, "encoder/1": "coarse"}, ["encoder/0"], ["encoder/1"]),
        ({"*": None, "encoder/*": "coarse"}, ["head"], ["encoder/0", "encoder/1"]),
        ({"encoder/*": "coarse", "*": None}, ["head"], ["encoder/0", "encoder/1"]),
        ({"encoder/1": None, "*/[01]": "coarse"}, ["encoder/1"], ["encoder/0"]),
        ({"*": "coarse", "*d": None}, ["head"], ["encoder/0", "encoder/1"]),
    ],
    ids=str,
)
def test_rules_choose_the_tile_of_a_layer(rules, digital, coarse):
    tiles = {"coarse": small_tile(None), None: None}
    model = convert(Deep(), fine_tile(), {path: tiles[name] for path, name in rules.items()})
    layers = crossbar_layers(model)
    assert {"encoder/0", "encoder/1", "head"} - set(layers) == set(digital)
    assert [path for path, layer in layers.items() if layer.kernel.tile.get_value().shape == TILE] == coarse
    assert len({id(layer.kernel.tile) for layer in layers.values()}) == bool(coarse) + (len(layers) > len(coarse))


def test_another_tile_keeps_master_weights_and_scale():
    """And only by way of the tile: to the same tile and back changes nothing."""
    model = convert(Deep(), small_tile(None))
    model.head.kernel.weight.set_value(model.head.kernel.weight.get_value() * 1.5)
    moved = convert(model, small_tile(WIRES), {"encoder/0": None})
    assert type(moved.encoder[0]) is nnx.Linear
    assert float(moved.head.scale.get_value()) == float(model.head.scale.get_value())
    np.testing.assert_array_equal(moved.head.kernel.code(), model.head.kernel.code())
    assert model.head.kernel.tile.get_value().wires is None
    assert moved.head.kernel.tile.get_value().wires is not None
    again = convert(convert(moved, small_tile(None)), small_tile(WIRES))
    jax.tree.map(np.testing.assert_array_equal, nnx.state(again.head), nnx.state(moved.head))


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        pytest.param(name, distribution, marks=[] if (name, distribution) == ("ladder3", "outlier") else slow)
        for name in CELLS
        for distribution in ("normal", "uniform", "outlier")
    ],
)
def test_full_scale_has_the_least_squared_error(name, distribution):
    """Within 5 % of the best of 2,000 scales: 33 are tried, and the finer the cell the more minima there are."""
    cell, rng = CELLS[name](), np.random.default_rng(5)
    kernel = {"normal": rng.normal(size=(20, 30)), "uniform": rng.uniform(-3, 3, (20, 30))}.get(
        distribution, np.where(np.arange(600).reshape(20, 30) == 7, 4.0, rng.normal(size=(20, 30)))
    )
    levels = np.sort(np.asarray(cell.decode(np.arange(cell.code_range[0], cell.code_range[1] + 1)), float))
    thresholds = (levels[1:] + levels[:-1]) / 2

    def squared_error(scale):
        return np.sum((scale * levels[np.searchsorted(thresholds, kernel / scale)] - kernel) ** 2)

    layer = nnx.Linear(20, 30, kernel_init=lambda *_: jnp.asarray(kernel, jnp.float32), rngs=nnx.Rngs(0))
    found = float(convert(layer, small_tile(None, cell)).scale.get_value())
    best = min(squared_error(scale) for scale in np.linspace(0.05, 1.2, 2000) * np.abs(kernel).max())
    assert squared_error(found) <= 1.05 * best


def test_a_kernel_of_zeros_has_a_scale():
    layer = nnx.Linear(20, 30, kernel_init=nnx.initializers.zeros, rngs=nnx.Rngs(0))
    crossbar = convert(layer, small_tile(None))
    assert crossbar.scale.get_value() == 1
    assert float(qs.nn.calibrate(crossbar).kernel.gain.get_value()) == 1


def test_dtypes_are_those_of_the_layer():
    layer = linear(4, 4, dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    crossbar, x = convert(layer, fine_tile()), jnp.ones((2, 4))
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(crossbar, nnx.Param))} == {jnp.dtype(jnp.bfloat16)}
    assert run(crossbar, x).dtype == jnp.bfloat16
    np.testing.assert_allclose(run(crossbar, x).astype(float), run(layer, x).astype(float), rtol=0, atol=0.05)
    single = convert(linear(4, 4), fine_tile())
    assert run(single, np.ones((2, 4), int)).dtype == jnp.float32
    assert to_digital(crossbar).kernel.dtype == jnp.bfloat16


@pytest.mark.parametrize(
    "make",
    [
        lambda model: convert(model, small_tile()),
        lambda model: qs.nn.program(convert(model, small_tile(None)), key=jax.random.key(0)),
        lambda model: qs.nn.freeze(convert(model, small_tile(None))),
        lambda model: to_digital(convert(model, small_tile(None))),
    ],
    ids=["convert", "program", "freeze", "to_digital"],
)
def test_no_two_variables_share_a_buffer(make):
    """So a model can be donated, and the one it was made of lives on."""
    given = Deep()
    made = make(given)
    buffers = [leaf.unsafe_buffer_pointer() for model in (given, made) for leaf in jax.tree.leaves(nnx.state(model))]
    assert len(set(buffers)) == len(buffers)


def test_layers_made_of_one_tile_share_it_only_when_asked():
    tile = small_tile()
    apart = nnx.List([CrossbarDense(4, 4, tile=tile, rngs=nnx.Rngs(0)) for _ in range(2)])
    shared = Physical(tile)
    together = nnx.List([CrossbarDense(4, 4, tile=shared, rngs=nnx.Rngs(0)) for _ in range(2)])
    buffers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(nnx.state(apart))]
    assert len(set(buffers)) == len(buffers)
    assert [len(nnx.to_flat_state(nnx.state(model, Physical))) for model in (apart, together)] == [2, 1]


def test_a_new_mlp_is_linear_layers_with_rectifiers_between():
    rngs, he = nnx.Rngs(3), nnx.initializers.he_normal()
    expected = [nnx.Linear(*pair, kernel_init=he, rngs=rngs) for pair in ((6, 5), (5, 4))]
    network = qs.nn.mlp((6, 5, 4), rngs=nnx.Rngs(3))
    for layer, other in zip(network.layers, expected, strict=True):
        np.testing.assert_array_equal(layer.kernel[...], other.kernel[...])
    x = jnp.asarray(np.random.default_rng(2).normal(size=(8, 6)), jnp.float32)
    y = np.maximum(np.asarray(x) @ np.asarray(expected[0].kernel[...]), 0) @ np.asarray(expected[1].kernel[...])
    np.testing.assert_allclose(run(network, x), y, rtol=0, atol=1e-5)
    assert (y < 0).any()
    crossbar = convert(network, small_tile(None))
    assert list(crossbar_layers(crossbar)) == ["layers/0", "layers/1"]


class Flipped(nnx.Linear):
    """A layer of a user: a `nnx.Linear` that reads its input backwards."""

    def __call__(self, x):
        return super().__call__(x[..., ::-1])


def test_a_layer_of_a_user_needs_one_class():
    with pytest.raises(ValueError, match=r"'the model itself' \(Flipped\) is a Linear with a `__call__` of its own"):
        convert(Flipped(4, 3, rngs=nnx.Rngs(0)), fine_tile())

    class CrossbarFlipped(qs.nn.CrossbarLayer):
        digital, geometry = Flipped, ("in_features", "out_features")

        def __init__(self, in_features, out_features, **options):
            self.in_features, self.out_features = in_features, out_features
            self.set_up((in_features, out_features), (out_features,), **options)

        def __call__(self, x):
            return self.outputs(self.kernel.multiply(self.inputs(x[..., ::-1])), x)

    layer, x = Flipped(4, 3, kernel_init=initial, rngs=nnx.Rngs(0)), jnp.ones((2, 4)).at[:, 0].set(3.0)
    crossbar = convert(layer, fine_tile())
    assert type(crossbar) is CrossbarFlipped
    np.testing.assert_allclose(run(crossbar, x), run(layer, x), rtol=0, atol=2e-4)
    assert type(to_digital(crossbar)) is Flipped
