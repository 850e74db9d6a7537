"""What a solve reports: an outcome whose message tells the user what to do, and its figures."""

import equinox as eqx
from jaxtyping import Array, Float, Int

from qsynapse_jax._fields import Model


class ConvergenceError(RuntimeError):
    """A solve did not reach its tolerance; the message says why and what to do."""


class RESULTS(eqx.Enumeration):
    """Outcome of a solve. `RESULTS[sol.result]` is the message."""

    successful = "The solve reached its tolerance."
    max_steps_reached = (
        "The iteration for the node voltages did not reach `rtol` within `max_steps`. "
        "Raise `max_steps`, loosen `rtol`, or compute in float64."
    )
    lost = (
        "Newton's method found no operating point within `max_steps` linear steps: no step brings it closer. Give "
        "another start, `v_cell0=` [V], raise `max_steps`, or compute in float64."
    )
    breakdown = (
        "The iteration for the node voltages met a NaN or infinite number: currents or voltages overflow the "
        "working precision. Check the units of `g` [S], `v_in` [V] and `wires` [ohm], or compute in float64."
    )
    inaccurate = (
        "The circuit is too delicate for the working precision: rounding alone may change a current by more than a "
        "solve promises. Compute in float64 (`jax.config.update('jax_enable_x64', True)`), or with "
        "`solver=Elimination()`, which loses no digits to floating lines."
    )
    shorted = (
        "A path of 0 ohm joins two terminals, whose currents nothing limits. Give the crosspoint (`g`), a wire or an "
        "end a resistance [ohm]."
    )
    nonlinear_short = (
        "Argument `g` must be finite for cells with a nonlinear law, but holds an infinity; use `Ohmic` or `Series` "
        "cells, or a finite conductance [S]."
    )
    not_linear = (
        "Argument `law` says `linear = True`, but its current is not proportional to the voltage. Leave `linear` out: "
        "then it is solved by Newton's method."
    )
    short_and_open = (
        "Argument `g` holds a short (an infinity) in an array with open lines, which the iteration does not take; use "
        "`solver=Elimination()`."
    )
    ambiguous = (
        "Argument `law` falls as the voltage rises, where the wires are not known to be steeper than it: the circuit "
        "may have several operating points. Give a start, `v_cell0=` [V], or add resistance in series."
    )
    bad_conductance = (
        "Argument `g` must be non-negative, but holds a negative or NaN conductance [S]. Use 0.0 for an open cell and "
        "an infinity for a short."
    )
    bad_voltage = "Argument `v_in` must be finite (of gated rows, `v_source`), but holds a NaN or infinite voltage [V]."
    bad_gate = (
        "Argument `gate` must lie between 0 (off) and 1 (conducting), but one does not. The resistance of a transistor "
        "that conducts is a law, `law=Series(r)`."
    )
    bad_output_voltage = "Argument `v_out` must be finite, but holds a NaN or infinite voltage [V]."
    bad_wires = (
        "Argument `wires` must hold non-negative resistances, but one is negative or NaN [ohm]. "
        "Use 0.0 for an ideal wire."
    )
    unexpected_opens = (
        "Argument `wires` holds infinite resistances (open lines) where values are traced. Say how many one array "
        "has at most, `Wires(..., opens=n)`, or use finite resistances [ohm]."
    )


class Stats(Model):
    """Figures of a solve; residual and power balance for every input vector.

    Attributes:
        iterations: steps of the iterative solver, of the slowest input.
        solves: linear systems solved: 1 for linear cells, one per step of Newton's method otherwise.
        residual: what is left of Kirchhoff's equations, recomputed from the returned currents: the Euclidean norm
            of `sqrt(g) (v_word - v_bit - i_cell / g)` over that of `sqrt(g) (v_in - v_out)`. The error of the cell
            currents, measured in the same norm, cannot exceed it. Of a cell that conducts more than a thousand times
            better than its wires, a short, `g` stands for a thousand times their conductance.
        current_error: what `i_out` may be off, relative to the largest current in or out of a line: the sum of what
            each cell and each floating piece leaves unbalanced, none of which can grow on its way to a terminal. What
            rounding of a cell's own voltage explains is left out. Where a law may fall, what one more step of Newton's
            method would change; there the error may exceed `residual`, too.
        power_balance: power delivered by the terminals less power dissipated in cells and wires, over the former.
    """

    iterations: Int[Array, ""]
    solves: Int[Array, ""]
    residual: Float[Array, "*batch"]
    current_error: Float[Array, "*batch"]
    power_balance: Float[Array, "*batch"]
