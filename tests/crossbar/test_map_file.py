"""Maps of arrays from the files that laboratories have: right in every format, and refused with the place."""

import numpy as np
import pytest
from scipy.io import savemat

from qsynapse_jax.crossbar import read_map, wires_at_node

MAP = np.array([[10.0, 20.5, 30.0], [0.0, 5.25, 80.0]])

TEXTS = {
    "commas": "10,20.5,30\n0,5.25,80\n",
    "semicolons and decimal commas": "10;20,5;30\n0;5,25;80\n",
    "spaces and a comment": "# uS\n10  20.5 30\n\n 0 5.25 80\n",
    "tabs and names": "a\tb\tc\n10\t20.5\t30\n0\t5.25\t80\n",
    "an index": ",0,1,2\n0,10,20.5,30\n1,0,5.25,80\n",
    "a mark of the byte order": "\ufeff10,20.5,3e1\n0,5.25,+80\n",
}


@pytest.mark.parametrize("case", TEXTS)
def test_tables_in_text(tmp_path, case):
    (tmp_path / "map.csv").write_text(TEXTS[case], encoding="utf-8")
    np.testing.assert_allclose(read_map(tmp_path / "map.csv", "uS"), 1e-6 * MAP, rtol=1e-15)


def test_arrays_in_three_formats_and_other_units(tmp_path):
    np.save(tmp_path / "map.npy", MAP.astype(np.float32))
    np.savez(tmp_path / "map.npz", other=np.zeros(3), measured=MAP)
    savemat(tmp_path / "map.mat", {"Gmap": MAP, "Other": MAP + 1})
    assert read_map(tmp_path / "map.npy", "uS").dtype == np.float32
    np.testing.assert_allclose(read_map(tmp_path / "map.npz", "mS"), 1e-3 * MAP)
    np.testing.assert_allclose(read_map(tmp_path / "map.mat", "nS", name="gmap"), 1e-9 * MAP)
    with np.errstate(divide="ignore"):
        np.save(tmp_path / "r.npy", 1e3 / MAP)
    # An open cell is an infinite resistance, and a conductance of 0.
    np.testing.assert_allclose(read_map(tmp_path / "r.npy", "kohm"), 1e-6 * MAP)


WRONG = {
    "1,2\n3\n": "Line 2 of .* has 1 numbers, but those before have 2",
    "1,2\n3,x\n": "Line 2 of .* must hold numbers, but number 2 is 'x'",
    "1,2\n3,\n": "number 2 is empty",
    "a,b\n": "a line of names alone",
    "": "holds none",
    "1,-2\n": "row 0, column 1 .from 0. is -2; an open cell is 0. 1 of 2 numbers are wrong",
    "1,nan\n": "is nan",
    "1,inf\n": "is inf",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_map_is_refused_with_its_place(tmp_path, text):
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(ValueError, match=WRONG[text]):
        read_map(tmp_path / "map.csv", "uS")


def test_files_that_hold_no_map_or_several(tmp_path):
    savemat(tmp_path / "map.mat", {"a": MAP, "b": MAP})
    with pytest.raises(ValueError, match=r"must hold one map, .* but holds `a` .2, 3., `b` .2, 3.; say which"):
        read_map(tmp_path / "map.mat", "uS")
    with pytest.raises(ValueError, match=r"no array `c`; it holds `a`"):
        read_map(tmp_path / "map.mat", "uS", name="c")
    np.save(tmp_path / "map.npy", MAP + 1j)
    with pytest.raises(ValueError, match=r"must hold real numbers, but has dtype complex128"):
        read_map(tmp_path / "map.npy", "uS")
    np.save(tmp_path / "map.npy", MAP[0])
    with pytest.raises(ValueError, match=r"but has shape \(3,\)"):
        read_map(tmp_path / "map.npy", "uS")
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file" + bytes(105) + b"\x00\x02IM" + bytes(100))
    with pytest.raises(ValueError, match=r"of version 7.3, .* save it with"):
        read_map(tmp_path / "new.mat", "uS")
    (tmp_path / "map.mat").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"must be a .mat file"):
        read_map(tmp_path / "map.mat", "uS")
    (tmp_path / "map.xlsx").touch()
    with pytest.raises(ValueError, match=r"must end in one of .csv"):
        read_map(tmp_path / "map.xlsx", "uS")


@pytest.mark.parametrize(
    ("node", "word", "bit"), [("22nm", 2.12, 6.36), ("7nm", 7.06, 21.2), ("130nm", 0.314, 0.943), ("45nm", 0.973, 2.92)]
)
def test_wires_of_a_node(node, word, bit):
    """A transistor per cell; without, both lines have two widths per cell, half of the word line's four."""
    wires, dense = wires_at_node(node), wires_at_node(node, "crossbar")
    np.testing.assert_allclose([wires.r_word, wires.r_bit], [word, bit], rtol=5e-3)
    np.testing.assert_allclose([dense.r_word, dense.r_bit], word / 2, rtol=5e-3)


def test_an_unknown_node_is_refused():
    with pytest.raises(ValueError, match=r"`node` must be one of 130nm, .* but is '5nm'"):
        wires_at_node("5nm")
