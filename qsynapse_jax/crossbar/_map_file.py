"""A measured map of an array, from the file that the laboratory has: .csv, .txt, .npy, .npz or .mat; in any unit."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qsynapse_jax._arrays import read_arrays

# Factor to S of a conductance, or to ohm of a resistance.
CONDUCTANCE = {"S": 1.0, "mS": 1e-3, "uS": 1e-6, "nS": 1e-9}
RESISTANCE = {"ohm": 1.0, "kohm": 1e3, "Mohm": 1e6}
UNITS = (*CONDUCTANCE, *RESISTANCE)
TEXT = (".csv", ".tsv", ".txt", ".dat")
SUFFIXES = (*TEXT, ".npy", ".npz", ".mat")
_SEPARATORS = (";", "\t", ",")


def read_map(path: str | Path, unit: str, *, name: str | None = None) -> np.ndarray:
    """Conductances of the crosspoints of an array, as they were measured.

    Args:
        path: a table of numbers in text (.csv, .tsv, .txt, .dat: commas, semicolons, tabs or spaces between; lines
            that begin with # and a line of column names are skipped), or an array in a .npy, .npz or .mat file; a row
            per word line, a column per bit line.
        unit: of the numbers: S, mS, uS, nS, or ohm, kohm, Mohm, of which infinity is an open cell.
        name: of the array in an .npz or .mat file; not needed where one array alone has two axes.

    Returns:
        Shape (word lines, bit lines) [S], double precision unless the file holds floats of single precision.

    Raises:
        ValueError: an unknown unit; a file that is no such table, with the row and column that are wrong; a map with a
            negative number, NaN or a conductance without limit.
    """
    values, where = read_table(Path(path), name)
    if values.ndim != 2 or not values.size:
        raise ValueError(
            f"{where} must be a table of word lines and bit lines, but has shape {values.shape}; store a row per word "
            "line and a column per bit line."
        )
    return as_conductance(values, unit, where)


def as_conductance(values: Any, unit: str, where: str) -> np.ndarray:
    """Conductances [S] of numbers in a unit, which no cell of an array may contradict.

    Raises:
        ValueError: an unknown unit; a number that no conductance or resistance has, with its place.
    """
    if unit not in UNITS:
        raise ValueError(f"Argument `unit` must be one of {', '.join(UNITS)}, but is {unit!r}.")
    values = np.asarray(values)
    values = values.astype(values.dtype if values.dtype == np.float32 else np.float64)
    is_resistance = unit in RESISTANCE
    with np.errstate(invalid="ignore"):
        wrong = ~(values > 0) if is_resistance else ~((values >= 0) & np.isfinite(values))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"{where} must hold {'positive resistances' if is_resistance else 'conductances of 0 or more'} in {unit}, "
            f"but row {row}, column {column} (from 0) is {values[row, column]:g}; an open cell is "
            f"{'inf' if is_resistance else '0'}. {np.sum(wrong)} of {values.size} numbers are wrong."
        )
    if is_resistance:
        return (1 / (values * np.asarray(RESISTANCE[unit], values.dtype))).astype(values.dtype)
    return values * np.asarray(CONDUCTANCE[unit], values.dtype)


def likely_unit(values: np.ndarray) -> str:
    """In which unit the numbers of a map would be those of a resistive memory, as a question for its owner."""
    finite = np.abs(values[np.isfinite(values) & (values != 0)])
    if not finite.size:
        return "uS"
    middle = float(np.median(finite))
    return "S" if middle < 1e-2 else "uS" if middle < 1e3 else "ohm"


def read_numbers(path: Path) -> np.ndarray:
    """All numbers of a table in text, shape (rows, columns).

    Raises:
        ValueError: what is not a number, or a row of another length, with its line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"Argument `file` must be a table of numbers, but {path} cannot be read ({error}).") from None
    lines = [
        (number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line.strip()[0] != "#"
    ]
    if not lines:
        raise ValueError(f"Argument `file` must be a table of numbers, but {path} holds none.")
    separator = next((one for one in _SEPARATORS if any(one in line for _, line in lines)), None)
    rows = [(number, _fields(line, separator)) for number, line in lines]
    names = rows[0][1]
    first = 0
    if not all(map(_is_number, names)):
        # A table that was written with an index has a nameless first column.
        first = int(names[0] == "" and len(names) > 1)
        rows = rows[1:]
    if not rows:
        raise ValueError(f"Argument `file` must be a table of numbers, but {path} holds a line of names alone.")
    width = len(rows[0][1])
    for number, fields in rows:
        if len(fields) != width:
            raise ValueError(
                f"Line {number} of {path} has {len(fields)} numbers, but those before have {width}; every word line "
                "needs a number per bit line."
            )
        for column, field in enumerate(fields[first:], 1):
            if not _is_number(field):
                shown = f"{field!r}" if field else "empty"
                raise ValueError(f"Line {number} of {path} must hold numbers, but number {column} is {shown}.")
    return np.array([[float(field) for field in fields[first:]] for _, fields in rows])


def read_table(path: Path, name: str | None) -> tuple[np.ndarray, str]:
    """Numbers of a file, and what to call them."""
    if not path.is_file():
        found = "is none" if path.exists() else "does not exist"
        raise ValueError(f"Argument `file` must be a file, but {path} {found}.")
    suffix = path.suffix.lower()
    if suffix in TEXT:
        return read_numbers(path), str(path)
    if suffix == ".npy":
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise ValueError(f"{path} must be an .npy file of numbers, but cannot be read ({error}).") from None
        return _real(array, str(path)), str(path)
    if suffix == ".npz":
        return _chosen(read_arrays(path, subject="Argument `file`"), path, name)
    if suffix == ".mat":
        return _chosen(read_mat(path), path, name)
    raise ValueError(f"Argument `file` must end in one of {', '.join(SUFFIXES)}, but is {path}.")


def read_mat(path: Path) -> dict[str, np.ndarray]:
    """All arrays of numbers of a .mat file, up to version 7.2, by name.

    Raises:
        ValueError: a file that is none, or is of version 7.3.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        found = loadmat(path)
    except NotImplementedError:
        raise ValueError(
            f"{path} is a .mat file of version 7.3, which is another format; save it with `save(file, '-v7')`, or "
            "write a .csv with `writematrix`."
        ) from None
    except (MatReadError, ValueError, TypeError, OSError, EOFError) as error:
        raise ValueError(f"{path} must be a .mat file, but cannot be read ({error}).") from None
    return {key: np.asarray(value) for key, value in found.items() if not key.startswith("__")}


def _chosen(arrays: Mapping[str, np.ndarray], path: Path, name: str | None) -> tuple[np.ndarray, str]:
    """The array of that name, or the only one with two axes."""
    if name is not None:
        found = [key for key in arrays if key.lower() == name.lower()]
        if not found:
            raise ValueError(f"{path} has no array `{name}`; it holds {_listed(arrays)}.")
        return _real(arrays[found[0]], f"Array `{found[0]}` of {path}"), f"Array `{found[0]}` of {path}"
    maps = [key for key, value in arrays.items() if value.ndim == 2 and min(value.shape) > 1]
    maps = [key for key in maps if key.lower() == "g"] or maps
    if len(maps) != 1:
        raise ValueError(
            f"{path} must hold one map, an array with two axes, but holds {_listed(arrays)}; say which with `--array "
            "NAME`."
        )
    return _real(arrays[maps[0]], f"Array `{maps[0]}` of {path}"), f"Array `{maps[0]}` of {path}"


def _listed(arrays: Mapping[str, np.ndarray]) -> str:
    return ", ".join(f"`{key}` {value.shape}" for key, value in arrays.items()) or "nothing"


def _real(array: np.ndarray, where: str) -> np.ndarray:
    if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
        raise ValueError(f"{where} must hold real numbers, but has dtype {array.dtype}.")
    return array


def _fields(line: str, separator: str | None) -> list[str]:
    fields = [field.strip().strip('"') for field in (line.split(separator) if separator else line.split())]
    # Where a semicolon stands between the numbers, a comma is a decimal point.
    return [re.sub(r"^([+-]?\d*),(\d)", r"\1.\2", field) for field in fields] if separator == ";" else fields


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field
