"""Sweeps: any study at many points, compiled once per shape, in a labelled store that no interruption harms.

study = sweep.Study(my_function, MyPoint)               # an equinox.Module: its fields are the axes
plan = sweep.grid(study, r_wire=sweep.Span("0.35 ohm", "10 ohm", 8, log=True), seed=range(3))
ds = sweep.run(plan, "runs/wires")                      # an xarray.Dataset
"""

from qsynapse_jax.sweep._axes import Axis as Axis
from qsynapse_jax.sweep._files import read_plan as read_plan
from qsynapse_jax.sweep._plan import Plan as Plan
from qsynapse_jax.sweep._plan import Span as Span
from qsynapse_jax.sweep._plan import grid as grid
from qsynapse_jax.sweep._plan import random as random
from qsynapse_jax.sweep._plan import table as table
from qsynapse_jax.sweep._read import open as open
from qsynapse_jax.sweep._run import Progress as Progress
from qsynapse_jax.sweep._run import run as run
from qsynapse_jax.sweep._study import Check as Check
from qsynapse_jax.sweep._study import Labelled as Labelled
from qsynapse_jax.sweep._study import Study as Study
