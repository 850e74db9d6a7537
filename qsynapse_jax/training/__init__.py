"""Training of any NNX model: state, epochs as one compiled loop, checkpoints, in-place rules."""

from qsynapse_jax.training import rules as rules
from qsynapse_jax.training._checkpoint import restore as restore
from qsynapse_jax.training._checkpoint import save as save
from qsynapse_jax.training._decay import Decaying as Decaying
from qsynapse_jax.training._decay import sgd as sgd
from qsynapse_jax.training._epoch import Metrics as Metrics
from qsynapse_jax.training._epoch import epoch as epoch
from qsynapse_jax.training._epoch import pulses as pulses
from qsynapse_jax.training._epoch import step as step
from qsynapse_jax.training._fit import Epoch as Epoch
from qsynapse_jax.training._fit import fit as fit
from qsynapse_jax.training._follow import Follow as Follow
from qsynapse_jax.training._log import CsvLog as CsvLog
from qsynapse_jax.training._loop import DivergedError as DivergedError
from qsynapse_jax.training._loop import descend as descend
from qsynapse_jax.training._measures import accuracy as accuracy
from qsynapse_jax.training._measures import cross_entropy as cross_entropy
from qsynapse_jax.training._state import State as State
from qsynapse_jax.training._state import init as init
from qsynapse_jax.training._state import model as model
