"""How one device is written, read, spreads and ages; nothing here knows of weights or of arrays."""

from qsynapse_jax.devices._analog import AnalogCell as AnalogCell
from qsynapse_jax.devices._analog import AnalogState as AnalogState
from qsynapse_jax.devices._presets import analog_rram as analog_rram
from qsynapse_jax.devices._presets import digital_switch as digital_switch
from qsynapse_jax.devices._presets import fast_switch as fast_switch
from qsynapse_jax.devices._presets import poly_resistor as poly_resistor
from qsynapse_jax.devices._report import WriteReport as WriteReport
from qsynapse_jax.devices._resistor import Resistor as Resistor
from qsynapse_jax.devices._resistor import ResistorState as ResistorState
from qsynapse_jax.devices._resistor import pelgrom as pelgrom
from qsynapse_jax.devices._retention import Retention as Retention
from qsynapse_jax.devices._retention import arrhenius_factor as arrhenius_factor
from qsynapse_jax.devices._retention import checked_temperature as checked_temperature
from qsynapse_jax.devices._switch import Switch as Switch
from qsynapse_jax.devices._switch import SwitchState as SwitchState
