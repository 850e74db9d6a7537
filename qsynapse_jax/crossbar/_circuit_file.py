"""A circuit stored as an .npz file: the arguments of `solve` under their own names, in SI units."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import jax
import numpy as np

from qsynapse_jax._arrays import read_arrays
from qsynapse_jax.crossbar._laws import AbstractLaw, Ohmic, Polynomial, Series, Sinh
from qsynapse_jax.crossbar._wires import Wires

VOLTAGES = ("v_in", "v_out")
WIRES = ("r_word", "r_bit", "r_driver", "r_sense", "r_driver_far", "r_sense_far")
PARAMETER = {"ohmic": None, "sinh": "k", "series": "r", "polynomial": "coefficients"}
NAMES = ("g", *VOLTAGES, *WIRES, "law", *filter(None, PARAMETER.values()))

EXAMPLE = "numpy.savez('array.npz', g=g, v_in=v_in, r_word=1.0, r_bit=1.0)"


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
    """

    g: np.ndarray
    v_in: np.ndarray
    v_out: np.ndarray | None
    resistances: dict[str, np.ndarray]
    law_name: str
    parameter: np.ndarray | None

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


def read_circuit(path: Path) -> Circuit:
    """A circuit stored as an .npz file.

    Args:
        path: a file with the arrays `g` [S] and `v_in` [V] and, as far as they are wanted, `v_out` [V], `r_word`,
            `r_bit`, `r_driver`, `r_sense`, `r_driver_far`, `r_sense_far` [ohm], `law` and the parameter of that law.

    Raises:
        ValueError: a file that is none, an array that is missing, unknown or no array of real numbers. Shapes and
            values are left to `solve`.
    """
    stored = read_arrays(
        path,
        subject="Argument `file`",
        remedy=f"; write one, e.g. {EXAMPLE}",
        check_names=lambda names: _check_names(names, path),
    )
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
    return Circuit(
        g=numbers["g"],
        v_in=numbers["v_in"],
        v_out=numbers.get("v_out"),
        resistances={key: numbers[key] for key in WIRES if key in numbers},
        law_name=law,
        parameter=None if name is None else numbers[name],
    )


def _check_names(names: list[str], path: Path) -> None:
    for name in names:
        if name not in NAMES:
            close = get_close_matches(name, NAMES, n=1)
            guess = f" Did you mean `{close[0]}`?" if close else ""
            raise ValueError(f"{path} holds an array `{name}`, but known are {', '.join(NAMES)}.{guess}")


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
