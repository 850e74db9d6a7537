"""The command line as a person meets it: a run, its files, its table again, and wrong use."""

import json

import numpy as np
import pytest

from qsynapse_jax.cells import Differential, Ladder
from qsynapse_jax.cli import DEMO, StudyConfig, hardware_lines, main
from qsynapse_jax.crossbar import Wires, effective_conductance
from qsynapse_jax.datasets import load

TRAIN = ["train", "--hidden", "12", "--epochs", "2", "--tile", "32", "--r-word", "7", "--r-bit", "21"]
CELL = ["--bits", "2", "--r-unit", "1e4", "--r-on", "500", "--r-off", "5e5"]


def figures(folder):
    return {one["name"]: one["ours"] for one in json.loads((folder / "result.json").read_text())["figures"]}


def test_a_run_and_everything_it_leaves(tmp_path, capsys):
    """One run, because it takes long, of which four things are asked."""
    run = tmp_path / "new" / "folder"
    main([*TRAIN, *CELL, "--seed", "3", "--out", str(run)])
    every_file_is_whole(run)
    the_result_says_how_it_came_about(run)
    capsys.readouterr()
    evaluate_recomputes_the_table_from_the_weights(run, capsys)
    the_table_follows_from_the_saved_arrays_alone(run)


def every_file_is_whole(run):
    names = {"result.json", "weights.npz", "accuracy.png", "ir_drop.png", "weights.png"}
    assert {path.name for path in run.iterdir()} == names
    for name in names:
        assert (run / name).stat().st_size > 500
        assert (run / name).stat().st_mode & 0o777 == 0o644


def the_result_says_how_it_came_about(run):
    result = json.loads((run / "result.json").read_text())
    assert result["config"]["cell"] == {"bits": 2, "r_unit": 1e4, "r_on": 500.0, "r_off": 5e5}
    assert result["seed"] == 3
    assert {"jax", "flax", "equinox", "optax", "python"} <= set(result["versions"])
    assert result["device"].startswith(("cpu", "gpu", "tpu"))
    assert result["wall_time_s"] > 0
    assert len(result["history"]["circuit"]) == 2


def evaluate_recomputes_the_table_from_the_weights(run, capsys):
    main(["evaluate", str(run)])
    printed = capsys.readouterr().out
    for accuracy in figures(run).values():
        assert f"{accuracy:.2f} %" in printed


def the_table_follows_from_the_saved_arrays_alone(run):
    """As an outsider would: codes, conductances, tiles cut by hand, effective conductances, two matrix products."""
    data, arrays = load("digits"), np.load(run / "weights.npz")
    ladder, wires = Ladder(2, 1e4, 500.0, 5e5), Wires(7.0, 21.0)
    cell, span = Differential(ladder), float(ladder.span())
    x = data.x_test
    for layer, n_in in (("0", 64), ("1", 12)):
        plus, minus = (np.asarray(g) for g in cell.conductance(arrays[f"circuit/{layer}/code"]))
        g = np.stack([plus, minus], axis=-1).reshape(n_in, -1)
        # Row blocks of at most 32 with the incomplete one first, column blocks of 32 with the incomplete one last.
        tops = [(max(0, end - 32), end) for end in range(n_in, 0, -32)]
        blocks = [
            [np.asarray(effective_conductance(g[i:j, k : k + 32], wires)) for k in range(0, g.shape[1], 32)]
            for i, j in sorted(tops)
        ]
        g_eff = np.block(blocks)
        weight = (g_eff[:, 0::2] - g_eff[:, 1::2]) / span
        x = arrays[f"circuit/{layer}/scale"] * (x @ weight) + arrays[f"circuit/{layer}/bias"]
        x = np.maximum(x, 0) if layer == "0" else x
    accuracy = 100 * np.mean(np.argmax(x, axis=1) == data.y_test)
    # One sample of 500 may fall the other way by rounding.
    assert abs(accuracy - figures(run)["test_accuracy_circuit"]) <= 0.21


def test_the_demo_prints_wires_cells_and_tile():
    text = "\n".join(hardware_lines(StudyConfig(**DEMO)))
    for expected in ("7.06 ohm", "21.2 ohm", "8 kohm, 16 kohm, 32 kohm", "uS", "64 word lines x 64 bit lines"):
        assert expected in text


WRONG = {
    "unknown data set": (["--dataset", "mnst"], "Did you mean 'mnist'"),
    "no bits": (["--bits", "0"], "`bits` must be an integer from 1"),
    "negative wire": (["--r-wire", "-1"], "`r_wire` must be non-negative"),
    "nan wire": (["--r-bit", "nan"], "`r_bit` must be non-negative"),
    "no epochs": (["--epochs", "0"], "`epochs` must be positive"),
    "odd tile": (["--tile", "31"], "multiple of 2 bit lines"),
    "no tile": (["--tile", "0"], "`tile` must be one or two positive"),
    "three tiles": (["--tile", "1", "2", "3"], "`tile` must be one or two positive"),
    "switch upside down": (["--r-on", "1e6", "--r-off", "1e3"], "`r_off` must be above `r_on`"),
    "empty layer": (["--hidden", "0"], "`hidden` must hold positive"),
}


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_wrong_use_is_one_message_before_any_training(case, tmp_path, capsys):
    arguments, message = WRONG[case]
    with pytest.raises(SystemExit) as stop:
        main(["train", *arguments, "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    output = capsys.readouterr()
    assert message in output.err
    assert "Traceback" not in output.err
    assert "float software" not in output.out
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_is_a_file_is_refused_and_kept(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(SystemExit):
        main(["train", "--out", str(tmp_path / "out")])
    assert "`out` must be a folder that can be written" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_evaluating_something_else_says_what_is_missing(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", str(tmp_path)])
    assert "result.json does not exist" in capsys.readouterr().err
