"""A cell's law from measured currents and voltages."""

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import Numbers, finite, reals
from qsynapse_jax.crossbar._laws import AbstractLaw
from qsynapse_jax.crossbar._line_sums import ranked


class Tabulated(AbstractLaw):
    """The current-voltage curve of a measured cell: I = G f(V), monotone and smooth between the points.

    f is the measured current over its slope at 0 V, so that `g` is the conductance at low voltage, as in every other
    law. Between two points it is a cubic that neither overshoots nor falls (Fritsch and Carlson), which has a
    continuous derivative; beyond the last point it goes on in a straight line.

    Args:
        v: voltages [V], shape (n,), ascending, 0 V among them or between two of them.
        i: currents [A], shape (n,), ascending; in any unit, since only their ratios count.

    Raises:
        ValueError: fewer than 3 points; voltages or currents that do not ascend, with the place; a range without 0 V;
            a current at 0 V.

    Reference: F. N. Fritsch and R. E. Carlson, SIAM J. Numer. Anal. 17(2):238-246, 1980, doi 10.1137/0717021;
        F. N. Fritsch and J. Butland, SIAM J. Sci. Stat. Comput. 5(2):300-304, 1984, doi 10.1137/0905021 (slopes).
    """

    v: Numbers = reals("V", finite)
    i: Numbers = reals("A", finite)
    rises: ClassVar[bool] = True

    def __check_init__(self):
        if jnp.ndim(self.v) != 1 or self.v.shape != self.i.shape or len(self.v) < 3:
            raise ValueError(
                f"Arguments `v` and `i` must be curves of one length, at least 3 points, but have shapes "
                f"{self.v.shape} and {self.i.shape}."
            )
        if not is_concrete(self.v, self.i):
            return
        for name, unit in (("v", "V"), ("i", "A")):
            values = np.asarray(getattr(self, name))
            falls = np.flatnonzero(~(np.diff(values) > 0))
            if falls.size:
                k = int(falls[0])
                raise ValueError(
                    f"Argument `{name}` must ascend, but point {k + 1} is {values[k + 1]:g} {unit} after "
                    f"{values[k]:g} {unit}; average sweeps up and down, and sort by voltage."
                )
        v, i = np.asarray(self.v), np.asarray(self.i)
        if not v[0] <= 0 <= v[-1]:
            raise ValueError(
                f"Argument `v` must reach from 0 V or below to 0 V or above, but is {v[0]:g} to {v[-1]:g} V; add the "
                "point 0 V, 0 A, and of a symmetric cell the other polarity."
            )
        zero = abs(float(np.interp(0.0, v, i)))
        if zero > 1e-3 * np.max(np.abs(i)):
            raise ValueError(
                f"Argument `i` must vanish at 0 V, but is {zero:g} A there, more than a thousandth of its largest; "
                "subtract the offset of the amplifier."
            )

    def current(self, g: Float[Array, "wl bl"], v: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        x, y = self.v.astype(v.dtype), self.i.astype(v.dtype)
        slopes = _slopes(x, y)
        at_zero = _hermite(x, y, slopes, jnp.zeros((1,), v.dtype))
        unit = at_zero[1][0]
        return ranked(g, v) * (_hermite(x, y, slopes, v)[0] - at_zero[0][0]) / unit


def _slopes(x: Array, y: Array) -> Array:
    """Derivatives at the points for which the cubics between them are monotone."""
    h = jnp.diff(x)
    secant = jnp.diff(y) / h
    before, after = secant[:-1], secant[1:]
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    inner = (w1 + w2) / (w1 / before + w2 / after)

    def end(h0: Array, h1: Array, s0: Array, s1: Array) -> Any:
        # Of a parabola through three points, and no more than three times the secant, where it would overshoot.
        return jnp.clip(((2 * h0 + h1) * s0 - h0 * s1) / (h0 + h1), 0, 3 * s0)

    first, last = end(h[0], h[1], secant[0], secant[1]), end(h[-1], h[-2], secant[-1], secant[-2])
    return jnp.concatenate([first[None], inner, last[None]])


def _hermite(x: Array, y: Array, slopes: Array, at: Array) -> tuple[Array, Array]:
    """Value and derivative of the piecewise cubic; straight lines beyond its ends."""
    place = jnp.clip(jnp.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    x0, x1, y0, y1, s0, s1 = x[place], x[place + 1], y[place], y[place + 1], slopes[place], slopes[place + 1]
    h, inside = x1 - x0, jnp.clip(at, x[0], x[-1])
    t = (inside - x0) / h
    secant = (y1 - y0) / h
    c2, c3 = 3 * secant - 2 * s0 - s1, s0 + s1 - 2 * secant
    value = y0 + h * t * (s0 + t * (c2 + t * c3))
    slope = s0 + t * (2 * c2 + 3 * c3 * t)
    return value + slope * (at - inside), slope
