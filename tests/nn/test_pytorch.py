"""Weights of PyTorch: a network computes what PyTorch computed, and whatever does not fit is refused."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

import qsynapse_jax as qs
from tests.nn.layers import small_tile

load = qs.nn.load_weights
GOLDEN = Path(__file__).parents[1] / "golden" / "pytorch"
RNG = np.random.default_rng(0)
FLATTENED = {"out/0": (6, 3, 3)}


class Net(nnx.Module):
    """The network of tests/golden/pytorch."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(2, 4, (3, 3), strides=2, padding=1, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.blocks = nnx.List(
            [nnx.Conv(4, 6, (1, 2), padding="VALID", feature_group_count=2, use_bias=False, rngs=rngs)]
        )
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.out = nnx.List([nnx.Linear(54, 5, rngs=rngs), nnx.LayerNorm(5, epsilon=1e-5, rngs=rngs)])
        self.classes = nnx.Linear(5, 3, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.conv(x)))
        x = nnx.relu(self.blocks[0](x)).reshape(x.shape[0], -1)
        return self.classes(self.out[1](self.out[0](self.drop(x))))


NAMES = {"conv": "0", "norm": "1", "blocks/0": "3", "out/0": "6", "out/1": "7", "classes": "8"}


@pytest.fixture
def flax_promotes():
    """Flax's own layers add arrays of different rank."""
    with jax.numpy_rank_promotion("allow"):
        yield


def outputs(model):
    """For the inputs of PyTorch, channels last."""
    model.eval()
    return np.asarray(model(jnp.asarray(np.moveaxis(np.load(GOLDEN / "cnn.npz")["x"], 1, -1))))


@pytest.mark.usefixtures("flax_promotes")
@pytest.mark.parametrize("names", [NAMES, None], ids=["named", "guessed"])
def test_a_network_computes_what_pytorch_computed(names):
    """Strides, padding, groups, both normalizations, and a flatten whose channels come first there."""
    before = Net()
    model = load(before, GOLDEN / "cnn.safetensors", names, flattened=FLATTENED)
    expected = np.load(GOLDEN / "cnn.npz")["y"]
    np.testing.assert_allclose(outputs(model), expected, atol=2e-5)
    # Without the order of PyTorch's flatten it is another function.
    wrong = load(before, GOLDEN / "cnn.safetensors", names, flattened={"out/0": None})
    assert np.abs(outputs(wrong) - expected).max() > 0.1
    np.testing.assert_array_equal(before.conv.kernel.get_value(), Net().conv.kernel.get_value())


def test_what_may_follow_a_flatten_is_refused_until_it_is_said():
    with pytest.raises(ValueError, match=r"which shape 'out/0' gets its 54 inputs, .* convolution of 6 channels"):
        load(Net(), GOLDEN / "cnn.safetensors")


class Heads(nnx.Module):
    """Two heads on one flatten, and a chain after one of them."""

    def __init__(self, inputs=8):
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(1, 4, (3,), rngs=rngs)
        self.actor, self.critic = nnx.Linear(inputs, 8, rngs=rngs), nnx.Linear(inputs, 1, rngs=rngs)
        self.next = nnx.Linear(8, 16, rngs=rngs)


def written(path, model_names):
    """A file of random tensors for (names, shapes in PyTorch's layout)."""
    save_file({name: RNG.normal(size=shape).astype(np.float32) for name, shape in model_names.items()}, path)
    return path


HEADS = {
    **{"conv.weight": (4, 1, 3), "conv.bias": (4,), "next.weight": (16, 8), "next.bias": (16,)},
    **{"actor.weight": (8, 8), "actor.bias": (8,), "critic.weight": (1, 8), "critic.bias": (1,)},
}


def test_both_heads_of_one_flatten_are_asked_for(tmp_path):
    path = written(tmp_path / "heads.safetensors", HEADS)
    shapes = {"actor": (4, 2), "critic": (4, 2), "next": None}
    for left_out in ("actor", "critic"):
        given = {name: shape for name, shape in shapes.items() if name != left_out}
        with pytest.raises(ValueError, match=f"which shape '{left_out}' gets"):
            load(Heads(), path, flattened=given)
    model, tensors = load(Heads(), path, flattened=shapes), load_file(path)
    # Input 2 * position + channel of PyTorch's 4 channels x 2 positions: by hand.
    for position in range(2):
        for channel in range(4):
            ours = model.critic.kernel.get_value()[4 * position + channel]
            np.testing.assert_array_equal(ours, tensors["critic.weight"][:, 2 * channel + position])
    np.testing.assert_array_equal(model.next.kernel.get_value(), tensors["next.weight"].T)


def test_a_model_that_forgot_its_order_is_asked_for_its_flatten_too():
    """Merged again its parts are sorted by name: the convolution of 6 channels comes first, that of 4 last."""
    merged = nnx.merge(*nnx.split(Net()))
    assert list(vars(merged)).index("blocks") < list(vars(merged)).index("conv")
    with pytest.raises(ValueError, match="which shape 'out/0' gets"):
        load(merged, GOLDEN / "cnn.safetensors", NAMES)


def test_a_convolution_that_keeps_its_weights_has_a_flatten_too():
    save_file({"fc.weight": np.ones((2, 8), np.float32), "fc.bias": np.zeros(2, np.float32)}, "x.safetensors")
    model = nnx.Sequential(nnx.Conv(1, 4, (3,), rngs=nnx.Rngs(0)), nnx.Linear(8, 2, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="which shape 'layers/1' gets"):
        load(model, "x.safetensors", {"layers/0": None, "layers/1": "fc"})


def test_a_single_layer_has_names_without_a_module():
    path = written(Path("x.safetensors"), {"weight": (3, 4), "bias": (3,)})
    for names in (None, {"": ""}):
        model = load(nnx.Linear(4, 3, rngs=nnx.Rngs(0)), path, names)
        np.testing.assert_array_equal(model.kernel.get_value(), load_file(path)["weight"].T)


def test_a_pooled_convolution_has_one_order():
    """As many inputs as channels: nothing to ask."""
    model = nnx.Sequential(nnx.Conv(1, 4, (3,), rngs=nnx.Rngs(0)), nnx.Linear(4, 2, rngs=nnx.Rngs(0)))
    assert load(model, written_for(model)) is not model


def written_for(model, folder=None):
    """A file with all that a Sequential of layers needs, as PyTorch calls it."""
    tensors = {}
    for number, layer in enumerate(model.layers):
        kernel = layer.kernel.get_value()
        order = (kernel.ndim - 1, kernel.ndim - 2, *range(kernel.ndim - 2))
        tensors[f"{number}.weight"] = np.ascontiguousarray(np.transpose(kernel, order))
        tensors[f"{number}.bias"] = np.asarray(layer.bias.get_value())
    path = Path(folder or ".") / "model.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def dense(*sizes):
    return qs.nn.mlp(sizes, rngs=nnx.Rngs(0))


def state_dict(*layers):
    """Shapes of linear layers (name, in, out)."""
    return {f"{n}.weight": (o, i) for n, i, o in layers} | {f"{n}.bias": (o,) for n, i, o in layers}


def test_layers_of_one_shape_come_in_the_order_of_their_numbers():
    """10 after 2, which it is not as text."""
    path = written(Path("x.safetensors"), state_dict(("net.2", 4, 4), ("net.10", 4, 4), ("head", 4, 2)))
    model, tensors = load(dense(4, 4, 4, 2), path), load_file(path)
    for layer, name in zip(model.layers, ("net.2", "net.10", "head"), strict=True):
        np.testing.assert_array_equal(layer.kernel.get_value(), tensors[f"{name}.weight"].T)
        np.testing.assert_array_equal(layer.bias.get_value(), tensors[f"{name}.bias"])


def test_layers_of_one_shape_and_other_names_are_not_guessed():
    path = written(Path("x.safetensors"), state_dict(("encoder", 4, 4), ("decoder", 4, 4)))
    with pytest.raises(
        ValueError, match=r"names and shapes do not\. The model has, .* layers/0 \(weight 4x4, bias 4\)"
    ):
        load(dense(4, 4, 4), path)
    model = load(dense(4, 4, 4), path, {"layers/0": "encoder", "layers/1": "decoder"})
    np.testing.assert_array_equal(model.layers[1].kernel.get_value(), load_file(path)["decoder.weight"].T)


def test_what_is_called_alike_belongs_together_in_any_order():
    class Two(nnx.Module):
        def __init__(self):
            self.encoder, self.decoder = nnx.Linear(4, 4, rngs=nnx.Rngs(0)), nnx.Linear(4, 4, rngs=nnx.Rngs(0))
            self.position = nnx.Param(jnp.zeros((2, 4)))

    path = written(Path("x.safetensors"), state_dict(("decoder", 4, 4), ("encoder", 4, 4)) | {"position": (2, 4)})
    model, tensors = load(Two(), path), load_file(path)
    np.testing.assert_array_equal(model.encoder.kernel.get_value(), tensors["encoder.weight"].T)
    np.testing.assert_array_equal(model.position.get_value(), tensors["position"])


def test_variables_may_be_named_one_by_one_and_kept():
    path = written(Path("x.safetensors"), {"w": (3, 4), "b": (3,)})
    before = dense(4, 3, 2)
    model = load(before, path, {"layers/0/kernel": "w", "layers/0/bias": "b", "layers/1": None})
    np.testing.assert_array_equal(model.layers[0].kernel.get_value(), load_file(path)["w"].T)
    np.testing.assert_array_equal(model.layers[1].kernel.get_value(), before.layers[1].kernel.get_value())


@pytest.mark.parametrize("kind", ["float16", "float64", "bfloat16"])
def test_other_floats_become_those_of_the_model(kind):
    tensors = {"layers.0.weight": np.ones((3, 4)), "layers.0.bias": np.full(3, 0.5)}
    save_file({name: tensor.astype(jnp.dtype(kind)) for name, tensor in tensors.items()}, "x.safetensors")
    kernel = load(dense(4, 3), "x.safetensors").layers[0].kernel.get_value()
    assert kernel.dtype == jnp.float32
    np.testing.assert_array_equal(kernel, 1.0)


GOOD = state_dict(("layers.0", 4, 3))
REFUSED = {
    "missing": (
        GOOD,
        {"layers/0": "layer.0"},
        r"has no layer.0.weight, .*only layers.0.bias.* Did you mean 'layers.0.w",
    ),
    "left over": (GOOD | {"extra.weight": (2, 2)}, {"layers/0": "layers.0"}, "holds extra.weight too"),
    "left over, guessed": (GOOD | {"extra.weight": (2, 2)}, None, r"the file has .*extra \(weight 2x2\)"),
    "not named": (GOOD, {"layers/0/kernel": "layers.0.weight"}, "leaves out layers/0/bias; give None"),
    "no such layer": (GOOD, {"layer/0": "layers.0"}, r"'layer/0' is none; near it: 'layers/0'"),
    "shape": (
        state_dict(("layers.0", 3, 4)),
        {"layers/0": "layers.0"},
        r"Tensor layers.0.weight must fit 'layers/0/kernel' of shape \(4, 3\), which PyTorch has as \(3, 4\), but has "
        r"shape \(4, 3\)",
    ),
    "shape, guessed": (state_dict(("layers.0", 3, 4)), None, r"layers/0 \(weight 3x4.*layers.0 \(bias 4, weight 4x3"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case):
    shapes, names, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        load(dense(4, 3), written(Path("x.safetensors"), shapes), names)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.full((3, 4), np.nan, np.float32), "layers.0.weight must be finite"),
        (np.ones((3, 4), np.int32), "layers.0.weight must hold floats, but holds int32"),
    ],
)
def test_numbers_that_are_no_weights_are_refused(weight, message):
    save_file({"layers.0.weight": weight, "layers.0.bias": np.zeros(3, np.float32)}, "x.safetensors")
    with pytest.raises(ValueError, match=message):
        load(dense(4, 3), "x.safetensors")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a pickle", b"\x80\x02}", "cut"])
def test_a_file_that_is_none_is_named(content):
    path = written(Path("x.safetensors"), GOOD)
    path.write_bytes(path.read_bytes()[:-5] if content == "cut" else content)
    with pytest.raises(ValueError, match=r"x.safetensors is none .* `safetensors.torch.save_file"):
        load(dense(4, 3), path)
    with pytest.raises(ValueError, match=r"nothing\.pt does not exist"):
        load(dense(4, 3), "nothing.pt")


@pytest.mark.parametrize(
    ("flattened", "message"),
    [
        ({"layers/0": (3, 2)}, r"shapes \(channels, height, width\) with 4 elements for 'layers/0'"),
        ({"layers/0": (4,)}, "with 4 elements"),
        ({"layers/7": (2, 2)}, "must name linear layers"),
    ],
)
def test_a_flattened_shape_must_fit(flattened, message):
    with pytest.raises(ValueError, match=message):
        load(dense(4, 3), written(Path("x.safetensors"), GOOD), flattened=flattened)


def test_a_layout_that_pytorch_does_not_have_is_refused():
    """A square matrix would fit, turned or not."""
    model = nnx.List([nnx.LinearGeneral(4, 4, use_bias=False, rngs=nnx.Rngs(0))])
    path = written(Path("x.safetensors"), {"fc.weight": (4, 4)})
    with pytest.raises(ValueError, match=r"'0/kernel' must be of a layer that PyTorch has .* of a LinearGeneral"):
        load(model, path, {"0/kernel": "fc.weight"})


def test_crossbars_come_after_the_weights():
    model = qs.nn.convert(dense(4, 3), small_tile())
    with pytest.raises(ValueError, match=re.escape("'layers/0' is on crossbars; load the weights first")):
        load(model, written(Path("x.safetensors"), GOOD))
