"""Writing analog cells: pulse, read, and pulse again until the read agrees."""

from qsynapse_jax.programming._bands import even_bands as even_bands
from qsynapse_jax.programming._bands import radar_bands as radar_bands
from qsynapse_jax.programming._schemes import FPPV as FPPV
from qsynapse_jax.programming._schemes import ISPP as ISPP
from qsynapse_jax.programming._schemes import AbstractScheme as AbstractScheme
from qsynapse_jax.programming._schemes import RangeAdapting as RangeAdapting
from qsynapse_jax.programming._verify import write_verify as write_verify
