"""Kirchhoff's equations of a resistive crossbar: conductances, wires and voltages in, currents out."""

from qsynapse_jax.crossbar._effective import effective_conductance as effective_conductance
from qsynapse_jax.crossbar._result import RESULTS as RESULTS
from qsynapse_jax.crossbar._result import ConvergenceError as ConvergenceError
from qsynapse_jax.crossbar._result import Stats as Stats
from qsynapse_jax.crossbar._solve import Solution as Solution
from qsynapse_jax.crossbar._solve import solve as solve
from qsynapse_jax.crossbar._wires import Wires as Wires
