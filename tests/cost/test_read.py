"""Where the energy of a read goes: by the law of Joule, resistor by resistor, and by ngspice."""

import re
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs

Wires, solve = qs.crossbar.Wires, qs.crossbar.solve
pytestmark = pytest.mark.usefixtures("x64")

PARTS = ("cells", "word_lines", "bit_lines", "periphery")
WIRES = {
    "uniform": lambda: Wires(2.0, 3.0, 5.0, 7.0),
    "ideal": lambda: Wires(),
    "tapered, a driver for each line": lambda: Wires(jnp.linspace(1, 9, 5), 3.0, jnp.linspace(0, 50, 6), 0.0),
    "both ends": lambda: Wires(2.0, 3.0, 5.0, 7.0, 11.0, 13.0),
    "a line that floats": lambda: Wires(2.0, 3.0, jnp.array([5.0, jnp.inf, 5.0, 5.0, 5.0, 5.0]), 7.0),
}


def circuit(wires, cell=None, seed=0):
    random = np.random.default_rng(seed)
    g = jnp.asarray(random.uniform(1e-6, 1e-3, (6, 5)))
    v_in, v_out = jnp.asarray(random.uniform(-0.3, 0.3, 6)), jnp.asarray(random.uniform(-0.1, 0.1, 5))
    options = {} if cell is None else {"law": cell}
    return g, v_in, v_out, solve(g, v_in, wires, v_out=v_out, **options)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind in ("uniform", "ideal") else []) for kind in WIRES]
)
@pytest.mark.parametrize(
    "cell",
    [pytest.param(None, id="ohmic"), pytest.param(qs.crossbar.Sinh(3.0), id="sinh", marks=pytest.mark.slow)],
)
def test_what_the_sources_deliver_is_what_the_parts_dissipate(kind, cell):
    wires = WIRES[kind]()
    _, v_in, v_out, sol = circuit(wires, cell)
    power = qs.cost.read_power(sol, v_in, wires, v_out=v_out)
    delivered = float(v_in @ sol.i_in - v_out @ sol.i_out)
    assert float(power.total) == pytest.approx(delivered, rel=1e-10)
    assert all(float(getattr(power, part)) >= -1e-18 for part in PARTS)


def test_joule_by_hand():
    """One cell in series with everything: each resistor takes r i^2."""
    wires = Wires(r_word=2.0, r_bit=3.0, r_driver=5.0, r_sense=7.0)
    v_in = jnp.array([0.5])
    power = qs.cost.read_power(solve(jnp.array([[1e-2]]), v_in, wires), v_in, wires)
    i = 0.5 / (100 + 17)
    expected = {"cells": 100, "word_lines": 2, "bit_lines": 3, "periphery": 12}
    for part, r in expected.items():
        assert float(getattr(power, part)) == pytest.approx(r * i**2, rel=1e-10)


def test_batches_are_read_one_by_one():
    wires = WIRES["uniform"]()
    g, v_in, *_ = circuit(wires)
    batch = jnp.stack([v_in, 2 * v_in])
    power = qs.cost.read_power(solve(g, batch, wires), batch, wires)
    np.testing.assert_allclose(power.total[1], 4 * power.total[0], rtol=1e-10)


def test_energy_adds_conversions_and_time():
    wires = WIRES["uniform"]()
    g, v_in, *_ = circuit(wires)
    sol = solve(g, v_in, wires)
    power = qs.cost.read_power(sol, v_in, wires)
    energy = qs.cost.read_energy(sol, v_in, wires, t_read=1e-8, e_dac=1e-13, e_adc=2e-12)
    assert float(energy.total) == pytest.approx(1e-8 * float(power.total) + 6e-13 + 1e-11, rel=1e-10)
    assert float(energy.cells) == pytest.approx(1e-8 * float(power.cells), rel=1e-12)


def test_its_gradient_in_cells_and_wires():
    wires = WIRES["uniform"]()
    g, v_in, *_ = circuit(wires)

    def lost(g, r_word):
        changed = Wires(r_word, 3.0, 5.0, 7.0)
        return qs.cost.read_power(solve(g, v_in, changed), v_in, changed).wires

    slope_g, slope_r = jax.jit(jax.grad(lost, (0, 1)))(g, jnp.asarray(2.0))
    step = 1e-4
    by_r = (lost(g, jnp.asarray(2 + step)) - lost(g, jnp.asarray(2 - step))) / (2 * step)
    assert float(slope_r) == pytest.approx(float(by_r), rel=1e-6)
    direction = jnp.asarray(np.random.default_rng(1).uniform(-1e-8, 1e-8, g.shape))
    by_g = (lost(g + direction, jnp.asarray(2.0)) - lost(g - direction, jnp.asarray(2.0))) / 2
    assert float(jnp.sum(slope_g * direction)) == pytest.approx(float(by_g), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v_in": jnp.ones(5)}, "shape it was solved with"),
        ({"t_read": 0.0}, "`t_read` must be positive"),
        ({"t_read": -1e-9}, "`t_read` must be positive"),
        ({"e_adc": -1.0}, "`e_adc` must be non-negative"),
    ],
)
def test_wrong_use(change, message):
    wires = WIRES["uniform"]()
    _, v_in, _, sol = circuit(wires)
    with pytest.raises(ValueError, match=message):
        qs.cost.read_energy(sol, **({"v_in": v_in, "wires": wires, "t_read": 1e-8} | change))


@pytest.mark.ngspice
@pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not installed (apt install ngspice)")
@pytest.mark.parametrize("kind", ["uniform", "tapered, a driver for each line", "both ends"])
def test_ngspice_integrates_v_times_i_to_the_same(kind, tmp_path):
    """Over the whole netlist, part by part: resistors by the letter of their name, for 10 ns."""
    wires, t_read = WIRES[kind](), 1e-8
    g, v_in, v_out, sol = circuit(wires)
    path = qs.crossbar.to_spice(g, v_in, wires, path=tmp_path / "array.cir", v_out=v_out)
    text = path.read_text()
    resistors = re.findall(r"^(R(\w)\S*) (\S+) (\S+) (\S+)$", text, re.MULTILINE)
    # Rc cells, Rw and Rb segments, Rt and Rx near ends, Ry and Rz far ends: those count as wires.
    parts = {"c": "cells", "w": "word", "b": "bit", "t": "periphery", "x": "periphery"}
    sums = {}
    for name, letter, *_ in resistors:
        sums.setdefault(parts.get(letter, letter), []).append(f"@{name.lower()}[p]")
    commands = ["set numdgt=15", f"tran {t_read / 20} {t_read}"]
    saved = [f".save {power}" for powers in sums.values() for power in powers]
    for part, powers in sums.items():
        commands += [
            f"let p_{part} = {' + '.join(powers)}",
            f"let e_{part} = integ(p_{part})",
            f"print e_{part}[length(e_{part})-1]",
        ]
    head, tail = text.split(".control")
    path.write_text(
        head + "\n".join(saved) + "\n.control\n" + "\n".join([*commands, "quit"]) + "\n.endc" + tail.split(".endc")[1]
    )
    run = subprocess.run(["ngspice", "-b", str(path)], capture_output=True, text=True, timeout=60, check=False)
    found = {part: float(x) for part, x in re.findall(r"e_(\w+)\[\S+ = (\S+)", run.stdout)}
    energy = qs.cost.read_power(sol, v_in, wires, v_out=v_out)
    assert found.keys() == sums.keys(), run.stdout + run.stderr
    whole = sum(found.values())
    assert whole == pytest.approx(t_read * float(energy.total), rel=1e-8)
    assert found["cells"] == pytest.approx(t_read * float(energy.cells), rel=1e-8)
    assert found.get("periphery", 0) == pytest.approx(t_read * float(energy.periphery), rel=1e-8, abs=1e-8 * whole)
