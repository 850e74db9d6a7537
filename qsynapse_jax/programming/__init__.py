"""Writing devices: one pulse for switches; pulse, read, and pulse again until the read agrees for all others."""

from qsynapse_jax.programming._array import Disturbance as Disturbance
from qsynapse_jax.programming._array import drive as drive
from qsynapse_jax.programming._array import endure as endure
from qsynapse_jax.programming._array import half_select_ratio as half_select_ratio
from qsynapse_jax.programming._base import AbstractScheme as AbstractScheme
from qsynapse_jax.programming._base import Bands as Bands
from qsynapse_jax.programming._base import Decision as Decision
from qsynapse_jax.programming._base import Reading as Reading
from qsynapse_jax.programming._bias import AbstractBias as AbstractBias
from qsynapse_jax.programming._bias import GateBias as GateBias
from qsynapse_jax.programming._bias import HalfBias as HalfBias
from qsynapse_jax.programming._bias import ThirdBias as ThirdBias
from qsynapse_jax.programming._compensate import Compensated as Compensated
from qsynapse_jax.programming._compensate import compensate as compensate
from qsynapse_jax.programming._denoise import Denoise as Denoise
from qsynapse_jax.programming._denoise import distinguishable_levels as distinguishable_levels
from qsynapse_jax.programming._schemes import FPPV as FPPV
from qsynapse_jax.programming._schemes import ISPP as ISPP
from qsynapse_jax.programming._schemes import RangeAdapting as RangeAdapting
from qsynapse_jax.programming._schemes import SinglePulse as SinglePulse
from qsynapse_jax.programming._verify import AbstractVerifying as AbstractVerifying
from qsynapse_jax.programming._write import default_scheme as default_scheme
from qsynapse_jax.programming._write import program as program
from qsynapse_jax.programming._write import radar_bands as radar_bands
from qsynapse_jax.programming._write import write_verify as write_verify
