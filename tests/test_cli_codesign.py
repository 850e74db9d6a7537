"""`qsynapse codesign` as a designer meets it: resistors, figures before and after, and what is refused."""

import numpy as np
import pytest

from qsynapse_jax.cli import main
from qsynapse_jax.studies import find_run

QUICK = ["codesign", "--dataset", "none", "--bits", "2", "--tile-shape", "8", "--steps", "3"]
WRONG = {
    "switch upside down": (["--r-on", "5e5"], "`r_off` must be a"),
    "no bits": (["--bits", "0"], "`bits` must be an integer from 1"),
    "infeasible bounds": (["--r-min", "9e3"], "must enclose the plain ladder"),
    "bounds upside down": (["--r-min", "2e3", "--r-max", "1e3"], "must enclose the plain ladder"),
    "unknown series": (["--series", "E7"], "`series` must be one of E6, E12"),
    "two ways to round": (["--series", "E24", "--increment", "10"], "either `series` or `increment`"),
    "no increment": (["--increment", "0"], "`increment` must be positive"),
    "empty layer": (["--hidden", "0"], "`hidden` must hold positive"),
    "negative spread": (["--sigma-on", "-1"], "`sigma_on_device` must be non-negative"),
    "odd tile": (["--tile-shape", "63"], "bit lines even"),
    "no steps": (["--steps", "0"], "`steps` must be positive"),
    "nothing counts": (["--error", "0", "--network", "0"], "nothing would count"),
    "unknown data set": (["--dataset", "mnst"], "Did you mean 'mnist'"),
}


@pytest.mark.slow
def test_it_ends_with_resistors_figures_and_a_picture(tmp_path, capsys):
    out = tmp_path / "out"
    main([*QUICK, "--increment", "250", "--r-off", "6e3", "--out", str(out)])
    printed = capsys.readouterr().out
    record = find_run(out)
    names = ["R, 2R, 4R", "R as found", "closed form", "found", "x 250 ohm"]
    designs = {name: record.data[f"resistors/{name}"] for name in names}
    np.testing.assert_allclose(designs["R, 2R, 4R"], [8e3, 16e3])
    made = designs["x 250 ohm"]
    np.testing.assert_allclose(made, 250 * np.round(designs["found"] / 250))
    assert f"Use these resistors [ohm]: {made[0]:,.0f}, {made[1]:,.0f}" in printed
    # Units are no markup, a switch too poor for a plain ladder is not passed over in silence, and every stage
    # says what it does.
    for expected in ("[LSB]", "[um2]", "moving 2 resistors", "measuring 5 designs", "needs an on/off ratio above"):
        assert expected in " ".join(printed.split()), expected
    inl = {one.name: one.ours or 0.0 for one in record.figures}
    assert inl["cell_inl: closed form"] < 1e-4 < inl["cell_inl: R, 2R, 4R"]
    assert record.data["objective"].shape == (4,)
    assert (out / "result.json").stat().st_size < 20_000
    assert (out / "codesign.png").stat().st_size > 5000
    main([*QUICK, "--increment", "250", "--r-off", "6e3", "--resume", "--out", str(out)])
    assert "is complete already" in capsys.readouterr().out


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_wrong_use_is_one_message_and_leaves_nothing(case, tmp_path, capsys):
    arguments, message = WRONG[case]
    with pytest.raises(SystemExit) as stop:
        main(["codesign", *arguments, "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    output = capsys.readouterr()
    assert message in output.err
    assert "Traceback" not in output.err
    assert not list(tmp_path.iterdir())
