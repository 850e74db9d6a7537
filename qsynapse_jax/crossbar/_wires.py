"""The wires of a crossbar: what lies between a driver, a cell and a sense amplifier."""

from functools import partial

import equinox as eqx
import jax

from qsynapse_jax._checks import as_real, bad_value_message, is_concrete


class Wires(eqx.Module):
    """Resistances of the word lines, the bit lines and their ends.

    Word line `i` is driven at its left end, next to bit line 0; bit line `j` is sensed below its last word line.
    Every cell has one word-line segment on its driver side and one bit-line segment on its sense side, so a
    1 x 1 array in series is `r_driver + r_word + 1/g + r_bit + r_sense`.

    Args:
        r_word: one segment of a word line [ohm]; 0 is an ideal line, exactly.
        r_bit: one segment of a bit line [ohm].
        r_driver: between the source and the first segment of a word line [ohm].
        r_sense: between the last segment of a bit line and virtual ground [ohm].

    A gradient in `Wires` is a `Wires` of slopes. One resistance is changed by `dataclasses.replace(wires, r_bit=2.0)`.

    Raises:
        ValueError: a resistance is negative, NaN or infinite, is not a scalar, or is an integer array.
    """

    r_word: jax.Array = eqx.field(converter=partial(as_real, name="r_word"), default=0.0)
    r_bit: jax.Array = eqx.field(converter=partial(as_real, name="r_bit"), default=0.0)
    r_driver: jax.Array = eqx.field(converter=partial(as_real, name="r_driver"), default=0.0)
    r_sense: jax.Array = eqx.field(converter=partial(as_real, name="r_sense"), default=0.0)

    def __check_init__(self):
        for name in ("r_word", "r_bit", "r_driver", "r_sense"):
            value = getattr(self, name)
            if not is_concrete(value):
                continue
            message = bad_value_message(value, name, unit="ohm", minimum="non-negative")
            if message is not None:
                raise ValueError(message + " Use 0.0 for an ideal wire.")
