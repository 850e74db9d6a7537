"""Descent as one compiled loop: it stops at the first step that is not finite, and tells how far it is."""

import itertools
import time
from collections.abc import Callable
from concurrent import futures
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback
from jaxtyping import Array, Bool, Float, Int

OnStep = Callable[[int, float], None]
# One step: (carry, item) -> (carry, loss, whether the new carry may be kept).
Update = Callable[[Any, Any], tuple[Any, Float[Array, ""], Bool[Array, ""]]]

# Those who listen to running loops, by the number the compiled program is given: a program that held the listener
# itself would have to be compiled again for every other one.
_listeners: dict[int, Callable[[int, float], bool]] = {}
_numbers = itertools.count(1)


class DivergedError(RuntimeError):
    """A loss, or what a step made of the parameters, is not finite.

    Attributes:
        state: the last good state, before the step that led there.
        epoch: number of the epoch, from 1; `None` where there are none.
        step: number of the step within the epoch, from 1.
        loss: of that step.
    """

    def __init__(self, message: str, *, state: Any, step: int, loss: float, epoch: int | None = None):
        super().__init__(message)
        self.state, self.step, self.loss, self.epoch = state, step, loss, epoch


class Course(eqx.Module):
    """How a descent went.

    Attributes:
        losses: before every step; NaN for steps that were not made.
        done: steps before the first one that failed: all of them where none did.
    """

    losses: Float[Array, " steps"]
    done: Int[Array, ""]


class _Going(NamedTuple):
    """A descent after so many steps, the last of which was `good`."""

    carry: Any
    number: Int[Array, ""]
    losses: Float[Array, " steps"]
    good: Bool[Array, ""]


def descend(
    update: Update, carry: Any, steps: int, *, on_step: OnStep | None = None, message: Callable[..., str] | None = None
) -> tuple[Any, Float[Array, " steps"]]:
    """Moves `carry` by so many steps, as one compiled loop that ends at the first step that is not finite.

    Args:
        update: one step, `carry, loss, good = update(carry, number)` with the number counted from 0: any function that
            JAX can trace. What it makes of the carry is kept where the loss is finite and `good` is true.
        carry: a tree of arrays.
        steps: at least 1.
        on_step: called after every step with its number, from 1, and its loss.
        message: text of the error for the number of a step, from 1, and its loss.

    Returns:
        The carry after the last step, and the losses before every step.

    Raises:
        DivergedError: a step that is not kept; `state` is the carry before the step that led there.
    """
    message = message or (lambda step, loss: f"The loss became {loss} in step {step}.")
    program = compiled(lambda carry, number, _: update(carry, number))
    return run(program, carry, jnp.arange(steps, dtype=jnp.int32), None, on_step, message)


def compiled(update: Callable[[Any, Any, Any], Any]) -> Any:
    """A program of steps `carry, loss, good = update(carry, item, given)` along the first axis of `items`.

    `program(carry, items, given, listener, limit, reports)` gives the carry and the `Course`. A step that is not kept
    ends the descent. So does `limit`, a number of steps, without another compilation. Where it `reports`, the
    `listener`, a number that `run` gives, hears of every step.
    """

    @partial(jax.jit, static_argnums=5)
    def program(carry: Any, items: Any, given: Any, listener: Any, limit: Any, reports: bool) -> tuple[Any, Course]:
        kind = jnp.result_type(float)
        steps = jnp.minimum(limit, len(items))

        def going(state: _Going) -> Array:
            return state.good & (state.number < steps)

        # Not a scan, in which a step that is left out is a condition, around which all of the carry is copied.
        def step(state: _Going) -> _Going:
            number = state.number
            item = jax.lax.dynamic_index_in_dim(items, number, keepdims=False)
            carry, loss, good = update(state.carry, item, given)
            good = good & jnp.isfinite(loss)
            if reports:
                # No debug callback: a loop goes on after one that failed, and Ctrl-C could not end it.
                good = good & io_callback(_tell, jax.ShapeDtypeStruct((), bool), listener, number + 1, loss)
            # What a step that is not kept makes of the carry is nobody's: `run` goes the same way again without it.
            return _Going(carry, number + 1, state.losses.at[number].set(loss.astype(kind)), good)

        nothing = jnp.full(len(items), jnp.nan, kind)
        last = jax.lax.while_loop(going, step, _Going(carry, jnp.zeros((), jnp.int32), nothing, jnp.ones((), bool)))
        return last.carry, Course(last.losses, jnp.where(last.good, last.number, last.number - 1))

    return program


def run(
    program: Any,
    carry: Any,
    items: jax.Array,
    given: Any,
    on_step: OnStep | None,
    message: Callable[[int, float], str],
    *,
    epoch: int | None = None,
) -> tuple[Any, Float[Array, " steps"]]:
    """The carry after a `compiled` program and its losses, or the error of the step that is not kept."""
    arguments, steps = (carry, items, given), len(items)
    if on_step is None:
        carry, course = wait(program(*arguments, 0, steps, False))
    else:
        carry, course = _heard(program, arguments, steps, on_step)
    done = int(course.done)
    if done == steps:
        return carry, course.losses
    # What led to a bad loss was the step before: the same again without it. The first one has none before it.
    good, _ = wait(program(*arguments, 0, max(done - 1, 0), False))
    loss = float(course.losses[done])
    raise DivergedError(message(done + 1, loss), state=good, step=done + 1, loss=loss, epoch=epoch)


def _heard(program: Any, arguments: tuple[Any, ...], steps: int, on_step: OnStep) -> Any:
    """What a program gives that reports its steps; it ends at the first one that the listener fails to hear."""
    failures: list[BaseException] = []

    def listen(step: int, loss: float) -> bool:
        try:
            if not failures:
                on_step(step, loss)
        except BaseException as error:  # raised below as it is; what leaves this function becomes an error of XLA
            failures.append(error)
        return not failures

    listener = next(_numbers)
    executable = program.lower(*arguments, listener, steps, True).compile()
    _listeners[listener] = listen
    try:
        # A program with reports keeps the thread that calls it, in which Ctrl-C would then not act before its end.
        with futures.ThreadPoolExecutor(1) as pool:
            work = pool.submit(lambda: wait(executable(*arguments, listener, steps)))
            try:
                while not futures.wait([work], 0.1).done:
                    pass
            except BaseException as error:
                failures.insert(0, error)
    finally:
        del _listeners[listener]
    if failures:
        raise failures[0]
    return work.result()


def wait(tree: Any) -> Any:
    """The tree itself once it is computed; Ctrl-C acts meanwhile, as it does not within `block_until_ready`."""
    for leaf in jax.tree.leaves(tree):
        pause = 1e-4
        while not getattr(leaf, "is_ready", lambda: True)():  # keys of random numbers cannot be asked
            time.sleep(pause)
            pause = min(2 * pause, 0.02)
    return tree


def _tell(listener: Any, number: Any, loss: Any) -> np.bool_:
    return np.bool_(_listeners[int(listener)](int(number), float(loss)))
