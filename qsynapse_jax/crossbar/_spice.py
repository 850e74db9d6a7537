"""The same circuit as a netlist for ngspice, to check numbers against or to go on with in a simulator.

Conventions are those of `solve`, and stand in the header of every netlist. A segment of 0 ohm is no element: its nodes
are one. So no netlist has a loop of voltage sources, which SPICE calls singular, whatever is ideal: a line has one
source, and lines meet only in cells.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Real

from qsynapse_jax._arrays import write_whole
from qsynapse_jax._checks import as_floating, bad_value_message, is_concrete
from qsynapse_jax.crossbar._gated import gated
from qsynapse_jax.crossbar._laws import AbstractLaw, Ohmic, Polynomial, Series, Sinh
from qsynapse_jax.crossbar._result import RESULTS
from qsynapse_jax.crossbar._source_lines import SourceLines
from qsynapse_jax.crossbar._validation import bad_conductance_message, check_array, check_input, check_law
from qsynapse_jax.crossbar._wires import Wires

# Linear circuits need none of these. Nonlinear ones need `reltol`: with ngspice's 1e-3 a Sinh(8.0) array was off by
# 3e-9 of its largest current, with 1e-11 by 5e-12; at 1e-14 Newton's method no longer ends. `abstol` [A] and `vntol`
# [V] keep the defaults, 1e-12 and 1e-6, from ending it early where cells carry less than nanoamperes.
_OPTIONS = ".options reltol=1e-11 abstol=1e-19 vntol=1e-13 itl1=2000"

# Pieces of line that nothing holds make the nodal matrix singular. 1e-18 S from every node to ground decide it.
_SHUNT = ".options rshunt=1e18"


def to_spice(
    g: Float[ArrayLike, "*pair wl bl"],
    v_in: Float[ArrayLike, "*lines"],
    wires: Wires,
    law: AbstractLaw | None = None,
    path: str | Path = "crossbar.cir",
    *,
    v_out: Float[ArrayLike, " bl"] | None = None,
    gate: Real[ArrayLike, " wl"] | Bool[ArrayLike, " wl"] | None = None,
    source: SourceLines | None = None,
) -> Path:
    """The circuit of `solve`, or of `solve_gated`, as a netlist; `ngspice -b PATH` prints its currents to 15 digits.

    Args:
        g: conductances [S], shape (wl, bl), or (2, wl, bl) as in `solve_gated`; an open cell is left out.
        v_in: driver voltages [V], shape (wl,); of a gated array those of the source lines, as `v_source` there.
        wires: resistances [ohm].
        law: of the crosspoints, one of `Ohmic()` (default), `Series`, `Sinh` and `Polynomial`.
        path: file to write, whole or not at all; one that exists is replaced.
        v_out: terminal voltages of the bit lines [V], shape (bl,); default 0.
        gate: of a gated array, what the transistors of each row let through, shape (wl,).
        source: of a gated array, the source lines [ohm].

    Returns:
        The path.

    Raises:
        ValueError: as `solve`; a batch of inputs; values that are not known yet, under `jit`, `vmap` or `grad`; a law
            that has no SPICE expression, such as `Law`. Nothing is written then.
        OSError: the file cannot be written.

    Accuracy: `solve` and ngspice 39 agree to 1e-9 of the largest current in float64 (asserted by
        `pytest tests/crossbar/test_spice.py`). ngspice solves for node voltages, so behind very small resistances at
        terminals that are not at 0 V its currents lose digits; the header of such a netlist says how many.
    """
    law = Ohmic() if law is None else law
    arguments, gates, source = _border(g, v_in, wires, v_out, law, gate, source)
    if not is_concrete(arguments, law, gates, source):
        raise ValueError(
            "`to_spice` writes numbers to a file, but its arguments are being traced; call it outside of `jit`, `vmap` "
            "and `grad`."
        )
    if arguments[1].ndim > 1:
        name = "v_in" if source is None else "gate"
        raise ValueError(
            f"Argument `{name}` must be one vector of shape (wl,) for a netlist, but has a batch of inputs; write one "
            f"netlist for each, e.g. with `{name}[0]`."
        )
    _check_values(*arguments, gates, source)
    cells, v_in, v_out = (np.asarray(x, float) for x in arguments[:3])
    path, circuit = Path(path), _gates(_cells(law, cells), np.asarray(gates[0], float))
    _write_whole(path, "".join(f"{line}\n" for line in _netlist(v_in, v_out, arguments[3], source, circuit)))
    return path


def _border(
    g: Any, v_in: Any, wires: Wires, v_out: Any, law: AbstractLaw, gate: Any, source: SourceLines | None
) -> tuple[tuple[Any, Any, Any, Wires], Any, SourceLines | None]:
    """Arguments that fit each other, as `solve` takes them, and what the gates of every row let through."""
    if (gate is None) != (source is None):
        raise ValueError("Arguments `gate` and `source` must be given together, but one is missing; give both or none.")
    if source is not None:
        given, behind, source = gated(g, gate, wires, source, v_in, v_out, law)
        return (given["g"], given["v_source"], given["v_out"], given["wires"]), behind.gate, source
    g, v_in = as_floating(g, "g"), as_floating(v_in, "v_in")
    check_array(g, wires)
    check_law(law)
    v_out = as_floating(np.zeros(g.shape[1], v_in.dtype) if v_out is None else v_out, "v_out")
    check_input(g, v_in, v_out)
    return (g, v_in, v_out, wires), np.ones((1, len(g), 1)), None


def _check_values(g: Any, v_in: Any, v_out: Any, wires: Wires, gate: Any, source: SourceLines | None) -> None:
    """Refuses what `solve` would refuse after solving."""
    if (message := bad_conductance_message(g)) is not None:
        raise ValueError(message)
    if not np.all((gate >= 0) & (gate <= 1)):
        raise ValueError(RESULTS[RESULTS.bad_gate])
    rules = [("v_in", v_in, "V", ""), ("v_out", v_out, "V", "")]
    # Wires that came out of a transformation have not been checked when they were made.
    ideal = " Use 0.0 for an ideal wire."
    for name, value in [*vars(wires).items(), *({} if source is None else vars(source)).items()]:
        if name.startswith("r_") and value is not None:
            rules.append((name, np.where(np.isposinf(value), 0.0, value), "ohm", ideal))
    for name, value, unit, remedy in rules:
        message = bad_value_message(value, name, unit=unit, minimum=None if unit == "V" else "non-negative")
        if message is not None:
            raise ValueError(message + remedy)


class _Cells(NamedTuple):
    """Every cell as a resistance [ohm], infinite where it is open, or NaN: a source of `current(i, j, voltage)`."""

    resistance: np.ndarray
    current: Callable[[int, int, str], str] | None = None


def _gates(cells: _Cells, gate: np.ndarray) -> _Cells:
    """What the gates of every row let through."""
    with np.errstate(divide="ignore", invalid="ignore"):
        resistance = np.where(gate > 0, cells.resistance / gate, np.inf)

    def current(i: int, j: int, v: str) -> str:
        assert cells.current is not None
        return cells.current(i, j, v) if gate[i, 0] == 1 else f"{float(gate[i, 0])!r}*({cells.current(i, j, v)})"

    return _Cells(resistance, current)


def _cells(law: AbstractLaw, g: np.ndarray) -> _Cells:
    """The law in the language of SPICE."""

    def parameter(name: str) -> np.ndarray:
        value = np.asarray(getattr(law, name), float)
        try:
            return np.broadcast_to(value, g.shape)
        except ValueError:
            raise ValueError(
                f"Argument `{name}` of `{type(law).__name__}` must be a scalar or have the shape of `g`, {g.shape}, "
                f"but has shape {value.shape}."
            ) from None

    # By exact type: a subclass may have a current of its own.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        resistance = 1 / g
        if type(law) is Ohmic:
            return _Cells(resistance)
        if type(law) is Series:
            return _Cells(resistance + parameter("r"))
        if type(law) is Sinh:
            k = parameter("k")
            _check_finite(k, "k", law)
            slope = g / k  # infinite or NaN where k is 0 or next to it, and sinh a straight line
            sinh = (g > 0) & np.isfinite(slope)
            return _Cells(
                np.where(sinh, np.nan, resistance),
                lambda i, j, v: f"{float(slope[i, j])!r}*sinh({float(k[i, j])!r}*{v})",
            )
    if type(law) is Polynomial:
        coefficients = np.asarray(law.coefficients, float)
        _check_finite(coefficients, "coefficients", law)
        return _Cells(np.where(g > 0, np.nan, np.inf), lambda i, j, v: f"{float(g[i, j])!r}*{_horner(coefficients, v)}")
    raise ValueError(
        "Argument `law` must be a law that SPICE can express, one of `Ohmic`, `Series`, `Sinh` and `Polynomial`, but "
        f"is a `{type(law).__name__}`; fit a `Polynomial` to it."
    )


def _check_finite(values: np.ndarray, name: str, law: AbstractLaw) -> None:
    if not np.all(np.isfinite(values)):
        raise ValueError(f"Argument `{name}` of `{type(law).__name__}` must be finite for a netlist.")


def _horner(coefficients: np.ndarray, v: str) -> str:
    """V + c[0] V^2 + c[1] V^3 + ... by Horner's rule: ngspice's power takes the magnitude of a negative base."""
    *rest, text = [1.0, *coefficients.tolist()]
    for c in reversed(rest):
        text = f"{c!r}+{v}*({text})"
    return f"{v}*({text})"


def _netlist(
    v_in: np.ndarray, v_out: np.ndarray, wires: Wires, source: SourceLines | None, cells: _Cells
) -> Iterator[str]:
    shape = cells.resistance.shape
    # Numbers of the cells, one row a line, from its terminal on.
    numbers = np.arange(cells.resistance.size).reshape(shape)
    r = _resistances(wires, shape)
    words, r_words = numbers, (r["r_driver"], r["r_word"], r["r_driver_far"])
    if source is not None:
        lines = source.as_bit_lines(wires)
        view = np.asarray(source.by_line(numbers))
        words, r_words = (view[::-1] if source.at_sense else view).T, _of_bit_lines(_resistances(lines, view.shape))
    r_bits = _of_bit_lines(r)
    yield from _header(shape, v_out, source, r_bits)
    yield _OPTIONS
    if any(np.isinf(value).any() for value in (*r_words, *r_bits) if value is not None):
        yield _SHUNT
    for letter, voltages in (("s", v_in), ("m", v_out)):
        yield from (f"V{letter}{k} {letter}{k} 0 DC {float(v)!r}" for k, v in enumerate(voltages))
    at_word, elements = _lines("stwf", words, shape, *r_words)
    at_bit, others = _lines("mxbg", numbers[::-1].T, shape, *r_bits)
    elements += others
    shorts = [(at_word[i, j], at_bit[i, j]) for i, j in np.argwhere(cells.resistance == 0)]
    terminals = [*(f"s{k}" for k in range(len(v_in))), *(f"m{k}" for k in range(len(v_out)))]
    name = _merged(terminals, shorts)
    for (i, j), resistance in np.ndenumerate(cells.resistance):
        a, b = at_word[i, j], at_bit[i, j]
        if np.isfinite(resistance) and resistance > 0:
            elements.append((f"Rc{i}_{j}", a, b, repr(float(resistance))))
        elif np.isnan(resistance):
            assert cells.current is not None
            voltage = f"V({name.get(a, a)},{name.get(b, b)})"
            elements.append((f"Bc{i}_{j}", a, b, f"I={cells.current(i, j, voltage)}"))
    elements = [(element, name.get(a, a), name.get(b, b), value) for element, a, b, value in elements]
    held = _connected(terminals, elements)
    for element, a, b, value in elements:
        # A resistor around a short carries nothing; a piece that no terminal holds has no voltages, and is singular.
        if a != b and a in held:
            yield f"{element} {a} {b} {value}"
    yield from (".control", "set numdgt=15", "op")
    yield from (f"print i(vm{j})" for j in range(len(v_out)))
    # Without it ngspice looks for .plot lines, finds none, and ends with status 1 after a good run.
    yield from ("quit $sim_status", ".endc", ".end")


def _merged(terminals: list[str], shorts: list[tuple[str, str]]) -> dict[str, str]:
    """The one name of nodes that shorts join, that of the terminal if there is one."""
    groups: dict[str, list[str]] = {}
    for pair in shorts:
        nodes = list(dict.fromkeys(other for node in pair for other in groups.get(node, [node])))
        groups |= dict.fromkeys(nodes, nodes)
    names = {}
    for node, group in groups.items():
        ends = [other for other in group if other in terminals]
        if len(ends) > 1:
            raise ValueError(
                f"Argument `g` holds shorts that join the terminals {ends[0]} and {ends[1]} without any resistance; "
                "give the crosspoint, a wire or an end a resistance."
            )
        names[node] = ends[0] if ends else group[0]
    return names


def _connected(terminals: list[str], elements: list[tuple[str, str, str, str]]) -> set[str]:
    """The nodes that elements connect to a terminal."""
    beside: dict[str, list[str]] = {}
    for _, a, b, _ in elements:
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    found, ahead = set(terminals), list(terminals)
    while ahead:
        new = set(beside.get(ahead.pop(), ())) - found
        found |= new
        ahead += new
    return found


def _header(shape: tuple[int, ...], v_out: np.ndarray, source: SourceLines | None, r_bits: Any) -> Iterator[str]:
    yield f"* Crossbar of {shape[0]} word lines and {shape[1]} bit lines, written by qsynapse_jax; run: ngspice -b FILE"
    if source is None:
        yield "* Vs<i>, node s<i>: driver of word line i, left of bit line 0."
    else:
        side = "below the last row" if source.at_sense else "above row 0"
        yield f"* Vs<k>, node s<k>: terminal of source line k, {side}; its nodes are those of a word line below."
    if source is not None and source.per_bit_line > 1:
        yield "* Pairs: rows 0, 2, ... hang on the first half of the source lines, rows 1, 3, ... on the second."
    yield "* Vm<j>, node m<j>: terminal of bit line j, below the last word line."
    yield "* i(vm<j>), printed: current out of bit line j into its terminal [A]."
    yield "* Rc<i>_<j> or Bc<i>_<j>: cell from node w<i>_<j> of its word line to node b<i>_<j> of its bit line."
    yield "* A wire or cell of 0 ohm is no element: its nodes are one, under the name nearer to the source."
    yield "* For the voltages of all nodes, add a line 'print all' after 'op'."
    positive = np.concatenate([np.ravel(r)[np.ravel(r) > 0] for r in r_bits if r is not None])
    if np.any(v_out) and positive.size:
        # The diagonal of the nodal matrix, 2/r, is rounded, as if a conductance eps/r led from each node to ground.
        # Measured with random v_out and r from 1e-12 to 1e-3 ohm: the worst current was off by 0.3 to 1.05 of this.
        loss = np.finfo(float).eps * shape[0] * np.max(np.abs(v_out)) / np.min(positive)
        yield f"* Bit lines are not at 0 V: ngspice rounds currents by {loss:.0e} A, more the smaller a wire."


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


def _of_bit_lines(r: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Ends, segments from the terminals on, and far ends."""
    return r["r_sense"], r["r_bit"][::-1].T, r["r_sense_far"]


def _lines(
    letters: str, numbers: np.ndarray, shape: tuple[int, ...], ends: Any, segments: Any, far: Any
) -> tuple[dict[tuple[int, int], str], list[tuple[str, str, str, str]]]:
    """Nodes of all cells in lines of one kind, and the resistors between them; letters of terminal, end, cell, far."""
    at: dict[tuple[int, int], str] = {}
    elements = []
    terminal, end, node, far_end = letters
    for k, line in enumerate(numbers):
        cells = [divmod(int(number), shape[1]) for number in line]
        names = [f"{end}{k}", *(f"{node}{i}_{j}" for i, j in cells)]
        built = _line(f"{terminal}{k}", names, [ends[k], *segments[k]], far, f"{far_end}{k}", k)
        elements += built.resistors
        at |= dict(zip(cells, built.nodes[1:], strict=True))
    return at, elements


class _Line(NamedTuple):
    """A line's nodes from its source on, and the resistors between them."""

    nodes: list[str]
    resistors: list[tuple[str, str, str, str]]


def _line(source: str, names: list[str], resistances: list[float], far: Any, far_name: str, index: int) -> _Line:
    """Goes from the source to a new node behind every resistance, and stays where it is for 0 ohm.

    An infinite one is no element, with a new node behind it.
    """
    nodes, parts, here = [], [], source
    for name, value in zip(names, resistances, strict=True):
        if value > 0:
            parts.append((name, here, name, value))
            here = name
        nodes.append(here)
    if far is not None and far[index] > 0:
        parts.append((far_name, here, source, far[index]))
    elif far is not None:  # the far end is the source itself
        nodes = [source if node == here else node for node in nodes]
        parts = [(name, a, source if b == here else b, value) for name, a, b, value in parts]
    # Both ends of a resistor at the source: it carries nothing.
    there = [part for part in parts if part[1] != part[2] and np.isfinite(part[3])]
    return _Line(nodes, [(f"R{name}", a, b, repr(float(value))) for name, a, b, value in there])


def _write_whole(path: Path, text: str) -> None:
    """Writes the file whole or not at all."""
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"Argument `path` must lie in a folder that exists, but {path.parent} does not; make it first, e.g. "
            f"`mkdir -p {path.parent}`."
        )
    # Renaming over a device such as /dev/null would destroy it.
    if path.exists() and not path.is_file():
        raise OSError(f"Argument `path` must be a file, but {path} is a folder or a device; choose another name.")
    try:
        write_whole(path, lambda temporary: temporary.write_text(text, encoding="ascii"))
    except OSError as error:
        raise OSError(
            f"Argument `path` must be a file that can be written, but {path} is not ({error.strerror}); choose another."
        ) from None
