"""One weight and its conductances: codes in, exact conductances out, and back."""

from qsynapse_jax.cells._base import AbstractCell as AbstractCell
from qsynapse_jax.cells._ladder import Ladder as Ladder
from qsynapse_jax.cells._linearity import Linearity as Linearity
from qsynapse_jax.cells._linearity import linearity as linearity
from qsynapse_jax.cells._measured import MeasuredLevels as MeasuredLevels
from qsynapse_jax.cells._multilevel import Multilevel as Multilevel
from qsynapse_jax.cells._resistor import Resistor as Resistor
from qsynapse_jax.cells._resistor import ResistorState as ResistorState
from qsynapse_jax.cells._resistor import poly_resistor as poly_resistor
from qsynapse_jax.cells._wrappers import Differential as Differential
from qsynapse_jax.cells._wrappers import Referenced as Referenced
from qsynapse_jax.cells._wrappers import Sliced as Sliced
