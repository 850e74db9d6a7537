"""Arrays of random levels behind wires: what is left of a matrix product, at one point of a sweep."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qsynapse_jax._fields import Model, Rule, Scalar, natural, non_negative, positive, real, whole
from qsynapse_jax.crossbar import RESULTS, ConjugateGradient, Wires, solve
from qsynapse_jax.sweep import Check, Labelled, Study

_ratio = Rule("greater than 1 and finite", lambda x: (x > 1) & (x < float("inf")))
# Outcomes of a solve that are no current to build on, each with what to do.
_WRONG = ("max_steps_reached", "breakdown", "inaccurate", "shorted")


# Under `vmap` `Auto` computes both of its iterations. This one takes half of the time to compile and to run at 64 x 64
# cells, and it converges where wires take most of the voltage, too, in more steps.
_SOLVER = ConjugateGradient()


class RandomArray(Model):
    """A square array of cells at random levels, driven by random voltages.

    Args:
        lines: word lines, and as many bit lines. Static.
        r_word, r_bit: a segment of a word line, of a bit line [ohm]; `r_wire` is added to both.
        r_wire: of every segment [ohm].
        r_driver, r_sense: ends of the lines [ohm].
        r_on: resistance of the highest level [ohm].
        on_off: resistance of the lowest level over `r_on`.
        levels: of a cell, evenly spaced in conductance.
        sigma: spread of ln G of a cell around its level.
        v_read: voltages are drawn from 0 to this [V].
        inputs: vectors of voltages. Static.
        seed: of levels, spread and voltages.
    """

    lines: int = whole(1, default=64)
    r_wire: Scalar = real("ohm", non_negative, default=1.0)
    r_word: Scalar = real("ohm", non_negative, default=0.0)
    r_bit: Scalar = real("ohm", non_negative, default=0.0)
    r_driver: Scalar = real("ohm", non_negative, default=0.0)
    r_sense: Scalar = real("ohm", non_negative, default=0.0)
    r_on: Scalar = real("ohm", positive, default=10e3)
    on_off: Scalar = real("", _ratio, default=100.0)
    levels: Any = natural(2, default=16)
    sigma: Scalar = real("", non_negative, default=0.0)
    v_read: Scalar = real("V", positive, default=0.2)
    inputs: int = whole(1, default=8)
    seed: Any = natural(default=0)

    def conductances(self) -> tuple[jax.Array, jax.Array]:
        """Of the levels that are meant, and of the cells, both (lines, lines) [S]."""
        shape, high = (self.lines, self.lines), 1 / self.r_on
        level, spread, _ = jnp.split(self._draws(), (self.lines**2, 2 * self.lines**2))
        low, steps = high / self.on_off, (self.levels - 1).astype(high.dtype)
        code = jnp.minimum(jnp.floor((level.reshape(shape) + 1) / 2 * (steps + 1)), steps)
        meant = low + (high - low) * code / steps
        normal = jnp.sqrt(2.0).astype(high.dtype) * jax.lax.erf_inv(spread.reshape(shape))
        return meant, meant * jnp.exp(self.sigma * normal)

    def voltages(self) -> jax.Array:
        """Of the drivers, (inputs, lines) [V]."""
        drawn = self._draws()[2 * self.lines**2 :].reshape(self.inputs, self.lines)
        return self.v_read * (drawn + 1) / 2

    def wires(self) -> Wires:
        """Of the array."""
        return Wires(
            r_word=self.r_wire + self.r_word,
            r_bit=self.r_wire + self.r_bit,
            r_driver=self.r_driver,
            r_sense=self.r_sense,
        )

    def _draws(self) -> jax.Array:
        """Levels, spread and voltages, each evenly from -1 to 1, both left out.

        All at once: a second and a third draw take a quarter of the time that the whole study takes to be compiled.
        """
        dtype = self.r_on.dtype
        lowest = np.nextafter(np.asarray(-1, dtype), np.asarray(0, dtype))
        return jax.random.uniform(
            jax.random.key(self.seed), (self.lines * (2 * self.lines + self.inputs),), dtype, lowest
        )


def random_array(point: RandomArray) -> dict[str, Labelled | Check]:
    """How far currents behind wires are from v @ g with the conductances that are meant.

    `loss` is the share of all current that is missing; `current_error` the root mean square of what is wrong with a
    current, relative to the largest; `corrected_error` the same after one gain for the whole array, which periphery
    can have; `bits` how many bits that error leaves of a current that fills the range, log2(1 / (sqrt(12) error)), what
    a converter with that rounding error has; `agreement` the share of inputs for which the bit line with the largest
    current is the right one, as in a classification; `line_error` the error of every bit line.
    """
    meant, g = point.conductances()
    v = point.voltages()
    sol = solve(g, v, point.wires(), solver=_SOLVER, throw=False)
    ideal = v @ meant
    top = jnp.max(jnp.abs(ideal))
    gain = jnp.sum(sol.i_out * ideal) / jnp.sum(sol.i_out * sol.i_out)
    wrong, corrected = (sol.i_out - ideal) / top, (gain * sol.i_out - ideal) / top
    left = rms(corrected)
    right = jnp.argmax(sol.i_out, -1) == jnp.argmax(ideal, -1)
    checks = {
        f"is_{name}": Check(sol.result == getattr(RESULTS, name), RESULTS[getattr(RESULTS, name)]) for name in _WRONG
    }
    return {
        "loss": Labelled(1 - jnp.sum(sol.i_out) / jnp.sum(ideal), what="share of all current that wires take"),
        "current_error": Labelled(rms(wrong), what="rms error of a current over the largest"),
        "corrected_error": Labelled(left, what="the same after one gain for the array"),
        "bits": Labelled(
            -jnp.log2(jnp.sqrt(12.0).astype(left.dtype) * left), unit="bit", what="resolution of a current that is left"
        ),
        "agreement": Labelled(
            jnp.mean(right.astype(left.dtype)), what="share of inputs whose largest current is on the right line"
        ),
        "line_error": Labelled(rms(wrong, 0), ("bl",), what="rms error of the current of a bit line over the largest"),
        "i_mean": Labelled(jnp.mean(sol.i_out), unit="A", what="mean current of a bit line"),
        "residual": Labelled(jnp.max(sol.stats.residual), what="relative residual of the solve"),
        **checks,
    }


def rms(x: jax.Array, axis: int | None = None) -> jax.Array:
    """Root mean square."""
    return jnp.sqrt(jnp.mean(x * x, axis))


RANDOM_ARRAY = Study(random_array, RandomArray, "random_array")
