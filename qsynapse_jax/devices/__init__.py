"""How one device is written, read, spreads and ages; nothing here knows of weights or of arrays."""

from qsynapse_jax.devices import presets as presets
from qsynapse_jax.devices._affine import ConstantStep as ConstantStep
from qsynapse_jax.devices._affine import LinearStep as LinearStep
from qsynapse_jax.devices._affine import SoftBounds as SoftBounds
from qsynapse_jax.devices._base import AbstractDevice as AbstractDevice
from qsynapse_jax.devices._base import AbstractDriven as AbstractDriven
from qsynapse_jax.devices._base import AbstractGated as AbstractGated
from qsynapse_jax.devices._base import AbstractPulsed as AbstractPulsed
from qsynapse_jax.devices._base import AbstractTwoLevel as AbstractTwoLevel
from qsynapse_jax.devices._base import Exposure as Exposure
from qsynapse_jax.devices._base import Pulse as Pulse
from qsynapse_jax.devices._base import Trace as Trace
from qsynapse_jax.devices._base import demand as demand
from qsynapse_jax.devices._curved import ExpStep as ExpStep
from qsynapse_jax.devices._curved import PowStep as PowStep
from qsynapse_jax.devices._filament import GatedFilament as GatedFilament
from qsynapse_jax.devices._fit import Fit as Fit
from qsynapse_jax.devices._fit import fit as fit
from qsynapse_jax.devices._measured import MeasuredStep as MeasuredStep
from qsynapse_jax.devices._presets import analog_rram as analog_rram
from qsynapse_jax.devices._presets import digital_switch as digital_switch
from qsynapse_jax.devices._retention import Retention as Retention
from qsynapse_jax.devices._switch import Switch as Switch
from qsynapse_jax.devices._table import PulseTable as PulseTable
from qsynapse_jax.devices._table import read_pulses as read_pulses
