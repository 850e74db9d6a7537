"""What stands around an array: converters."""

from qsynapse_jax.periphery._converters import ADC as ADC
from qsynapse_jax.periphery._converters import DAC as DAC
