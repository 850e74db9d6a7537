"""Physical parameters found by gradient: resistors, references and wires through cell, circuit and network."""

from qsynapse_jax.codesign._ladder import LadderTask as LadderTask
from qsynapse_jax.codesign._ladder import Priorities as Priorities
from qsynapse_jax.codesign._ladder import design_ladder as design_ladder
from qsynapse_jax.codesign._ladder import ladder_figures as ladder_figures
from qsynapse_jax.codesign._ladder import tile_levels as tile_levels
from qsynapse_jax.codesign._optimize import Bounded as Bounded
from qsynapse_jax.codesign._optimize import optimize as optimize
from qsynapse_jax.codesign._optimize import pareto_front as pareto_front
from qsynapse_jax.codesign._resistors import SERIES as SERIES
from qsynapse_jax.codesign._resistors import binary_weighted as binary_weighted
from qsynapse_jax.codesign._resistors import to_increment as to_increment
from qsynapse_jax.codesign._resistors import to_series as to_series
