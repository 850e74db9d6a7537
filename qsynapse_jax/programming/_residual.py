"""More digits than a device has: each next array holds the error that the arrays before it left, on a finer scale."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_floating
from qsynapse_jax._fields import Model, as_whole, check, checked, finite, positive

# Writes a matrix of weights in [-1, 1] with a key: the state of the hardware, and the weights that were found on it.
Write = Callable[..., tuple[Any, Array]]


class Residual(Model):
    """A matrix on several arrays, value = sum over k of scales[k] found[k].

    Attributes:
        states: of the hardware, array by array: leaves of shape (arrays, ...).
        found: weights found on each array.
        scales: what a weight of 1 on each array stands for; 0 where nothing was left to write.
        value: what the arrays amount to together.
        errors: target less the sum of the arrays up to each.
    """

    states: Any
    found: Float[Array, "arrays *stack rows cols"]
    scales: Float[Array, " arrays *stack"]
    value: Float[Array, "*stack rows cols"]
    errors: Float[Array, "arrays *stack rows cols"]


def residual(
    target: Float[Array, "*stack rows cols"],
    write: Write,
    arrays: int,
    *,
    key: jax.Array,
    fill: Any = 1.0,
) -> Residual:
    """One matrix as the scaled sum of several arrays, each of which is programmed to cancel the error left so far.

        r_0 = target;    s_k = max|r_k|/fill,    f_k = write(r_k/s_k),    r_k+1 = r_k - s_k f_k

    The sum is digital: outputs of array k are multiplied with s_k and added. With e the largest error of one write,
    as a part of the full weight, max|r_k+1| is at most e/fill max|r_k|: every array adds log10(fill/e) digits, whatever
    the error comes from, as long as it can be measured and stays. Behind wires f_k are the effective weights, so later
    arrays make up for wires too; where these take most of a weight e is near 1, and compensated writing is needed.
    What changes after it was measured is not cancelled: the fluctuation of the first array bounds all of them.

    Rounding ends it at about 1e-7 of the target in float32, 1e-16 in float64.

    Args:
        target: any numbers.
        write: `(weights, key=key) -> (state, found)` of one array, weights from -`fill` to `fill`; traceable.
            `Tile.write` of a tile with a signed cell is one, whatever its device and scheme, and
            `Tile.write_compensated` another.
        arrays: how many. Static.
        key: random key of all writes.
        fill: part of the range of weights that is used; below 1 where compensated writing needs room. Of each matrix
            of a stack for itself.

    Returns:
        States, weights found, scales, their sum and the error after each array, see `Residual`.

    Raises:
        ValueError: a target that is no matrix of finite numbers; no array; a `fill` that is not positive.

    Accuracy: with deviations of sigma, as parts of the full weight, errors fall by sigma times the largest of as many
        normal numbers as a matrix has: 3.5 of 1,024. In `experiments/linear_solver` an array is worth 2.5 digits on
        cells written to 0.2 %, 0.7 on relaxed ones.

    Reference: W. Song et al., "Programming memristor arrays with arbitrarily high precision for analog computing",
        Science 383, 903, 2024, doi 10.1126/science.adi9405 [S abstract]; formula of the scales [D].
    """
    target = as_floating(target, "target")
    check(target, "target", "", finite)
    if target.ndim < 2:
        raise ValueError(f"Argument `target` must have shape (*stack, rows, cols), but has shape {target.shape}.")
    arrays = as_whole(arrays, "arrays", 1)
    fill = checked(fill, "fill", "", positive)
    return _residual(target, write, fill.astype(target.dtype), key, arrays)


@eqx.filter_jit
def _residual(target: Array, write: Write, fill: Array, key: jax.Array, arrays: int) -> Residual:
    def next_array(left: Array, key: jax.Array) -> tuple[Array, tuple[Any, Array, Array, Array]]:
        scale = jnp.max(jnp.abs(left), axis=(-2, -1), keepdims=True) / fill
        state, found = write(left / jnp.where(scale > 0, scale, 1), key=key)
        left = left - scale * found.astype(left.dtype)
        return left, (state, found, scale[..., 0, 0], left)

    left, (states, found, scales, errors) = jax.lax.scan(next_array, target, jax.random.split(key, arrays))
    return Residual(states, found, scales, target - left, errors)
