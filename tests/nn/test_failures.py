"""Wrong use of layers and models is refused; what cannot be solved is an error, or NaN where no error can be had."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.nn.layers import WIRES, fine_tile, linear, small_layer, small_tile
from tests.unchecked import unchecked

MESSAGE = "Argument `wires` must hold non-negative resistances, but one is negative"
CrossbarDense, CrossbarConv, CrossbarGeneral = qs.nn.CrossbarDense, qs.nn.CrossbarConv, qs.nn.CrossbarGeneral
convert, program, freeze = qs.nn.convert, qs.nn.program, qs.nn.freeze
RNGS = nnx.Rngs(0)


@pytest.fixture(autouse=True)
def as_users_run_it() -> Iterator[None]:
    with unchecked():
        yield


def anything(value) -> Any:
    """What a type checker would refuse."""
    return value


def dense(*sizes, **options):
    return CrossbarDense(*sizes, **({"tile": small_tile(None), "rngs": nnx.Rngs(0)} | options))


def conv(*sizes, **options):
    return CrossbarConv(*sizes, **({"tile": small_tile(None), "rngs": nnx.Rngs(0)} | options))


def general(*sizes, **options):
    return CrossbarGeneral(*sizes, **({"tile": small_tile(None), "rngs": nnx.Rngs(0)} | options))


@pytest.mark.parametrize("size", [0, -1, 2.0, None, True])
def test_sizes(size):
    message = rf"must be an integer of at least 1, but is {size}\.$"
    for build in (lambda: dense(size, 3), lambda: conv(size, 3, (3,)), lambda: general((2, size), 3, axis=(-2, -1))):
        with pytest.raises(ValueError, match=f"^Argument `in_features` {message}"):
            build()
    with pytest.raises(ValueError, match=f"^Argument `out_features` {message}"):
        dense(3, size)
    with pytest.raises(ValueError, match=f"^Argument `sizes` {message}"):
        qs.nn.mlp((3, size), rngs=RNGS)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: dense(5, 3, tile=3.0), "`tile` must be a `Tile` or a `Physical` of one, .*, but is a float"),
        (lambda: dense(5, 3, tile=qs.nn.Physical(3.0)), "`tile` must be a `Tile` .*, but is a float"),
        (
            lambda: dense(5, 3, tile=qs.tile.Tile(qs.cells.Multilevel(4, 0.0, 1e-4))),
            r"`tile` must have a cell of signed weights, but Multilevel has none; wrap it: `Differential\(Multilevel\(",
        ),
        (lambda: dense(5, 3, tile=qs.tile.Tile(small_tile().cell, wires=anything(1.0))), "`wires` must be a `Wires`"),
        (lambda: dense(5, 3, rngs=None), "Arguments `tile` and `rngs` must be given"),
        (
            lambda: dense(5, 3, kernel=dense(5, 4).kernel),
            r"`kernel` must hold a \(5, 3\) matrix, but its is \(5, 4\)",
        ),
        (
            lambda: conv(4, 3, (3,), feature_group_count=2),
            "`out_features` must be a multiple of the 2 groups, but is 3",
        ),
        (lambda: conv(3, 4, (3,), feature_group_count=2), "`in_features` must be a multiple of the 2 groups, but is 3"),
        (lambda: conv(4, 4, (3, 0)), "`kernel_size` must be an integer of at least 1, but is 0"),
        (lambda: conv(4, 4, (3, 3), strides=(1, 2, 1)), r"`strides` must be an integer, or 2 integers, one per axis"),
        (lambda: conv(4, 4, (3, 3), padding="CAUSAL"), r"`padding` must be one of SAME, .* here 2, but is 'CAUSAL'"),
        (lambda: conv(4, 4, (3,), padding="same"), "`padding` must be one of SAME, .* but is 'same'"),
        (lambda: conv(4, 4, (3,), padding=((1, 2, 3),)), "`padding` must be one of SAME"),
        (lambda: general((2, 3), 4), "`axis` must name 2 axes, one per size of `in_features`, but is -1"),
        (lambda: qs.nn.mlp((3,), rngs=RNGS), "`sizes` must have at least two sizes"),
    ],
)
def test_construction(build, message):
    with pytest.raises(ValueError, match=f"^(Argument )?{message}"):
        build()


@pytest.mark.parametrize(
    ("build", "shape", "message"),
    [
        (
            lambda: dense(6, 3),
            (4, 7),
            r"6 features on its last axis, the inputs of CrossbarDense\(6, 3\), but has .*7\)",
        ),
        (lambda: dense(6, 3), (), r"6 features on its last axis, .*, but has shape \(\)"),
        (lambda: conv(6, 3, (3,)), (4, 7), r"6 features on its last axis, the inputs of CrossbarConv\(6, 3\)"),
        (lambda: conv(6, 3, (3, 3)), (4, 6), r"2 axes before its channels, those of a window of shape \(3, 3\)"),
        (
            lambda: general((2, 3), 4, axis=(0, -1)),
            (2, 4),
            r"2 x 3 features on its axes \(0, 1\), .*General\(\(2, 3\), \(4,\)\)",
        ),
        (lambda: general((2, 3), 4, axis=(0, 3)), (2, 3), r"2 x 3 features on its axes \(0, 3\)"),
    ],
)
def test_inputs(build, shape, message):
    with pytest.raises(ValueError, match=f"^Argument `x` must have {message}"):
        build()(jnp.ones(shape))


def test_outputs_are_not_sharded_here():
    with pytest.raises(
        ValueError, match=r"^Argument `out_sharding` must be None for a CrossbarDense; shard its outputs"
    ):
        dense(6, 3)(jnp.ones(6), out_sharding="x")


class Odd(nnx.Module):
    """Every kind of layer that cannot go on crossbars, and one that can."""

    def __init__(self):
        zeros = {"kernel_init": nnx.initializers.zeros, "rngs": RNGS}
        self.good = linear(4, 4)
        self.up = nnx.ConvTranspose(4, 4, 3, **zeros)
        self.sums = nnx.Einsum("ab,bc->ac", (4, 4), **zeros)
        self.lora = nnx.LoRALinear(4, 4, lora_rank=2, rngs=RNGS)
        self.low_rank = nnx.LoRA(4, 2, 4, rngs=RNGS)
        self.masked = nnx.Conv(4, 4, 3, mask=jnp.ones((3, 4, 4)), **zeros)
        self.odd_padding = nnx.Conv(4, 4, 3, padding="EDGE", **zeros)
        self.batched = nnx.LinearGeneral(4, 4, batch_axis={0: 2}, **zeros)
        self.own = nnx.Linear(4, 4, dot_general=lambda *args, **kw: jax.lax.dot_general(*args, **kw), **zeros)
        self.stacked = linear(4, 4)
        self.stacked.kernel = nnx.Param(jnp.zeros((3, 4, 4)))
        self.normed = nnx.WeightNorm(linear(4, 4), rngs=RNGS)
        self.mine = nnx.List([Mine()])


class Mine(nnx.Module):
    def __init__(self):
        self.w = nnx.Param(jnp.ones((4, 4)))
        self.weight = nnx.Param(jnp.ones((1, 4)))  # a row is no matrix


REASONS = {
    "batched": r"\(LinearGeneral\) has a `batch_axis`",
    "lora": r"\(LoRALinear\) is a Linear with a `__call__` of its own",
    "low_rank": r"\(LoRA\) has no like on crossbars",
    "masked": r"\(Conv\) has a `mask`",
    "mine/0/w": r"\(Param\) seems to be a matrix that Mine multiplies with itself",
    "normed/layer_instance": r"\(Linear\) has weights that a module around it rewrites at every call",
    "odd_padding": r"\(Conv\) has the padding 'EDGE'",
    "own": r"\(Linear\) has a `dot_general` of its own",
    "stacked": r"\(Linear\) has weights of shape \(3, 4, 4\) instead of \(4, 4\), perhaps layers stacked by `nnx.vmap`",
    "sums": r"\(Einsum\) has no like on crossbars",
    "up": r"\(ConvTranspose\) has no like on crossbars",
}


def test_layers_that_cannot_be_converted_are_named_with_the_rule_that_skips_them():
    with pytest.raises(ValueError, match=r"^Argument `model` must have layers that can go on crossbars, but ") as error:
        convert(Odd(), fine_tile())
    message = str(error.value)
    for path, reason in REASONS.items():
        assert re.search(f"'{path}' {reason}", message), path
    assert "good" not in message
    rule = message.split("`rules=")[1].rstrip(".`")
    assert list(qs.nn.crossbar_layers(convert(Odd(), fine_tile(), ast.literal_eval(rule)))) == ["good"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"good/0": None}, "`rules` must name layers of the model, but 'good/0' is none; near it: 'good'"),
        ({"layers.0": None}, "`rules` must name layers of the model, but 'layers.0' is none"),
        ({"norm": "tile"}, "`tile` must be a `Tile`"),
        (["good"], "`rules` must map paths of layers to a `Tile`, or to None .* but is a list"),
    ],
)
def test_rules(rules, message):
    with pytest.raises(ValueError, match=f"^Argument {message}"):
        convert(nnx.Dict(good=linear(4, 4), norm=nnx.BatchNorm(4, rngs=RNGS)), fine_tile(), rules)


def test_a_rule_for_another_tile_names_a_layer_with_weights():
    with pytest.raises(ValueError, match="`rules` must name layers of the model, but 'norm' is none; near it: 'good'"):
        convert(nnx.Dict(good=linear(4, 4), norm=nnx.BatchNorm(4, rngs=RNGS)), fine_tile(), {"norm": fine_tile()})


@pytest.mark.parametrize(
    ("model", "rules", "message"),
    [
        (lambda: nnx.BatchNorm(3, rngs=RNGS), None, "such as .*Linear.*, but BatchNorm has none"),
        (lambda: linear(3, 3), {"": None}, "but Linear has none that `rules` do not keep digital"),
        (lambda: jnp.tanh, None, "such as .*Linear.*, but .* has none"),
    ],
)
def test_a_model_with_nothing_to_convert(model, rules, message):
    with pytest.raises(ValueError, match=f"^Argument `model` must have a layer with a weight matrix, .*{message}"):
        convert(model(), fine_tile(), rules)


def test_stages_come_in_their_order():
    master = convert(linear(3, 3), small_tile(None))
    written, frozen = program(master, key=jax.random.key(0)), freeze(master)
    for made, by in ((written, "program"), (frozen, "freeze")):
        with pytest.raises(
            ValueError, match=f"must have float master weights, .* convert the model .* `{by}`, or `to_"
        ):
            convert(made, fine_tile())
    with pytest.raises(
        ValueError, match=r"^Argument `model` must not be frozen, but 'the model itself' is; `program` the model"
    ):
        program(frozen, key=jax.random.key(0))
    with pytest.raises(
        ValueError, match=r"^Argument `model` must not be frozen, but 'the model itself' is; `calibrate` the model"
    ):
        qs.nn.calibrate(frozen)
    for model in (master, frozen):
        with pytest.raises(
            ValueError, match="must be written into devices before it ages, but 'the model itself' is not"
        ):
            qs.nn.age(model, 1.0, 300.0)
    for call in (freeze, qs.nn.calibrate, lambda model: program(model, key=jax.random.key(0))):
        with pytest.raises(ValueError, match="must have layers on crossbars, but a Linear has none; put them there"):
            call(linear(3, 3))
    with pytest.raises(ValueError, match="frozen kernel holds no codes"):
        frozen.kernel.code()


def with_bad_wires(throw):
    """Past the border: a resistance that became negative while it was trained."""
    layer = small_layer(throw=throw)
    tile = layer.kernel.tile.get_value()
    wires = jax.tree.unflatten(jax.tree.structure(qs.crossbar.Wires(**WIRES)), [-1.0] * 4)
    layer.kernel.tile.set_value(eqx.tree_at(lambda tile: tile.wires, tile, wires))
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
