"""A data set of one's own: arrays of an .npz file, and what is said of arrays that are none."""

import numpy as np
import pytest

from qsynapse_jax.datasets import load


def own(tmp_path, **change):
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.uniform(-1, 1, (6, 3)), "y_train": np.array([0, 1, 2, 0, 1, 2])}
    arrays |= {"x_test": rng.uniform(-1, 1, (2, 3)), "y_test": np.array([2, 0])}
    np.savez(tmp_path / "mine.npz", **{key: value for key, value in (arrays | change).items() if value is not None})
    return tmp_path / "mine.npz", arrays


def test_ones_own_arrays_are_a_data_set(tmp_path):
    path, arrays = own(tmp_path)
    data = load(str(path))
    np.testing.assert_array_equal(data.x_train, arrays["x_train"].astype(np.float32))
    assert (data.n_classes, data.image_shape, data.name) == (3, (1, 3), str(path))
    assert data.y_test.dtype == np.int32
    shuffled = load(str(path), seed=1)
    assert sorted(shuffled.x_train[:, 0]) == sorted(data.x_train[:, 0])
    np.testing.assert_array_equal(shuffled.x_test, data.x_test)


def test_bytes_are_pixels_and_every_fifth_sample_is_for_the_test(tmp_path):
    x = np.arange(10 * 4, dtype=np.uint8).reshape(10, 2, 2)
    path, _ = own(tmp_path, x_train=None, y_train=None, x_test=None, y_test=None, X=x, Y=np.arange(10) % 2)
    data = load(str(path))
    assert data.image_shape == (2, 2)
    np.testing.assert_array_equal(data.y_test, [0, 1])
    np.testing.assert_allclose(data.x_test, x[[4, 9]].reshape(2, 4) / 255, rtol=1e-6)


OWN = {
    "nothing of it": ({"x_test": None}, "must hold the arrays x_train, y_train, x_test, y_test, or x and y"),
    "large inputs": ({"x_train": np.full((6, 3), 3.0)}, "inputs from -1 to 1, .* but reaches 3; scale"),
    "NaN": ({"x_train": np.full((6, 3), np.nan)}, "but reaches nan"),
    "integers": ({"x_train": np.ones((6, 3), int)}, "must hold floats from -1 to 1, or bytes of pixels"),
    "float classes": ({"y_train": np.ones(6)}, "must hold classes as integers from 0, but holds float64"),
    "too few classes": ({"y_train": np.zeros(5, int)}, r"must have shape \(6,\), a class per sample"),
    "a new class": ({"y_test": np.array([7, 0])}, "has class 7 in `y_test`, which no sample of `y_train` is of"),
    "other features": ({"x_test": np.zeros((2, 4))}, r"training samples of shape \(3,\), but test samples of \(4,\)"),
}


@pytest.mark.parametrize("case", OWN)
def test_arrays_that_are_no_data_set_are_refused(tmp_path, case):
    change, message = OWN[case]
    path, _ = own(tmp_path, **change)
    with pytest.raises(ValueError, match=message):
        load(str(path))
