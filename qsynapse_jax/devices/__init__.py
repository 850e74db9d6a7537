"""How one device is written, read, spreads and ages; nothing here knows of weights or of arrays."""

from qsynapse_jax.devices._base import AbstractDevice as AbstractDevice
from qsynapse_jax.devices._base import AbstractDriven as AbstractDriven
from qsynapse_jax.devices._base import AbstractGated as AbstractGated
from qsynapse_jax.devices._base import AbstractPulsed as AbstractPulsed
from qsynapse_jax.devices._base import AbstractTwoLevel as AbstractTwoLevel
from qsynapse_jax.devices._base import Exposure as Exposure
from qsynapse_jax.devices._base import Pulse as Pulse
from qsynapse_jax.devices._base import Trace as Trace
from qsynapse_jax.devices._base import demand as demand
from qsynapse_jax.devices._cmo import CmoFilament as CmoFilament
from qsynapse_jax.devices._filament import GatedFilament as GatedFilament
from qsynapse_jax.devices._presets import analog_rram as analog_rram
from qsynapse_jax.devices._presets import cmo_reram as cmo_reram
from qsynapse_jax.devices._presets import digital_switch as digital_switch
from qsynapse_jax.devices._retention import Retention as Retention
from qsynapse_jax.devices._soft_bounds_fit import fit_soft_bounds as fit_soft_bounds
from qsynapse_jax.devices._switch import Switch as Switch
