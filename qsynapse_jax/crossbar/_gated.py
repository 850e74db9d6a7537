"""Arrays of 1T1R cells whose rows are gated: word lines carry no current, source lines beside the bit lines do."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Bool, Real

from qsynapse_jax.crossbar._interleave import alternate, paired
from qsynapse_jax.crossbar._laws import AbstractLaw, Gated
from qsynapse_jax.crossbar._solve import AUTO, OHMIC, Solution, finish
from qsynapse_jax.crossbar._solver import AbstractSolver
from qsynapse_jax.crossbar._source_lines import SourceLines
from qsynapse_jax.crossbar._validation import as_working, check_array, check_input, check_law
from qsynapse_jax.crossbar._wires import Wires


def solve_gated(
    g: Real[ArrayLike, "*pair wl bl"],
    gate: Real[ArrayLike, "*batch wl"] | Bool[ArrayLike, "*batch wl"],
    wires: Wires,
    source: SourceLines,
    *,
    v_source: Real[ArrayLike, "..."],
    v_out: Real[ArrayLike, "*batch bl"] | None = None,
    law: AbstractLaw = OHMIC,
    v_cell0: Real[ArrayLike, "..."] | None = None,
    solver: AbstractSolver = AUTO,
    rtol: float | None = None,
    max_steps: int | None = None,
    throw: bool = True,
) -> Solution:
    """Kirchhoff's equations of an array whose inputs open and close transistors.

    Cell (i, j) connects source line j, at row i, to bit line j, at row i, through a transistor whose gate is word line
    i. Different cells conduct for every input. With ideal wires and Ohmic cells `i_out = v_source * (gate @ g)`.

    Args:
        g: conductance of every cell [S], shape (wl, bl); 0 is an open cell. Or shape (2, wl, bl): positive and negative
            cells of pairs that share a gate and a node of the bit line, and have a source line each, at `v_source` and
            at `-v_source`: with ideal wires `i_out = v_source * (gate @ (g[0] - g[1]))`.
        gate: what the transistors of each row let through, shape (*batch, wl): 1 or `True` conducts, 0 or `False` is
            open, and a fraction passes that fraction of the law's current at the same voltage (a leak: 1e-6). The
            resistance of a transistor that conducts is a law, `Series(r)`.
        wires: `r_bit`, `r_sense` and `r_sense_far` are those of the bit lines [ohm], one segment a row. The others have
            no effect: a gate draws no current.
        source: resistances of the source lines [ohm], and at which side they are driven.
        v_source: voltages of the source-line terminals [V], a scalar, shape (bl,) or (*batch, bl).
        v_out: voltages of the bit-line terminals [V], shape (bl,) or (*batch, bl); default 0, virtual ground.
        law: of the cells, as in `solve`; parameters of pairs that are arrays have the shape of the pairs' rows in turn,
            (2 wl, bl).
        v_cell0: as in `solve`; of pairs, with their rows in turn.
        solver: `Auto()` (default) or `ConjugateGradient()`, which is then the same; others need lines that cross.
        rtol: as in `solve`.
        max_steps: as in `solve`.
        throw: as in `solve`.

    Returns:
        The operating point, see `Solution`, where source lines take the place of word lines: `v_word` are the voltages
        of their nodes, `v_in` (*batch, bl) those of their terminals, `i_in` (*batch, bl) and `i_word` their currents.
        Pairs have rows 2i and 2i+1 there, and (*batch, 2 bl) terminals: first the positive ones of all bit lines.

    Raises:
        ValueError, ConvergenceError: as `solve`; a gate that is not between 0 and 1; a solver for lines that cross.

    Gradients: as `solve`, in `gate`, `v_source` and `source` too; in `g` exactly 0 where a cell is closed off.

    Accuracy: against ngspice and nodal analysis, `tests/crossbar/test_topologies.py`, as `solve`.
    """
    arguments, law, source = gated(g, gate, wires, source, v_source, v_out, law)
    return finish(arguments, law, source, v_cell0=v_cell0, solver=solver, rtol=rtol, max_steps=max_steps, throw=throw)


def gated(
    g: Any, gate: Any, wires: Wires, source: SourceLines, v_source: Any, v_out: Any, law: Any
) -> tuple[dict[str, Any], Gated, SourceLines]:
    """What `solve_gated` solves: arguments that fit each other, pairs in rows, gates in the law."""
    gate = jnp.asarray(gate, float) if getattr(gate, "dtype", None) == np.dtype(bool) else gate
    g, gate, v_source = as_working(g, "g"), as_working(gate, "gate"), as_working(v_source, "v_source")
    pairs = g.ndim == 3 and len(g) == 2
    one = g[0] if pairs else g
    check_array(one, wires)
    if not isinstance(source, SourceLines):
        raise ValueError(
            f"Argument `source` must be `SourceLines`, but is a {type(source).__name__}; write e.g. "
            "`SourceLines(r_source=1.0)`."
        )
    source.check_shape(one.shape)
    bits = one.shape[1:]
    # A number for all lines takes the precision of the cells.
    v_source = jnp.broadcast_to(v_source, bits).astype(g.dtype) if v_source.ndim == 0 else v_source
    check_input(one, gate, v_source, ("gate", "v_source"))
    v_out = jnp.zeros(bits, v_source.dtype) if v_out is None else as_working(v_out, "v_out")
    check_input(one, gate, v_out, ("gate", "v_out"))
    if v_source.ndim < gate.ndim:
        v_source = jnp.broadcast_to(v_source.reshape((1,) * (gate.ndim - 1) + bits), (*gate.shape[:-1], *bits))
    if pairs:
        g, gate, wires = alternate(*g), jnp.repeat(gate, 2, -1), paired(wires, len(one))
        v_source = jnp.concatenate([v_source, -v_source], -1)
    law = check_law(law, g.shape, jnp.promote_types(g.dtype, v_source.dtype))
    arguments = {"g": g, "v_source": v_source, "v_out": v_out, "wires": wires}
    return arguments, Gated(law, gate.reshape(-1, len(g), 1)), replace(source, per_bit_line=2 if pairs else 1)
