"""`print` of what a user constructs or receives: a few lines of values with units, large arrays by shape and range."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import qsynapse_jax as qs
from tests.cells import zoo as cells
from tests.crossbar import zoo as solvers
from tests.devices import zoo as devices
from tests.nn import zoo as layers
from tests.programming import zoo as schemes

C, D, P, T, R, S = qs.crossbar, qs.devices, qs.programming, qs.training, qs.training.rules, qs.studies
KEY = jax.random.key(0)
G = jnp.linspace(1e-6, 1e-4, 12).reshape(3, 4)
YES = G > 5e-5
COUNTS = jnp.arange(12).reshape(3, 4)
WIRES = C.Wires(r_word=1.0, r_bit=2.0)
EPOCHS = [T.Epoch(1, 1.0, 0.5), T.Epoch(2, 0.5, 0.9)]
SPREAD = "(3, 4) from 1 uS to 100 uS"
NO = D.Trace.zeros((3, 4))
DISTURBED = P.Disturbance(COUNTS, COUNTS, G, -G)
LADDER = qs.cells.Ladder(2, 80e3, 5e3, 1e6)
TILE = qs.tile.Tile(qs.cells.Differential(LADDER), wires=WIRES, shape=(8, 8))


def point(p: Any) -> dict[str, Any]:
    """A study of a user."""
    return {"total": p.r_word + p.r_bit}


def solved() -> qs.crossbar.Solution:
    return C.solve(G, jnp.full(3, 0.2), WIRES)


def started() -> qs.training.State:
    return T.init(qs.nn.mlp((4, 3, 2), rngs=nnx.Rngs(0)), optax.adam(1e-3), key=KEY)


# What it is, and what its print says among other things. Devices, cells, solvers and layers come from the tests' lists.
OBJECTS: dict[str, tuple[Any, str]] = {
    "wires": (lambda: WIRES, "r_word=1 ohm, r_bit=2 ohm"),
    "SourceLines": (lambda: C.SourceLines(r_source=3.0), "r_source=3 ohm"),
    "Ohmic": (C.Ohmic, "Ohmic()"),
    "Sinh": (lambda: C.Sinh(3.0), "k=3 1/V"),
    "Series": (lambda: C.Series(1e3), "1 kohm"),
    "Polynomial": (lambda: C.Polynomial((1.0, 0.5)), "Polynomial("),
    "Solution": (solved, "3 x 4 cells: largest drop"),
    "Stats": (lambda: solved().stats, "solves=1"),
    "FollowError": (lambda: C.FollowError(jnp.asarray(0.1), jnp.asarray(0.2)), "value=0.1, slope=0.2"),
    "Exposure": (lambda: D.Exposure(jnp.asarray(0.5), jnp.asarray(1e-7), jnp.asarray(10)), "500 mV"),
    "Pulse": (lambda: D.Pulse(jnp.asarray(1.5), jnp.asarray(1e-7)), "v=1.5 V, width=100 ns"),
    "Trace": (lambda: NO, "energy=(3, 4), all 0 J, success=(3, 4), 12 of 12 true"),
    "PulseTable": (lambda: D.PulseTable(np.linspace(1e-6, 9e-6, 9), np.linspace(9e-6, 1e-6, 9)), "1 uS to 9 uS"),
    "Retention": (lambda: devices.DRIFT, "activation_energy=1.1 eV"),
    "Bands": (lambda: P.Bands(G, G), f"Bands(low={SPREAD}, high={SPREAD})"),
    "Disturbance": (lambda: DISTURBED, f"ups=(3, 4) from 0 to 11, downs=(3, 4) from 0 to 11, g_up={SPREAD}"),
    "Compensated": (lambda: P.Compensated(G, 0 * G, YES), f"g={SPREAD}"),
    "PatternReads": (lambda: P.PatternReads(G, G, NO), f"effective={SPREAD}"),
    "ColumnWrite": (
        lambda: P.ColumnWrite(G, YES, NO, COUNTS[0], jnp.asarray(3), jnp.asarray(2e-3)),
        "reads=[0, 1, 2, 3], rounds=3, time=2 ms",
    ),
    "Residual": (lambda: P.Residual({"g": G[None]}, G[None], jnp.ones(1), G, G[None]), "scales=[1]"),
    "HalfBias": (lambda: P.HalfBias(2.0, 1e-7), "HalfBias(v=2 V, width=100 ns)"),
    "ADC": (lambda: qs.periphery.ADC(6, 0.2, 1e4), "r_ref=10 kohm"),
    "DAC": (lambda: qs.periphery.DAC(4), "DAC(bits=4, v_max=200 mV)"),
    "Tile": (lambda: TILE, "wires=Wires(r_word=1 ohm"),
    "TileState": (lambda: TILE.init((4, 4), key=KEY), "TileState(devices="),
    "Linearity": (lambda: qs.cells.linearity(LADDER), "LSB"),
    "Metal": (lambda: qs.cost.Metal(1.7e-8, 1e-7, 5e-8), "spacing=50 nm"),
    "Priorities": (qs.codesign.Priorities, "error=1"),
    "Bounded": (lambda: qs.codesign.Bounded(8e3, 1e3, 1e5), "Bounded("),
    "Outer": (lambda: qs.nn.Outer(G, G), "Outer(x=(3, 4) from 1e-06 to 0.0001"),
    "Metrics": (lambda: qs.training.Metrics(jnp.linspace(1, 2, 20)), "losses=(20,) from 1 to 2"),
    "Epoch": (lambda: EPOCHS[0], "Epoch(number=1, loss=1.0"),
    "Follow": (T.Follow, "tolerance=0.01"),
    "State": (started, "parameters=4 arrays of 23 numbers"),
    "AGAD": (lambda: R.AGAD(0.1), "AGAD("),
    "PulseTrains": (R.PulseTrains, "PulseTrains("),
    "Pulses": (lambda: R.Pulses(*np.ones((6, 20), np.int32), 20), "time=(20,), all 1, "),
    "Dataset": (lambda: qs.datasets.load("digits"), "x_train=(1297, 64) from 0 to 1, "),
    "Study": (lambda: qs.sweep.Study(point, lambda: WIRES), "function=point"),
    "Plan": (lambda: qs.sweep.grid(qs.sweep.Study(point, lambda: WIRES), r_word=[1.0, 2.0]), "Plan("),
    "Span": (lambda: qs.sweep.Span("1 ohm", "1 kohm", 5), "Span(low='1 ohm'"),
    "Labelled": (lambda: qs.sweep.Labelled(G, ("wl", "bl"), "S", "of cells"), f"{SPREAD}, dims=(wl, bl), of cells"),
    "Check": (lambda: qs.sweep.Check(YES, "wrong"), "failed=(3, 4), 6 of 12 true"),
    "Record": (
        lambda: S.Record("x", {}, (0, 1), 12.5, [], data={"g": np.asarray(G)}, versions={}, device="CPU"),
        f"data={{g: {SPREAD.replace('1 uS', '1e-06').replace('100 uS', '0.0001')}}}",
    ),
    "Claim": (lambda: S.claim("inl", "LSB", 0.25), "unit='LSB'"),
    "TextTable": (lambda: S.TextTable("A table", ["x"], [["1"]] * 300), ", 292 more]"),
    "NetworkResult": (
        lambda: S.NetworkResult(
            S.NetworkConfig.demo(0), "64-10", 100, {"float": 97.0}, {"float": EPOCHS}, views={"v": np.asarray(G)}
        ),
        "accuracies={float: 97.0}",
    ),
    "CodesignConfig": (S.CodesignConfig, "CodesignConfig("),
}
OBJECTS |= {f"device {case.name}": (case.build, case.shown) for case in devices.DEVICES}
OBJECTS |= {
    f"state of {case.name}": (lambda case=case: case.build().init((3, 4), key=KEY), "State(")
    for case in devices.DEVICES
}


OBJECTS |= {f"cell {case.name}": (case.build, "(") for case in cells.CELLS}
OBJECTS |= {f"solver {solver}": (lambda solver=solver: solver, type(solver).__name__) for solver in solvers.SOLVERS}
OBJECTS |= {f"scheme {number}": (lambda one=one: one, type(one).__name__) for number, one in enumerate(schemes.SCHEMES)}


def on_crossbars(case: Any) -> Any:
    return qs.nn.convert(case.build(nnx.Rngs(0)), TILE)


OBJECTS |= {
    f"layer {case.name}": (lambda case=case: on_crossbars(case), "kernel=MasterKernel(") for case in layers.LAYERS
}


def fine(text: str) -> None:
    """What holds for every print."""
    assert 0 < len(text.splitlines()) <= 4, text
    assert len(text) < 2500, text
    for wrong in ("Array(", "array(", "dtype(", ", dtype=", " at 0x", "f32[", "f64[", "float32[", "ShapeDtype", "\x1b"):
        assert wrong not in text, f"{wrong!r} in {text}"
    # No number has more digits than anybody reads.
    assert not re.search(r"\d\.\d{7}", text), text


@pytest.mark.filterwarnings("ignore:A ladder R, 2R, 4R")  # of a cell of the list whose switches are poor
@pytest.mark.parametrize("name", OBJECTS)
def test_it_prints_its_values_in_a_few_lines(name):
    build, said = OBJECTS[name]
    text = repr(build())
    fine(text)
    assert said in text
