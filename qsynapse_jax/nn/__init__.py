"""Flax NNX layers and networks that run on crossbar tiles."""

from qsynapse_jax.nn._dense import CrossbarDense as CrossbarDense
from qsynapse_jax.nn._dense import Physical as Physical
from qsynapse_jax.nn._deployment import Deployment as Deployment
from qsynapse_jax.nn._mlp import MLP as MLP
from qsynapse_jax.nn._mlp import full_scale as full_scale
from qsynapse_jax.nn._mlp import software_mlp as software_mlp
from qsynapse_jax.nn._mlp import to_crossbar as to_crossbar
from qsynapse_jax.nn._mlp import with_wires as with_wires
