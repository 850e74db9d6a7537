"""A data set of one's own, from an .npz file."""

from pathlib import Path

import numpy as np

from qsynapse_jax._arrays import read_arrays

_PARTS = ("x_train", "y_train", "x_test", "y_test")
_WHOLE = ("x", "y")
# Every fifth sample is for the test where the file does not say which.
_HELD_OUT = 5
_EXAMPLE = "numpy.savez('mine.npz', x_train=..., y_train=..., x_test=..., y_test=...)"


def read_own(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[int, ...]]:
    """Training samples as rows and classes, those of the test, and the shape of a sample in the file.

    Raises:
        ValueError: a file that is none, arrays that are missing or do not belong together, or inputs beyond -1 to 1.
    """
    remedy = f"; write one, e.g. {_EXAMPLE}"
    found = {key.lower(): value for key, value in read_arrays(path, subject="A data set", remedy=remedy).items()}
    if all(name in found for name in _PARTS):
        x_train, y_train, x_test, y_test = (found[name] for name in _PARTS)
    elif all(name in found for name in _WHOLE):
        is_test = np.arange(len(found["x"])) % _HELD_OUT == _HELD_OUT - 1
        _check_pair(path, found["x"], found["y"], *_WHOLE)
        x_train, x_test = found["x"][~is_test], found["x"][is_test]
        y_train, y_test = found["y"][~is_test], found["y"][is_test]
    else:
        raise ValueError(
            f"{path} must hold the arrays {', '.join(_PARTS)}, or x and y of which every fifth sample is for the test, "
            f"but holds {', '.join(found) or 'nothing'}{remedy}"
        )
    _check_pair(path, x_train, y_train, "x_train", "y_train")
    _check_pair(path, x_test, y_test, "x_test", "y_test")
    if x_train.shape[1:] != x_test.shape[1:]:
        raise ValueError(
            f"{path} holds training samples of shape {x_train.shape[1:]}, but test samples of {x_test.shape[1:]}."
        )
    shape = x_train.shape[1:]
    x_train, x_test = _inputs(path, x_train, "x_train"), _inputs(path, x_test, "x_test")
    if y_test.max() > y_train.max():
        raise ValueError(f"{path} has class {y_test.max()} in `y_test`, which no sample of `y_train` is of.")
    return x_train, y_train.astype(np.int32), x_test, y_test.astype(np.int32), shape


def _check_pair(path: Path, x: np.ndarray, y: np.ndarray, x_name: str, y_name: str) -> None:
    if x.ndim < 2 or not x.size:
        raise ValueError(f"`{x_name}` of {path} must have a sample per row, but has shape {x.shape}.")
    if y.ndim != 1 or len(y) != len(x):
        raise ValueError(
            f"`{y_name}` of {path} must have shape ({len(x)},), a class per sample, but has shape {y.shape}."
        )
    if y.dtype.kind not in "iu" or y.min() < 0:
        raise ValueError(f"`{y_name}` of {path} must hold classes as integers from 0, but holds {y.dtype}, {y.min()}.")


def _inputs(path: Path, x: np.ndarray, name: str) -> np.ndarray:
    """Inputs from -1 to 1, which word lines can be driven with, as rows; bytes are those of pixels."""
    if x.dtype == np.uint8:
        x = x.astype(np.float32) / np.float32(255)
    if x.dtype.kind != "f":
        raise ValueError(f"`{name}` of {path} must hold floats from -1 to 1, or bytes of pixels, but holds {x.dtype}.")
    largest = np.max(np.abs(x))
    if not largest <= 1:
        raise ValueError(
            f"`{name}` of {path} must hold inputs from -1 to 1, which are what word lines are driven with, but reaches "
            f"{largest:g}; scale all samples by one number."
        )
    return np.ascontiguousarray(x.reshape(len(x), -1), np.float32)
