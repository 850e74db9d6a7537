"""Random telegraph signals averaged over windows, drawn from their exact law at the times that are asked for."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt

from qsynapse_jax._checks import as_floating, is_concrete
from qsynapse_jax._fields import Rule, as_whole, check, checked, finite, non_negative, positive, quantity
from qsynapse_jax.devices import _noise

# So many numbers are drawn at once: enough to keep the processor busy, few enough to stay in its cache.
_AT_ONCE = 2**16
# Poisson numbers of a smaller mean are counted one by one; the expansion is used from there on, see `_poisson`.
_COUNTED = 30.0
# Below it r(t) of `_gammas` is a difference of equal numbers, and its series has all digits.
_SMALL = 0.1
# Draws of one window: numbers that set the words apart. A rejected gamma takes the next three of its kind.
_FIRST, _END, _UP, _DOWN, _MOVED, _AFTER, _GAMMA = 0, 1, 2, 4, 6, 8, 16


def telegraph_record(
    tau_c: Any, tau_e: Any, amplitude: Any, samples: int, interval: Any, window: Any = 0.0, *, key: jax.Array
) -> Float[Array, " samples *shape"]:
    """Averages of a stationary random telegraph signal over windows that begin one after another.

    A trap waits in state 0 for an exponential time of mean `tau_c`, in state 1 for one of mean `tau_e`, and conducts
    `amplitude` in state 1. It behaves like one that forgets its state at the events of a Poisson process of rate
    1/tau_c + 1/tau_e and draws it anew, 1 with the probability tau_e/(tau_c + tau_e). So no step is small:

        events that draw 1 and 0 within the window:  n1 ~ Poisson(window/tau_c),  n0 ~ Poisson(window/tau_e)
        share of the window in state 1:              Beta(s + n1, 1 - s + n0),    s the state at its begin
        state at its end:                            1 with n1/(n1 + n0),         s if there was no event

    since n events cut a window into n + 1 parts that are alike. The cost does not depend on dwell times.

    Args:
        tau_c: mean times in state 0 [s]; `tau_c`, `tau_e` and `amplitude` are broadcast against each other.
        tau_e: mean times in state 1 [s].
        amplitude: what state 1 conducts more than state 0 [S].
        samples: number of windows. Static.
        interval: from the begin of a window to that of the next [s].
        window: duration of an average, at most `interval` [s]; 0 is the signal at that instant.
        key: random key.

    Returns:
        Averages [S], shape (samples, *shape).

    Raises:
        ValueError: times that are not positive, a window longer than the interval.

    Gradients: in `amplitude`; the record is constant in everything else.
    Accuracy: exact in distribution for any times, down to probabilities of 1e-7, beyond which tails end. Numbers of
        events of mean 30 or more come from an expansion of the inverse of their distribution, which it misses by at
        most 5e-6 (at 30; 4e-9 at 1,000): some 1e10 windows would show it (`tests/devices/test_telegraph.py`).

    Reference: uniformization, A. Jensen, Scand. Actuar. J. 1953, 87, doi 10.1080/03461238.1953.10419459.
    """
    samples = as_whole(samples, "samples", 1)
    given = [_numbers(tau_c, "tau_c", "s", positive), _numbers(tau_e, "tau_e", "s", positive)]
    given.append(_numbers(amplitude, "amplitude", "S", finite))
    begun, lasting, is_instant = windows(interval, window)
    dtype = jnp.result_type(*given)
    shape = jnp.broadcast_shapes(*(x.shape for x in given))
    tau_c, tau_e, amplitude = (jnp.broadcast_to(x, shape).astype(dtype) for x in given)
    times = tau_c, tau_e, begun.astype(dtype), lasting.astype(dtype)
    # Times that are wrong inside a trace end as NaN and not as a record of something else.
    amplitude = jnp.where((tau_c > 0) & (tau_e > 0), amplitude, jnp.nan)
    return shares(*times, key, samples=samples, is_instant=is_instant) * amplitude[None]


def windows(interval: Any, window: Any) -> tuple[Array, Array, bool]:
    """Interval and window as arrays [s], checked, and whether the window is known to be 0."""
    is_instant = is_concrete(window) and float(window) == 0
    begun, lasting = checked(interval, "interval", "s", positive), checked(window, "window", "s", non_negative)
    message = "Argument `window` must be at most `interval`: windows do not overlap"
    if is_concrete(window, interval):
        if float(window) > float(interval):
            raise ValueError(
                f"{message}, but {quantity(float(window), 's')} is above {quantity(float(interval), 's')}."
            )
    else:
        lasting = eqx.error_if(lasting, lasting > begun, message + ".")
    return begun, lasting, is_instant


def _numbers(value: Any, name: str, unit: str, rule: Rule) -> Array:
    array = as_floating(float(value) if isinstance(value, int) else value, name)
    check(value, name, unit, rule)
    return array


@partial(jax.jit, static_argnames=("samples", "is_instant"))
def shares(
    tau_c: Float[Array, "*shape"],
    tau_e: Float[Array, "*shape"],
    interval: Float[Array, ""],
    window: Float[Array, ""],
    key: jax.Array,
    *,
    samples: int,
    is_instant: bool,
) -> Float[Array, " samples *shape"]:
    """Shares of windows in state 1: many windows of few traps at once, or one after another of many.

    Arguments as for `telegraph_record`; `is_instant` says that `window` is 0, which nothing else needs to know then.
    """
    tau_c, tau_e, interval, window = lax.stop_gradient((tau_c, tau_e, interval, window))
    shape, dtype = tau_c.shape, tau_c.dtype
    length = min(max(_AT_ONCE // max(tau_c.size, 1), 1), samples)
    up, down = 1 / tau_c, 1 / tau_e
    occupied = tau_e / (tau_c + tau_e)
    # Probability that a trap forgets its state between two windows.
    forgets = -jnp.expm1(-(up + down) * (interval - window))
    first, rest = jax.random.split(key)

    def part(state: Bool[Array, "*shape"], number: Array) -> tuple[Array, Array]:
        word = _noise.words(jax.random.fold_in(rest, number), (length, *shape))

        def wide(x: Array) -> Array:
            return jnp.broadcast_to(x, (length, *shape))

        moved = _fine(word, _MOVED, dtype) < wide(forgets)
        after = _fine(word, _AFTER, dtype) < wide(occupied)
        if is_instant:
            begin, state = _follow(state, moved, after)
            return state, begin.astype(dtype)
        ones, zeros = (_poisson(word, place, wide(window * rate)) for place, rate in ((_UP, up), (_DOWN, down)))
        events = ones + zeros
        end = _noise.uniform(_noise.stream(word, _END), dtype) * events < ones
        begin, state = _follow(state, moved | (events > 0), jnp.where(moved, after, end))
        in_one = begin.astype(dtype) + ones
        return state, _beta(word, in_one, events + 1 - in_one)

    state = _fine(_noise.words(first, shape), _FIRST, dtype) < occupied
    parts = lax.scan(part, state, jnp.arange(-(-samples // length), dtype=jnp.int32))[1]
    return parts.reshape(-1, *shape)[:samples]


def _follow(
    state: Bool[Array, "*shape"], drawn: Bool[Array, " n *shape"], new: Bool[Array, " n *shape"]
) -> tuple[Bool[Array, " n *shape"], Bool[Array, "*shape"]]:
    """States before each of n steps, of which some draw a new one, and after the last: the one that was drawn last."""
    number = lax.broadcasted_iota(jnp.int32, drawn.shape, 0) + 1
    last = lax.cummax(jnp.where(drawn, 2 * number + new.astype(jnp.int32), 0), axis=0)
    after = jnp.where(last > 0, last % 2 == 1, state[None])
    return jnp.concatenate([state[None], after[:-1]]), after[-1]


def _fine(word: UInt[Array, "*shape"], number: int, dtype: Any) -> Float[Array, "*shape"]:
    """Numbers uniform in (0, 1] of 64 bits: rare events, of the slowest traps, have their probability."""
    high, low = (_noise.stream(word, number + k).astype(dtype) for k in (0, 1))
    return (high + (low + 0.5) * 2.0**-32) * 2.0**-32


def _poisson(word: UInt[Array, "*shape"], number: int, mean: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Poisson numbers by the inverse of their distribution.

    Those of a small mean are counted: n while u < P(N > n). The others are an expansion in the normal number w,

        floor(m + sqrt(m) w + (2 + w^2)/6 - (2 w + w^3)/(72 sqrt(m)) + (3 w^4 + 7 w^2 - 16)/(810 m))

    Reference: M. Giles, "Algorithm 955: Approximation of the inverse Poisson cumulative distribution function", ACM
        Trans. Math. Softw. 42(1), 7, 2016, doi 10.1145/2699466.
    """
    is_counted = mean < _COUNTED
    few, many = jnp.where(is_counted, mean, 0), jnp.where(is_counted, _COUNTED, mean)
    u = _fine(word, number, mean.dtype)

    def count(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        n, found, chance, beyond = carry
        n, found = n + 1, found + (u < beyond).astype(u.dtype)
        chance = chance * few / n
        # What is left is a difference of numbers near 1; its bound by a geometric series is not.
        bound = jnp.where(n + 1 > few, chance * few / jnp.maximum(n + 1 - few, 1e-3), 1)
        return n, found, chance, jnp.minimum(beyond - chance, bound)

    start = (jnp.zeros((), u.dtype), jnp.zeros_like(u), jnp.exp(-few), -jnp.expm1(-few))
    counted = lax.while_loop(lambda carry: jnp.any(u < carry[-1]), count, start)[1]
    w, root = _noise.normal(_noise.stream(word, number), mean.dtype), jnp.sqrt(many)
    last = (16 - 7 * w**2 - 3 * w**4) / (810 * many)
    expanded = jnp.floor(many + root * w + (2 + w**2) / 6 - (2 * w + w**3) / (72 * root) - last)
    return jnp.where(is_counted, counted, expanded)


def _beta(word: UInt[Array, "*shape"], a: Float[Array, "*shape"], b: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Beta numbers of whole parameters, of which one may be 0: the number is 0 or 1 then."""
    x = _gammas(word, jnp.stack([a, b]), (a > 0) & (b > 0))
    return jnp.where(a == 0, 0, jnp.where(b == 0, 1, x[0] / (x[0] + x[1])))


def _gammas(
    word: UInt[Array, "*shape"], order: Float[Array, " 2 *shape"], wanted: Bool[Array, "*shape"]
) -> Float[Array, " 2 *shape"]:
    """Pairs of gamma numbers of orders of at least 1, where they are wanted.

    With d = order - 1/3 and t = x/(3 sqrt(d)) of a normal number x, d (1 + t)^3 is taken with the probability
    exp(d r), r = 3 (ln(1 + t) - t + t^2/2 - t^3/3), and drawn again otherwise. Written so, and r as its series for
    small t, it stands in float32 for orders of any size.

    Reference: G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables", ACM Trans. Math. Softw.
        26(3), 363, 2000, doi 10.1145/358407.358414.
    """
    dtype = order.dtype
    d = jnp.maximum(order, 1) - 1 / 3
    scale = 1 / (3 * jnp.sqrt(d))

    def draw(carry: tuple[Int[Array, ""], Array, Array]) -> tuple[Array, Array, Array]:
        number, value, missing = carry
        words = [_noise.stream(word, number + k) for k in range(4)]
        t = scale * jnp.stack([_noise.normal(w, dtype) for w in words[:2]])
        chance = jnp.stack([_noise.uniform(w, dtype) for w in words[2:]])
        series = -3 * t**4 * (1 / 4 - t * (1 / 5 - t * (1 / 6 - t * (1 / 7 - t / 8))))
        safe = jnp.where(t > -1, t, 0)
        closed = 3 * (jnp.log1p(safe) - safe + safe**2 / 2 - safe**3 / 3)
        log_taken = d * jnp.where(jnp.abs(t) < _SMALL, series, closed)
        taken = (t > -1) & (jnp.log(chance) < log_taken)
        return number + 4, jnp.where(missing & taken, d * (1 + t) ** 3, value), missing & ~taken

    start = (jnp.asarray(_GAMMA, jnp.int32), d, jnp.broadcast_to(wanted[None], order.shape))
    return lax.while_loop(lambda carry: jnp.any(carry[-1]), draw, start)[1]
