"""A circuit stored as an .npz file: the arguments of `solve` under their own names, in SI units."""

import zipfile
import zlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import jax
import numpy as np

from qsynapse_jax.crossbar import AbstractLaw, Ohmic, Polynomial, Series, Sinh, Wires

VOLTAGES = ("v_in", "v_out")
WIRES = ("r_word", "r_bit", "r_driver", "r_sense", "r_driver_far", "r_sense_far")
PARAMETER = {"ohmic": None, "sinh": "k", "series": "r", "polynomial": "coefficients"}
NAMES = ("g", *VOLTAGES, *WIRES, "law", *filter(None, PARAMETER.values()))

EXAMPLE = "numpy.savez('array.npz', g=g, v_in=v_in, r_word=1.0, r_bit=1.0)"


@dataclass(frozen=True)
class Problem:
    """One circuit, all numbers in the precision of `g`."""

    g: np.ndarray
    v_in: np.ndarray
    v_out: np.ndarray | None
    resistances: dict[str, np.ndarray]
    law: str
    parameter: np.ndarray | None

    def precision(self) -> AbstractContextManager[object]:
        """Where JAX keeps the precision of `g`: `wires`, `cell` and `solve` belong inside."""
        return jax.enable_x64(self.g.dtype == np.float64)

    def wires(self) -> Wires:
        """The resistances."""
        return Wires(**self.resistances)  # pyright: ignore[reportArgumentType]

    def cell(self) -> AbstractLaw:
        """The law of the cells."""
        if self.parameter is None:
            return Ohmic()
        return {"sinh": Sinh, "series": Series, "polynomial": Polynomial}[self.law](self.parameter)

    def __str__(self):
        lines = " x ".join(f"{n} {name} lines" for n, name in zip(self.g.shape, ("word", "bit"), strict=True))
        return f"{lines}, {self.law} cells, {self.g.dtype}"


def read_problem(path: Path) -> Problem:
    """A stored circuit, or a message that says what is wrong with the file. Shapes and values are left to `solve`."""
    stored = _arrays(path)
    missing = [name for name in ("g", "v_in") if name not in stored]
    if missing:
        raise ValueError(f"{path} must hold the arrays `g` and `v_in`, but has no `{missing[0]}`; write e.g. {EXAMPLE}")
    law, name = _law(stored)
    dtype = _floating(stored["g"], "g").dtype
    # What overflows float32 becomes infinite, and is refused as that.
    with np.errstate(over="ignore"):
        numbers = {key: _floating(x, key).astype(dtype) for key, x in stored.items() if key != "law"}
    if name is not None:
        _check_parameter(numbers[name], name, numbers["g"])
    return Problem(
        g=numbers["g"],
        v_in=numbers["v_in"],
        v_out=numbers.get("v_out"),
        resistances={key: numbers[key] for key in WIRES if key in numbers},
        law=law,
        parameter=None if name is None else numbers[name],
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of the file, which has none with a name of its own invention."""
    if not path.exists():
        raise ValueError(f"Argument `file` must be an .npz file, but {path} does not exist.")
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise ValueError(f"Argument `file` must be an .npz file, but {path} is none; write one, e.g. {EXAMPLE}")
    name = "file"
    try:
        with np.load(path, allow_pickle=False) as stored:
            _check_names(stored.files, path)
            arrays = {}
            for name in stored.files:
                arrays[name] = stored[name]
    except (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, _UnknownNameError):
            raise
        raise ValueError(
            f"Array `{name}` of {path} cannot be read ({error}); store plain arrays of numbers, e.g. {EXAMPLE}"
        ) from None
    return arrays


class _UnknownNameError(ValueError):
    """The file holds an array that means nothing here."""


def _check_names(names: list[str], path: Path) -> None:
    for name in names:
        if name not in NAMES:
            close = get_close_matches(name, NAMES, n=1)
            guess = f" Did you mean `{close[0]}`?" if close else ""
            raise _UnknownNameError(f"{path} holds an array `{name}`, but known are {', '.join(NAMES)}.{guess}")


def _law(stored: dict[str, np.ndarray]) -> tuple[str, str | None]:
    """Name of the law and of its parameter, which is there, and no other."""
    law = stored.get("law", np.asarray("ohmic"))
    if law.ndim or law.dtype.kind != "U" or str(law) not in PARAMETER:
        shown = repr(law.item()) if law.ndim == 0 else f"an array of shape {law.shape}"
        raise ValueError(f"Argument `law` must be one of {', '.join(PARAMETER)}, but is {shown}.")
    law = str(law)
    for owner, name in PARAMETER.items():
        if owner == law and name is not None and name not in stored:
            raise ValueError(f"Argument `law` is {law!r}, which needs the array `{name}`; add it to the file.")
        if owner != law and name in stored:
            raise ValueError(
                f"Array `{name}` belongs to the law {owner!r}, but `law` is {law!r}; set `law={owner!r}` or leave "
                f"`{name}` out."
            )
    return law, PARAMETER[law]


def _floating(array: np.ndarray, name: str) -> np.ndarray:
    """Single or double precision as it is; of whole numbers only a scalar, as Python's 1 is a number."""
    if array.ndim == 0 and array.dtype.kind in "iu":
        return array.astype(float)
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        raise ValueError(
            f"Argument `{name}` must be a float32 or float64 array, but has dtype {array.dtype}; "
            f"convert it before it is stored, e.g. `{name}={name}.astype(float)`."
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _check_parameter(value: np.ndarray, name: str, g: np.ndarray) -> None:
    if name == "coefficients" and value.ndim != 1:
        raise ValueError(f"Argument `coefficients` must have shape (n,), but has shape {value.shape}.")
    if name != "coefficients" and g.ndim == 2 and value.shape not in ((), g.shape):
        raise ValueError(
            f"Argument `{name}` must be a scalar or have the shape of `g`, {g.shape}, but has shape {value.shape}."
        )
