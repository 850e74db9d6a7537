"""The same circuit as a netlist for ngspice, to check numbers against or to go on with in a simulator.

Conventions are those of `solve`. A segment of 0 ohm is no element: its nodes are one. Bit-line terminals are voltage
sources Vm<j>, whose branch currents are the bit-line currents.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import ArrayLike, Float

from qsynapse_jax._checks import as_floating
from qsynapse_jax.crossbar._border import check_array, check_input, check_law
from qsynapse_jax.crossbar._laws import AbstractLaw, Ohmic, Polynomial, Series, Sinh
from qsynapse_jax.crossbar._wires import Wires

_TIGHT = ".options reltol=1e-11 abstol=1e-19 vntol=1e-13 itl1=2000 gmin=1e-20"


def to_spice(
    g: Float[ArrayLike, "wl bl"],
    v_in: Float[ArrayLike, " wl"],
    wires: Wires,
    cell: AbstractLaw | None = None,
    path: str | Path = "crossbar.cir",
    *,
    v_out: Float[ArrayLike, " bl"] | None = None,
) -> Path:
    """Writes a netlist of the array that `ngspice -b PATH` runs; it prints the bit-line currents.

    Args:
        g: conductances [S], shape (wl, bl); an open cell is left out.
        v_in: driver voltages [V], shape (wl,).
        wires: resistances [ohm].
        cell: law of the cells; default `Ohmic()`.
        path: file to write.
        v_out: terminal voltages of the bit lines [V], shape (bl,); default 0.

    Returns:
        The path.

    Raises:
        ValueError: as `solve`; a batch of inputs; a law that has no SPICE expression, such as `Law`.
    """
    cell = Ohmic() if cell is None else cell
    g, v_in = as_floating(g, "g"), as_floating(v_in, "v_in")
    v_out = np.zeros(g.shape[-1]) if v_out is None else as_floating(v_out, "v_out")
    check_array(g, wires)
    check_law(cell)
    if v_in.ndim != 1:
        raise ValueError(
            f"Argument `v_in` must be one vector of shape (wl,) for a netlist, but has shape {v_in.shape}."
        )
    check_input(g, v_in, np.asarray(v_out))  # pyright: ignore[reportArgumentType]
    arrays = (np.asarray(x, float) for x in (g, v_in, v_out))
    lines = _netlist(*arrays, wires=wires, cell=cell)
    path = Path(path)
    path.write_text("\n".join(lines) + "\n")
    return path


def _netlist(g: np.ndarray, v_in: np.ndarray, v_out: np.ndarray, *, wires: Wires, cell: AbstractLaw) -> Iterator[str]:
    n_word, n_bit = g.shape
    r = _resistances(wires, g.shape)
    yield f"* crossbar of {n_word} word lines and {n_bit} bit lines, written by qsynapse_jax"
    yield _TIGHT
    words = []
    for i in range(n_word):
        yield f"Vs{i} s{i} 0 DC {float(v_in[i])!r}"
        nodes = [f"s{i}"]
        names = [f"t{i}", *(f"w{i}_{j}" for j in range(n_bit))]
        for name, value in zip(names, [r["r_driver"][i], *r["r_word"][i]], strict=True):
            yield from _resistor(name, nodes, value)
        words.append(nodes[2:])
        yield from _far_end(f"Rf{i}", nodes[-1], f"s{i}", r["r_driver_far"], i)
    bits = []
    for j in range(n_bit):
        yield f"Vm{j} m{j} 0 DC {float(v_out[j])!r}"
        nodes = [f"m{j}"]
        names = [f"x{j}", *(f"b{i}_{j}" for i in reversed(range(n_word)))]
        for name, value in zip(names, [r["r_sense"][j], *r["r_bit"][::-1, j]], strict=True):
            yield from _resistor(name, nodes, value)
        bits.append(nodes[:1:-1])
        yield from _far_end(f"Rg{j}", nodes[-1], f"m{j}", r["r_sense_far"], j)
    for i, j in np.argwhere(g > 0):
        yield from _cell(cell, (int(i), int(j)), words[i][j], bits[j][i], g)
    yield ".control"
    yield "set numdgt=15"
    yield "op"
    yield from (f"print i(vm{j})" for j in range(n_bit))
    yield ".endc"
    yield ".end"


def _resistances(wires: Wires, shape: tuple[int, ...]) -> dict[str, Any]:
    """Every resistance at its full shape, as float64."""
    n_word, n_bit = shape
    r_bit = np.asarray(wires.r_bit, float)
    full: dict[str, Any] = {
        "r_word": np.broadcast_to(np.asarray(wires.r_word, float), shape),
        "r_bit": np.broadcast_to(r_bit[:, None] if r_bit.ndim == 1 else r_bit, shape),
    }
    for name, n in (("r_driver", n_word), ("r_sense", n_bit), ("r_driver_far", n_word), ("r_sense_far", n_bit)):
        value = getattr(wires, name)
        full[name] = None if value is None else np.broadcast_to(np.asarray(value, float), (n,))
    return full


def _resistor(name: str, nodes: list[str], value: float) -> Iterator[str]:
    """Goes on from the last node to a new one called `name`, or stays there for 0 ohm."""
    if value > 0:
        yield f"R{name} {nodes[-1]} {name} {float(value)!r}"
        nodes.append(name)
    else:
        nodes.append(nodes[-1])


def _far_end(name: str, node: str, terminal: str, far: Any, line: int) -> Iterator[str]:
    if far is None or node == terminal:
        return
    if far[line] > 0:
        yield f"{name} {node} {terminal} {float(far[line])!r}"
    else:
        yield f"V{name} {node} {terminal} DC 0"


def _cell(cell: AbstractLaw, at: tuple[int, int], word: str, bit: str, g: np.ndarray) -> Iterator[str]:
    """Elements of one cell."""
    i, j = at
    conductance, v = float(g[at]), f"V({word},{bit})"

    def parameter(value: Any) -> float:
        return float(np.broadcast_to(np.asarray(value, float), g.shape)[at])

    if isinstance(cell, Ohmic):
        yield f"Rc{i}_{j} {word} {bit} {1 / conductance!r}"
    elif isinstance(cell, Series):
        series = parameter(cell.r)
        if np.isfinite(series):
            yield f"Rc{i}_{j} {word} {bit} {1 / conductance + series!r}"
    elif isinstance(cell, Sinh):
        k = parameter(cell.k)
        if k == 0:
            yield f"Rc{i}_{j} {word} {bit} {1 / conductance!r}"
        else:
            yield f"Bc{i}_{j} {word} {bit} I={conductance / k!r}*sinh({k!r}*{v})"
    elif isinstance(cell, Polynomial):
        # Horner's rule: ngspice's power takes the magnitude of a negative base.
        tail = "0"
        for c in np.asarray(cell.coefficients)[::-1]:
            tail = f"{v}*({float(c)!r}+{tail})"
        yield f"Bc{i}_{j} {word} {bit} I={conductance!r}*{v}*(1+{tail})"
    else:
        raise ValueError(
            f"Argument `cell` must be a law that SPICE can express (Ohmic, Series, Sinh, Polynomial), but is a "
            f"{type(cell).__name__}."
        )
