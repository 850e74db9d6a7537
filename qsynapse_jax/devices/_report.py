"""What writing did to every cell."""

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int


class WriteReport(eqx.Module):
    """Pulses, time and energy of one write, cell by cell; all of the shape of the cells.

    Args:
        sets: set pulses.
        resets: reset pulses.
        reads: verifying reads.
        busy: time the cell was pulsed or read [s].
        energy: spent in the cell [J].
        success: whether the cell ended where it should.
    """

    sets: Int[Array, "*shape"]
    resets: Int[Array, "*shape"]
    reads: Int[Array, "*shape"]
    busy: Float[Array, "*shape"]
    energy: Float[Array, "*shape"]
    success: Bool[Array, "*shape"]

    @property
    def pulses(self) -> Int[Array, "*shape"]:
        """Set and reset pulses together, the count that papers print; reads are apart."""
        return self.sets + self.resets
