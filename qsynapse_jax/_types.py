"""Shared type names. A number that may be swept or differentiated is a `RealScalarLike`, never a `float`."""

from jaxtyping import Array, ArrayLike, Float, Int

RealScalarLike = float | int | Float[ArrayLike, ""]
"""A real number: Python number, NumPy scalar, 0-d array or tracer."""

FloatArray = Float[Array, "..."]
IntArray = Int[Array, "..."]
