"""The data sets behind one function."""

import dataclasses
import difflib
import math
import operator
import os
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from qsynapse_jax._fields import described

from . import _files
from ._idx import corrupt, read_idx
from ._own import read_own

_CLASSES = 10
_DIGITS_TEST = 500
_DIGITS_SPLIT_SEED = 0
_NAMES = ("digits", *_files.SOURCES)


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images as rows of pixels in [0, 1] with their classes, split into training and test examples.

    Attributes:
        name: the name under which `load` knows the set.
        x_train: training images, one per row, row-major pixels, 0 (background) to 1.
        y_train: their classes, 0 to `n_classes - 1`.
        x_test: test images, likewise.
        y_test: their classes.
        image_shape: (height, width); `x_train.reshape(-1, *image_shape)` gives the pictures back.
        n_classes: number of classes.
        sample_shape: of one sample as `shaped` gives it: that of a file of one's own, (height, width, 1) of images
            that come with a name.
    """

    name: str
    x_train: Float32[np.ndarray, "train ..."]
    y_train: Int32[np.ndarray, " train"]
    x_test: Float32[np.ndarray, "test ..."]
    y_test: Int32[np.ndarray, " test"]
    image_shape: tuple[int, int]
    n_classes: int = _CLASSES
    sample_shape: tuple[int, ...] = ()

    def __post_init__(self):
        if not self.sample_shape:
            object.__setattr__(self, "sample_shape", (*self.image_shape, 1))

    def shaped(self) -> "Dataset":
        """The same set with samples of `sample_shape` in the place of rows, as convolutions take them."""
        x_train, x_test = (x.reshape(-1, *self.sample_shape) for x in (self.x_train, self.x_test))
        return dataclasses.replace(self, x_train=x_train, x_test=x_test)

    __repr__ = described

    @property
    def train(self) -> tuple[np.ndarray, np.ndarray]:
        """Training images and their classes."""
        return self.x_train, self.y_train

    @property
    def test(self) -> tuple[np.ndarray, np.ndarray]:
        """Test images and their classes."""
        return self.x_test, self.y_test


def load(name: str, *, folder: str | os.PathLike[str] | None = None, seed: int = 0) -> Dataset:
    """Labelled images for training a network: handwritten digits or clothes, ten classes.

    - `"digits"`: 8 x 8 pixels, 17 grey levels, 1,297 training and 500 test examples; comes with scikit-learn,
      works offline. Which example is in which part is fixed: a stratified split with `random_state=0`.
    - a path that ends in `.npz`: a set of one's own, arrays x_train, y_train, x_test, y_test (or x and y, every fifth
      sample of which is for the test): a sample per row, of any shape, floats from -1 to 1 or bytes of pixels; classes
      are integers from 0.
    - `"mnist"`, `"fashion_mnist"`: 28 x 28 pixels, 256 grey levels, 60,000 and 10,000 examples, as published
      (12 MB and 31 MB). Looked for in `$QSYNAPSE_DATA/mnist/` or `$QSYNAPSE_DATA/fashion_mnist/`, then in the
      user's cache, into which they are downloaded, with their sha256 checked, when they are not there.

    Args:
        name: the data set, or the path of one's own; `"fashion-mnist"` and `"fashion"` are understood too.
        folder: where the four idx files (`train-images-idx3-ubyte.gz`, ...) of an MNIST-like set lie, the
            only place then looked at. Files of your own in this format are welcome, here and in
            `$QSYNAPSE_DATA`: any number and size of images, classes 0 to 9. Not used by `"digits"`.
        seed: order of the training examples: 0 leaves them as published (for `"digits"`, as split), any other
            number shuffles them. It never decides which examples are for training and which for test, so a
            run's own seed can be passed, and the scores of all seeds are of the same test examples.

    Returns:
        The `Dataset`, in NumPy arrays: pixels float32, classes int32.

    Raises:
        ValueError: unknown name, wrong argument, `QSYNAPSE_DATA` or `folder` names no folder, or a file is
            corrupt.
        DatasetUnavailable: the files are nowhere to be found and the download failed; the message says which
            files to fetch from where and where to put them.
    """
    own = Path(name) if str(name).lower().endswith(".npz") else None
    name = str(name) if own is not None else _known(name)
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or operator.index(seed) < 0:
        raise ValueError(f"Argument `seed` must be a non-negative integer, but got {seed!r}.")
    if own is not None:
        *arrays, shape = read_own(own)
        # Rows and columns of a picture of a sample; one row where it is none.
        picture = (shape[0], shape[1]) if len(shape) == 2 else (1, math.prod(shape))
        data = Dataset(name, *arrays, image_shape=picture, n_classes=int(arrays[1].max()) + 1, sample_shape=shape)
    else:
        data = _digits() if name == "digits" else _idx_images(name, _files.locate(name, folder))
    if seed == 0:
        return data
    order = np.random.default_rng(seed).permutation(len(data.y_train))
    return dataclasses.replace(data, x_train=data.x_train[order], y_train=data.y_train[order])


def _known(name: str) -> str:
    plain = str(name).replace("-", "_")
    plain = "fashion_mnist" if plain == "fashion" else plain
    if plain in _NAMES:
        return plain
    close = difflib.get_close_matches(plain.lower(), _NAMES, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    known = ", ".join(repr(n) for n in _NAMES)
    raise ValueError(f"Argument `name` must be one of {known}, or an .npz file, but got {name!r}.{hint}")


def _digits() -> Dataset:
    # Importing scikit-learn takes about a second; who loads MNIST need not wait for it.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    # Pixels count the dots of a 4 x 4 block.
    x, y = (np.asarray(x) / 16).astype(np.float32), np.asarray(y, np.int32)
    parts = train_test_split(np.arange(len(y)), test_size=_DIGITS_TEST, stratify=y, random_state=_DIGITS_SPLIT_SEED)
    train, test = (np.asarray(part) for part in parts)
    return Dataset("digits", x[train], y[train], x[test], y[test], image_shape=(8, 8))


def _idx_images(name: str, folder: Path) -> Dataset:
    x_train, y_train = _part(name, folder / _files.TRAIN_IMAGES, folder / _files.TRAIN_LABELS)
    x_test, y_test = _part(name, folder / _files.TEST_IMAGES, folder / _files.TEST_LABELS)
    height, width = x_train.shape[1:]
    if x_test.shape[1:] != (height, width):
        defect = f"its images have shape {x_test.shape[1:]}, those of {_files.TRAIN_IMAGES} {(height, width)}"
        raise _unusable(name, folder / _files.TEST_IMAGES, defect)
    flat_train, flat_test = (x.reshape(len(x), -1).astype(np.float32) / np.float32(255) for x in (x_train, x_test))
    return Dataset(name, flat_train, y_train, flat_test, y_test, image_shape=(height, width))


def _part(name: str, images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    x, y = _bytes(name, images, ndim=3), _bytes(name, labels, ndim=1)
    if len(x) != len(y):
        raise _unusable(name, labels, f"it has {len(y)} labels for the {len(x)} images of {images.name}")
    if y.max() >= _CLASSES:
        raise _unusable(name, labels, f"its labels must lie in 0..9, but one is {y.max()}")
    return x, y.astype(np.int32)


def _bytes(name: str, path: Path, *, ndim: int) -> np.ndarray:
    try:
        array = read_idx(path)
    except ValueError as err:
        raise _official(name, path, err) from None
    if array.dtype != np.uint8:
        raise _unusable(name, path, f"its elements must be unsigned bytes, but are {array.dtype}")
    if array.ndim != ndim:
        raise _unusable(name, path, f"it must have {ndim} dimension(s), but has {array.ndim}")
    if array.size == 0:
        raise _unusable(name, path, f"it is empty, of shape {array.shape}")
    return array


def _unusable(name: str, path: Path, defect: str) -> ValueError:
    return _official(name, path, corrupt(path, defect))


def _official(name: str, path: Path, error: ValueError) -> ValueError:
    """The error, and where the file of the publisher is."""
    source = _files.SOURCES[name]
    return ValueError(f"{error} The official file is {source.url}{path.name}, sha256 {source.sha256[path.name]}.")
