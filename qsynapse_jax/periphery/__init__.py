"""What stands around an array: converters."""

from qsynapse_jax.periphery._adc import ADC as ADC
from qsynapse_jax.periphery._dac import DAC as DAC
