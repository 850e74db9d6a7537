"""Flax NNX layers and models on crossbar tiles."""

from qsynapse_jax.nn._conv import CrossbarConv as CrossbarConv
from qsynapse_jax.nn._convert import convert as convert
from qsynapse_jax.nn._convert import to_digital as to_digital
from qsynapse_jax.nn._dense import CrossbarDense as CrossbarDense
from qsynapse_jax.nn._dense import CrossbarGeneral as CrossbarGeneral
from qsynapse_jax.nn._kernels import MasterKernel as MasterKernel
from qsynapse_jax.nn._kernels import Physical as Physical
from qsynapse_jax.nn._kernels import Reference as Reference
from qsynapse_jax.nn._layers import CrossbarLayer as CrossbarLayer
from qsynapse_jax.nn._mlp import mlp as mlp
from qsynapse_jax.nn._model import crossbar_layers as crossbar_layers
from qsynapse_jax.nn._outer import Outer as Outer
from qsynapse_jax.nn._outer import outer_gradients as outer_gradients
from qsynapse_jax.nn._pulsed import PulsedKernel as PulsedKernel
from qsynapse_jax.nn._pulsed import pulsed as pulsed
from qsynapse_jax.nn._pytorch import load_weights as load_weights
from qsynapse_jax.nn._stages import age as age
from qsynapse_jax.nn._stages import calibrate as calibrate
from qsynapse_jax.nn._stages import freeze as freeze
from qsynapse_jax.nn._stages import program as program
