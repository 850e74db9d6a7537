"""What an array costs: energy and time from its currents and pulses, area from widths and resistors."""

from qsynapse_jax.cost._area import Metal as Metal
from qsynapse_jax.cost._area import lines as lines
from qsynapse_jax.cost._area import metal_of_node as metal_of_node
from qsynapse_jax.cost._area import resistor_area as resistor_area
from qsynapse_jax.cost._read import Losses as Losses
from qsynapse_jax.cost._read import read_energy as read_energy
from qsynapse_jax.cost._read import read_power as read_power
from qsynapse_jax.cost._write import speed_up as speed_up
from qsynapse_jax.cost._write import write_energy as write_energy
from qsynapse_jax.cost._write import write_time as write_time
