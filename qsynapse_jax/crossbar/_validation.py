"""The border of the package: what is checked before a solve, and how a failure after it is raised."""

import operator
import warnings
from collections.abc import Callable
from functools import lru_cache, reduce
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from qsynapse_jax._checks import as_floating, bad_value_message, is_concrete
from qsynapse_jax.crossbar._impedance import Impedance
from qsynapse_jax.crossbar._laws import AbstractLaw, Law, Ohmic
from qsynapse_jax.crossbar._operating_point import Tolerance
from qsynapse_jax.crossbar._result import RESULTS, ConvergenceError
from qsynapse_jax.crossbar._solver import AbstractSolver, Limits
from qsynapse_jax.crossbar._wires import Wires

T = TypeVar("T")

# Newton's method on a monotonic law needs 4 to 6 linear solves, a dozen from far away; beyond this it is lost.
_MAX_SOLVES = 60


def as_working(value: Any, name: str) -> jax.Array:
    """A number of a circuit as an array; whole numbers become real, and lost precision is said."""
    if isinstance(value, jax.Array) and value.dtype in (jnp.float32, jnp.float64):
        return value
    if np.result_type(getattr(value, "dtype", float)).kind in "iu":
        value = jnp.asarray(value, float)
    array = as_floating(value, name)
    if isinstance(value, np.ndarray) and value.dtype == np.float64 and array.dtype == jnp.float32:
        warnings.warn(
            f"Argument `{name}` is float64, but JAX computes in float32 until `jax.config.update('jax_enable_x64', "
            f"True)`; write that first, or give `{name}.astype('float32')`.",
            stacklevel=3,
        )
    return array


def check_array(g: jax.Array, wires: Any, *, tiles: bool = False) -> None:
    """Refuses a `g` that is no array of cells (or, with `tiles`, several), and wires that are none."""
    if not isinstance(wires, Wires):
        raise ValueError(
            f"Argument `wires` must be a `Wires`, but is a {type(wires).__name__}; "
            "write e.g. `Wires(r_word=1.0, r_bit=1.0)`."
        )
    if tiles and g.ndim < 2:
        raise ValueError(
            f"Argument `g` must have shape (wl, bl), or (*tiles, wl, bl) for several arrays, but has shape {g.shape}."
        )
    if not tiles and g.ndim != 2:
        raise ValueError(
            f"Argument `g` must have shape (wl, bl), but has shape {g.shape}; use `jax.vmap` for a batch of arrays."
        )
    if 0 in g.shape:
        raise ValueError(f"Argument `g` must have at least one cell, but has shape {g.shape}.")
    if not uniform(wires):
        wires.check_shape(g.shape[-2:])


def uniform(wires: Wires) -> bool:
    """Whether one number stands for every resistance: nothing to count or to fit, which a single small solve feels."""
    return wires.opens is None and not any(leaf.ndim for leaf in jax.tree.leaves(wires))


def bad_conductance_message(g: jax.Array) -> str | None:
    """Which conductance is none, and what to write instead; `None` where all are."""
    place = bad_value_message(np.where(np.isposinf(g), 0.0, g), "g", unit="S", minimum="non-negative")
    remedy = "Use 0.0 for an open cell and an infinity for a short."
    return None if place is None else f"{place.replace(' and finite', '')} {remedy}"


def check_law(law: Any, shape: tuple[int, ...] | None = None, dtype: Any = None) -> AbstractLaw:
    """The law, unless it is none or, with `shape` (wl, bl), gives no current for every cell."""
    if not isinstance(law, AbstractLaw):
        raise ValueError(
            f"Argument `law` must be a law such as `Ohmic()` or `Sinh(3.0)`, but is a {type(law).__name__}."
        )
    if type(law) is Ohmic or shape is None:
        return law
    g, v = (jax.ShapeDtypeStruct(size, dtype) for size in (shape, (1, *shape)))
    name = type(law).__name__
    try:
        law = law.opened(v, v) if type(law) is Law else law
        current = jax.eval_shape(law.current, g, v)
    except (TypeError, ValueError) as error:
        parameters = ", ".join(f"`{key}` {np.shape(x)}" for key, x in vars(law).items() if hasattr(x, "shape"))
        given = f"its parameters {parameters} must be scalars or of that shape; " if parameters else ""
        raise ValueError(
            f"Argument `law`, a `{name}`, has no currents for cells of shape {shape}: {given}{error}"
        ) from error
    if getattr(current, "shape", None) != v.shape:
        raise ValueError(
            f"Argument `law`, a `{name}`, must give one current for each of the cells of shape {v.shape}, but gives "
            f"{getattr(current, 'shape', type(current).__name__)}; it must be elementwise in `g` and `v`."
        )
    return law


def check_solver(
    solver: Any, wires: Wires, shape: tuple[int, ...], opens: tuple[int, int], *, parallel: bool = False
) -> None:
    """Refuses what is no solver, and one that cannot take these wires or, with `parallel`, source lines."""
    if not isinstance(solver, AbstractSolver):
        raise ValueError(
            "Argument `solver` must be a solver, one of `Auto()`, `ConjugateGradient()`, `Modal()` and "
            f"`Elimination()`, but is {solver!r}."
        )
    beside = "source lines, which run beside the bit lines" if parallel and solver.crossing else None
    # Asked of the class first: Equinox wraps each method of an instance anew, which a single small solve feels.
    refuses = type(solver).refusal is not AbstractSolver.refusal
    why = beside if parallel else solver.refusal(wires, shape[-2:], opens) if refuses else None
    if why is not None:
        raise ValueError(
            f"Argument `solver` must take these wires, but `{type(solver).__name__}` does not take {why}; use `Auto()`."
        )


def check_input(
    g: jax.Array, v_in: jax.Array, v_out: jax.Array | None, names: tuple[str, str] = ("v_in", "v_out")
) -> None:
    """Refuses inputs whose last axis is not the word lines, or the bit lines, of `g`."""
    by_word, by_bit = names
    if v_in.ndim < 1 or v_in.shape[-1] != g.shape[0]:
        raise ValueError(
            f"Argument `{by_word}` must have shape (*batch, wl) with wl = {g.shape[0]}, the word lines of `g` with "
            f"shape {g.shape}, but has shape {v_in.shape}."
        )
    if 0 in v_in.shape:
        raise ValueError(f"Argument `{by_word}` must hold at least one vector, but has shape {v_in.shape}.")
    if v_out is not None and v_out.shape not in ((g.shape[1],), (*v_in.shape[:-1], g.shape[1])):
        raise ValueError(
            f"Argument `{by_bit}` must have shape (bl,) or (*batch, bl) with bl = {g.shape[1]} and the batch of "
            f"`{by_word}`, {v_in.shape[:-1]}, but has shape {v_out.shape}."
        )


def check_start(v_cell0: Any, shape: tuple[int, ...], law: AbstractLaw) -> jax.Array | None:
    """A start of Newton's method that fits `shape` (*batch, wl, bl); `None` where it is not needed."""
    if v_cell0 is None:
        return None
    start = as_working(v_cell0, "v_cell0")
    if start.ndim > len(shape) or any(n not in (1, m) for n, m in zip(start.shape[::-1], shape[::-1], strict=False)):
        raise ValueError(
            f"Argument `v_cell0` must broadcast to (*batch, wl, bl) = {shape}, but has shape {start.shape}."
        )
    if is_concrete(start) and (message := bad_value_message(start, "v_cell0", unit="V", minimum=None)):
        raise ValueError(message)
    return None if law.linear else start


def default_rtol(dtype: jnp.dtype) -> float:
    """As tight as the precision rewards."""
    return 1e-7 if dtype == jnp.float32 else 1e-13


@lru_cache(maxsize=512)
def numbers_kept(solver: AbstractSolver, shape: tuple[int, ...], inputs: int) -> int:
    """`solver.numbers`, likewise."""
    return solver.numbers(shape, inputs)


def check_tolerance(
    shape: tuple[int, ...], dtype: jnp.dtype, rtol: float | None, max_steps: int | None, solver: AbstractSolver
) -> Tolerance:
    """Tolerance and step limit with their defaults filled in."""
    if rtol is None:
        rtol = default_rtol(dtype)
    if max_steps is None:
        max_steps = 200 + 20 * sum(shape)
    if not 0 < rtol < 1:
        raise ValueError(f"Argument `rtol` must lie between 0 and 1, but is {rtol}.")
    finest = jnp.finfo(dtype).eps / 2
    if rtol < finest:
        name = jnp.dtype(dtype).name
        raise ValueError(f"Argument `rtol` must be at least {finest:.1e} in {name}, but is {rtol}; try float64.")
    if max_steps < 1:
        raise ValueError(f"Argument `max_steps` must be at least 1, but is {max_steps}.")
    return Tolerance(
        limits=Limits(float(rtol), int(max_steps)),
        newton=10 * float(rtol),
        max_solves=_MAX_SOLVES,
        solver=solver,
    )


def all_finite(*arrays: jax.Array) -> Bool[Array, ""]:
    """Whether no number is infinite or NaN.

    By sums, of 0 or NaN: XLA has them ready made for CPUs, where `jnp.all` takes three programs to compile, and its
    largest and least of many numbers lose a NaN.
    """
    return reduce(operator.add, (jnp.sum(0 * x) for x in arrays)) == 0


def all_non_negative(x: jax.Array) -> Bool[Array, ""]:
    """Whether no number is negative or NaN; likewise."""
    return (jnp.min(x) >= 0) & ~jnp.isnan(jnp.sum(x))


def outcome(
    converged: jax.Array,
    *,
    finite: jax.Array,
    accurate: jax.Array | bool = True,
    shorted: jax.Array | bool = False,
    straight: jax.Array | bool = True,
    ambiguous: jax.Array | None = None,
    g: jax.Array,
    law: AbstractLaw,
    z: Impedance,
    wires: Any,
    v_in: jax.Array | None = None,
    v_out: jax.Array | None = None,
    gate: jax.Array | None = None,
) -> RESULTS:
    """Success, or what is wrong; wrong input outranks what it causes."""
    opens = z.opens
    result = RESULTS.where(jnp.asarray(accurate), RESULTS.successful, RESULTS.inaccurate)
    short = RESULTS.max_steps_reached if law.linear or law.rises else RESULTS.lost
    result = RESULTS.where(converged, result, short)
    result = RESULTS.where(finite, result, RESULTS.breakdown)
    if ambiguous is not None:
        result = RESULTS.where(ambiguous, RESULTS.ambiguous, result)
    shorts = jnp.isinf(jnp.max(g))
    if not law.linear:
        result = RESULTS.where(shorts, RESULTS.nonlinear_short, result)
    elif any(opens):
        result = RESULTS.where(~finite & shorts, RESULTS.short_and_open, result)
    result = RESULTS.where(jnp.asarray(straight), result, RESULTS.not_linear)
    result = RESULTS.where(jnp.asarray(shorted), RESULTS.shorted, result)
    # An open for which there is no place is left in the lines. Each on its own, not spread over the cells: of constant
    # wires XLA counts while it compiles, for seconds at 1024 x 1024.
    held = all_finite(z.word.farthest(), z.bit.farthest())
    result = RESULTS.where(held, result, RESULTS.unexpected_opens)
    not_negative = reduce(operator.and_, map(all_non_negative, jax.tree.leaves(wires)))
    result = RESULTS.where(not_negative, result, RESULTS.bad_wires)
    if v_out is not None:
        result = RESULTS.where(all_finite(v_out), result, RESULTS.bad_output_voltage)
    if v_in is not None:
        result = RESULTS.where(all_finite(v_in), result, RESULTS.bad_voltage)
    if gate is not None:
        result = RESULTS.where(jnp.all((gate >= 0) & (gate <= 1)), result, RESULTS.bad_gate)
    return RESULTS.where(all_non_negative(g), result, RESULTS.bad_conductance)


def raise_failure(value: T, result: RESULTS, inputs: dict[str, Any], *, detail: Callable[[], str] = str) -> T:
    """`value` if the result is a success; otherwise raises, at run time where values are traced."""
    if not is_concrete(result, inputs):
        return result.error_if(value, result != RESULTS.successful)  # pyright: ignore
    # Without JAX's operations, the first of which takes as long as all checks before a solve.
    if int(*jax.tree.leaves(result)) == int(*jax.tree.leaves(RESULTS.successful)):
        return value
    if result == RESULTS.bad_conductance:
        raise ValueError(bad_conductance_message(inputs["g"]))
    if result == RESULTS.bad_voltage:
        name = "v_source" if "v_source" in inputs else "v_in"
        raise ValueError(bad_value_message(inputs[name], name, unit="V", minimum=None))
    if result == RESULTS.bad_output_voltage:
        raise ValueError(bad_value_message(inputs["v_out"], "v_out", unit="V", minimum=None))
    if result == RESULTS.ambiguous:
        raise ValueError(f"{RESULTS[result]}{detail()}")
    for wrong_use in (
        RESULTS.bad_gate,
        RESULTS.bad_wires,
        RESULTS.unexpected_opens,
        RESULTS.shorted,
        RESULTS.nonlinear_short,
        RESULTS.not_linear,
        RESULTS.short_and_open,
    ):
        if result == wrong_use:
            raise ValueError(RESULTS[result])
    raise ConvergenceError(f"{RESULTS[result]}{detail()}")
