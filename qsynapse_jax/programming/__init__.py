"""Writing devices: one pulse for switches; pulse, read, and pulse again until the read agrees for all others."""

from qsynapse_jax.programming._base import AbstractScheme as AbstractScheme
from qsynapse_jax.programming._base import Bands as Bands
from qsynapse_jax.programming._base import Reading as Reading
from qsynapse_jax.programming._schemes import FPPV as FPPV
from qsynapse_jax.programming._schemes import ISPP as ISPP
from qsynapse_jax.programming._schemes import RangeAdapting as RangeAdapting
from qsynapse_jax.programming._schemes import SinglePulse as SinglePulse
from qsynapse_jax.programming._verify import AbstractVerifying as AbstractVerifying
from qsynapse_jax.programming._write import default_scheme as default_scheme
from qsynapse_jax.programming._write import program as program
from qsynapse_jax.programming._write import radar_bands as radar_bands
from qsynapse_jax.programming._write import write_verify as write_verify
