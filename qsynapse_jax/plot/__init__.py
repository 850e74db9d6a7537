"""Pictures: functions that draw arrays in SI units into Matplotlib axes, which are imported when one is drawn.

Every picture takes `ax=`, axes to draw into, and `title=`, and returns the axes; `axes.figure` is what is saved or
shown. `pictures` draws all those of a study.
"""

from qsynapse_jax.plot._axes import new_figure as new_figure
from qsynapse_jax.plot._circuit import crossbar as crossbar
from qsynapse_jax.plot._circuit import currents as currents
from qsynapse_jax.plot._circuit import effective_weights as effective_weights
from qsynapse_jax.plot._devices import pulse_fit as pulse_fit
from qsynapse_jax.plot._devices import pulse_response as pulse_response
from qsynapse_jax.plot._devices import staircase as staircase
from qsynapse_jax.plot._devices import weight_histogram as weight_histogram
from qsynapse_jax.plot._pictures import pictures as pictures
from qsynapse_jax.plot._results import accuracy as accuracy
from qsynapse_jax.plot._results import front as front
from qsynapse_jax.plot._results import heat_map as heat_map
