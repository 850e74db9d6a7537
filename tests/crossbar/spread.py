"""Runs in processes of its own, started by `test_devices.py`: how many devices JAX has is fixed when it starts.

`four DIRECTORY` and `uneven DIRECTORY` solve on four simulated devices, `process DIRECTORY NUMBER PORT` is one of two
processes that solve together. Results go into the directory.
"""

import json
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import qsynapse_jax as qs
from tests.crossbar.problems import random_cells, random_volts

SHAPE = (16, 32)
ARRAYS = 4
INPUTS = 64
G = random_cells((ARRAYS, *SHAPE), seed=70).astype(np.float32)
V = random_volts((ARRAYS, SHAPE[0]), seed=71).astype(np.float32)
# As they are made by a production line: every segment of the word lines another one.
UNEVEN = random_cells(SHAPE, seed=72, low=0.5, high=2.0).astype(np.float32)
OHMS = {"r_word": 1.0, "r_bit": 2.0, "r_driver": 5.0, "r_sense": 3.0}

_COLLECTIVE = (
    r"= (.*) (all-reduce|all-gather|reduce-scatter|collective-permute|all-to-all|collective-broadcast)(-start)?\("
)


def collectives(hlo):
    """What the devices exchange: [operation, shape] for every array of every collective of a compiled program."""
    found = []
    for line in hlo.splitlines():
        match = re.search(_COLLECTIVE, line)
        if match:
            shapes = re.findall(r"\w+\[([\d,]*)\]", match[1])
            found += [[match[2], [int(n) for n in shape.split(",") if n]] for shape in shapes]
    return found


def solve(g, v_in, wires):
    """Currents of the bit lines, and of every cell."""
    sol = qs.crossbar.solve(g, v_in, wires, throw=False)
    return sol.i_out, sol.i_cell


def nonlinear(g, v_in, wires):
    """Of cells with a threshold, behind wires that are all different."""
    sol = qs.crossbar.solve(g, v_in, wires, law=qs.crossbar.Sinh(3.0), throw=False)
    return sol.i_out, sol.i_cell


def with_gradient(g, v_in, wires):
    """The same as `solve`, and the derivative of the output power."""

    def loss(g, v_in, wires):
        currents = solve(g, v_in, wires)
        return jnp.sum((1e3 * currents[0]) ** 2), currents

    gradient, currents = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(g, v_in, wires)
    return *currents, *jax.tree.leaves(gradient)


def uneven_wires(r_word):
    """Wires with a value for every segment of the word lines."""
    return qs.crossbar.Wires(r_word=r_word, r_bit=2.0, r_driver=5.0, r_driver_far=7.0)


def compared(function, arguments, alone):
    """Compiles and calls `function`, and tells what it exchanged, how far it is off, and what one device holds."""
    compiled = jax.jit(function).lower(*arguments).compile()
    results = compiled(*arguments)
    return {
        "collectives": collectives(compiled.as_text()),
        "errors": [float(np.abs(x - y).max() / np.abs(y).max()) for x, y in zip(results, alone, strict=True)],
        "shards": [list(x.addressable_shards[0].data.shape) for x in results],
    }


def spread(x, specification):
    """An array on four devices, in a line or two by two."""
    axes = {name for names in specification for name in ([names] if isinstance(names, str) else names or [])}
    devices = np.array(jax.devices())
    assert devices.size == 4
    mesh = Mesh(devices.reshape(2, 2), ("a", "b")) if axes <= {"a", "b"} else Mesh(devices, "all")
    return jax.device_put(x, NamedSharding(mesh, P(*specification)))


def four(directory):
    """An array by blocks, with its gradient, a batch of arrays, and many inputs of one."""
    wires = qs.crossbar.Wires(**OHMS)
    alone = [jax.jit(with_gradient)(g, v_in, wires) for g, v_in in zip(G, V, strict=True)]
    together = [np.stack(x) for x in zip(*(x[:2] for x in alone), strict=True)]
    blocks = (spread(G[0], ("a", "b")), spread(V[0], "a"), wires)
    batch = (spread(G, ("all",)), spread(V, ("all",)), wires)
    inputs = random_volts((INPUTS, SHAPE[0]), seed=73).astype(np.float32)
    # What a gathered array would look like.
    whole = NamedSharding(batch[0].sharding.mesh, P())
    gather = jax.jit(lambda g: 2 * g, out_shardings=whole).lower(spread(G[0], ("all",))).compile()
    report = {
        "blocks": compared(with_gradient, blocks, alone[0]),
        "batch": compared(jax.vmap(solve, in_axes=(0, 0, None)), batch, together),
        "inputs": compared(solve, (G[0], spread(inputs, ("all",)), wires), jax.jit(solve)(G[0], inputs, wires)),
        "gathered": {"collectives": collectives(gather.as_text())},
    }
    (directory / "four.json").write_text(json.dumps(report))


def uneven(directory):
    """An array of nonlinear cells behind uneven wires, by blocks."""
    alone = jax.jit(nonlinear)(G[0], V[0], uneven_wires(UNEVEN))
    blocks = (spread(G[0], ("a", "b")), spread(V[0], "a"), uneven_wires(spread(UNEVEN, ("a", "b"))))
    (directory / "uneven.json").write_text(json.dumps(compared(nonlinear, blocks, alone)))


def process(directory, number, port):
    """One of two processes, each with half of the rows of an array, then with half of a batch of arrays."""
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, number, initialization_timeout=60)
    assert (jax.process_count(), jax.device_count(), jax.local_device_count()) == (2, 2, 1)
    half = NamedSharding(Mesh(np.array(jax.devices()), "a"), P("a"))
    # Left to itself the compiler may as well leave half of the currents in each process.
    whole = NamedSharding(half.mesh, P())

    wires = qs.crossbar.Wires(**OHMS)

    def mine(x):
        return jax.make_array_from_callback(x.shape, half, lambda index: x[index])

    compiled = jax.jit(solve, out_shardings=(whole, half)).lower(mine(G[0]), mine(V[0]), wires).compile()
    (directory / f"process{number}.json").write_text(json.dumps(collectives(compiled.as_text())))
    i_out, i_cell = compiled(mine(G[0]), mine(V[0]), wires)
    batch, _ = jax.jit(jax.vmap(solve, in_axes=(0, 0, None)))(mine(G), mine(V), wires)
    local = {name: x.addressable_data(0) for name, x in (("i_out", i_out), ("i_cell", i_cell), ("batch", batch))}
    np.savez(directory / f"process{number}.npz", **local)


if __name__ == "__main__":
    what, directory, *rest = sys.argv[1:]
    {"four": four, "uneven": uneven, "process": process}[what](Path(directory), *map(int, rest))
