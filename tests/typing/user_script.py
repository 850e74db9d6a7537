"""What a user writes, as a type checker in its strict mode sees it; also run, so that it stays true."""

import jax
import numpy as np
import optax
from flax import nnx

import qsynapse_jax as qs

# A circuit.
g = np.full((8, 8), 1e-5, np.float32)
wires = qs.crossbar.Wires(r_word=1.0, r_bit=1.0, r_driver_far=2.0)
solution = qs.crossbar.solve(g, np.full(8, 0.2, np.float32), wires)
currents: jax.Array = solution.i_out
drop = float((0.2 - solution.v_cell).max())
matrix: jax.Array = qs.crossbar.effective_conductance(g, wires)
r_word: jax.Array = wires.r_word
far: jax.Array | None = wires.r_driver_far

# Cells, devices, a tile.
cell = qs.cells.Differential(qs.cells.Ladder(3, r_unit=80e3, r_on=5e3, r_off=1e6))
codes: jax.Array = cell.encode(jax.random.uniform(jax.random.key(0), (4, 3), minval=-1.0))
tile = qs.tile.Tile(cell, wires=qs.crossbar.Wires(1.0, 1.0), device=qs.devices.digital_switch(), shape=(8, 8))
hardware = tile.init((4, 3), key=jax.random.key(1))
hardware, trace = tile.program(hardware, codes, key=jax.random.key(2))
energy: jax.Array = trace.energy
outputs: jax.Array = tile.read(hardware, jax.random.normal(jax.random.key(3), (2, 4)))
older: qs.tile.TileState = tile.age(hardware, 3.15e7, 300.0)

# A network, converted and trained.
layer = qs.nn.CrossbarDense(4, 3, tile=tile, rngs=nnx.Rngs(0))
network = qs.nn.convert(qs.nn.mlp((4, 6, 3), rngs=nnx.Rngs(1)), tile)
x, y = np.ones((16, 4), np.float32), np.zeros(16, np.int32)
state = qs.training.init(network, optax.adam(1e-3), key=jax.random.key(4))
state, metrics = qs.training.epoch(state, x, y, batch_size=8)
loss: jax.Array = metrics.loss
written = qs.nn.program(qs.training.model(state), key=jax.random.key(5))
score: jax.Array = qs.training.accuracy(qs.nn.freeze(written), x, y)
