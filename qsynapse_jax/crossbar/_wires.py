"""The wires of a crossbar: what lies between a driver, a cell and a sense amplifier."""

from functools import reduce
from math import prod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qsynapse_jax._checks import is_concrete
from qsynapse_jax._fields import Model, Numbers, OptionalNumbers, Rule, as_whole, reals


def _remedy(value: float) -> str:
    floats = "; to let one line float, give an array with an infinity for that line" if np.isposinf(value) else ""
    return f"{floats}; use 0.0 for an ideal wire"


# Infinite in an array only: where a scalar stands for all lines, nothing would be connected.
RESISTANCE = Rule("non-negative and finite", lambda r: (r >= 0) & (np.isfinite(r) | (np.ndim(r) > 0)), _remedy)


def _count(value: Any) -> int | None:
    return None if value is None else as_whole(value, "opens", 0)


# From here on a resistance is treated by its conductance [ohm]: lines of 100 cells of 1 mS lose three of seven digits.
LARGE = 1e4

# More large resistances than this for every line are no defects: they are treated like any others, which needs no dense
# matrix of their number squared.
_MOST_LARGE = 4

# What a resistance may be: a scalar, one value along a line, one per line, or one per cell.
_AXES = {
    "r_word": ("bl", "wl bl"),
    "r_bit": ("wl", "wl bl"),
    "r_driver": ("wl",),
    "r_sense": ("bl",),
    "r_driver_far": ("wl",),
    "r_sense_far": ("bl",),
}


class Wires(Model):
    """Resistances of the word lines, the bit lines and their ends.

    Word line `i` is driven at its left end, next to bit line 0; bit line `j` is sensed below its last word line.
    Every cell has one word-line segment on its driver side and one bit-line segment on its sense side, so a
    1 x 1 array in series is `r_driver + r_word + 1/g + r_bit + r_sense`.

    Args:
        r_word: a segment of a word line [ohm]; 0 is an ideal line, exactly. A scalar, shape (bl,) for a line that
            tapers, or (wl, bl) for every segment of its own (a defect: a large value).
        r_bit: a segment of a bit line [ohm]; a scalar, shape (wl,) or (wl, bl).
        r_driver: between the source and the first segment of a word line [ohm]; a scalar or (wl,).
        r_sense: between the last segment of a bit line and its sense terminal [ohm]; a scalar or (bl,).
        r_driver_far: word lines are driven from both ends: between a second source of the same voltage and the last
            cell of a word line [ohm], a segment of wire included where there is one; a scalar or (wl,). `None`
            (default): the far end is open.
        r_sense_far: bit lines are sensed at both ends: between a second sense terminal of the same voltage and the
            first cell of a bit line [ohm]; a scalar or (bl,). `None` (default): open.

        opens: how many infinite or very large resistances one array has at most. `None` (default): counted where the
            values are known; with wires that `jit`, `vmap` or `grad` trace, none. Static.

    An infinity in an array is an open, exactly: in `r_word` or `r_bit` a line that is broken there, in `r_driver` a
    word line that floats, in `r_sense` a bit line that nobody senses, in the far ends one that is not connected.
    What lies beyond floats, at the voltage at which no current is left over; what no cell connects to anything either
    is put at the voltage of its terminal. From 10 kohm in an array (a defect) the resistance is treated in the same
    way, by its conductance, which keeps the digits of the voltages beyond it.

    A gradient in `Wires` is a `Wires` of slopes. One resistance is changed by `dataclasses.replace(wires, r_bit=2.0)`.

    Raises:
        ValueError: a resistance is negative or NaN, a scalar is infinite, or it is an integer array.
    """

    r_word: Numbers = reals("ohm", RESISTANCE, default=0.0)
    r_bit: Numbers = reals("ohm", RESISTANCE, default=0.0)
    r_driver: Numbers = reals("ohm", RESISTANCE, default=0.0)
    r_sense: Numbers = reals("ohm", RESISTANCE, default=0.0)
    r_driver_far: OptionalNumbers = reals("ohm", RESISTANCE, optional=True, default=None)
    r_sense_far: OptionalNumbers = reals("ohm", RESISTANCE, optional=True, default=None)
    opens: int | None = eqx.field(converter=_count, static=True, default=None)

    def branches(self, shape: tuple[int, ...]) -> tuple[Float[Array, "wl bl"], Float[Array, "wl bl"]]:
        """Resistance between every cell and the one before it, or its terminal [ohm], in word lines and bit lines."""
        return _branches(jnp, shape, self.r_word, self.r_bit, self.r_driver, self.r_sense)

    def count_opens(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Places to hold for opens in word lines and in bit lines."""
        if self.opens is not None:
            most = min(self.opens, prod(shape))
            return most, most
        if not is_concrete(self) or all(leaf.ndim == 0 for leaf in jax.tree.leaves(self)):
            return 0, 0
        # In NumPy: what JAX computes while it traces has no value to count.
        values = (np.asarray(r) for r in (self.r_word, self.r_bit, self.r_driver, self.r_sense))
        branches = _branches(np, shape, *values)
        large = [int(np.sum(r >= LARGE)) for r in branches]
        if sum(large) > _MOST_LARGE * sum(shape):
            large = [int(np.sum(np.isinf(r))) for r in branches]
        return large[0], large[1]

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuses resistances that do not fit an array of `shape` (wl, bl)."""
        check_shapes(self, _AXES, shape)


def check_shapes(resistances: Any, axes_of: dict[str, tuple[str, ...]], shape: tuple[int, ...]) -> None:
    """Refuses resistances that are neither scalars nor have one of the axes that their names may have."""
    sizes: dict[str, int] = dict(zip(("wl", "bl"), shape, strict=True))
    for name, axes in axes_of.items():
        value = getattr(resistances, name)
        if value is None or value.ndim == 0:
            continue
        allowed = {tuple(sizes[axis] for axis in one.split()): one for one in axes}
        if value.shape not in allowed:
            expected = " or ".join(f"{size} ({one.replace(' ', ', ')})" for size, one in allowed.items())
            raise ValueError(
                f"Argument `{name}` must be a scalar or have shape {expected} for an array of {shape}, but has "
                f"shape {value.shape}."
            )


def _branches(xp: Any, shape: tuple[int, ...], r_word: Any, r_bit: Any, r_driver: Any, r_sense: Any) -> tuple[Any, Any]:
    """`Wires.branches` in JAX or NumPy."""
    widest = reduce(np.promote_types, (r.dtype for r in (r_word, r_bit, r_driver, r_sense)))
    r_word, r_bit, r_driver, r_sense = (r.astype(widest) for r in (r_word, r_bit, r_driver, r_sense))
    row, column = xp.arange(shape[0])[:, None], xp.arange(shape[1])[None, :]
    end_of_word = xp.where(column == 0, xp.broadcast_to(r_driver.reshape(-1, 1), shape), xp.zeros((), widest))
    end_of_bit = xp.where(row == shape[0] - 1, xp.broadcast_to(r_sense.reshape(1, -1), shape), xp.zeros((), widest))
    word = xp.broadcast_to(r_word, shape) + end_of_word
    return word, xp.broadcast_to(r_bit[:, None] if r_bit.ndim == 1 else r_bit, shape) + end_of_bit
