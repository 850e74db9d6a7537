"""In-place learning rules: what rows and columns of an array receive moves its weights."""

from qsynapse_jax.training.rules._analog_sgd import AnalogSGD as AnalogSGD
from qsynapse_jax.training.rules._analog_sgd import CoarseToFine as CoarseToFine
from qsynapse_jax.training.rules._base import AbstractRule as AbstractRule
from qsynapse_jax.training.rules._half_select import HalfSelect as HalfSelect
from qsynapse_jax.training.rules._mixed_precision import MixedPrecision as MixedPrecision
from qsynapse_jax.training.rules._outer_sgd import OuterSGD as OuterSGD
from qsynapse_jax.training.rules._pulses import Pulses as Pulses
from qsynapse_jax.training.rules._residual_learning import ResidualLearning as ResidualLearning
from qsynapse_jax.training.rules._rider import RIDER as RIDER
from qsynapse_jax.training.rules._tiki_taka import AGAD as AGAD
from qsynapse_jax.training.rules._tiki_taka import TikiTaka as TikiTaka
from qsynapse_jax.training.rules._trains import PulseTrains as PulseTrains
from qsynapse_jax.training.rules._weighted_synapse import WeightedSynapse as WeightedSynapse
