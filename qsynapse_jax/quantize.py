"""Rounding to a finite set of levels, and a derivative to train through it."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from qsynapse_jax._fields import Rule, check

# Comparing with every threshold is one fused pass without gathers; past this many levels a search is faster.
_COMPARE_ALL = 256

# The code of what is no number, where nothing can be raised because the value is traced: never a valid code.
NO_LEVEL = int(np.iinfo(np.int32).min)
NUMBER = Rule("a number", lambda x: ~np.isnan(x))


def nearest_level(levels: Float[Array, " n"], x: Float[Array, "..."], name: str = "x") -> Int[Array, "..."]:
    """Index of the level nearest to each `x`, for levels in any order; values beyond the ends take the end level.

    A traced NaN gives the least int32 number, which is no index.

    Args:
        levels: at least one.
        x: any shape.
        name: of `x` in the message.

    Raises:
        ValueError: `x` holds a NaN, where its values are known.
    """
    check(x, name, "", NUMBER)
    order = jnp.argsort(jax.lax.stop_gradient(levels))
    ascending = jax.lax.stop_gradient(levels)[order]
    thresholds = (ascending[1:] + ascending[:-1]) / 2
    method = "compare_all" if levels.shape[0] <= _COMPARE_ALL else "scan"
    x = jax.lax.stop_gradient(x)
    index = order[jnp.searchsorted(thresholds, x, method=method)].astype(jnp.int32)
    return jnp.where(jnp.isnan(x), NO_LEVEL, index)


def round_signed(x: Float[Array, "*shape"], bits: int) -> Float[Array, "*shape"]:
    """`x` in -1 .. 1 as one of 2^bits - 1 evenly spaced numbers, symmetric about 0; beyond the ends the end.

    Gradients: straight through the rounding within the ends; 0 beyond.
    """
    largest = 2 ** (bits - 1) - 1
    rounded = jnp.clip(jnp.round(jax.lax.stop_gradient(x) * largest), -largest, largest) / largest
    within = jnp.abs(x) <= 1
    return straight_through(rounded, jnp.where(within, x, jnp.sign(jax.lax.stop_gradient(x))))


def straight_through(value: Float[Array, "*shape"], surrogate: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`value`, with the derivative of `surrogate` added to its own.

    A rounded number has derivative zero almost everywhere; its unrounded `surrogate` says where it would move.
    Derivatives of `value` in anything that was not rounded, such as a resistance, are kept.

    Reference: Bengio, Leonard and Courville, "Estimating or propagating gradients through stochastic neurons for
    conditional computation", arXiv:1308.3432, 2013.
    """
    return value + (surrogate - jax.lax.stop_gradient(surrogate))
