"""Kirchhoff's equations of a resistive crossbar: conductances, wires and voltages in, currents out."""

from qsynapse_jax.crossbar._auto import Auto as Auto
from qsynapse_jax.crossbar._circuit_file import Circuit as Circuit
from qsynapse_jax.crossbar._circuit_file import read_circuit as read_circuit
from qsynapse_jax.crossbar._conjugate_gradient import ConjugateGradient as ConjugateGradient
from qsynapse_jax.crossbar._effective import certify as certify
from qsynapse_jax.crossbar._effective import effective_conductance as effective_conductance
from qsynapse_jax.crossbar._elimination import Elimination as Elimination
from qsynapse_jax.crossbar._gated import solve_gated as solve_gated
from qsynapse_jax.crossbar._interleave import interleave as interleave
from qsynapse_jax.crossbar._laws import AbstractLaw as AbstractLaw
from qsynapse_jax.crossbar._laws import Law as Law
from qsynapse_jax.crossbar._laws import Ohmic as Ohmic
from qsynapse_jax.crossbar._laws import Polynomial as Polynomial
from qsynapse_jax.crossbar._laws import Series as Series
from qsynapse_jax.crossbar._laws import Sinh as Sinh
from qsynapse_jax.crossbar._modal import Modal as Modal
from qsynapse_jax.crossbar._result import RESULTS as RESULTS
from qsynapse_jax.crossbar._result import ConvergenceError as ConvergenceError
from qsynapse_jax.crossbar._result import Stats as Stats
from qsynapse_jax.crossbar._solve import Solution as Solution
from qsynapse_jax.crossbar._solve import solve as solve
from qsynapse_jax.crossbar._solver import AbstractSolver as AbstractSolver
from qsynapse_jax.crossbar._source_lines import SourceLines as SourceLines
from qsynapse_jax.crossbar._spice import to_spice as to_spice
from qsynapse_jax.crossbar._wires import Wires as Wires
