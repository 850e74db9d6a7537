"""What a solve reports: an outcome whose message tells the user what to do, and its figures."""

import equinox as eqx
from jaxtyping import Array, Float, Int


class ConvergenceError(RuntimeError):
    """A solve did not reach its tolerance; the message says why and what to do."""


class RESULTS(eqx.Enumeration):
    """Outcome of a solve. `RESULTS[sol.result]` is the message."""

    successful = "The solve reached its tolerance."
    max_steps_reached = (
        "The iteration for the node voltages did not reach `rtol` within `max_steps`. "
        "Raise `max_steps`, loosen `rtol`, or compute in float64."
    )
    breakdown = (
        "The iteration for the node voltages met a NaN or infinite number: currents or voltages overflow the "
        "working precision. Check the units of `g` [S], `v_in` [V] and `wires` [ohm], or compute in float64."
    )
    bad_conductance = (
        "Argument `g` must be non-negative and finite, but holds a negative, NaN or infinite conductance [S]. "
        "Use 0.0 for an open cell."
    )
    bad_voltage = "Argument `v_in` must be finite, but holds a NaN or infinite voltage [V]."
    bad_output_voltage = "Argument `v_out` must be finite, but holds a NaN or infinite voltage [V]."
    bad_wires = (
        "Argument `wires` must hold non-negative resistances, but one is negative or NaN [ohm]. "
        "Use 0.0 for an ideal wire."
    )
    unexpected_opens = (
        "Argument `wires` holds infinite resistances (open lines) where values are traced. Say how many one array "
        "has at most, `Wires(..., opens=n)`, or use finite resistances [ohm]."
    )


class Stats(eqx.Module):
    """Figures of a solve; residual and power balance for every input vector.

    Attributes:
        iterations: steps of the iterative solver, of the slowest input.
        solves: linear systems solved: 1 for linear cells, one per step of Newton's method otherwise.
        residual: what is left of Kirchhoff's equations, recomputed from the returned currents: the Euclidean norm
            of `sqrt(g) (v_word - v_bit - i_cell / g)` over that of `sqrt(g) (v_in - v_out)`. The error of the cell
            currents, measured in the same norm, cannot exceed it.
        power_balance: power delivered by the terminals less power dissipated in cells and wires, over the former.
    """

    iterations: Int[Array, ""]
    solves: Int[Array, ""]
    residual: Float[Array, "*batch"]
    power_balance: Float[Array, "*batch"]
