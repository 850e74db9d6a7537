"""Area of wires and resistors, and what narrower ones cost in ohm."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qsynapse_jax._checks import as_real, checked
from qsynapse_jax.crossbar import Wires

_BULK = {"unit": "m", "minimum": "positive"}


class Metal(eqx.Module):
    """Metal of the lines of an array: its thickness is that of the process, its width the designer's.

    Args:
        resistivity: at the width in use [ohm m].
        thickness: of the film [m].
        spacing: least distance between neighbouring lines [m].

    Raises:
        ValueError: a value is not positive and finite.
    """

    resistivity: Float[Array, ""] = eqx.field(converter=partial(as_real, name="resistivity"))
    thickness: Float[Array, ""] = eqx.field(converter=partial(as_real, name="thickness"))
    spacing: Float[Array, ""] = eqx.field(converter=partial(as_real, name="spacing"))

    def __check_init__(self):
        for name, unit in (("resistivity", "ohm m"), ("thickness", "m"), ("spacing", "m")):
            value = getattr(self, name)
            if isinstance(value, jax.Array):
                checked(value, name, unit=unit, minimum="positive")


class Lines(eqx.Module):
    """Word and bit lines of chosen widths.

    Attributes:
        wires: resistance of their segments [ohm].
        cell_area: of one crossing, both pitches multiplied [m2].
    """

    wires: Wires
    cell_area: Float[Array, ""]


def lines(
    metal: Metal,
    word_width: Float[Array, ""] | float,
    bit_width: Float[Array, ""] | float,
    *,
    word_pitch: Float[Array, ""] | float = 0.0,
    bit_pitch: Float[Array, ""] | float = 0.0,
) -> Lines:
    """Resistance and area of lines of given widths: wider word lines are longer bit lines.

    A segment of a word line is as long as bit lines are apart, `r_word = resistivity (bit pitch) / (width thickness)`,
    and the other way round. Pitches are width plus spacing, or what the cell needs if that is more.

    Args:
        metal: of both kinds of lines.
        word_width: of a word line [m].
        bit_width: of a bit line [m].
        word_pitch: least distance of neighbouring word lines that the cells leave [m].
        bit_pitch: of neighbouring bit lines, likewise [m].

    Raises:
        ValueError: a width is not positive and finite, a pitch negative.

    Gradients: in everything.
    """
    word_width = checked(as_real(word_width, "word_width"), "word_width", **_BULK)
    bit_width = checked(as_real(bit_width, "bit_width"), "bit_width", **_BULK)
    least = {"unit": "m", "minimum": "non-negative"}
    word_pitch = checked(as_real(word_pitch, "word_pitch"), "word_pitch", **least)
    bit_pitch = checked(as_real(bit_pitch, "bit_pitch"), "bit_pitch", **least)
    word_pitch = jnp.maximum(word_width + metal.spacing, word_pitch)
    bit_pitch = jnp.maximum(bit_width + metal.spacing, bit_pitch)
    r_word = metal.resistivity * bit_pitch / (word_width * metal.thickness)
    r_bit = metal.resistivity * word_pitch / (bit_width * metal.thickness)
    return Lines(Wires(r_word=r_word, r_bit=r_bit), word_pitch * bit_pitch)


def resistor_area(
    r: Float[Array, "*shape"], sheet_resistance: Float[Array, ""] | float, width: Float[Array, ""] | float
) -> Float[Array, "*shape"]:
    """Area of film resistors, `(r / sheet resistance)` squares of `width` each [m2].

    Args:
        r: resistances [ohm].
        sheet_resistance: of the film [ohm per square].
        width: of the strip [m].

    Raises:
        ValueError: sheet resistance or width not positive and finite.
    """
    sheet = checked(as_real(sheet_resistance, "sheet_resistance"), "sheet_resistance", unit="ohm", minimum="positive")
    width = checked(as_real(width, "width"), "width", **_BULK)
    return r * (width**2 / sheet).astype(r.dtype)


def _node(width_nm: float, aspect_ratio: float, resistivity: float) -> Metal:
    width = width_nm * 1e-9
    return Metal(resistivity=resistivity, thickness=aspect_ratio * width, spacing=width)


def metal_of_node(nm: int) -> Metal:
    """Wires of a CMOS node [nm], at their least width, with spaces of that width.

    Args:
        nm: 130, 90, 65, 45, 32, 22, 14 or 7 (which stands for 7 to 10).

    Raises:
        ValueError: another node.

    Reference: NeuroSim V1.3, Param.cpp (github.com/neurosim/DNN_NeuroSim_V1.3): width, aspect ratio, resistivity.
    """
    if nm not in NODES:
        raise ValueError(f"Argument `nm` must be one of {', '.join(map(str, NODES))}, but is {nm!r}.")
    return _node(*NODES[nm])


# width [nm], aspect ratio, resistivity [ohm m]
NODES = {
    130: (175.0, 1.6, 2.20e-8),
    90: (110.0, 1.6, 2.52e-8),
    65: (105.0, 1.7, 2.68e-8),
    45: (80.0, 1.7, 3.31e-8),
    32: (56.0, 1.8, 3.70e-8),
    22: (40.0, 1.9, 4.03e-8),
    14: (25.0, 2.0, 5.08e-8),
    7: (18.0, 2.0, 6.35e-8),
}
