"""Time and energy of arrays, from their pulses and their currents."""

from qsynapse_jax.cost._write import speed_up as speed_up
from qsynapse_jax.cost._write import write_energy as write_energy
from qsynapse_jax.cost._write import write_time as write_time
