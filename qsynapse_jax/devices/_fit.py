"""The closed form that follows a measured table best."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qsynapse_jax.devices._affine import ConstantStep, LinearStep, SoftBounds
from qsynapse_jax.devices._curved import ExpStep, PowStep
from qsynapse_jax.devices._step import AbstractStep
from qsynapse_jax.devices._table import PulseTable

# Errors below this part of the range are none: float32 leaves as much after hundreds of pulses, and no meter sees it.
_RESOLUTION = 1e-4
_ROUNDS = 150
# How far beyond the measured range a bound may lie, in parts of half of it. Farther off the curves do not tell where.
_BEYOND = 0.5
# A step that bends faster is a bound.
_MOST_GAMMA = 20.0


class Fit(NamedTuple):
    """The closed form that follows a table best, and how well.

    Args:
        device: with spread and noise of the table.
        rms: root mean square error of its curves, in parts of the measured range.
        errors: the same of every form, by name.
        measured: mean curves up and down [S].
        fitted: those of the device [S].
    """

    device: AbstractStep
    rms: float
    errors: dict[str, float]
    measured: tuple[np.ndarray, np.ndarray]
    fitted: tuple[np.ndarray, np.ndarray]

    def __repr__(self) -> str:
        others = ", ".join(f"{name} {100 * error:.2g} %" for name, error in self.errors.items())
        return f"Fit({self.device}, rms={100 * self.rms:.2g} % of the range; of all forms: {others})"


class _Form(NamedTuple):
    """A family of devices: parameters without bounds, from where they are sought, and the numbers that they mean."""

    kind: type[AbstractStep]
    starts: tuple[tuple[float, ...], ...]
    numbers: Callable[[Array], dict[str, Any]]


def _steps(p: Array) -> dict[str, Any]:
    return {"dw_min": jnp.exp(p[0]), "up_down": jnp.tanh(p[1])}


def _bounds(p: Array) -> dict[str, Any]:
    beyond = _BEYOND * jnp.tanh(jnp.abs(p) / _BEYOND)
    return {"w_max": 1 + beyond[0], "w_min": -1 - beyond[1]}


def _slopes(p: Array) -> dict[str, Any]:
    return {"gamma_up": jnp.abs(p[0]), "gamma_down": jnp.abs(p[1])}


def _powers(p: Array) -> dict[str, Any]:
    return {"pow_gamma": jnp.exp(p[0]), "pow_up_down": jnp.tanh(p[1])}


def _bends(p: Array) -> dict[str, Any]:
    # With a = 1 and b = 0 the other four say the same, and each of them one thing.
    gammas = dict(zip(("gamma_up", "gamma_down"), _MOST_GAMMA * jnp.tanh(p[:2] / _MOST_GAMMA), strict=True))
    return gammas | {"A_up": p[2], "A_down": p[3], "a": 1.0, "b": 0.0}


# From few parameters to many: of forms that follow equally well the first is taken. Soft bounds come before linear
# steps, which include them.
_FORMS = (
    _Form(ConstantStep, ((0, 0),), _steps),
    _Form(SoftBounds, ((0, 0, 0.1, 0.1), (1, 0, 0.02, 0.02)), lambda p: _steps(p) | _bounds(p[2:])),
    _Form(LinearStep, ((0, 0, 0.5, 0.5), (1, 0, 1, 1)), lambda p: _steps(p) | _slopes(p[2:])),
    _Form(
        PowStep,
        ((0.7, 0, 0, 0, 0.1, 0.1), (1.5, 0, 0.5, 0, 0.1, 0.1), (1.5, 0, 0.7, 0, 0.3, 0), (1.5, 0, 0.7, 0, 0, 0.3)),
        lambda p: _steps(p) | _powers(p[2:4]) | _bounds(p[4:]),
    ),
    _Form(
        ExpStep,
        ((0, 0, 2, 2, 0.1, 0.1), (0, 0, -2, -2, -0.1, -0.1), (1, 0, 0.5, 0.5, 0.6, 0.6), (-1, 0, -2, -2, -1, -1)),
        lambda p: _steps(p) | _bends(p[2:]),
    ),
)


def fit(table: PulseTable) -> Fit:
    """The closed form whose curves are nearest to the mean curves of a table.

    Every form is fitted in least squares by Levenberg and Marquardt's method, with derivatives through the pulses; that
    with the least Bayesian information criterion is returned. Its weight is -1 at the lowest and 1 at the highest mean
    conductance; bounds beyond them conduct accordingly. Spread and noise are those of `table.spreads()`.

    Args:
        table: measured curves.

    Returns:
        Device, error, and curves to draw (`plot.pulse_fit`).

    Raises:
        ValueError: mean curves that turn back.
    """
    table.check_monotone()
    up, down = measured = table.curves
    low, high = min(up.min(), down.min()), max(up.max(), down.max())
    courses = [jnp.asarray(2 * (g - low) / (high - low) - 1, float) for g in measured]
    length = max(map(len, measured))
    # Both courses as one array; the shorter one ends in points that do not count.
    goal = jnp.stack([jnp.pad(w, (0, length - len(w)), mode="edge") for w in courses], 1)
    counts = jnp.stack([jnp.arange(length) < len(w) for w in courses], 1)
    spreads = table.spreads()
    step = jnp.log(spreads.pop("dw_min"))

    errors, devices, scores, curves = {}, [], [], []
    points = len(up) + len(down)
    for form in _FORMS:
        p, course = _fitted(form, jnp.asarray(form.starts, float).at[:, 0].add(step), goal, counts)
        rms = float(jnp.sqrt(jnp.sum(jnp.where(counts, (course - goal) ** 2, 0)) / points)) / 2
        errors[form.kind.__name__] = rms
        scores.append(points * np.log(rms**2 + _RESOLUTION**2) + len(p) * np.log(points))
        curves.append(np.asarray(low + (high - low) * (course + 1) / 2))
        devices.append((form, p))
    # Of forms that a meter could not tell apart the one with the fewest parameters.
    best = int(np.argmax(np.asarray(scores) < min(scores) + 1))
    (form, p), course = devices[best], curves[best]
    if "write_noise_std" in spreads:
        spreads["write_noise_std"] *= float(jnp.exp(step) / form.numbers(p)["dw_min"])
    device = _device(form, jax.tree.map(float, form.numbers(p)) | spreads, low, high)
    return Fit(device, errors[form.kind.__name__], errors, measured, (course[: len(up), 0], course[: len(down), 1]))


def _device(form: _Form, numbers: dict[str, Any], low: float, high: float) -> AbstractStep:
    """The device whose weights -1 and 1 are the conductances `low` and `high` [S]."""
    w_min, w_max = numbers.get("w_min", -1.0), numbers.get("w_max", 1.0)
    g_min, g_max = (low + (high - low) * (w + 1) / 2 for w in (w_min, w_max))
    # A bound below no conductance is one that devices never come to.
    return form.kind(**(numbers | {"g_min": max(g_min, 1e-3 * low), "g_max": g_max}))


@eqx.filter_jit
def _fitted(form: _Form, starts: Array, goal: Float[Array, "n 2"], counts: Array) -> tuple[Array, Float[Array, "n 2"]]:
    """Parameters of a form and its curves, the best of all starts."""
    is_up = jnp.asarray([True, False])

    def curves(p: Array) -> Float[Array, "n 2"]:
        device = form.kind(**form.numbers(p))
        state = device.init((2,), key=jax.random.key(0))
        low, high = jnp.maximum(state.low, -1), jnp.minimum(state.high, 1)

        def one(w: Array, _: Any) -> tuple[Array, Array]:
            return jnp.clip(w + device.step(replace(state, w=w), is_up), state.low, state.high), w

        return jax.lax.scan(one, jnp.clip(goal[0], low, high), length=len(goal))[1]

    def residual(p: Array) -> Array:
        return jnp.where(counts, curves(p) - goal, 0).ravel()

    def better(carry: tuple[Array, Array, Array], _: Any) -> tuple[tuple[Array, Array, Array], None]:
        p, cost, damping = carry
        slopes, r = jax.jacfwd(residual)(p), residual(p)
        normal = slopes.T @ slopes
        lift = damping * (jnp.diag(jnp.diag(normal)) + 1e-6 * jnp.eye(p.size, dtype=p.dtype))
        new = p - jnp.linalg.solve(normal + lift, slopes.T @ r)
        new_cost = jnp.sum(residual(new) ** 2)
        is_better = new_cost < cost
        return (
            jnp.where(is_better, new, p),
            jnp.where(is_better, new_cost, cost),
            jnp.clip(jnp.where(is_better, damping / 3, damping * 4), 1e-7, 1e7),
        ), None

    def descend(start: Array) -> tuple[Array, Array]:
        begin = start, jnp.sum(residual(start) ** 2), jnp.asarray(1.0, goal.dtype)
        (p, cost, _), _ = jax.lax.scan(better, begin, length=_ROUNDS)
        return p, cost

    ends, costs = jax.vmap(descend)(starts)
    p = ends[jnp.argmin(costs)]
    return p, curves(p)
