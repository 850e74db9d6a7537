"""Area of wires and resistors, and what a narrower wire costs in resistance."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._fields import Model, Scalar, checked, non_negative, positive, real
from qsynapse_jax.crossbar import Wires


class Metal(Model):
    """Metal of the lines of an array: its thickness is that of the process, its width the designer's.

    Args:
        resistivity: resistivity at the width in use [ohm m].
        thickness: thickness of the film [m].
        spacing: least distance between neighboring lines [m].

    Raises:
        ValueError: a value is not positive and finite.
    """

    resistivity: Scalar = real("ohm m", positive)
    thickness: Scalar = real("m", positive)
    spacing: Scalar = real("m", positive)


class Lines(Model):
    """Word and bit lines of chosen widths.

    Attributes:
        wires: resistance of their segments [ohm].
        cell_area: area of one crossing, the product of both pitches [m2].
    """

    wires: Wires
    cell_area: Float[Array, ""] = eqx.field(metadata={"unit": "m2"})


def lines(metal: Metal, word_width: Any, bit_width: Any, *, word_pitch: Any = 0.0, bit_pitch: Any = 0.0) -> Lines:
    """Resistance and area of lines of given widths: wider word lines are longer bit lines.

    A segment of a word line is as long as bit lines are apart, `r_word = resistivity (bit pitch) / (width thickness)`,
    and the other way round. Pitches are width plus spacing, or what the cell needs if that is more.

    Args:
        metal: metal of both kinds of lines.
        word_width: width of a word line [m].
        bit_width: width of a bit line [m].
        word_pitch: least distance of neighboring word lines that the cells leave [m].
        bit_pitch: least distance of neighboring bit lines, likewise [m].

    Raises:
        ValueError: a width is not positive and finite, a pitch negative.

    Gradients: in everything.
    """
    word_width = checked(word_width, "word_width", "m", positive)
    bit_width = checked(bit_width, "bit_width", "m", positive)
    word_pitch = checked(word_pitch, "word_pitch", "m", non_negative)
    bit_pitch = checked(bit_pitch, "bit_pitch", "m", non_negative)
    word_pitch = jnp.maximum(word_width + metal.spacing, word_pitch)
    bit_pitch = jnp.maximum(bit_width + metal.spacing, bit_pitch)
    r_word = metal.resistivity * bit_pitch / (word_width * metal.thickness)
    r_bit = metal.resistivity * word_pitch / (bit_width * metal.thickness)
    return Lines(Wires(r_word=r_word, r_bit=r_bit), word_pitch * bit_pitch)


def resistor_area(r: Float[Array, "*shape"], sheet_resistance: Any, width: Any) -> Float[Array, "*shape"]:
    """Area of film resistors, `(r / sheet resistance)` squares of `width` each [m2].

    Args:
        r: resistances [ohm].
        sheet_resistance: resistance of a square of the film [ohm].
        width: width of the strip [m].

    Raises:
        ValueError: sheet resistance or width not positive and finite.
    """
    sheet = checked(sheet_resistance, "sheet_resistance", "ohm", positive)
    width = checked(width, "width", "m", positive)
    return r * (width**2 / sheet).astype(r.dtype)


# width [nm], aspect ratio, resistivity [ohm m]
_NODES = {
    130: (175.0, 1.6, 2.20e-8),
    90: (110.0, 1.6, 2.52e-8),
    65: (105.0, 1.7, 2.68e-8),
    45: (80.0, 1.7, 3.31e-8),
    32: (56.0, 1.8, 3.70e-8),
    22: (40.0, 1.9, 4.03e-8),
    14: (25.0, 2.0, 5.08e-8),
    7: (18.0, 2.0, 6.35e-8),
}


def metal_of_node(nm: int) -> Metal:
    """Wires of a CMOS node [nm], at their least width, with spaces of that width.

    Args:
        nm: 130, 90, 65, 45, 32, 22, 14 or 7 (which stands for 7 to 10).

    Raises:
        ValueError: another node.

    Reference: NeuroSim V1.3, Param.cpp (github.com/neurosim/DNN_NeuroSim_V1.3): width, aspect ratio, resistivity.
    """
    if nm not in _NODES:
        raise ValueError(f"Argument `nm` must be one of {', '.join(map(str, _NODES))}, but is {nm!r}.")
    width_nm, aspect_ratio, resistivity = _NODES[nm]
    width = width_nm * 1e-9
    return Metal(resistivity=resistivity, thickness=aspect_ratio * width, spacing=width)
