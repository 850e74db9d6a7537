"""A weight matrix on crossbar tiles of a chosen size: split, written, and read through the wires."""

from qsynapse_jax.tile._array import TiledArray as TiledArray
from qsynapse_jax.tile._split import join as join
from qsynapse_jax.tile._split import split as split
from qsynapse_jax.tile._written import AbstractWrittenArray as AbstractWrittenArray
from qsynapse_jax.tile._written import AnalogArray as AnalogArray
from qsynapse_jax.tile._written import SwitchedArray as SwitchedArray
