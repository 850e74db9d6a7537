"""Training of networks on crossbars."""

from qsynapse_jax.training._fit import Epoch as Epoch
from qsynapse_jax.training._fit import accuracy as accuracy
from qsynapse_jax.training._fit import cross_entropy as cross_entropy
from qsynapse_jax.training._fit import fit as fit
