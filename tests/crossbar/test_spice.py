"""Netlists: what they say, what is refused, and that ngspice finds in them the currents of `solve`."""

import re
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qsynapse_jax as qs
from tests.crossbar.problems import random_cells, random_volts
from tests.unchecked import unchecked

Wires, to_spice = qs.crossbar.Wires, qs.crossbar.to_spice
x64 = pytest.mark.usefixtures("x64")
ngspice = pytest.mark.ngspice
needs_ngspice = pytest.mark.skipif(
    shutil.which("ngspice") is None, reason="ngspice is not installed (Debian, Ubuntu: apt install ngspice)"
)
G = np.array([[1e-3, 2e-3], [4e-3, 5e-3]])
V = np.array([0.5, -0.25])


def elements(path):
    """Name to the rest of the line, of every element of a netlist."""
    lines = [line for line in path.read_text().splitlines()[1:] if line[:1] in "RVB"]
    named = dict(line.split(" ", 1) for line in lines)
    assert len(named) == len(lines), "a name is used twice"
    return named


def netlist(path, g=G, v_in=V, wires=None, law=None, **options):
    return elements(to_spice(g, v_in, wires or Wires(), law, path / "array.cir", **options))


@x64
def test_a_cell_in_series(tmp_path):
    wires = Wires(r_word=2.0, r_bit=3.0, r_driver=5.0, r_sense=7.0)
    assert netlist(tmp_path, G[:1, :1], V[:1], wires, v_out=np.array([0.1])) == {
        "Vs0": "s0 0 DC 0.5",
        "Rt0": "s0 t0 5.0",
        "Rw0_0": "t0 w0_0 2.0",
        "Vm0": "m0 0 DC 0.1",
        "Rx0": "m0 x0 7.0",
        "Rb0_0": "x0 b0_0 3.0",
        "Rc0_0": "w0_0 b0_0 1000.0",
    }


@x64
def test_drivers_are_left_of_bit_line_0_and_terminals_below_the_last_word_line(tmp_path):
    found = netlist(tmp_path, wires=Wires(r_word=np.array([1.0, 2.0]), r_bit=np.array([3.0, 4.0])))
    assert (found["Rw0_0"], found["Rw0_1"]) == ("s0 w0_0 1.0", "w0_0 w0_1 2.0")
    assert (found["Rb1_0"], found["Rb0_0"]) == ("m0 b1_0 4.0", "b1_0 b0_0 3.0")
    assert found["Rc0_1"] == "w0_1 b0_1 500.0"


# Wires that leave nothing but sources and cells: a loop of two sources in any of them would be singular.
IDEAL = {
    "all ideal": {},
    "far ends ideal too": {"r_driver_far": 0.0, "r_sense_far": 0.0},
    "far ends connected": {"r_driver_far": 3.0, "r_sense_far": 3.0},
    "one resistor, in a loop": {
        "r_word": np.array([0.0, 2.0]),
        "r_driver_far": 0.0,
        "r_sense": 1.0,
        "r_sense_far": 0.0,
    },
}


@x64
@pytest.mark.parametrize("wires", IDEAL)
def test_nodes_at_the_ends_of_an_ideal_wire_are_one(tmp_path, wires):
    assert netlist(tmp_path, wires=Wires(**IDEAL[wires])) == {
        **{"Vs0": "s0 0 DC 0.5", "Vs1": "s1 0 DC -0.25", "Vm0": "m0 0 DC 0.0", "Vm1": "m1 0 DC 0.0"},
        **{"Rc0_0": "s0 m0 1000.0", "Rc0_1": "s0 m1 500.0", "Rc1_0": "s1 m0 250.0", "Rc1_1": "s1 m1 200.0"},
    }


@x64
def test_an_ideal_segment_joins_its_neighbours_and_an_ideal_far_end_the_source(tmp_path):
    g = np.full((1, 4), 1e-3)
    wires = Wires(r_word=np.array([1.0, 0.0, 2.0, 0.0]), r_driver_far=0.0)
    found = netlist(tmp_path, g, V[:1], wires)
    cells = [found[f"Rc0_{j}"].split()[0] for j in range(4)]
    assert cells == ["w0_0", "w0_0", "s0", "s0"]
    assert (found["Rw0_0"], found["Rw0_2"]) == ("s0 w0_0 1.0", "w0_0 s0 2.0")
    assert {name for name in found if name[0] == "V"} == {"Vs0", "Vm0", "Vm1", "Vm2", "Vm3"}


@x64
def test_laws_in_the_language_of_spice(tmp_path):
    g = np.array([[1e-3, 0.0], [2e-3, 4e-3]])
    k, r = jnp.asarray([[2.0, 2.0], [0.0, 4.0]]), jnp.asarray([[0.0, 1.0], [jnp.inf, 50.0]])
    laws = [qs.crossbar.Sinh(k), qs.crossbar.Series(r), qs.crossbar.Polynomial(jnp.asarray([0.5, -0.25]))]
    sinh, series, polynomial = (
        {name: one for name, one in netlist(tmp_path, g, V, law=cell).items() if name[0] != "V"} for cell in laws
    )
    assert sinh == {
        "Bc0_0": "s0 m0 I=0.0005*sinh(2.0*V(s0,m0))",
        "Rc1_0": "s1 m0 500.0",
        "Bc1_1": "s1 m1 I=0.001*sinh(4.0*V(s1,m1))",
    }
    assert series == {"Rc0_0": "s0 m0 1000.0", "Rc1_1": "s1 m1 300.0"}
    # Horner's rule and no power: in ngspice (-0.2)^2 and 0.2^2 are the same, but so are (-0.2)^3 and 0.2^3.
    assert polynomial["Bc0_0"] == "s0 m0 I=0.001*V(s0,m0)*(1.0+V(s0,m0)*(0.5+V(s0,m0)*(-0.25)))"
    assert "Bc0_1" not in polynomial
    straight = netlist(tmp_path, law=qs.crossbar.Polynomial(jnp.zeros(0)))
    assert straight["Bc0_0"] == "s0 m0 I=0.001*V(s0,m0)*(1.0)"


@x64
def test_the_header_says_what_is_what_and_what_ngspice_loses(tmp_path):
    path = to_spice(G, V, Wires(1e-3, 1e-6), path=tmp_path / "a.cir", v_out=np.array([0.0, 0.5]))
    lines = path.read_text().splitlines()
    assert lines[0].startswith("* Crossbar of 2 word lines and 2 bit lines")
    assert "* i(vm<j>), printed: current out of bit line j into its terminal [A]." in lines
    # eps * 2 word lines * 0.5 V / 1e-6 ohm
    assert any("ngspice rounds currents by 2e-10 A" in line for line in lines)
    assert "rounds" not in to_spice(G, V, Wires(1e-3, 1e-6), path=path).read_text()
    assert [line for line in lines if line.startswith("print")] == ["print i(vm0)", "print i(vm1)"]
    assert lines[-1] == ".end"


@pytest.mark.usefixtures("x32")
def test_single_precision_keeps_its_digits(tmp_path):
    found = netlist(tmp_path, G.astype(np.float32), V.astype(np.float32), Wires(r_word=0.1))
    assert np.float32(found["Rw0_0"].split()[-1]) == np.float32(0.1)
    assert 1 / float(found["Rc0_0"].split()[-1]) == pytest.approx(np.float32(1e-3), rel=1e-15)


WRONG = {
    "a batch": ({"v_in": np.stack([V, V])}, r"`v_in` must be one vector of shape \(wl,\).*with `v_in\[0\]`"),
    "too few voltages": ({"v_in": V[:1]}, r"`v_in` must have shape \(\*batch, wl\) with wl = 2"),
    "negative cell": ({"g": -G}, r"`g` must be non-negative, but g\[0, 0\] = -0.001 S"),
    "no cell": ({"g": np.zeros((0, 2))}, "`g` must have at least one cell"),
    "no array": ({"g": np.float64(1.0)}, r"`g` must have shape \(wl, bl\)"),
    "NaN": ({"v_in": np.array([0.0, np.nan])}, r"`v_in` must be finite, but v_in\[1\] = nan V"),
    "terminal at infinity": ({"v_out": np.array([0.0, np.inf])}, r"`v_out` must be finite"),
    "long terminals": ({"v_out": np.zeros(3)}, r"`v_out` must have shape \(bl,\)"),
    "wires of another array": ({"wires": Wires(r_driver=np.ones(3))}, r"`r_driver` must be a scalar or have shape"),
    "wires changed since": (
        {"wires": jax.tree.map(lambda r: -r, Wires(r_word=2.0))},
        r"`r_word` must be non-negative and finite, but r_word = -2.0 ohm",
    ),
    "any function": ({"law": qs.crossbar.Law(lambda g, v: g * v)}, r"`law` must be a law that SPICE can express"),
    "no law": ({"law": 3.0}, "`law` must be a law"),
    "k changed since": (
        {"law": jax.tree.map(lambda k: k * np.inf, qs.crossbar.Sinh(1.0))},
        "`k` of `Sinh` must be fi",
    ),
    "k of another array": ({"law": qs.crossbar.Sinh(np.ones(3))}, r"`k` of `Sinh` must be .* shape of `g`, \(2, 2\)"),
}


@x64
@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_named_and_nothing_written(tmp_path, case):
    change, message = WRONG[case]
    arguments = {"g": G, "v_in": V, "wires": Wires(), "path": tmp_path / "a.cir", **change}
    with unchecked(), pytest.raises(ValueError, match=message):
        to_spice(**arguments)
    assert not list(tmp_path.iterdir())


@x64
def test_a_subclass_is_not_taken_for_its_parent(tmp_path):
    class Diode(qs.crossbar.Ohmic):
        linear = False

        def current(self, g, v):
            return g * (jnp.exp(v) - 1)

    with pytest.raises(ValueError, match="is a `Diode`; fit a `Polynomial`"):
        to_spice(G, V, Wires(), Diode(), tmp_path / "a.cir")


@x64
def test_tracers_are_refused(tmp_path):
    def write(g):
        to_spice(g, V, Wires(), path=tmp_path / "a.cir")
        return g

    for transform, g in ((jax.jit, G), (jax.vmap, G[None])):
        with pytest.raises(ValueError, match="call it outside of `jit`, `vmap` and `grad`"):
            transform(write)(jnp.asarray(g))
    assert not list(tmp_path.iterdir())


@x64
def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.cir"
    path.write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match=r"`path` must be a file that can be written, but .*No space left on device"):
            to_spice(G, V, Wires(), path=path)
    assert path.read_text() == "mine"
    assert to_spice(G, V, Wires(), path=str(path)) == path
    assert path.read_text().startswith("* Crossbar")
    assert [one.name for one in tmp_path.iterdir()] == ["a.cir"]
    assert path.stat().st_mode & 0o777 == 0o644


@x64
def test_where_no_file_can_be_the_message_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must lie in a folder that exists.*mkdir -p .*/missing"):
        to_spice(G, V, Wires(), path=tmp_path / "missing" / "a.cir")
    with pytest.raises(OSError, match="is a folder or a device"):
        to_spice(G, V, Wires(), path=tmp_path)
    # Renamed over /dev/null it would replace the device.
    with pytest.raises(OSError, match="is a folder or a device"):
        to_spice(G, V, Wires(), path="/dev/null")


def ngspice_currents(path):
    """What ngspice prints for the bit lines."""
    done = subprocess.run(["ngspice", "-b", path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return np.array([float(i) for i in re.findall(r"^i\(vm\d+\) = (\S+)$", done.stdout, flags=re.MULTILINE)])


SHAPE = (9, 6)
rng = np.random.default_rng(11)
SEGMENTS = rng.uniform(0, 100, SHAPE)
SEGMENTS[rng.random(SHAPE) < 0.3] = 0.0
SEGMENTS[4, 1] = 1e7
BY_LINE = rng.uniform(0, 1e3, 9)
EVERYTHING = {
    "r_word": SEGMENTS,
    "r_bit": SEGMENTS[::-1, ::-1].copy(),
    "r_driver": BY_LINE,
    "r_sense": 7.0,
    "r_driver_far": BY_LINE[::-1].copy(),
    "r_sense_far": BY_LINE[:6].copy(),
}
BROKEN = {**EVERYTHING, "r_word": SEGMENTS.copy(), "r_driver": BY_LINE.copy(), "r_sense": BY_LINE[:6].copy()}
for name, place in (("r_word", (1, 3)), ("r_word", (7, 1)), ("r_driver", 2), ("r_driver", 6), ("r_sense", 5)):
    BROKEN[name][place] = np.inf
BROKEN["r_driver_far"] = np.where(np.arange(9) % 2 == 0, np.inf, BY_LINE)
SOME_OFF = np.where(rng.random(SHAPE) < 0.3, 1e9, 2e3)
SOME_OFF[3, 3] = np.inf
Sinh, Series, Polynomial = qs.crossbar.Sinh, qs.crossbar.Series, qs.crossbar.Polynomial
# Wires, law, and whether the array is half-selected.
CIRCUITS = {
    "uniform": ({"r_word": 1.0, "r_bit": 2.0, "r_driver": 3.0, "r_sense": 4.0}, None, False),
    "every segment its own": ({"r_word": SEGMENTS, "r_bit": SEGMENTS}, None, False),
    "tapered, ends by line": ({"r_word": BY_LINE[:6], "r_driver": BY_LINE, "r_sense": BY_LINE[:6]}, None, False),
    "both ends": ({"r_word": 50.0, "r_bit": 20.0, "r_driver_far": BY_LINE, "r_sense_far": 3.0}, None, False),
    "both ends, far ones of 0 ohm": ({"r_word": 5.0, "r_driver_far": 0.0, "r_sense_far": 0.0}, None, False),
    "everything": (EVERYTHING, None, True),
    "broken and floating lines": (BROKEN, None, True),
    "ideal": ({}, None, False),
    "next to ideal": ({"r_word": 1e-12, "r_bit": 1e-12}, None, False),
    "next to broken": ({"r_word": 1e9, "r_bit": 1e9}, None, False),
    "half-selected": ({"r_word": 20.0, "r_bit": 20.0}, None, True),
    "switches": (EVERYTHING, lambda: Series(jnp.asarray(SOME_OFF)), False),
    "sinh": (EVERYTHING, lambda: Sinh(jnp.linspace(0.0, 6.0, 54).reshape(SHAPE)), True),
    "polynomial": (EVERYTHING, lambda: Polynomial(jnp.asarray([0.1, 0.5, 0.05])), True),
}

# In every run; the others compile programs of their own.
BRIEF = ("broken and floating lines",)


def full(wires):
    """Every wire at its full shape: one compilation for all circuits that are connected at the same ends."""
    shapes = {"r_word": SHAPE, "r_bit": SHAPE, "r_driver": (9,), "r_sense": (6,)}
    if "r_driver_far" in wires or "r_sense_far" in wires:
        shapes |= {"r_driver_far": (9,), "r_sense_far": (6,)}
    return Wires(**{name: np.broadcast_to(wires.get(name, 0.0), shape).astype(float) for name, shape in shapes.items()})


def assert_ngspice_agrees(found, expected):
    assert np.abs(expected).max() > 0
    print(f"off by {np.abs(found - expected).max() / np.abs(expected).max():.1e} of the largest current")
    # 1e-9, as for tests/golden: where cells are nonlinear ngspice meets Kirchhoff's law to 1e-11 only.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@x64
@ngspice
@needs_ngspice
@pytest.mark.parametrize("name", [n if n in BRIEF else pytest.param(n, marks=pytest.mark.slow) for n in CIRCUITS])
def test_ngspice_finds_the_currents_of_solve(tmp_path, name):
    wires, law, half_selected = CIRCUITS[name]
    seed = sum(map(ord, name))
    g, v_in, v_out = random_cells(SHAPE, seed=seed), random_volts((9,), seed=seed + 1), np.zeros(6)
    g[2], g[:, 4], g[5, 2] = 0.0, 0.0, 0.0  # lines that carry nothing, and one open cell
    if half_selected:
        v_in, v_out = np.full(9, 0.5), np.full(6, 0.5)
        v_in[1], v_out[3] = 1.0, 0.0
    cell = qs.crossbar.Ohmic() if law is None else law()
    plain = {"solver": qs.crossbar.ConjugateGradient(), "max_steps": 5000}  # the modal solver takes longer to compile
    expected = qs.crossbar.solve(g, v_in, full(wires), law=cell, v_out=v_out, **plain).i_out
    found = ngspice_currents(to_spice(g, v_in, Wires(**wires), cell, tmp_path / "array.cir", v_out=v_out))
    assert_ngspice_agrees(found, expected)


@x64
@ngspice
@needs_ngspice
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1)], ids=str)
def test_ngspice_finds_the_currents_of_a_single_line(tmp_path, shape):
    arguments = random_cells(shape, seed=4), random_volts(shape[:1], seed=5), Wires(500.0, 50.0, 3.0, 7.0)
    expected = qs.crossbar.solve(*arguments, law=Series(1e3), solver=qs.crossbar.ConjugateGradient()).i_out
    assert_ngspice_agrees(ngspice_currents(to_spice(*arguments, Series(1e3), tmp_path / "array.cir")), expected)


@x64
@ngspice
@needs_ngspice
@pytest.mark.parametrize("wires", [{}, {"r_word": 2.0, "r_bit": 3.0, "r_driver_far": 1.0}], ids=["ideal", "resistive"])
def test_ngspice_runs_an_array_of_open_cells(tmp_path, wires):
    found = ngspice_currents(to_spice(np.zeros((3, 2)), np.ones(3), Wires(**wires), path=tmp_path / "array.cir"))
    np.testing.assert_array_equal(found, np.zeros(2))


@x64
@ngspice
@needs_ngspice
def test_ngspice_loses_no_more_than_the_header_says(tmp_path):
    g, v_in, v_out = random_cells(SHAPE, seed=1), random_volts((9,), seed=2), random_volts((6,), seed=3)
    for r in (1e-9, 1e-5):
        wires = Wires(r, r)
        path = to_spice(g, v_in, wires, path=tmp_path / "array.cir", v_out=v_out)
        same = full({"r_word": r, "r_bit": r})
        expected = qs.crossbar.solve(
            g, v_in, same, v_out=v_out, solver=qs.crossbar.ConjugateGradient(), max_steps=5000
        ).i_out
        (stated,) = map(float, re.findall(r"rounds currents by (\S+) A", path.read_text()))
        off = np.abs(ngspice_currents(path) - expected).max()
        # An estimate: it is rounding that decides.
        assert 0.05 * stated < off < 3 * stated
