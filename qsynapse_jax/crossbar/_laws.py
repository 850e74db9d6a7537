"""What a cell carries at a given voltage: current-voltage laws of resistive memory and of what stands in series."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import Model, Numbers, finite, non_negative_or_infinite, reals
from qsynapse_jax.crossbar._line_sums import ranked


class AbstractLaw(Model):
    """Current of a cell from its conductance and voltage.

    A subclass gives `current`; JAX takes its derivative. Parameters are arrays that broadcast against (wl, bl).

    The current may fall as the voltage rises where the wires are steeper, or where `solve` is given a start, `v_cell0`;
    elsewhere the array may have several operating points, and the solve refuses. It should vanish at 0 V: a law that
    delivers power, v I < 0, may rise or be given a start.

    `linear` says that the current is proportional to the voltage, which spares Newton's method; `rises` that it never
    falls, which spares the search for where it does.
    """

    linear: ClassVar[bool] = False
    rises: ClassVar[bool] = False

    @abstractmethod
    def current(self, g: Float[Array, "wl bl"], v: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        """Currents [A] of cells with conductances `g` [S] at voltages `v` [V], elementwise."""


class Ohmic(AbstractLaw):
    """I = G V."""

    linear: ClassVar[bool] = True

    def current(self, g: Float[Array, "wl bl"], v: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        return ranked(g, v) * v


class Series(AbstractLaw):
    """A transistor, selector or fixed resistor in series with each cell: I = G V / (1 + G r).

    Args:
        r: series resistance [ohm], a scalar or shape (wl, bl); large where the transistor is off, infinite for an open.
    """

    r: Numbers = reals("ohm", non_negative_or_infinite)
    linear: ClassVar[bool] = True

    def current(self, g: Float[Array, "wl bl"], v: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        r = ranked(self.r, g).astype(g.dtype)
        # Infinities of either kind, without a product of infinity and 0, also in the derivative.
        short, off = jnp.isinf(g), jnp.isinf(r)
        g, r = jnp.where(short, 0, g), jnp.where(off, 0, r)
        behind = jnp.where(short, 1 / jnp.where(r > 0, r, jnp.where(short, 0, 1)), g / (1 + g * r))
        return ranked(jnp.where(off, 0, behind), v) * v


class Sinh(AbstractLaw):
    """I = G sinh(k V) / k: conductance G at low voltage, exponential beyond 1/k.

    Args:
        k: nonlinearity [1/V], a scalar or shape (wl, bl); 0 is Ohmic.
    """

    k: Numbers = reals("1/V", finite)
    rises: ClassVar[bool] = True

    def current(self, g: Float[Array, "wl bl"], v: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        k = ranked(self.k, v).astype(v.dtype)
        # k = 0 must neither divide by zero nor lose its derivative: sinh(x)/x by its series where x is small.
        x = k * v
        small = jnp.abs(x) < 1e-3
        safe = jnp.where(small, 1, x)
        ratio = jnp.where(small, 1 + x * x / 6 * (1 + x * x / 20), jnp.sinh(safe) / safe)
        return ranked(g, v) * v * ratio


class Polynomial(AbstractLaw):
    """I = G (V + c[0] V^2 + c[1] V^3 + ...).

    Args:
        coefficients: c [1/V, 1/V^2, ...], shape (n,).
    """

    coefficients: Numbers = reals("", finite)

    def __check_init__(self):
        if jnp.ndim(self.coefficients) != 1:
            raise ValueError(f"Argument `coefficients` must have shape (n,), but has shape {self.coefficients.shape}.")

    def current(self, g: Float[Array, "wl bl"], v: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        factor = jnp.zeros_like(v)
        for c in self.coefficients[::-1]:
            factor = (factor + c.astype(v.dtype)) * v
        return ranked(g, v) * v * (1 + factor)


class Gated(AbstractLaw):
    """Another law times what the access transistors of each row let through for each input, 0 to 1."""

    law: AbstractLaw
    gate: Float[Array, "batch wl 1"]

    # Of the law that is gated.
    linear = property(lambda self: self.law.linear)  # pyright: ignore
    rises = property(lambda self: self.law.rises)  # pyright: ignore

    def current(self, g: Float[Array, "wl bl"], v: Float[Array, "_ wl bl"]) -> Float[Array, "_ wl bl"]:
        # Voltages of one input or of all: the slope of a linear law at 0 V is asked for once.
        gate = self.gate.astype(v.dtype)
        current = self.law.current(g, v)
        # What is off carries nothing, a short too.
        return gate * jnp.where((gate == 0) & ~jnp.isfinite(current), 0, current)


class Law(AbstractLaw):
    """Any law given as a function: I = function(g, v, *parameters).

    Args:
        function: elementwise in `g` [S] and `v` [V]; compiled once for each function object, so give numbers that are
            swept as parameters. Traced numbers that it closes over have derivatives, too.
        parameters: passed on to it.
    """

    function: Callable[..., Any] = eqx.field(static=True)
    parameters: tuple[Any, ...] = ()

    def opened(self, g: Any, v: Any) -> "Law":
        """The same law with the traced numbers that its function closes over among the parameters.

        A function is static: of numbers inside it no derivative would know.
        """
        closed = [cell.cell_contents for cell in getattr(self.function, "__closure__", None) or ()]
        if is_concrete(closed):
            return self
        function, numbers = jax.closure_convert(self.function, g, v, *self.parameters)
        return Law(function, (*self.parameters, *numbers))

    def current(self, g: Float[Array, "wl bl"], v: Float[Array, "*batch wl bl"]) -> Float[Array, "*batch wl bl"]:
        return self.function(jnp.broadcast_to(ranked(g, v), v.shape), v, *self.parameters)
