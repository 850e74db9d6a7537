"""Pictures of what studies found: functions from arrays to a Matplotlib figure, which is imported when one is drawn."""

from qsynapse_jax.plot._circuit import crossbar as crossbar
from qsynapse_jax.plot._circuit import currents as currents
from qsynapse_jax.plot._in_place import pulse_response as pulse_response
from qsynapse_jax.plot._in_place import weight_histograms as weight_histograms
from qsynapse_jax.plot._levels import conductance_map as conductance_map
from qsynapse_jax.plot._levels import error_histogram as error_histogram
from qsynapse_jax.plot._levels import noise_traces as noise_traces
from qsynapse_jax.plot._levels import pulse_counts as pulse_counts
from qsynapse_jax.plot._levels import staircase as staircase
from qsynapse_jax.plot._pictures import accuracy as accuracy
from qsynapse_jax.plot._pictures import effective_weights as effective_weights
from qsynapse_jax.plot._pictures import front as front
from qsynapse_jax.plot._pictures import heat_map as heat_map
from qsynapse_jax.plot._pictures import ir_drop as ir_drop
from qsynapse_jax.plot._pictures import levels_and_resistors as levels_and_resistors
from qsynapse_jax.plot._pictures import new_figure as new_figure
from qsynapse_jax.plot._pictures import points_by_design as points_by_design
from qsynapse_jax.plot._pictures import pulse_fit as pulse_fit
from qsynapse_jax.plot._pictures import retention as retention
from qsynapse_jax.plot._pictures import speed_up as speed_up
