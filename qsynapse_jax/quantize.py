"""Rounding to a finite set of levels, and a derivative to train through it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# Comparing with every threshold is one fused pass without gathers; past this many levels a search is faster.
_COMPARE_ALL = 256


def nearest_level(levels: Float[Array, " n"], x: Float[Array, "..."]) -> Int[Array, "..."]:
    """Index of the level nearest to each `x`, for levels in any order; values beyond the ends take the end level."""
    order = jnp.argsort(jax.lax.stop_gradient(levels))
    ascending = jax.lax.stop_gradient(levels)[order]
    thresholds = (ascending[1:] + ascending[:-1]) / 2
    method = "compare_all" if levels.shape[0] <= _COMPARE_ALL else "scan"
    return order[jnp.searchsorted(thresholds, jax.lax.stop_gradient(x), method=method)].astype(jnp.int32)


def straight_through(value: Float[Array, "*shape"], surrogate: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`value`, with the derivative of `surrogate` added to its own.

    A rounded number has derivative zero almost everywhere; its unrounded `surrogate` says where it would move.
    Derivatives of `value` in anything that was not rounded, such as a resistance, are kept.

    Reference: Bengio, Leonard and Courville, "Estimating or propagating gradients through stochastic neurons for
    conditional computation", arXiv:1308.3432, 2013.
    """
    return value + (surrogate - jax.lax.stop_gradient(surrogate))
