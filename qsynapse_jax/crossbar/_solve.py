"""One verb, one result: `solve` gives currents and node voltages of a crossbar with resistive wires."""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Real

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import quantity
from qsynapse_jax.crossbar._auto import Auto, settled
from qsynapse_jax.crossbar._falling import Falling, falls
from qsynapse_jax.crossbar._impedance import Impedance, impedance
from qsynapse_jax.crossbar._iteration import unit
from qsynapse_jax.crossbar._laws import AbstractLaw, Gated, Ohmic, Series
from qsynapse_jax.crossbar._memory import check_memory
from qsynapse_jax.crossbar._modal import Modal
from qsynapse_jax.crossbar._operating_point import OperatingPoint, Tolerance, conductance, operating_point
from qsynapse_jax.crossbar._result import RESULTS, Stats
from qsynapse_jax.crossbar._sharding import devices, vary_alike
from qsynapse_jax.crossbar._solver import AbstractSolver, System, after, capped, load
from qsynapse_jax.crossbar._source_lines import SourceLines
from qsynapse_jax.crossbar._validation import (
    all_finite,
    as_working,
    check_array,
    check_input,
    check_law,
    check_solver,
    check_start,
    check_tolerance,
    default_rtol,
    numbers_kept,
    outcome,
    raise_failure,
    uniform,
)
from qsynapse_jax.crossbar._wires import Wires

OHMIC, AUTO = Ohmic(), Auto()

# What is promised in arrays of this many lines; in larger ones it grows with their number.
_PROMISED = {"float32": 1e-4, "float64": 1e-9}
_SMALL = 16


class Solution(eqx.Module):
    """Operating point of a crossbar.

    Attributes:
        i_out: current out of each bit line into its sense terminal [A], shape (*batch, bl).
        v_word, v_bit: voltages of the word-line and bit-line node of every cell [V], shape (*batch, wl, bl).
        i_cell: current of every cell, from word line to bit line [A], shape (*batch, wl, bl).
        result: outcome; `RESULTS[sol.result]` is its message.
        stats: iterations, residual, power balance.
        wires, v_in, v_out: what it was solved for [ohm], [V].
        source: source lines of a gated array (`solve_gated`), which take the place of its word lines in all of these.
    """

    i_out: Float[Array, "*batch bl"]
    v_word: Float[Array, "*batch wl bl"]
    v_bit: Float[Array, "*batch wl bl"]
    i_cell: Float[Array, "*batch wl bl"]
    result: RESULTS
    stats: Stats
    wires: Wires
    v_in: Float[Array, "*batch lines"]
    v_out: Float[Array, "..."]
    source: SourceLines | None = None

    def _by_supply(self, x: Any) -> Any:
        """With the word lines, or source lines, along the last axis."""
        return x if self.source is None else jnp.swapaxes(self.source.by_line(x), -1, -2)

    @property
    def v_cell(self) -> Float[Array, "*batch wl bl"]:
        """Voltage across every cell [V]."""
        return self.v_word - self.v_bit

    @property
    def i_in(self) -> Float[Array, "*batch lines"]:
        """Current into each word line from its driver [A]."""
        return jnp.sum(self._by_supply(self.i_cell), axis=-1)

    @property
    def i_word(self) -> Float[Array, "*batch wl bl"]:
        """Current in the word-line segment on the driver side of every cell, away from the driver [A]."""
        return _segments(self, self._opens())[0]

    @property
    def i_bit(self) -> Float[Array, "*batch wl bl"]:
        """Current in the bit-line segment on the sense side of every cell, towards the sense terminal [A]."""
        return _segments(self, self._opens())[1]

    def _opens(self) -> tuple[int, int]:
        shape = self.i_cell.shape[-2:]
        return self.wires.count_opens(shape) if self.source is None else self.source.count_opens(self.wires, shape)

    def __repr__(self) -> str:
        """Size, largest drop along a line, residual and outcome; of traced or mapped values only the size."""
        shapes = [getattr(leaf, "shape", None) for leaf in (self.v_word, self.i_out)]
        size = "Solution of " + " x ".join(str(n) for n in (shapes[0] or ("unknown",))[-2:]) + " cells"
        if batch := (shapes[1] or ())[:-1]:
            size += f", inputs {batch}"
        shown = (self.i_out, self.v_word, self.v_bit, self.stats, self.result)
        leaves = jax.tree.leaves(shown, is_leaf=lambda leaf: leaf is None)
        known = all(isinstance(leaf, jax.Array | np.ndarray) for leaf in leaves) and is_concrete(self)
        if not known or np.ndim(self.stats.iterations):
            return f"<{size}>"
        pairs = ((self._by_supply(self.v_word), -1), (self.v_bit, -2))
        word, bit = (float(np.max(np.ptp(v, axis))) for v, axis in pairs)
        line = "word" if self.source is None else "source"
        drops = f"largest drop {quantity(word, 'V', 3)} along a {line} line, {quantity(bit, 'V', 3)} along a bit line"
        work = f"residual {float(np.max(self.stats.residual)):.1e} after {int(self.stats.iterations)} steps"
        return f"<{size}: {drops}; {work}. {RESULTS[self.result]}>"


def solve(
    g: Real[ArrayLike, "wl bl"],
    v_in: Real[ArrayLike, "*batch wl"],
    wires: Wires,
    *,
    v_out: Real[ArrayLike, "*batch bl"] | None = None,
    law: AbstractLaw = OHMIC,
    v_cell0: Real[ArrayLike, "..."] | None = None,
    solver: AbstractSolver = AUTO,
    rtol: float | None = None,
    max_steps: int | None = None,
    throw: bool = True,
) -> Solution:
    """Kirchhoff's equations of a crossbar, wires included.

    Solved for the voltages across the cells rather than of all nodes: with `Z(I)` the drops that cell currents
    cause along both lines, `u = v_in - v_out - Z(f(g, u))`, symmetrised and iterated by conjugate gradients, inside
    Newton's method where cells are nonlinear. Wires of 0 ohm and open cells are exact; with ideal wires and Ohmic
    cells `i_out = v_in @ g`.

    Args:
        g: conductance of every cell [S], shape (wl, bl); 0 is an open cell. Its precision and that of `v_in` is
            the working precision, float32 or float64; whole numbers become real.
        v_in: voltages of the word-line drivers [V], shape (*batch, wl); all solved together.
        wires: their resistances [ohm].
        v_out: voltages of the bit-line terminals [V], shape (*batch, bl) with the batch of `v_in`, or (bl,); default
            0, virtual ground. A write scheme is one call: V/2 drives the selected word line with V, its bit line
            with 0 and all others with V/2.
        law: current of a crosspoint against its voltage, e.g. `Sinh(k)`; default `Ohmic()`.
        v_cell0: voltages of the cells at which Newton's method starts [V], broadcast to (*batch, wl, bl), for a law
            that falls as the voltage rises (see `AbstractLaw`): of several operating points the one that it leads to
            is returned, mostly the nearest, stable or not. Default: none, and circuits that may have several are
            refused. Not differentiated; linear laws need none and ignore it.
        solver: `Auto()` (default), or one by name: `ConjugateGradient()`, `Modal()` for severe IR drop,
            `Elimination()` for small arrays with floating lines. By name it solves or refuses.
        rtol: relative residual at which the iteration ends (in float32 1.2e-6 after a modal one, if that is more);
            default 1e-7 in float32, 1e-13 in float64. Loosen it for speed: the error of the cell currents stays below
            it in the norm given in `Stats`.
        max_steps: steps after which it gives up; default 200 + 20 (wl + bl).
        throw: raise on failure (default). With `throw=False` the outcome is in `result` alone, no host callback is
            compiled, and invalid input gives NaN.

    Returns:
        The operating point, see `Solution`.

    Raises:
        ValueError: wrong shapes or dtypes; values that are negative, NaN or infinite where they must not be; a law that
            falls, without a start, where the wires are not steeper.
        ConvergenceError: `rtol` was not reached. Under `jit`, `vmap` or `grad`, where values are not known while
            Python runs, all are raised at run time: under `equinox.filter_jit` as `equinox.EquinoxRuntimeError`, under
            `jax.jit` as JAX's own error with a long traceback around the sentence (`docs/trust.md`). Where a
            compiled program uses no result of the check, as in `jit(grad(...))`, its numbers are NaN instead.

    Gradients: forward and reverse, any order, in `g`, `v_in` and every wire value, by the implicit function theorem;
        a gradient costs one more solve.

    Devices: an array that is divided by word lines or bit lines (`jax.sharding`) is solved where it lies; under `jit`
        with `throw=False`. The modal solver is then used only if it is asked for. See `docs/numerics.md`.

    Accuracy: against ngspice, relative to the largest current, `tests/golden`: 1e-9 in float64, 1e-5 in float32.
    """
    g, v_in = as_working(g, "g"), as_working(v_in, "v_in")
    check_array(g, wires)
    v_out = None if v_out is None else as_working(v_out, "v_out")
    check_input(g, v_in, v_out)
    law = check_law(law, g.shape, jnp.promote_types(g.dtype, v_in.dtype))
    arguments = {"g": g, "v_in": v_in, "v_out": v_out, "wires": wires}
    return finish(arguments, law, v_cell0=v_cell0, solver=solver, rtol=rtol, max_steps=max_steps, throw=throw)


def finish(
    arguments: dict[str, Any],
    law: AbstractLaw,
    source: SourceLines | None = None,
    *,
    v_cell0: ArrayLike | None,
    solver: AbstractSolver,
    rtol: float | None,
    max_steps: int | None,
    throw: bool,
) -> Solution:
    """Solves for arguments that fit each other: conductances, voltages of drivers and of terminals, wires."""
    g, v_in, _, wires = arguments.values()
    dtype = jnp.promote_types(g.dtype, v_in.dtype)
    if source is None:
        opens = (0, 0) if uniform(wires) else wires.count_opens(g.shape)
    else:
        opens = source.count_opens(wires, g.shape)
    check_solver(solver, wires, g.shape, opens, parallel=source is not None)
    numbers = numbers_kept(solver, g.shape, prod(v_in.shape[:-1]))
    check_memory(g.shape, numbers, dtype, devices=lambda: devices(g, v_in))
    if source is None and type(law) is Ohmic and uniform(wires) and wires.r_driver_far is wires.r_sense_far is None:
        solver = settled(solver, g, wires)
    tolerance = check_tolerance(g.shape, dtype, rtol, max_steps, solver)
    start = check_start(v_cell0, (*v_in.shape[:-1], *g.shape), law)
    sol, beyond = _solve(*vary_alike((*arguments.values(), law, source, start)), tolerance=tolerance, opens=opens)
    if throw:
        inputs = {**arguments, "law": law, "source": source}
        return raise_failure(sol, sol.result, inputs, detail=partial(_progress, sol, beyond))
    return sol


@partial(jax.jit, static_argnames=("tolerance", "opens"))
def _solve(
    g: jax.Array,
    v_in: jax.Array,
    v_out: jax.Array | None,
    wires: Wires,
    law: AbstractLaw,
    source: SourceLines | None,
    start: jax.Array | None,
    *,
    tolerance: Tolerance,
    opens: tuple[int, int],
) -> tuple[Solution, jax.Array | None]:
    dtype = jnp.promote_types(g.dtype, v_in.dtype)
    # Made here: before, it would be an operation of its own.
    grounded = v_out is None
    v_out = jnp.zeros(g.shape[1]) if grounded else v_out
    g, v_in, v_out = g.astype(dtype), v_in.astype(dtype), v_out.astype(dtype)
    batch, (n_word, n_bit) = v_in.shape[:-1], g.shape
    spread = 1 if isinstance(tolerance.solver, Modal) else devices(g, v_in, v_out)
    _, z = vary_alike((g, _lines(wires, source)(g.shape, dtype, opens, spread=spread)))
    inputs = (prod(batch), n_word, n_bit)
    ends = v_in.reshape(-1, v_in.shape[-1])
    a = jnp.broadcast_to(ends[:, :, None], inputs) if source is None else source.ends(ends, inputs)
    b = jnp.broadcast_to(v_out.reshape(-1, 1, n_bit), inputs)
    if start is not None:
        start = jnp.broadcast_to(jax.lax.stop_gradient(start.astype(dtype)), (*batch, *g.shape)).reshape(inputs)
    ambiguous = beyond = None
    if not (law.linear or law.rises):
        tolerance = tolerance._replace(solver=Falling(tolerance.solver))
        if start is None:
            span = jnp.maximum(jnp.max(v_in), jnp.max(v_out)) - jnp.minimum(jnp.min(v_in), jnp.min(v_out))
            ambiguous, beyond, start = falls(*jax.lax.stop_gradient((law, g, z, a - b, span)))
            # Where the answer is refused, no step is taken towards it.
            start = jnp.where(ambiguous, jnp.nan, start)
    nodes = operating_point(tolerance, law, g, a, b, z, start)
    straight = True
    own = law.law if isinstance(law, Gated) else law
    if law.linear and type(own) not in (Ohmic, Series):  # somebody's own, solved by its slope at 0 V
        off = jnp.abs(law.current(g, nodes.word - nodes.bit) - nodes.current)
        straight = jnp.max(off) <= 1e-3 * jnp.max(jnp.abs(nodes.current))
    # Of the arguments: a step of Newton's method among them has no derivative of its own.
    residual, current_error, power = _stats(tolerance, *jax.lax.stop_gradient((law, g, z, a - b, nodes)))
    shorts = jnp.where(z.own()[None] == 0, conductance(law, g, jnp.zeros_like(a[:1])), 0)
    result = outcome(
        nodes.converged > 0,
        finite=all_finite(nodes.current, nodes.word - nodes.bit),
        accurate=jnp.all(current_error <= promised(tolerance, g)),
        straight=straight,
        ambiguous=ambiguous,
        shorted=jnp.isinf(jnp.max(shorts)) if nodes.defect is None else jnp.any(jnp.isinf(nodes.defect)),
        g=g,
        law=law,
        z=z,
        wires=(wires, source),
        v_in=v_in,
        v_out=None if grounded else v_out,
        gate=law.gate if isinstance(law, Gated) else None,
    )

    # Input that breaks the rules must not come out as a plausible number when `throw=False`. A factor, because the
    # derivative of a selected constant would be a plausible 0.
    valid = (result == RESULTS.successful) | (result == RESULTS.max_steps_reached) | (result == RESULTS.lost)
    one_or_nan = jnp.where(valid, 1.0, jnp.nan).astype(dtype)

    def restored(x: jax.Array) -> jax.Array:
        return (one_or_nan * x).reshape(*batch, *x.shape[1:])

    sol = Solution(
        i_out=restored(nodes.out),
        v_word=restored(nodes.word),
        v_bit=restored(nodes.bit),
        i_cell=restored(nodes.current),
        result=result,
        stats=Stats(nodes.steps, nodes.solves, *map(restored, (residual, current_error, power))),
        wires=wires,
        v_in=v_in,
        v_out=v_out,
        source=source,
    )
    return sol, beyond


def promised(tolerance: Tolerance, g: jax.Array) -> float:
    """What a current may be off before a result is refused, relative to the largest."""
    # Bounds grow with the array, errors less; a loose `rtol` is a loose promise.
    loose = max(1.0, tolerance.limits.rtol / default_rtol(g.dtype))
    return loose * _PROMISED[g.dtype.name] * max(1.0, max(g.shape[-2:]) / _SMALL)


def _lines(wires: Wires, source: SourceLines | None) -> Callable[..., Impedance]:
    """What makes the maps of an array from its shape."""
    return partial(impedance if source is None else source.impedance, wires)


@partial(jax.jit, static_argnames="opens")
def _segments(sol: Solution, opens: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """Currents of all segments of word lines and of bit lines [A]."""
    shape = sol.i_cell.shape[-2:]
    z = _lines(sol.wires, sol.source)(shape, sol.i_cell.dtype, opens)
    current, word, bit = (x.reshape(-1, *shape) for x in (sol.i_cell, sol.v_word, sol.v_bit))
    ends = sol.v_in.reshape(len(current), -1)
    fall = -jnp.diff(word, axis=-1, prepend=ends[:, :, None]) if sol.source is None else sol.source.fall(word, ends)
    v_out = jnp.broadcast_to(sol.v_out.reshape(-1, 1, shape[1]), (len(current), 1, shape[1]))
    found = (
        z.word.carried(current, fall),
        z.bit.carried(current, -jnp.diff(bit, axis=-2, append=v_out)),
    )
    return found[0].reshape(sol.i_cell.shape), found[1].reshape(sol.i_cell.shape)


def _progress(sol: Solution, beyond: jax.Array | None) -> str:
    """Beyond which voltage a law falls, or how far a solve came, for its error message."""
    if beyond is not None and sol.result == RESULTS.ambiguous:
        return f" It falls beyond {quantity(float(beyond), 'V', 3)}."
    steps, residual = int(sol.stats.iterations), float(jnp.max(sol.stats.residual))
    return f" It took {steps} steps to a relative residual of {residual:.1e}."


def _stats(
    tolerance: Tolerance, law: AbstractLaw, g: jax.Array, z: Impedance, drive: jax.Array, nodes: OperatingPoint
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Relative residual, relative error of currents and power balance of every input, from what is returned."""
    rising, (g, drive) = law.linear or law.rises, (after(nodes.steps, x) for x in (g, drive))
    v, i = nodes.word - nodes.bit, nodes.current
    slope = conductance(law, g, v[:1] if law.linear else v)
    gamma = capped(slope, z)[0] if rising else jnp.abs(capped(slope, z)[0])
    # In units of the largest voltage, else nanovolts in float32 square to 0 and look as if solved without residual.
    largest = unit(drive)
    u = drive / largest
    # What the current of a cell does not explain of its voltage, or what the law asks for beyond its current; an open
    # cell has nothing to be wrong about.
    lacking, over = (-i, slope) if law.linear else (law.current(g, v) - i, gamma)
    unexplained = jnp.where(over > 0, lacking / jnp.where(over > 0, over, 1), 0)
    wrong = (v + unexplained if law.linear else unexplained) / largest

    def total(x: jax.Array) -> jax.Array:
        return jnp.sum(x, axis=(-2, -1))

    def ratio(part: jax.Array, whole: jax.Array) -> jax.Array:
        return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)

    left, driven = jnp.sqrt(total(gamma * wrong * wrong)), jnp.sqrt(total(gamma * u * u))
    off = nodes.defect
    if not rising:
        # The slopes may let it grow: what one more step of Newton's method would change.
        more = load(tolerance.solver, System(slope, z, -z(lacking), -z.passed(lacking)), tolerance.limits)
        off = jnp.max(jnp.abs(jnp.sum(more.current + lacking, -2)), -1)
        off = jnp.where(more.converged, off, jnp.inf)
    elif off is None:
        # What the cells leave unbalanced reaches bit line j by no more than the root of the conductance seen from its
        # terminal: with h the unknowns for 1 V there, |h' error| <= |h| |error|, and |h|^2 <= h'(1 + s Z s)h = G_jj.
        column = jnp.sum(gamma, -2)
        if z.resistances.r_sense_far is None:
            branch = z.resistances.r_sense + jnp.min(z.resistances.r_bit)
            column = column / (1 + column * jnp.broadcast_to(branch, column.shape[-1:])[None])
        seen = jnp.max(column, -1)
        off = left * largest[:, 0, 0] * jnp.sqrt(seen)
    through = jnp.max(jnp.abs(jnp.concatenate([nodes.out, z.word.supplied(i)], -1)), -1)
    current_error = jnp.where(off > 0, off / jnp.where(through > 0, through, jnp.finfo(v.dtype).tiny), 0)
    return ratio(left, driven), current_error, ratio(total(i * wrong), total(i * u))
