"""A circuit from a file: the arguments of `solve` under their own names in an .npz file, or the map of an array."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import jax
import numpy as np

from qsynapse_jax._arrays import read_arrays
from qsynapse_jax._fields import described
from qsynapse_jax.crossbar._laws import AbstractLaw, Ohmic, Polynomial, Series, Sinh
from qsynapse_jax.crossbar._map_file import SUFFIXES, UNITS, as_conductance, likely_unit, read_map, read_table
from qsynapse_jax.crossbar._wires import Wires

VOLTAGES = ("v_in", "v_out")
WIRES = ("r_word", "r_bit", "r_driver", "r_sense", "r_driver_far", "r_sense_far")
PARAMETER = {"ohmic": None, "sinh": "k", "series": "r", "polynomial": "coefficients"}
NAMES = ("g", *VOLTAGES, *WIRES, "law", *filter(None, PARAMETER.values()))

EXAMPLE = "numpy.savez('array.npz', g=g, v_in=v_in, r_word=1.0, r_bit=1.0)"


# What maps are driven with where nobody says: a usual read voltage [V].
V_READ = 0.2


@dataclass(frozen=True)
class Circuit:
    """One circuit, all numbers in the precision of `g`.

    Attributes:
        g: conductances of the crosspoints [S], shape (wl, bl).
        v_in: drivers [V], shape (*batch, wl).
        v_out: terminals of the bit lines [V], shape (*batch, bl); `None` for 0.
        resistances: those of the wires [ohm], by the name of the argument of `Wires`.
        law_name: ohmic, sinh, series or polynomial.
        parameter: that of the law; `None` for ohmic.
        remarks: what was assumed or left out, a sentence each.
    """

    g: np.ndarray = field(metadata={"unit": "S"})
    v_in: np.ndarray = field(metadata={"unit": "V"})
    v_out: np.ndarray | None = field(metadata={"unit": "V"})
    resistances: dict[str, np.ndarray] = field(metadata={"unit": "ohm"})
    law_name: str
    parameter: np.ndarray | None
    remarks: tuple[str, ...] = ()

    __repr__ = described

    def precision(self) -> AbstractContextManager[object]:
        """Where JAX keeps the precision of `g`: `wires`, `law` and `solve` belong inside."""
        return jax.enable_x64(self.g.dtype == np.float64)

    def wires(self) -> Wires:
        """The resistances."""
        return Wires(**self.resistances)  # pyright: ignore[reportArgumentType]

    def law(self) -> AbstractLaw:
        """Current of a crosspoint against its voltage."""
        if self.parameter is None:
            return Ohmic()
        return {"sinh": Sinh, "series": Series, "polynomial": Polynomial}[self.law_name](self.parameter)

    def __str__(self):
        lines = " x ".join(f"{n} {name} lines" for n, name in zip(self.g.shape, ("word", "bit"), strict=True))
        return f"{lines}, {self.law_name} cells, {self.g.dtype}"


def read_circuit(
    path: Path,
    *,
    unit: str | None = None,
    array: str | None = None,
    v_in: Any = None,
    r_word: float | None = None,
    r_bit: float | None = None,
) -> Circuit:
    """A circuit stored in an .npz file, or a map of an array in a file of another kind.

    Args:
        path: an .npz file with the arrays `g` [S] and `v_in` [V] and, as far as they are wanted, `v_out` [V], `r_word`,
            `r_bit`, `r_driver`, `r_sense`, `r_driver_far`, `r_sense_far` [ohm], `law` and the parameter of that law;
            upper or lower case, and other arrays are left out. Or a file for `read_map`.
        unit: of the map: S, mS, uS, nS, ohm, kohm or Mohm; `None` is S of an .npz file, and refused for others.
        array: name of the map in the file, where it is not `g` and not the only one.
        v_in: voltages of the drivers [V] in place of those of the file: a number for all word lines, or an array.
        r_word: of a word-line segment [ohm], in place of all wires of the file.
        r_bit: of a bit-line segment [ohm], likewise.

    Raises:
        ValueError: a file that is none; an array that is missing, almost has a known name, or is no array of real
            numbers; a map without a unit. Shapes and values are left to `solve`.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES or path.suffix.lower() == ".npz":
        stored, remarks = _stored(path, array)
        if unit is not None:
            stored["g"] = as_conductance(stored["g"], unit, f"Array `g` of {path}")
    else:
        stored, remarks = _mapped(path, unit, array), []
    if v_in is not None:
        stored["v_in"] = np.asarray(v_in, float)
    if "v_in" not in stored:
        stored["v_in"] = np.asarray(V_READ)
        remarks.append(f"no voltages are given, so that every word line is driven with {V_READ} V; `v_in` sets them.")
    given = {"r_word": r_word, "r_bit": r_bit}
    if any(r is not None for r in given.values()):
        replaced = [name for name in WIRES if name in stored]
        if replaced:
            remarks.append(f"the wires of the file ({', '.join(replaced)}) are replaced.")
        stored = {key: value for key, value in stored.items() if key not in WIRES}
        stored |= {key: np.asarray(float(r)) for key, r in given.items() if r is not None}
    law, name = _law(stored)
    dtype = _floating(stored["g"], "g").dtype
    # What overflows float32 becomes infinite, and is refused as that.
    with np.errstate(over="ignore"):
        numbers = {key: _floating(x, key).astype(dtype) for key, x in stored.items() if key != "law"}
    if name is not None:
        _check_parameter(numbers[name], name, numbers["g"])
    return Circuit(
        g=numbers["g"],
        v_in=_of_every_line(numbers["v_in"], numbers["g"]),
        v_out=numbers.get("v_out"),
        resistances={key: numbers[key] for key in WIRES if key in numbers},
        law_name=law,
        parameter=None if name is None else numbers[name],
        remarks=tuple(remarks),
    )


def _mapped(path: Path, unit: str | None, array: str | None) -> dict[str, np.ndarray]:
    """The map alone."""
    if unit is None:
        # Read for the guess in the message; a file that cannot be read says so first.
        guess = likely_unit(read_table(path, array)[0])
        raise ValueError(
            f"Argument `unit` must say in what unit the numbers of {path} are ({', '.join(UNITS)}); by their size "
            f"perhaps `--unit {guess}`."
        )
    return {"g": read_map(path, unit, name=array)}


def _stored(path: Path, array: str | None) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of an .npz file that are known, by their names in lower case, and what was left out."""
    found = read_arrays(path, subject="Argument `file`", remedy=f"; write one, e.g. {EXAMPLE}")
    known: dict[str, np.ndarray] = {}
    left_out = []
    for key, value in found.items():
        name = "g" if key == array else key if key in NAMES else key.lower()
        if name in NAMES and not (array is not None and name == "g" and key != array):
            if name in known:
                raise ValueError(f"{path} holds `{name}` twice, in upper and in lower case; leave one out.")
            known[name] = value
        else:
            left_out.append(key)
    if array is not None and array not in found:
        raise ValueError(f"{path} has no array `{array}`; it holds {', '.join(found)}.")
    maps = [key for key in left_out if found[key].ndim == 2 and min(found[key].shape) > 1]
    remarks = []
    if "g" not in known and len(maps) == 1:
        known["g"] = found[maps[0]]
        remarks.append(f"`{maps[0]}` is the map of the array, the only array of the file with two axes.")
        left_out.remove(maps[0])
    for key in left_out:
        # A slip of the pen, not an array of another meaning.
        close = get_close_matches(key.lower(), NAMES, n=1, cutoff=0.8)
        if close:
            raise ValueError(
                f"{path} holds an array `{key}`, but known are {', '.join(NAMES)}. Did you mean `{close[0]}`?"
            )
    if "g" not in known:
        raise ValueError(f"{path} must hold the conductances of the array, but has no `g`; write e.g. {EXAMPLE}")
    if left_out:
        remarks.append(f"left out of the file: {', '.join(f'`{key}`' for key in left_out)}.")
    return known, remarks


def _of_every_line(v_in: np.ndarray, g: np.ndarray) -> np.ndarray:
    return np.full(g.shape[:1], v_in) if v_in.ndim == 0 and g.ndim == 2 else v_in


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
