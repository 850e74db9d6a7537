"""Random numbers for pulses: a counter, hashed with words of the key."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt

# Pulses need a normal number for every device and call. JAX's own generator, made to the measure of cryptography, takes
# 15 ns for one on two cores, more than all the rest of an update; a hash takes 2 ns. The multipliers and shifts are
# those of C. Wellons, "Prospecting for hash functions", nullprogram.com/blog/2018/07/31 (`lowbias32`).
_MULTIPLIERS = (0x7FEB352D, 0x846CA68B)
# Sets apart the numbers that one device draws in one call (an odd number near 2^32 divided by the golden ratio).
_STREAM = 0x9E3779B9
# M. Giles, "Approximating the erfinv function", GPU Computing Gems Jade Edition, 2011, table 5: relative error 4e-7.
_CENTER = (2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4, -1.25372503e-3)
_CENTER += (-4.17768164e-3, 0.246640727, 1.50140941)
_TAIL = (-2.00214257e-4, 1.00950558e-4, 1.34934322e-3, -3.67342844e-3, 5.73950773e-3, -7.6224613e-3)
_TAIL += (9.43887047e-3, 1.00167406, 2.83297682)
_SQRT_2 = np.float32(np.sqrt(2))


def _mixed(x: UInt[Array, "*shape"]) -> UInt[Array, "*shape"]:
    """A permutation of 32-bit words in which every bit of the result hangs on all bits of `x`."""
    x = (x ^ (x >> 16)) * jnp.uint32(_MULTIPLIERS[0])
    x = (x ^ (x >> 15)) * jnp.uint32(_MULTIPLIERS[1])
    return x ^ (x >> 16)


def words(key: jax.Array, shape: tuple[int, ...]) -> UInt[Array, "*shape"]:
    """A word for each device, from which `normal` and `uniform` make numbers: 64 bits of the key and a counter."""
    seeds = jax.random.bits(key, (2,), jnp.uint32)
    counter = lax.iota(jnp.uint32, int(np.prod(shape))).reshape(shape)
    return _mixed(_mixed(counter + seeds[0]) ^ seeds[1])


def stream(word: UInt[Array, "*shape"], number: int | Array) -> UInt[Array, "*shape"]:
    """Words of another draw of the same call."""
    return _mixed(word + jnp.uint32(_STREAM) * jnp.asarray(number, jnp.uint32))


def uniform(word: UInt[Array, "*shape"], dtype: jnp.dtype) -> Float[Array, "*shape"]:
    """Numbers uniform in (0, 1), never one of the ends: 23 bits and a half fill the 24 of a float32."""
    return ((word >> 9).astype(dtype) + 0.5) * 2.0**-23


def normal(word: UInt[Array, "*shape"], dtype: jnp.dtype) -> Float[Array, "*shape"]:
    """Standard normal numbers, up to 5.3 standard deviations."""
    v = uniform(word, dtype)
    # The inverse of the normal distribution, sqrt(2) erfinv(2 v - 1), without the special cases of a general one, which
    # cost as much again.
    q = -jnp.log(4 * v * (1 - v))
    near, far = (_polynomial(c, x) for c, x in ((_CENTER, q - 2.5), (_TAIL, jnp.sqrt(q) - 3)))
    return _SQRT_2.astype(dtype) * (2 * v - 1) * jnp.where(q < 5, near, far)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    value = jnp.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        value = value * x + c
    return value
