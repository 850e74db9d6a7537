"""Descent as one compiled loop, in pieces: it stops at the first step that is not finite, and tells how far it is."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

OnStep = Callable[[int, float], None]
# One step: (carry, item) -> (carry, loss, whether the new carry may be kept).
Update = Callable[[Any, Any], tuple[Any, Float[Array, ""], Bool[Array, ""]]]

# How long a listener waits to hear of a step [s]: a piece costs 0.1 to 1 ms to begin and to end, more with many leaves.
_PIECE = 0.1


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
    """How a piece of a descent went.

    Attributes:
        losses: before every step; NaN for steps that were not made.
        done: number of the first step that failed, from 0: the end of the piece where none did.
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
        on_step: called for every step with its number, from 1, and its loss, a tenth of a second or one step late; what
            it raises ends the descent after the piece that has run by then.
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

    `program(carry, items, given, first, last)` makes the steps from `first` on that come before `last`, numbers of
    32 bits that need no other compilation, and gives the carry and the `Course`. A step that is not kept ends it.
    It calls nobody while it runs: a program that did could not be kept for the next process.
    """

    @jax.jit
    def program(carry: Any, items: Any, given: Any, first: Any, last: Any) -> tuple[Any, Course]:
        kind = jnp.result_type(float)

        def going(state: _Going) -> Array:
            return state.good & (state.number < last)

        # Not a scan, in which a step that is left out is a condition, around which all of the carry is copied.
        def step(state: _Going) -> _Going:
            number = state.number
            item = jax.lax.dynamic_index_in_dim(items, number, keepdims=False)
            carry, loss, good = update(state.carry, item, given)
            # What a step that is not kept makes of the carry is nobody's: `run` goes the same way again without it.
            losses = state.losses.at[number].set(loss.astype(kind))
            return _Going(carry, number + 1, losses, good & jnp.isfinite(loss))

        nothing = jnp.full(len(items), jnp.nan, kind)
        end = jax.lax.while_loop(going, step, _Going(carry, first, nothing, jnp.ones((), bool)))
        return end.carry, Course(end.losses, jnp.where(end.good, end.number, end.number - 1))

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
    """The carry after a `compiled` program and its losses, or the error of the step that is not kept.

    Without a listener it is one piece; with one it is pieces of about `_PIECE` seconds, which are the same program.
    """

    def piece(carry: Any, first: int, last: int) -> tuple[Any, Course]:
        return wait(program(carry, items, given, np.int32(first), np.int32(last)))

    steps, first, size = len(items), 0, len(items) if on_step is None else 1
    # A weak type that the loop makes a strong one would be another compilation for the second piece.
    kinds, _ = program.eval_shape(carry, items, given, np.int32(0), np.int32(0))
    carry, losses = jax.tree.map(_settled, carry, kinds), np.full(steps, np.nan, jnp.result_type(float))
    before = (0, carry)
    while first < steps:
        last, begun = min(first + size, steps), time.monotonic()
        after, course = piece(carry, first, last)
        taken, done = time.monotonic() - begun, int(course.done)
        made = slice(first, min(done + 1, last))
        losses[made] = np.asarray(course.losses)[made]
        if on_step is not None:
            for number, loss in enumerate(losses[made].tolist(), first + 1):
                on_step(number, loss)
        if done < last:
            # What led to a bad loss was the step before, which may be the last one of the piece before: the same again
            # without it. The first step of all has none before it.
            culprit = max(done - 1, 0)
            start, there = (first, carry) if culprit >= first else before
            good, _ = piece(there, start, culprit)
            loss = float(losses[done])
            raise DivergedError(message(done + 1, loss), state=good, step=done + 1, loss=loss, epoch=epoch)
        before, carry, first = (first, carry), after, last
        size = max(1, min(2 * size, int(size * _PIECE / max(taken, 1e-9))))
    return carry, jnp.asarray(losses)


def _settled(leaf: Any, kind: Any) -> Any:
    """A leaf of the carry as the loop gives it back."""
    weak = getattr(jax.typeof(leaf), "weak_type", False)
    return jax.lax.convert_element_type(leaf, kind.dtype) if weak and not kind.weak_type else leaf


def wait(tree: Any) -> Any:
    """The tree itself once it is computed; Ctrl-C acts meanwhile, as it does not within `block_until_ready`."""
    begun = time.monotonic()
    for leaf in jax.tree.leaves(tree):
        while not getattr(leaf, "is_ready", lambda: True)():  # keys of random numbers cannot be asked
            # Late by 2 % at most.
            time.sleep(min(max((time.monotonic() - begun) / 50, 1e-4), 0.02))
    return tree
