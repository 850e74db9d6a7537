"""`qsynapse solve` and `qsynapse spice`: a stored circuit, its currents and its netlist, and wrong use."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

import qsynapse_jax as qs
from qsynapse_jax.cli import main
from tests.crossbar.problems import random_cells, random_volts
from tests.unchecked import unchecked

G, V = random_cells((3, 2), seed=1), random_volts((3,), seed=2)
PLAIN = {"g": G, "v_in": V, "r_word": 10.0, "r_bit": 20.0}
PAGE = (Path(__file__).parent.parent / "docs" / "how-to" / "circuits.md").read_text()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Working there, so that names are short and messages whole."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stored(**arrays):
    np.savez("array.npz", **arrays)
    return arrays


def run(*arguments):
    with unchecked():
        main(list(arguments))


def refused(capsys, *arguments):
    """What is said to wrong use: one message, status 2."""
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    assert stop.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("qsynapse: ")
    assert output.err.count("\n") == 1
    return output.err


def solution(path):
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


LAWS = {
    "ohmic": (lambda: qs.crossbar.Ohmic(), {}),
    "sinh": (lambda: qs.crossbar.Sinh(2.0), {"law": "sinh", "k": 2}),
    "series": (lambda: qs.crossbar.Series(np.full(G.shape, 1e4)), {"law": "series", "r": np.full(G.shape, 1e4)}),
    "polynomial": (
        lambda: qs.crossbar.Polynomial(np.array([0.1, 0.5])),
        {"law": "polynomial", "coefficients": np.array([0.1, 0.5])},
    ),
}


ENDS = {"r_word": np.array([10.0, 0.0]), "r_driver": 5, "r_sense": 7.0, "r_driver_far": 1.0, "r_sense_far": 2.0}


def test_solve_prints_and_writes_what_the_function_finds(folder, capsys):
    cell, parameter = LAWS["series"]
    v_out = np.array([0.0, 0.3])
    stored(g=G, v_in=V, v_out=v_out, r_bit=20.0, **ENDS, **parameter)
    run("solve", "array.npz", "--out", "solution.npz")
    printed, found = capsys.readouterr().out, solution("solution.npz")
    with jax.enable_x64(True):
        expected = qs.crossbar.solve(G, V, qs.crossbar.Wires(r_bit=20.0, **ENDS), v_out=v_out, law=cell())
        for name in ("i_out", "v_word", "v_bit", "i_cell"):
            assert found[name].dtype == np.float64
            np.testing.assert_array_equal(found[name], getattr(expected, name))
        drop = np.abs(V[:, None] - v_out - expected.v_cell)
    assert found["residual"] < 1e-10
    assert found["iterations"] > 0
    assert "3 word lines x 2 bit lines, series cells, float64" in printed
    assert all(f"{i:.9e}" in printed for i in found["i_out"])
    assert f"worst IR drop  {drop.max():.4g} V of" in printed
    assert "power balance" in printed
    assert {path.name for path in folder.iterdir()} == {"array.npz", "solution.npz"}


def test_many_inputs_in_the_precision_of_g(folder, capsys):
    """Of more currents than fit a screen the first and the last are shown."""
    stored(**PLAIN | {"g": G.astype(np.float32), "v_in": random_volts((5, 4, 3), seed=3), "v_out": np.zeros((5, 4, 2))})
    run("solve", "array.npz", "--out", "solution.npz")
    printed, found = capsys.readouterr().out, solution("solution.npz")
    assert found["i_out"].dtype == np.float32
    assert not jax.config.read("jax_enable_x64")
    assert found["i_out"].shape == (5, 4, 2)
    assert found["v_word"].shape == (5, 4, 3, 2)
    assert found["residual"].shape == (5, 4)
    shown = re.findall(r"(\d), (\d) │ +(\d) │ +(\S+) ", printed)
    assert len(shown) == 16
    assert shown[-1] == ("4", "3", "1", f"{found['i_out'][4, 3, 1]:.6e}")
    assert "16 of 40 currents are shown; --out FILE.npz writes all of them as `i_out`." in printed


@pytest.mark.parametrize("law", LAWS)
def test_spice_writes_the_netlist_of_the_function(folder, capsys, law):
    cell, parameter = LAWS[law]
    stored(g=G, v_in=V, v_out=V[:2], r_bit=20.0, **ENDS, **parameter)
    run("spice", "array.npz")
    assert "Run it: ngspice -b array.cir" in capsys.readouterr().out
    run("spice", "array.npz", "--out", "other name.cir")
    assert "Run it: ngspice -b 'other name.cir'" in capsys.readouterr().out
    with jax.enable_x64(True):
        wires = qs.crossbar.Wires(r_bit=20.0, **ENDS)
        qs.crossbar.to_spice(G, V, wires, cell(), "expected.cir", v_out=V[:2])
    expected = Path("expected.cir").read_text()
    assert Path("array.cir").read_text() == expected
    assert Path("other name.cir").read_text() == expected


def changed(array, value):
    array = array.copy()
    array.flat[0] = value
    return array


WRONG = {
    "no g": ({"g": None}, "has no `g`; write e.g. numpy.savez("),
    "unknown name": ({"r_wrd": 1.0}, "holds an array `r_wrd`, but known are g, v_in, v_out, r_word"),
    "what it might mean": ({"r_wrd": 1.0}, "Did you mean `r_word`?"),
    "negative g": ({"g": changed(G, -1e-6)}, "`g` must be non-negative, but g[0, 0] = -1e-06 S"),
    "NaN in g": ({"g": changed(G, np.nan)}, "g[0, 0] = nan S. Use 0.0 for an open cell"),
    "NaN in v_in": ({"v_in": changed(V, np.nan)}, "`v_in` must be finite, but v_in[0] = nan V"),
    "NaN in v_out": ({"v_out": np.array([0.0, np.nan])}, "`v_out` must be finite, but v_out[1] = nan V"),
    "g of one axis": ({"g": V}, "`g` must have shape (wl, bl), but has shape (3,)"),
    "v_in too short": ({"v_in": V[:2]}, "`v_in` must have shape (*batch, wl) with wl = 3"),
    "v_out too long": ({"v_out": V}, "`v_out` must have shape (bl,) or (*batch, bl) with bl = 2"),
    "wires of another array": ({"r_word": V**2}, "`r_word` must be a scalar or have shape (2,) (bl)"),
    "negative wire": ({"r_bit": -1.0}, "`r_bit` must be non-negative"),
    "integer g": ({"g": np.ones((3, 2), int)}, "`g` must be a float32 or float64 array, but has dtype int64; convert"),
    "integer v_in": ({"v_in": np.ones(3, int)}, "e.g. `v_in=v_in.astype(float)`"),
    "half precision": ({"g": G.astype(np.float16)}, "`g` must be a float32 or float64 array, but has dtype float16"),
    "text": ({"r_word": "1 ohm"}, "`r_word` must be a float32 or float64 array, but has dtype <U5"),
    "objects": ({"g": np.array([[1.0, None]])}, "Array `g` of array.npz cannot be read (Object arrays"),
    "unknown law": ({"law": "diode"}, "`law` must be one of ohmic, sinh, series, polynomial, but is 'diode'"),
    "two laws": ({"law": np.array(["sinh", "ohmic"])}, "but is an array of shape (2,)"),
    "law without parameter": ({"law": "sinh"}, "`law` is 'sinh', which needs the array `k`; add it"),
    "parameter without law": ({"k": 2.0}, "`k` belongs to the law 'sinh', but `law` is 'ohmic'; set `law='sinh'`"),
    "k of another array": ({"law": "sinh", "k": V}, "`k` must be a scalar or have the shape of `g`, (3, 2)"),
    "negative r": ({"law": "series", "r": -1.0}, "`r` must be non-negative"),
    "one coefficient": ({"law": "polynomial", "coefficients": 1.0}, "`coefficients` must have shape (n,), but has"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("command", ["solve", "spice"])
def test_a_wrong_file_is_one_message_and_nothing_is_written(folder, capsys, command, case):
    change, message = WRONG[case]
    stored(**{name: value for name, value in (PLAIN | change).items() if value is not None})
    assert message in refused(capsys, command, "array.npz", "--out", "out.npz")
    assert [path.name for path in folder.iterdir()] == ["array.npz"]


@pytest.mark.parametrize("command", ["solve", "spice"])
def test_what_is_no_npz_file(folder, capsys, command):
    assert "array.npz does not exist" in refused(capsys, command, "array.npz")
    assert "an .npz file, but . is none; write one, e.g. numpy.savez(" in refused(capsys, command, ".")
    np.save("array.npy", 1e6 * G)
    message = refused(capsys, command, "array.npy")
    assert "`unit` must say in what unit the numbers of array.npy are" in message
    assert "perhaps `--unit uS`" in message
    stored(**PLAIN)
    whole = Path("array.npz").read_bytes()
    Path("array.npz").write_bytes(whole[:-100])
    assert "an .npz file, but array.npz is none" in refused(capsys, command, "array.npz")
    Path("array.npz").write_bytes(whole.replace(G.tobytes(), bytes(G.nbytes)))
    assert "Array `g` of array.npz cannot be read (Bad CRC-32" in refused(capsys, command, "array.npz")


@pytest.mark.parametrize("command", ["solve", "spice"])
def test_an_output_that_cannot_be_is_refused_before_the_work(folder, capsys, command):
    stored(**PLAIN)
    before = Path("array.npz").read_bytes()
    Path("link.npz").symlink_to("array.npz")
    for name in ("array.npz", "./array.npz", "link.npz"):
        assert "`out` must not be the input" in refused(capsys, command, "array.npz", "--out", name)
    assert Path("array.npz").read_bytes() == before
    message = refused(capsys, command, "array.npz", "--out", "new/folder/out.npz")
    assert "new/folder does not; make it first, e.g. `mkdir -p new/folder`" in message
    assert "array.npz does not; make" in refused(capsys, command, "array.npz", "--out", "array.npz/out.npz")
    Path("folder.npz").mkdir()
    Path("null.npz").symlink_to("/dev/null")
    assert "is a folder or a device" in refused(capsys, command, "array.npz", "--out", "folder.npz")
    assert "is a folder or a device" in refused(capsys, command, "array.npz", "--out", "null.npz")
    assert {path.name for path in folder.iterdir()} == {"array.npz", "link.npz", "folder.npz", "null.npz"}


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="wants a folder in which not even root can write")
def test_a_folder_that_takes_no_files(folder, capsys):
    stored(**PLAIN)
    message = refused(capsys, "solve", "array.npz", "--out", "/proc/solution.npz")
    assert "`out` must be a file that can be written, but /proc/solution.npz is not (" in message


def test_a_solution_has_one_of_three_endings(folder, capsys):
    stored(**PLAIN)
    message = refused(capsys, "solve", "array.npz", "--out", "x.xlsx")
    assert "`out` must end in .npz or .csv or .json, but is x.xlsx; choose e.g. `--out x.npz`" in message
    message = refused(capsys, "solve", "array.npz", "--picture", "x.bmp")
    assert "`picture` must end in .png or .svg or .pdf" in message


def test_a_measured_map_in_one_command(folder, capsys):
    """A CSV in uS, one voltage and wires by node: what the function finds of the same numbers, in three formats."""
    np.savetxt("map.csv", 1e6 * G, delimiter=",", fmt="%.18g")
    options = ("--unit", "uS", "--v-in", "0.3", "--wires", "22nm")
    run("solve", "map.csv", *options, "--out", "x.json", "--picture", "x.png")
    printed = capsys.readouterr().out
    with jax.enable_x64(True):
        expected = np.asarray(qs.crossbar.solve(G, np.full(3, 0.3), qs.crossbar.Wires(2.12, 6.36)).i_out)
    ideal = 0.3 * G.sum(0)
    found = json.loads(Path("x.json").read_text())
    np.testing.assert_allclose(found["i_out"], expected, rtol=1e-9)
    np.testing.assert_allclose(found["i_ideal"], ideal, rtol=1e-9)
    np.testing.assert_allclose(found["lost_percent"], 100 * (1 - expected / ideal), rtol=1e-4)
    assert f"lost in wires  {100 * (1 - expected.sum() / ideal.sum()):.3g} % of the currents" in printed
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")
    run("solve", "map.csv", *options, "--out", "x.csv")
    with Path("x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_array_equal([float(row["current_A"]) for row in rows], found["i_out"])
    assert [row["bit_line"] for row in rows] == ["0", "1"]


def test_what_the_file_does_not_say_is_said(folder, capsys):
    """Letter case and other arrays are no obstacle; a default is told."""
    stored(G=(1e6 * G).round().astype(int), comment=np.zeros(3))
    run("solve", "array.npz", "--unit", "uS")
    printed = capsys.readouterr().out
    assert "note: left out of the file: `comment`." in printed
    assert "note: no voltages are given, so that every word line is driven with 0.2 V" in printed
    assert "note: the wires are ideal; `--wires` gives them a resistance" in printed
    assert f"{0.2e-6 * (1e6 * G).round().sum(0)[0]:.9e} │" in printed
    stored(**PLAIN)
    run("solve", "array.npz", "--wires", "1,2")
    assert "note: the wires of the file (r_word, r_bit) are replaced." in capsys.readouterr().out
    np.savetxt("volts.csv", np.stack([V, 2 * V]), delimiter=",")
    run("solve", "array.npz", "--v-in", "volts.csv", "--out", "x.npz")
    found = solution("x.npz")["i_out"]
    np.testing.assert_allclose(found[1], 2 * found[0], rtol=1e-9)


OPTIONS = {
    "--unit us": "`unit` must be one of S, mS, uS, nS, ohm, kohm, Mohm, but is 'us'",
    "--wires 5nm": "or a node, e.g. 22nm or 22nm-crossbar, but is '5nm'",
    "--wires 1,2,3": "`wires` must be ohm per cell",
    "--wires 22nm-2T": "`cell` must be one of 1T1R, crossbar, but is '2T'",
    "--v-in map": "`v_in` must be a voltage, e.g. 0.2, or a file of voltages, but is 'map'",
    "--array x": "has no array `x`; it holds g, v_in, r_word, r_bit",
}


@pytest.mark.parametrize("options", OPTIONS)
def test_wrong_options_name_the_right_ones(folder, capsys, options):
    stored(**PLAIN)
    assert OPTIONS[options] in refused(capsys, "solve", "array.npz", *options.split())


def test_a_header_that_claims_more_than_is_there(folder, capsys):
    """NumPy would allocate 298 GiB before it reads 48 bytes."""
    stored(**PLAIN)
    with zipfile.ZipFile("array.npz") as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    members["g.npy"] = members["g.npy"].replace(b"(3, 2), }           ", b"(200000, 200000), } ")
    with zipfile.ZipFile("array.npz", "w") as changed:
        for name, content in members.items():
            changed.writestr(name, content)
    message = refused(capsys, "solve", "array.npz")
    assert "Array `g` of array.npz cannot be read (its header claims 320,000,000,000 bytes, but" in message


NOTES = {
    "uS for S": ({"g": 1e6 * G}, "note: the largest conductance in `g` is"),
    "mV for V": ({"v_in": np.full(3, 200.0)}, "note: the largest voltage in `v_in` is 200 V; `v_in` is in V."),
    "kohm for ohm": ({"r_word": 1e6}, "note: the wires take 9"),
}


@pytest.mark.parametrize("case", NOTES)
def test_what_looks_like_another_unit_is_noted(folder, capsys, case):
    change, note = NOTES[case]
    stored(**PLAIN | change)
    run("solve", "array.npz")
    assert note in capsys.readouterr().out


def test_the_solution_is_there_though_nobody_reads_the_table(folder):
    stored(**PLAIN)
    program = "from qsynapse_jax.cli import main; main(['solve', 'array.npz', '--out', 'solution.npz'])"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode != 0
    assert solution("solution.npz")["i_out"].shape == (2,)


def test_what_overflows_the_precision_of_g_is_refused(folder, capsys):
    stored(**PLAIN | {"g": G.astype(np.float32), "v_in": 1e300 * V})
    assert "`v_in` must be finite" in refused(capsys, "spice", "array.npz")


def test_a_batch_has_no_netlist(folder, capsys):
    stored(**PLAIN | {"v_in": np.stack([V, V])})
    assert "store each in a file of its own, e.g. with `v_in=v_in[0]`" in refused(capsys, "spice", "array.npz")


def test_no_convergence_is_a_message_too(folder, capsys):
    stored(**PLAIN)
    message = refused(capsys, "solve", "array.npz", "--rtol", "1e-12", "--max-steps", "1", "--out", "solution.npz")
    assert "did not reach `rtol` within `max_steps`" in message
    assert not Path("solution.npz").exists()


def test_the_commands_of_the_page(folder, capsys):
    """The lines that make a file and solve it, as they stand there; and ngspice, where it is, agrees."""
    (program,) = re.findall(r'python -c "(.*?)"\n', PAGE, flags=re.DOTALL)
    subprocess.run([sys.executable, "-c", program], check=True, cwd=folder)
    (solve,) = re.findall(r"qsynapse (solve .*?) +#", PAGE)
    (spice,) = re.findall(r"qsynapse (spice .*?) +#", PAGE)
    run(*solve.split())
    assert "8 word lines x 4 bit lines, sinh cells" in capsys.readouterr().out
    run(*spice.split())
    (ngspice,) = re.findall(r"^(ngspice .*?) +#", PAGE, flags=re.MULTILINE)
    assert f"Run it: {ngspice}\n" in capsys.readouterr().out
    if shutil.which("ngspice"):
        done = subprocess.run(ngspice.split(), capture_output=True, text=True, check=True, timeout=60)
        found = [float(i) for i in re.findall(r"^i\(vm\d\) = (\S+)", done.stdout, flags=re.MULTILINE)]
        expected = solution("solution.npz")["i_out"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
